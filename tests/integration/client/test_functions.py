"""The plain functions: a client from the environment, completions, embeddings."""

import logging
import re
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai
import pytest
from tests.contract import world

import smalt
from smalt import AzureOpenAI, AzureOpenAISettings, Fleet, ModelNotAvailableError
from smalt import get_azure_openai_client as get_client
from smalt import get_azure_openai_completion as complete
from smalt import get_azure_openai_embedding as embed
from smalt.client import azure_settings
from smalt.config import load
from smalt.dispatch import dispatcher, run
from smalt.emulator.testing import Handle, running

pytestmark = pytest.mark.sdk

HELLO = [{"role": "user", "content": "hello"}]
Clients = Callable[..., Any]


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and settings nobody has touched."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(azure_settings, "azure_openai_settings", AzureOpenAISettings())


@pytest.fixture(scope="module")
def models() -> Iterator[Handle]:
    """The default fleet, whose regions together have every model that is known by name."""
    with running() as emulator:
        yield emulator


@pytest.fixture
def configured(azure: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the environment of a program would be."""
    told = {
        "ENDPOINT": azure.url("east"),
        "API_KEY": azure.key("east"),
        "GPT4O_DEPLOYMENT_NAME": "gpt-4o-prod",
        "GPT4O_MINI_DEPLOYMENT_NAME": "gpt-4o-mini-prod",
        "EMBEDDING_DEPLOYMENT_NAME": "embed-prod",
    }
    for name, value in told.items():
        monkeypatch.setenv(f"AZURE_OPENAI_{name}", value)


@pytest.fixture
def client(configured: None) -> Iterator[AzureOpenAI]:
    made = get_client()
    assert made is not None
    with made:
        yield made


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that calls have waited, which pass at once."""
    waited: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(waited))
    monkeypatch.setattr(dispatcher, "time", clock)
    monkeypatch.setattr(run, "time", clock)
    monkeypatch.setattr(run, "_wait", lambda _call, until_s: waited.append(until_s - clock.monotonic()))
    return waited


def body(azure: Handle) -> Any:
    """What Azure read last."""
    return azure.log()[-1]["body"]


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_req_0_1_a_client_of_the_environment(
    azure: Handle, configured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three variables make a client; Azure sees the key and the version."""
    monkeypatch.setenv("AZURE_OPENAI_API_VERSION", "2024-06-01")
    client = get_client()
    assert isinstance(client, openai.AzureOpenAI)
    with client:
        assert complete(client, "gpt-4o", HELLO).choices[0].message.content
    (entry,) = azure.log()
    assert ["api-key", azure.key("east")] in [[name.lower(), value] for name, value in entry["headers"]]
    assert entry["query"] == "api-version=2024-06-01"


@pytest.mark.parametrize(
    ("unset", "says"),
    [
        (["ENDPOINT"], "AZURE_OPENAI_ENDPOINT"),
        (["API_KEY"], "AZURE_OPENAI_API_KEY"),
        (["ENDPOINT", "API_KEY"], "AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY"),
    ],
)
def test_req_0_2_without_settings_there_is_no_client(
    configured: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    unset: list[str],
    says: str,
) -> None:
    """None and one warning, no exception; an empty variable is an unset one."""
    for name in unset:
        monkeypatch.setenv(f"AZURE_OPENAI_{name}", "")
    assert get_client() is None
    assert warnings(caplog) == [f"Azure OpenAI is not configured: set {says}"]


def test_req_0_4_defaults_and_what_is_required(tmp_path: Path) -> None:
    """Of an empty environment exactly the required variables are missed; the rest has defaults."""
    with pytest.raises(smalt.ConfigurationError) as caught:
        load(env={}, cwd=tmp_path)
    missed = [re.findall(r"AZURE_\w+", problem) for problem in caught.value.problems]
    assert missed == [["AZURE_OPENAI_ENDPOINT"], ["AZURE_OPENAI_API_KEY"]]
    settings = AzureOpenAISettings()
    assert settings.endpoint is settings.api_key is settings.azure_ad_token is None
    assert settings.api_version == "2024-10-21"
    assert {model: look_up() for model, look_up in smalt.MODEL_DEPLOYMENT_MAP.items()} == {
        model: model
        for model in (
            "gpt-4o",
            "gpt-4o-mini",
            "gpt-4.1",
            "gpt-4.1-mini",
            "gpt-4.1-nano",
            "text-embedding-3-small",
        )
    }


def test_req_0_4_what_cannot_be_used_is_refused(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong value is no missing one: it is an error before any call, in a line that names it."""
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "http://contoso.example")
    with pytest.raises(smalt.InvalidEndpoint, match="endpoint: http would send the key in the clear"):
        get_client()
    with pytest.raises(AttributeError, match="gpt5_deployment_name"):
        AzureOpenAISettings(gpt5_deployment_name="x")
    with pytest.raises(AttributeError, match="no setting is called 'gpt5_deployment_name'"):
        _ = AzureOpenAISettings().gpt5_deployment_name


