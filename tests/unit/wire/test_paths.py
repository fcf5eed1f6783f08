import pytest

from smalt.errors import InvalidDeployment
from smalt.types import Operation
from smalt.wire.paths import (
    Api,
    Asked,
    Surface,
    azure_surface,
    classic_path,
    models_path,
    openai_path,
    parse,
    path_names_deployment,
    resource_path,
    v1_path,
)

CLASSIC_CHAT = "/openai/deployments/{}/chat/completions"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", Asked(Surface.OPENAI, Operation.CHAT)),
        ("/v1/embeddings", Asked(Surface.OPENAI, Operation.EMBEDDINGS)),
        ("/v1/responses", Asked(Surface.OPENAI, Operation.RESPONSES)),
        ("/v1/completions", Asked(Surface.OPENAI, Operation.COMPLETIONS)),
        ("/openai/v1/chat/completions", Asked(Surface.V1, Operation.CHAT)),
        ("/openai/v1/embeddings", Asked(Surface.V1, Operation.EMBEDDINGS)),
        ("/openai/v1/responses", Asked(Surface.V1, Operation.RESPONSES)),
        ("/openai/v1/completions", Asked(Surface.V1, Operation.COMPLETIONS)),
        ("/openai/responses", Asked(Surface.CLASSIC, Operation.RESPONSES)),
        (CLASSIC_CHAT.format("dep"), Asked(Surface.CLASSIC, Operation.CHAT, "dep")),
        ("/openai/deployments/dep/embeddings", Asked(Surface.CLASSIC, Operation.EMBEDDINGS, "dep")),
        ("/openai/deployments/dep/completions", Asked(Surface.CLASSIC, Operation.COMPLETIONS, "dep")),
        ("/openai/deployments/chat/completions", Asked(Surface.CLASSIC, Operation.COMPLETIONS, "chat")),
        (
            "/openai/deployments/responses/embeddings",
            Asked(Surface.CLASSIC, Operation.EMBEDDINGS, "responses"),
        ),
        (CLASSIC_CHAT.format("a%20b%2F%C3%BC"), Asked(Surface.CLASSIC, Operation.CHAT, "a b/ü")),
        (CLASSIC_CHAT.format("%2525"), Asked(Surface.CLASSIC, Operation.CHAT, "%25")),
        (CLASSIC_CHAT.format("a+b"), Asked(Surface.CLASSIC, Operation.CHAT, "a+b")),
        ("/v1/chat/completions/", Asked(Surface.OPENAI, Operation.CHAT)),
        ("/v1//chat///completions", Asked(Surface.OPENAI, Operation.CHAT)),
        ("//openai/v1//responses/", Asked(Surface.V1, Operation.RESPONSES)),
        ("/openai//responses", Asked(Surface.CLASSIC, Operation.RESPONSES)),
        ("//openai//deployments/a//embeddings/", Asked(Surface.CLASSIC, Operation.EMBEDDINGS, "a")),
        (CLASSIC_CHAT.format("/dep/"), Asked(Surface.CLASSIC, Operation.CHAT, "dep")),
        (CLASSIC_CHAT.format("a%2F"), Asked(Surface.CLASSIC, Operation.CHAT, "a/")),
    ],
)
def test_what_a_path_asks_for(path: str, expected: Asked) -> None:
    """Each surface's operations are understood, names decoded once."""
    assert parse(path) == expected


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/v1",
        "/v1/",
        "/v1/models",
        "/V1/chat/completions",
        "/v1/chat/completions/../embeddings",
        "/openai/chat/completions",
        "/openai/v1",
        "/openai/v1/deployments/dep/chat/completions",
        "/openai/deployments/",
        "/openai/deployments/dep",
        "/openai/deployments/dep/",
        "/openai/deployments//chat/completions",
        "//openai//deployments//chat/completions/",
        "/openai/deployments///chat/completions",
        "/openai/deployments//completions",
        "/openai/deployments/dep/responses",
        "/openai/responses/resp_1",
        "/openai/completions",
        "/v1/responses/resp_1",
        "/v1/responses/resp_1/cancel",
        "/openai/deployments/a/b/unknown",
        "/openai/deployments/dep/images/generations",
    ],
)
def test_what_no_path_asks_for(path: str) -> None:
    """Anything but the exact path of an operation is none."""
    assert parse(path) is None


def test_req_1_2_paths_keep_the_case_of_names() -> None:
    """`GPT-4o` and `gpt-4o` stay two deployments, in both directions."""
    assert parse(CLASSIC_CHAT.format("GPT-4o")) != parse(CLASSIC_CHAT.format("gpt-4o"))
    assert "/GPT-4o/" in classic_path(Operation.CHAT, "GPT-4o", "2024-10-21")


def test_req_1_12_deployment_is_percent_encoded_as_one_segment() -> None:
    """A deployment's name with a space, a slash and an umlaut stays one segment of the path."""
    path = classic_path(Operation.CHAT, "a b/ü", "2024-10-21")
    assert path == "/openai/deployments/a%20b%2F%C3%BC/chat/completions?api-version=2024-10-21"


