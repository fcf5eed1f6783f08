import pytest
from tests.unit.dispatch.fakes import Office

from smalt.core.engine import Engine
from smalt.core.settings import EngineSettings, PoolSpec, RouteSpec, UpstreamSpec
from smalt.dispatch.answer_headers import answer_headers, record_headers, request_headers
from smalt.dispatch.run import Answer
from smalt.types import CallRecord, Failure, FailureKind, Operation, Usage

UPSTREAM = [
    (b"content-type", b"application/json"),
    (b"x-ms-region", b"East US"),
    (b"x-ratelimit-remaining-tokens", b"900"),
    (b"retry-after-ms", b"100"),
    (b"apim-request-id", b"a-1"),
    (b"openai-processing-ms", b"12"),
    (b"set-cookie", b"secret"),
    (b"server", b"nginx"),
    (b"content-length", b"2"),
    (b"transfer-encoding", b"chunked"),
    (b"connection", b"close"),
    (b"x-should-retry", b"true"),
    (b"x-smalt-upstream", b"forged"),
]


def headers_of(answer: Answer[None], office: Office | None = None) -> list[tuple[bytes, bytes]]:
    return answer_headers((office or Office()).answered(), answer)


def test_azures_headers_go_on_and_others_stay_behind() -> None:
    """Framing, cookies and what claims to be ours do not pass."""
    headers = headers_of(Answer(200, UPSTREAM))
    assert headers[:6] == UPSTREAM[:6]
    assert not {b"set-cookie", b"server", b"content-length", b"connection"} & {name for name, _ in headers}
    assert [value for name, value in headers if name == b"x-smalt-upstream"] == [b"east/a"]
    assert b"x-should-retry" not in dict(headers)


def test_smalts_own_headers() -> None:
    """Who answered, after how many attempts, what was changed, what it cost."""
    answer = Answer[None](200, [], rewrites=("model", "stream_options"), usage=Usage(1_000_000))
    headers = dict(headers_of(answer))
    assert headers[b"x-smalt-request-id"] == headers[b"x-request-id"] == b"id-1"
    assert headers[b"x-smalt-upstream"] == b"east/a"
    assert headers[b"x-smalt-region"] == b"eastus"
    assert headers[b"x-smalt-attempts"] == b"1"
    assert headers[b"x-smalt-rewrites"] == b"model,stream_options"
    assert headers[b"x-smalt-cost-usd"] == b"2.5"


def test_what_is_not_known_is_not_said() -> None:
    """No usage, no price; nothing rewritten, no word about it."""
    headers = dict(headers_of(Answer(200, [])))
    assert not {b"x-smalt-cost-usd", b"x-smalt-rewrites"} & headers.keys()


def test_nobody_answered() -> None:
    """Without an upstream none is named."""
    headers = dict(answer_headers(Office().open(), Answer(200, [])))
    assert headers[b"x-smalt-attempts"] == b"0"
    assert b"x-smalt-upstream" not in headers


def test_a_final_error_is_not_to_be_retried() -> None:
    """The SDK would repeat what was decided here."""
    office = Office()
    call = office.open()
    call.next()
    call.record(Failure(FailureKind.REQUEST, "no", 400))
    call.next()
    assert (b"x-should-retry", b"false") in answer_headers(call, Answer(400, []))


def test_an_answer_from_memory_says_so() -> None:
    """Nobody was asked, and nothing was paid."""
    record = CallRecord("id-1", Operation.CHAT, "gpt-4o", usage=Usage(10), cost_nusd=0, cached=True)
    assert record_headers(record, [(b"content-type", b"application/json")]) == [
        (b"content-type", b"application/json"),
        (b"x-smalt-request-id", b"id-1"),
        (b"x-request-id", b"id-1"),
        (b"x-smalt-attempts", b"0"),
        (b"x-smalt-cost-usd", b"0"),
        (b"x-smalt-cache", b"hit"),
    ]


def test_the_headers_of_a_record_are_those_of_its_call() -> None:
    """Told from the end of the call, they say the same."""
    office, answer = Office(), Answer[None](200, UPSTREAM, rewrites=("model",), usage=Usage(1_000_000))
    call = office.answered()
    call.rewrites = answer.rewrites
    headers = answer_headers(call, answer)
    call.finish(Usage(1_000_000))
    assert record_headers(office.records[0], UPSTREAM) == headers


def test_a_record_of_estimated_usage_names_no_cost() -> None:
    """As the headers of a call do not."""
    record = CallRecord("id-1", Operation.CHAT, "gpt-4o", usage=Usage(10), estimated=True, cost_nusd=5)
    assert b"x-smalt-cost-usd" not in dict(record_headers(record, []))


def test_a_record_of_an_error_is_not_to_be_retried() -> None:
    """Nor is its call."""
    record = CallRecord("id-1", Operation.CHAT, "gpt-4o", error="request")
    assert (b"x-should-retry", b"false") in record_headers(record, [])


def test_the_upstreams_request_id_wins() -> None:
    """SDKs show x-request-id; support asks for Azure's."""
    headers = request_headers("id-1", [(b"x-request-id", b"azure-1")])
    assert headers == [(b"x-smalt-request-id", b"id-1")]


@pytest.mark.parametrize("name", ["x\r\nset-cookie: a=b", "ü", "a\x00b"])
def test_names_cannot_break_headers(name: str) -> None:
    """Deployments may be called anything."""
    spec = UpstreamSpec(f"east/{name}", "gpt-4o", region=name)
    route = RouteSpec("gpt-4o", (PoolSpec(((spec.name,),)),))
    engine = Engine(EngineSettings({spec.name: spec}, {"gpt-4o": route}))
    headers = dict(headers_of(Answer(200, []), Office(engine)))
    for header in (b"x-smalt-upstream", b"x-smalt-region"):
        assert headers[header].isascii()
        assert not set(headers[header]) & set(b"\r\n\x00")