def test_req_0_6_every_model_reaches_its_deployment(models: Handle) -> None:
    """The six names of the map, each by the setting of its own."""
    models.reset()
    settings = AzureOpenAISettings(
        endpoint=models.url("sweden"),
        api_key=models.key("sweden"),
        **{setting: f"{model}-prod" for model, setting in azure_settings.SETTING_OF.items()},
    )
    client = get_client(settings)
    assert client is not None
    with client:
        for model in smalt.MODEL_DEPLOYMENT_MAP:
            if model.startswith("text"):
                embed(client, ["hello"], model)
            else:
                complete(client, model, HELLO)
    assert [entry["deployment"] for entry in models.log()] == [
        f"{m}-prod" for m in smalt.MODEL_DEPLOYMENT_MAP
    ]


def test_req_0_6_a_changed_setting_counts_for_the_next_call(
    azure: Handle, client: AzureOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By variable, by attribute or in the map, without a new client."""
    complete(client, "gpt-4o", HELLO)
    monkeypatch.setenv("AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME", "gpt-4-prod")
    complete(client, "gpt-4o", HELLO)
    azure_settings.azure_openai_settings.gpt4o_deployment_name = "gpt-35-turbo-prod"
    complete(client, "gpt-4o", HELLO)
    monkeypatch.setitem(smalt.MODEL_DEPLOYMENT_MAP, "gpt-4o", lambda: "cased")
    complete(client, "gpt-4o", HELLO)
    monkeypatch.setitem(smalt.MODEL_DEPLOYMENT_MAP, "of my own", lambda: "Cased")
    complete(client, "of my own", HELLO)
    deployments = [entry["deployment"] for entry in azure.log()]
    assert deployments == ["gpt-4o-prod", "gpt-4-prod", "gpt-35-turbo-prod", "cased", "Cased"]


def test_settings_of_a_client_are_its_own(azure: Handle, client: AzureOpenAI) -> None:
    """Those given to one client count for it and its copies, and for no other; any object will do."""
    told = SimpleNamespace(
        endpoint=azure.url("sweden"), api_key=azure.key("sweden"), api_version=None, **no_deployments()
    )
    told.gpt4o_deployment_name = "moved"
    other = get_client(told)
    assert other is not None
    with other:
        complete(other.with_options(timeout=30), "gpt-4o", HELLO)
        told.gpt4o_deployment_name = "gpt-4o-prod"
        receipt = smalt.receipt(complete(other, "gpt-4o", HELLO))
    complete(client, "gpt-4o", HELLO)
    asked = [(entry["resource"], entry["deployment"]) for entry in azure.log()]
    assert asked == [("sweden", "moved"), ("sweden", "gpt-4o-prod"), ("east", "gpt-4o-prod")]
    assert receipt is not None
    assert receipt.cost_nusd


def test_settings_need_not_name_every_deployment(azure: Handle) -> None:
    """What an object does not have, its client cannot be asked for."""
    told = SimpleNamespace(endpoint=azure.url("east"), api_key=azure.key("east"), api_version=None)
    client = get_client(told)
    assert client is not None
    with client:
        with pytest.raises(
            ModelNotAvailableError,
            match=r"'gpt-4o' has no deployment: gpt4o_deployment_name of the client's settings names none$",
        ):
            complete(client, "gpt-4o", HELLO)
        told.gpt4o_deployment_name = "gpt-4o-prod"
        assert complete(client, "gpt-4o", HELLO).choices


def no_deployments() -> dict[str, None]:
    return dict.fromkeys(azure_settings.SETTING_OF.values())


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("gpt-9", "the model 'gpt-9' is none of gpt-4o, gpt-4o-mini, gpt-4.1, "),
        ("gpt-4.1", "the model 'gpt-4.1' has no deployment: AZURE_OPENAI_GPT41_DEPLOYMENT_NAME names none"),
        ("mine", "the model 'mine' has no deployment: its entry in MODEL_DEPLOYMENT_MAP names none"),
    ],
)
def test_req_0_7_a_model_that_is_not_available(
    azure: Handle, client: AzureOpenAI, monkeypatch: pytest.MonkeyPatch, model: str, says: str
) -> None:
    """One type, and a message that tells an unknown model from one without a deployment; nothing is sent."""
    azure_settings.azure_openai_settings.gpt41_deployment_name = ""
    monkeypatch.setitem(smalt.MODEL_DEPLOYMENT_MAP, "mine", lambda: None)
    for ask in (lambda: complete(client, model, HELLO), lambda: embed(client, ["a"], model)):
        with pytest.raises(ModelNotAvailableError) as caught:
            ask()
        assert caught.value.message.startswith(says)
        assert caught.value.resolution
    assert azure.log() == []


def test_req_0_8_what_is_sent(azure: Handle, client: AzureOpenAI) -> None:
    """The defaults, then what the caller says; further arguments pass through."""
    complete(client, "gpt-4o", HELLO)
    assert body(azure) == {"messages": HELLO, "model": "gpt-4o-prod", "stream": False, "temperature": 0.7}
    complete(client, "gpt-4o", HELLO, 0.0, 9, seed=7)
    assert body(azure) == {
        "messages": HELLO,
        "model": "gpt-4o-prod",
        "stream": False,
        "temperature": 0.0,
        "max_tokens": 9,
        "seed": 7,
    }


def test_req_0_8_a_stream(client: AzureOpenAI) -> None:
    """An iterator over the SDK's chunks."""
    chunks = iter(complete(client, "gpt-4o", HELLO, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert len(text) > 20


def test_req_0_8_no_client() -> None:
    """What `get_azure_openai_client` gives without settings is refused, with what to do."""
    for ask in (lambda: complete(None, "gpt-4o", HELLO), lambda: embed(None, ["a"])):
        with pytest.raises(ValueError, match=r"client is None: .* set AZURE_OPENAI_ENDPOINT"):
            ask()


@pytest.mark.parametrize("retries", [0, 2, 9])
def test_req_0_8_a_client_of_ones_own_tries_five_times(azure: Handle, configured: None, retries: int) -> None:
    """Whatever it would have done itself: five tries, not five times its own."""
    azure.set("east", "error", error="ptu_full")
    with (
        openai.AzureOpenAI(
            azure_endpoint=azure.url("east"),
            api_key=azure.key("east"),
            api_version="2024-10-21",
            max_retries=retries,
        ) as own,
        pytest.raises(openai.RateLimitError),
    ):
        complete(own, "gpt-4o", HELLO)
    assert len(azure.log()) == 5


def test_req_0_8_the_sdks_client_over_a_fleet_tries_as_the_fleet_does(azure: Handle) -> None:
    """The SDK's retries do not multiply those of the transport below it."""
    azure.set("east", "error", error="rate_limit_tokens_classic")
    azure_settings.azure_openai_settings.gpt4o_deployment_name = "gpt-4o"
    fleet = Fleet(world.settings(azure, retry={"max_attempts": 2}, resources={"sweden": down(azure)}))
    http = smalt.client.transports.transport_classes(smalt.client.transports.library_of_the_sdk()).http
    with (
        http.Client(transport=fleet.transport()) as rides,
        openai.AzureOpenAI(
            azure_endpoint="https://contoso.example", api_key="k", api_version="2024-10-21", http_client=rides
        ) as own,
        pytest.raises(openai.APIStatusError),
    ):
        complete(own, "gpt-4o", HELLO)
    assert len(azure.log()) == 1


def down(azure: Handle) -> dict[str, Any]:
    """A region where nobody listens."""
    told: dict[str, Any] = world.written(azure)["resources"]["sweden"]
    return {**told, "endpoint": "http://127.0.0.1:9"}


@pytest.mark.parametrize("given", [{}, {"temperature": 0.7}])
def test_req_0_8_a_default_that_the_model_refuses_is_left_out(
    azure: Handle, client: AzureOpenAI, given: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    """A reasoning model takes no temperature: the default is dropped, and the receipt and the log say so."""
    caplog.set_level(logging.INFO, "smalt")
    azure_settings.azure_openai_settings.gpt4o_deployment_name = "o3-mini-prod"
    answer = complete(client, "gpt-4o", HELLO, **given)
    assert "temperature" not in body(azure)
    receipt = smalt.receipt(answer)
    assert receipt is not None
    assert receipt.rewrites == ("temperature",)
    assert "o3-mini-prod takes no temperature" in caplog.text


def test_req_0_8_a_value_that_the_model_refuses_is_azures_to_refuse(client: AzureOpenAI) -> None:
    """What the caller wrote is not touched."""
    azure_settings.azure_openai_settings.gpt4o_deployment_name = "o3-mini-prod"
    with pytest.raises(openai.BadRequestError, match="temperature"):
        complete(client, "gpt-4o", HELLO, temperature=0.2)


def test_req_0_9_five_tries_with_a_warning_before_each_wait(
    azure: Handle, client: AzureOpenAI, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """429 four times, then an answer: waits of 2 to 60 s, each told before with its reason."""
    azure.fault("error", error="rate_limit_tokens_classic", times=4)
    assert complete(client, "gpt-4o", HELLO).choices
    assert len(azure.log()) == 5
    assert len(waits) == 4
    assert all(2 <= wait_s <= 60 for wait_s in waits)
    told = [line for line in warnings(caplog) if line.startswith("retrying in ")]
    assert len(told) == 4
    for number, (line, wait_s) in enumerate(zip(told, waits, strict=True), 1):
        start = f"retrying in {wait_s:.1f} s: attempt {number}/5 on default/gpt-4o-prod: 429 "
        assert line.startswith(start)


def test_req_0_9_waits_grow_where_azure_names_no_time(
    azure: Handle, client: AzureOpenAI, waits: list[float]
) -> None:
    """A server error: the backoff, from 2 s on."""
    azure.fault("error", error="server_error", times=1)
    assert complete(client, "gpt-4o", HELLO).choices
    (wait_s,) = waits
    assert 2 <= wait_s <= 3


@pytest.mark.parametrize(
    ("error", "kind", "calls"),
    [
        ("rate_limit_tokens_classic", openai.RateLimitError, 5),
        ("content_filter_prompt", openai.BadRequestError, 1),
    ],
)
def test_req_0_9_the_end_of_patience(
    azure: Handle, client: AzureOpenAI, waits: list[float], error: str, kind: type[Exception], calls: int
) -> None:
    """After five tries it is an error; a request that is refused is not repeated."""
    azure.set("east", "error", error=error)
    with pytest.raises(kind):
        complete(client, "gpt-4o", HELLO)
    assert len(azure.log()) == calls
    assert len(waits) == calls - 1


def test_req_0_9_backoff_doubles_up_to_its_cap(client: AzureOpenAI) -> None:
    """What the fleet of such a client is told."""
    retry = client.fleet._settings.retry
    delays = [min(retry.cap_s, retry.base_s * 2**n) for n in range(7)]
    assert delays == [2, 4, 8, 16, 32, 60, 60]
    assert all(later >= earlier for earlier, later in pairwise(delays))
    assert retry.max_attempts == 5


def test_req_0_10_embeddings(
    azure: Handle, client: AzureOpenAI, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    """A vector for each text, in the order of the texts; the same patience."""
    azure.fault("error", error="rate_limit_tokens_classic", times=1)
    first, second, third = embed(client, ["one", "two", "three"])
    assert len(first) == len(second) == len(third) == 1536
    assert embed(client, ["two"]) == [pytest.approx(second, abs=1e-6)]
    assert embed(client, ["three"]) == [pytest.approx(third, abs=1e-6)]
    assert len(waits) == 1
    assert [line for line in warnings(caplog) if line.startswith("retrying in ")]
    assert {entry["deployment"] for entry in azure.log()} == {"embed-prod"}


def test_a_single_text_is_no_list(azure: Handle, client: AzureOpenAI) -> None:
    """Its letters would be embedded one by one."""
    with pytest.raises(
        ValueError, match=r"^texts must be a list of texts, got a single one: write \[text\]$"
    ):
        embed(client, "the sea")
    assert azure.log() == []


def test_a_token_in_place_of_the_key(
    configured: None, monkeypatch: pytest.MonkeyPatch, azure: Handle
) -> None:
    """The variable of an Entra token will do."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", "")
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "eyJ.t.t")
    client = get_client()
    assert client is not None
    with client, pytest.raises(openai.AuthenticationError):
        complete(client, "gpt-4o", HELLO)
    assert ["authorization", "Bearer eyJ.t.t"] in [[n.lower(), v] for n, v in azure.log()[0]["headers"]]


def test_a_dotenv_file(azure: Handle, tmp_path: Path) -> None:
    """It is read for the deployments, too."""
    (tmp_path / ".env").write_text(
        f"AZURE_OPENAI_ENDPOINT={azure.url('east')}\nAZURE_OPENAI_API_KEY={azure.key('east')}\n"
        "AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME=cased\n"
    )
    client = get_client()
    assert client is not None
    with client:
        complete(client, "gpt-4o", HELLO)
    assert azure.log()[0]["deployment"] == "cased"
