from smalt.emulator.bill import Bill, Line


def line(deployment: str = "gpt", key: str = "key1", *, complete: bool = True) -> Line:
    return Line(
        "east", deployment, "gpt-4o", key, "id-1", input_tokens=10, output_tokens=3, complete=complete
    )


def test_lines_add_up_by_deployment_and_key() -> None:
    """Every line counts once in the totals, its deployment and its key."""
    bill = Bill()
    for entry in (line(), line("mini"), line(key="key2")):
        bill.add(entry)
    report = bill.report(0)
    assert report["totals"] == {"requests": 3, "input_tokens": 30, "output_tokens": 9}
    assert report["deployments"]["east/gpt"] == {"requests": 2, "input_tokens": 20, "output_tokens": 6}
    assert report["keys"]["east/key2"]["requests"] == 1


def test_the_newest_lines_are_told() -> None:
    """The limit keeps the last lines in their order; 0 tells sums only."""
    bill = Bill()
    for entry in (line("a"), line("b"), line("c", complete=False)):
        bill.add(entry)
    assert [entry["deployment"] for entry in bill.report(2)["entries"]] == ["b", "c"]
    assert not bill.report(1)["entries"][0]["complete"]
    assert bill.report(0)["entries"] == []
