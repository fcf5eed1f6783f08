"""Quota as a caller meets it: the six kinds of 429, provisioned throughput, spillover, and a faster clock."""

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import openai
import pytest

from smalt.emulator.deployments import Deployment
from smalt.emulator.fleet import Fleet, default_fleet
from smalt.emulator.testing import Handle, running

pytestmark = pytest.mark.sdk

DEPLOYMENTS = (
    Deployment("small", "gpt-4o", "Standard", 8),  # 48 requests a minute: 8 in ten seconds
    Deployment("large", "gpt-4o", "Standard", 10_000),
    Deployment("ptu", "gpt-4o", "ProvisionedManaged", 1, "large"),
    Deployment("ptu-alone", "gpt-4o", "ProvisionedManaged", 1),
    Deployment("flexible", "gpt-5.6-sol", "GlobalStandard", 1_000),
)
HELLO: list[openai.types.chat.ChatCompletionMessageParam] = [{"role": "user", "content": "hello"}]


def plan(speed: float = 1.0) -> Fleet:
    fleet = default_fleet(0, latency_ms=0, token_ms=0)
    east = replace(fleet.resources["east"], deployments={d.name: d for d in DEPLOYMENTS})
    return replace(fleet, resources={"east": east}, speed=speed)


@pytest.fixture(scope="module")
def limited() -> Iterator[Handle]:
    with running(plan()) as handle:
        yield handle


@pytest.fixture
def azure(limited: Handle) -> Iterator[openai.AzureOpenAI]:
    limited.reset()
    with client(limited) as made:
        yield made


def client(emulator: Handle, key: int = 0) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=emulator.url("east"),
        api_key=plan().resources["east"].keys[key],
        api_version="2024-10-21",
        max_retries=0,
    )


def ask(azure: openai.AzureOpenAI, deployment: str, **more: Any) -> Mapping[str, str]:
    """The headers of an answer."""
    headers: Mapping[str, str] = azure.chat.completions.with_raw_response.create(
        model=deployment, messages=HELLO, **more
    ).headers
    return headers


def refused(azure: openai.AzureOpenAI, deployment: str, **more: Any) -> tuple[Mapping[str, str], str]:
    """Headers and text of a 429."""
    with pytest.raises(openai.RateLimitError) as caught:
        ask(azure, deployment, **more)
    return caught.value.response.headers, str(caught.value)