def test_req_1_12_a_slash_left_as_it_is_belongs_to_the_name() -> None:
    """openai 2.x does not encode the slash of a deployment's name."""
    asked = parse("/openai/deployments/a%20b/%C3%BC/chat/completions")
    assert asked == Asked(Surface.CLASSIC, Operation.CHAT, "a b/ü")


@pytest.mark.parametrize("name", ["?x=1", "#x", "a&b", "%2e%2e", "a\r\nhost: b", "..."])
def test_no_name_escapes_its_segment(name: str) -> None:
    """Whatever a name holds, the path has its five segments and one query."""
    path, _, query = classic_path(Operation.CHAT, name, "v").partition("?")
    assert path.count("/") == 5
    assert query == "api-version=v"
    assert path.isprintable()
    assert not set("# ") & set(path)


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_names_a_path_would_swallow(name: str) -> None:
    """Names that would change the path itself are refused."""
    with pytest.raises(InvalidDeployment):
        classic_path(Operation.CHAT, name, "2024-10-21")


def test_the_api_version_is_encoded() -> None:
    """A version cannot add to the query."""
    assert classic_path(Operation.EMBEDDINGS, "dep", "a&b").endswith("/dep/embeddings?api-version=a%26b")
    assert classic_path(Operation.RESPONSES, "dep", "a&b").endswith("/responses?api-version=a%26b")


@pytest.mark.parametrize(
    ("operation", "classic", "rest"),
    [
        (Operation.CHAT, "/openai/deployments/dep/chat/completions?api-version=v", "/chat/completions"),
        (Operation.COMPLETIONS, "/openai/deployments/dep/completions?api-version=v", "/completions"),
        (Operation.EMBEDDINGS, "/openai/deployments/dep/embeddings?api-version=v", "/embeddings"),
        (Operation.RESPONSES, "/openai/responses?api-version=v", "/responses"),
    ],
)
def test_paths_towards_upstreams(operation: Operation, classic: str, rest: str) -> None:
    """Classic names the deployment in the path, except for Responses; v1 has one base, compatible servers
    have their own."""
    assert classic_path(operation, "dep", "v") == classic
    assert v1_path(operation) == "/openai/v1" + rest
    assert openai_path(operation, "/api/v1") == "/api/v1" + rest


@pytest.mark.parametrize(
    ("api", "operation", "path"),
    [
        ("classic", Operation.CHAT, "/base/openai/deployments/dep/chat/completions?api-version=2024-10-21"),
        ("classic", Operation.RESPONSES, "/base/openai/v1/responses"),
        ("v1", Operation.CHAT, "/base/openai/v1/chat/completions"),
        ("openai", Operation.CHAT, "/base/chat/completions"),
    ],
)
def test_the_path_of_an_endpoint_comes_first(api: Api, operation: Operation, path: str) -> None:
    """Before Azure's own, too: a gateway may stand there. What the dated surface has not is asked on v1."""
    assert resource_path(api, "/base", operation, "dep", "2024-10-21") == path


def test_a_deployment_outside_the_path_may_have_any_name() -> None:
    """A name that would change a path is no danger in a body."""
    assert classic_path(Operation.RESPONSES, "..", "v") == "/openai/responses?api-version=v"


@pytest.mark.parametrize("surface", Surface)
@pytest.mark.parametrize("operation", Operation)
def test_where_the_deployment_is_named(surface: Surface, operation: Operation) -> None:
    """In the path of the classic surface only, and not of Responses."""
    expected = surface is Surface.CLASSIC and operation is not Operation.RESPONSES
    assert path_names_deployment(surface, operation) is expected


@pytest.mark.parametrize(
    ("api_version", "expected"),
    [
        ("2024-10-21", Surface.V1),
        ("2024-12-01-preview", Surface.V1),
        ("2025-02-01-preview", Surface.V1),
        ("2025-03-01-preview", Surface.CLASSIC),
        ("2025-04-01-preview", Surface.CLASSIC),
        ("2025-04-01", Surface.V1),
        ("", Surface.V1),
    ],
)
def test_which_versions_know_responses(api_version: str, expected: Surface) -> None:
    """Previews from March 2025 on; GA versions answer that there is no such resource, so v1 is asked."""
    assert azure_surface(Operation.RESPONSES, api_version) is expected


@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.COMPLETIONS, Operation.EMBEDDINGS])
@pytest.mark.parametrize("api_version", ["2023-05-15", "2024-10-21", "2025-04-01-preview"])
def test_what_every_version_knows(operation: Operation, api_version: str) -> None:
    """The other operations are on the classic surface at every version."""
    assert azure_surface(operation, api_version) is Surface.CLASSIC


@pytest.mark.parametrize("base_path", ["", "/team"])
@pytest.mark.parametrize(
    ("api", "path"),
    [
        ("classic", "/openai/models?api-version=2024-10-21"),
        ("v1", "/openai/v1/models"),
        ("openai", "/models"),
    ],
)
def test_the_list_of_models(api: Api, base_path: str, path: str) -> None:
    """Of each kind of resource, below the path of its endpoint."""
    assert models_path(api, base_path, "2024-10-21") == base_path + path
