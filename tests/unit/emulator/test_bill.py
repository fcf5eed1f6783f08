from typing import Any

from smalt.emulator.bill import Bill, Line


def line(deployment: str = "gpt", key: str = "key1", *, request: str = "id-1", **more: Any) -> Line:
    fields: dict[str, Any] = {"input_tokens": 10, "output_tokens": 3, "complete": True, **more}
    return Line("east", deployment, "gpt-4o", key, request, **fields)


def test_lines_add_up_by_deployment_key_and_request_id() -> None:
    """Every line counts once in the totals, its deployment, its key and its client request id."""
    bill = Bill()
    for entry in (
        line(cached_tokens=8),
        line("mini", reasoning_tokens=2),
        line(key="key2", request="id-2"),
    ):
        bill.add(entry)
    report = bill.report(10)
    assert report["totals"] == {
        "requests": 3,
        "input_tokens": 30,
        "cached_tokens": 8,
        "output_tokens": 9,
        "reasoning_tokens": 2,
    }
    assert report["deployments"]["east/gpt"]["input_tokens"] == 20
    assert report["keys"]["east/key2"]["requests"] == 1
    assert {name: entry["requests"] for name, entry in report["client_request_ids"].items()} == {
        "id-1": 2,
        "id-2": 1,
    }


def test_what_provisioned_deployments_serve_is_summed_apart() -> None:
    """It is part of the totals and can be taken out of them."""
    bill = Bill()
    bill.add(line("ptu", provisioned=True))
    bill.add(line(spilled_from="ptu"))
    report = bill.report(10)
    assert (report["totals"]["requests"], report["provisioned"]["requests"]) == (2, 1)
    assert [entry["spilled_from"] for entry in report["entries"]] == [None, "ptu"]


def test_the_newest_lines_are_told() -> None:
    """The limit keeps the last lines in their order; 0 tells sums only."""
    bill = Bill()
    for entry in (line("a"), line("b"), line("c", complete=False)):
        bill.add(entry)
    assert [entry["deployment"] for entry in bill.report(2)["entries"]] == ["b", "c"]
    assert not bill.report(1)["entries"][0]["complete"]
    assert bill.report(0)["entries"] == []


def test_the_lines_of_one_request_can_be_asked_for() -> None:
    """The limit then counts its lines only; the other sums stay those of everything."""
    bill = Bill()
    for entry in (line("a", request="mine"), line("b"), line("c", request="mine")):
        bill.add(entry)
    report = bill.report(10, "mine")
    assert [entry["deployment"] for entry in report["entries"]] == ["a", "c"]
    assert (report["client_request_ids"]["mine"]["requests"], report["totals"]["requests"]) == (2, 3)