def test_tokens_of_the_minute(azure: openai.AzureOpenAI) -> None:
    """First kind: what is asked for counts on arrival; waits and windows are told exactly."""
    told = ask(azure, "small", max_tokens=6_000)
    assert told["x-ratelimit-limit-tokens"] == "8000"
    assert told["x-ratelimit-remaining-tokens"] == str(8_000 - 6_000 - 2)
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("8", "7")
    headers, text = refused(azure, "small", max_tokens=3_000)
    assert "exceeded token rate limit" in text
    wait_ms = int(headers["retry-after-ms"])
    assert 50_000 < wait_ms <= 60_000
    assert headers["retry-after"] == headers["x-ratelimit-reset-tokens"] == str(-(-wait_ms // 1_000))
    assert f"retry after {headers['retry-after']} seconds" in text


def test_requests_of_a_window(azure: openai.AzureOpenAI) -> None:
    """First kind, the other limit: the ninth request in ten seconds is one too many."""
    for _ in range(8):
        ask(azure, "small")
    headers, text = refused(azure, "small")
    assert "exceeded call rate limit" in text
    assert 0 < int(headers["retry-after-ms"]) <= 10_000
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert int(headers["x-ratelimit-remaining-tokens"]) > 7_000


def test_v1_speaks_in_newer_words(limited: Handle) -> None:
    """The same limit, with another code and text."""
    limited.reset()
    base_url = f"{limited.url('east')}/openai/v1/"
    with openai.OpenAI(base_url=base_url, api_key=limited.key("east"), max_retries=0) as v1:
        for _ in range(8):
            v1.chat.completions.create(model="small", messages=HELLO)
        with pytest.raises(
            openai.RateLimitError, match="Your requests to small for gpt-4o in East US"
        ) as caught:
            v1.chat.completions.create(model="small", messages=HELLO)
    assert caught.value.code == "RateLimitReached"


def test_pressure_on_the_shared_pool(limited: Handle, azure: openai.AzureOpenAI) -> None:
    """Second kind: quota has room, capacity has not."""
    limited.set("east", pressure=1)
    headers, text = refused(azure, "large")
    assert "experiencing high demand" in text
    assert headers["retry-after"] == "20"
    assert int(headers["x-ratelimit-remaining-tokens"]) > 9_000_000
    limited.set("east", pressure=0)
    ask(azure, "large")


def test_a_limit_reduced_for_a_time(limited: Handle, azure: openai.AzureOpenAI) -> None:
    """Third kind: the limit in the headers is lower than the deployment's own."""
    limited.set("east", limit_share=0.25)
    assert ask(azure, "small", max_tokens=1_500)["x-ratelimit-limit-tokens"] == "2000"
    headers, _ = refused(azure, "small", max_tokens=1_500)
    assert headers["x-ratelimit-limit-tokens"] == "2000"
    state = limited.state()["resources"]["east"]
    assert (state["limit_share"], state["deployments"]["small"]["limit_tpm"]) == (0.25, 8_000)


def test_a_full_provisioned_deployment(limited: Handle, azure: openai.AzureOpenAI) -> None:
    """Fourth kind: in milliseconds, and the wait it tells is enough."""
    told = ask(azure, "ptu-alone", max_tokens=16)
    assert "x-ratelimit-limit-tokens" not in told
    long = [{"role": "user", "content": "word " * 2_600}]  # one PTU takes 2,500 tokens a minute
    azure.chat.completions.create(model="ptu-alone", messages=long)  # type: ignore[arg-type]
    headers, text = refused(azure, "ptu-alone")
    wait_ms = int(headers["retry-after-ms"])
    assert f"after {wait_ms} milliseconds" in text
    assert float(headers["azure-openai-deployment-utilization"].rstrip("%")) > 100
    assert limited.state()["resources"]["east"]["deployments"]["ptu-alone"]["utilization_percent"] > 100


def test_no_capacity_for_flex(limited: Handle, azure: openai.AzureOpenAI) -> None:
    """Fifth kind: the same request on the default tier is served, and only it is billed."""
    assert ask(azure, "flexible", service_tier="flex")
    limited.set("east", flex_full=True)
    headers, text = refused(azure, "flexible", service_tier="flex")
    assert "Flex capacity" in text
    assert headers["retry-after"] == "15"
    ask(azure, "flexible", service_tier="default")
    assert limited.bill()["totals"]["requests"] == 2


def test_one_request_above_the_whole_limit(azure: openai.AzureOpenAI) -> None:
    """Sixth kind: a day to wait, although nothing is spent yet."""
    headers, _ = refused(azure, "small", max_tokens=8_000)
    assert headers["retry-after"] == "86400"
    assert headers["x-ratelimit-remaining-tokens"] == "8000"


def test_spillover_is_served_and_billed_by_the_standard_deployment(
    limited: Handle, azure: openai.AzureOpenAI
) -> None:
    """The first request overflows the bucket and is provisioned; the second is paid per token."""
    long = [{"role": "user", "content": "word " * 2_600}]
    azure.chat.completions.create(model="ptu", messages=long)  # type: ignore[arg-type]
    told = ask(azure, "ptu", extra_headers={"x-ms-client-request-id": "spilled"})
    assert (told["x-ms-spillover-from-deployment"], told["x-ms-deployment-name"]) == ("ptu", "large")
    bill = limited.bill()
    assert [(line["deployment"], line["provisioned"], line["spilled_from"]) for line in bill["entries"]] == [
        ("ptu", True, None),
        ("large", False, "ptu"),
    ]
    assert (bill["totals"]["requests"], bill["provisioned"]["requests"]) == (2, 1)
    (line,) = limited.bill("spilled")["entries"]
    assert line["client_request_id"] == "spilled"
    assert limited.log()[-1]["deployment"] == "large"


@pytest.mark.parametrize("fault", ["server_error", "service_unavailable"])
def test_a_failure_of_the_provisioned_side_spills_over(
    limited: Handle, azure: openai.AzureOpenAI, fault: str
) -> None:
    """One fault befalls the provisioned deployment; one that stays befalls both, and the first is told."""
    limited.set("east", "error", error=fault, count=1)
    assert ask(azure, "ptu")["x-ms-deployment-name"] == "large"
    limited.set("east", "error", error=fault)
    with pytest.raises(openai.InternalServerError) as caught:
        ask(azure, "ptu")
    status = caught.value.status_code
    assert caught.value.response.headers["x-ms-spillover-error"] == str(status)


def test_the_header_names_a_spillover(azure: openai.AzureOpenAI) -> None:
    """A deployment without one of its own takes the caller's, and tells when that fails too."""
    long = [{"role": "user", "content": "word " * 2_600}]
    azure.chat.completions.create(model="ptu-alone", messages=long)  # type: ignore[arg-type]
    told = ask(azure, "ptu-alone", extra_headers={"x-ms-spillover-deployment": "large"})
    assert told["x-ms-spillover-from-deployment"] == "ptu-alone"
    headers, text = refused(azure, "ptu-alone", extra_headers={"x-ms-spillover-deployment": "nowhere"})
    assert "at capacity" in text
    assert headers["x-ms-spillover-error"] == "404"


def test_provisioned_units_are_corrected_when_a_stream_is_left(
    limited: Handle, azure: openai.AzureOpenAI
) -> None:
    """The estimate for 1,000 tokens of output goes, what was generated until the caller left stays."""
    limited.set("east", token_ms=5)
    stream = azure.chat.completions.create(model="ptu-alone", messages=HELLO, stream=True, max_tokens=1_000)
    next(iter(stream))
    deployments = limited.state()["resources"]["east"]["deployments"]
    assert deployments["ptu-alone"]["utilization_percent"] > 150
    stream.close()
    deadline = time.monotonic() + 5
    while limited.log()[-1]["finished_s"] is None:
        assert time.monotonic() < deadline
    deployments = limited.state()["resources"]["east"]["deployments"]
    assert 0 < deployments["ptu-alone"]["utilization_percent"] < 20
    (line,) = limited.bill()["entries"]
    assert (line["provisioned"], line["complete"]) == (True, False)


def test_keys_and_request_ids_are_billed_apart(limited: Handle, azure: openai.AzureOpenAI) -> None:
    """Retries under one id add up; what failed costs nothing; a filtered prompt costs its prompt."""
    mine = {"x-ms-client-request-id": "mine"}
    limited.set("east", "error", error="content_filter_prompt", count=1)
    with pytest.raises(openai.BadRequestError):
        ask(azure, "large", extra_headers=mine)
    limited.set("east", "error", error="server_error", count=1)
    with pytest.raises(openai.InternalServerError):
        ask(azure, "large", extra_headers=mine)
    ask(azure, "large", extra_headers=mine)
    with client(limited, key=1) as other:
        ask(other, "large")
    bill = limited.bill()
    assert (bill["keys"]["east/key1"]["requests"], bill["keys"]["east/key2"]["requests"]) == (2, 1)
    filtered, answered = limited.bill("mine")["entries"]
    assert (filtered["filtered"], filtered["output_tokens"]) == (True, 0)
    assert filtered["input_tokens"] == answered["input_tokens"] > 0
    both = bill["client_request_ids"]["mine"]
    assert (both["requests"], both["input_tokens"]) == (2, 2 * answered["input_tokens"])


def test_a_faster_clock_shortens_windows_waits_and_headers() -> None:
    """At fifty times the speed a minute takes 1.2 s, the headers say so, and the wait is enough."""
    with ExitStack() as stack:
        emulator = stack.enter_context(running(plan(speed=50)))
        azure = stack.enter_context(client(emulator))
        assert emulator.state()["speed"] == 50
        assert ask(azure, "small", max_tokens=7_000)["x-ratelimit-reset-tokens"] == "2"
        headers, _ = refused(azure, "small", max_tokens=7_000)
        wait_ms = int(headers["retry-after-ms"])
        assert 0 < wait_ms <= 1_200
        time.sleep(wait_ms / 1_000)
        ask(azure, "small", max_tokens=7_000)
        emulator.set("east", pressure=1)
        assert refused(azure, "large")[0]["retry-after"] == "1"
        emulator.set("east", pressure=0, latency_ms=5_000)
        started = time.monotonic()
        ask(azure, "large")
        assert 0.1 <= time.monotonic() - started < 2
