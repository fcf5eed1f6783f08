"""Endpoints as people paste them."""

import pytest

from smalt.config.endpoint import base_url, is_loopback, is_private_link

CLEAN = "https://contoso.openai.azure.com"


@pytest.mark.parametrize(
    "pasted",
    [
        CLEAN,
        f"{CLEAN}/",
        f"{CLEAN}//",
        f"{CLEAN}/openai",
        f"{CLEAN}//openai/",
        f"{CLEAN}/openai/v1",
        f"{CLEAN}/openai/v1/",
        f"{CLEAN}/OpenAI/v1/",
        f"{CLEAN}/openai/deployments/gpt-4o/chat/completions?api-version=2024-10-21",
        f"{CLEAN}?api-version=2024-10-21#top",
        "HTTPS://Contoso.OpenAI.azure.com",
        "https://contoso.privatelink.openai.azure.com/openai/v1/",
    ],
)
def test_every_pasted_form_of_an_azure_endpoint_gives_the_same_base(pasted: str) -> None:
    """Whatever was copied along with the endpoint is cut."""
    assert base_url(pasted, azure=True) == CLEAN


@pytest.mark.parametrize(
    ("pasted", "base"),
    [
        ("https://contoso.services.ai.azure.com/api/projects/p", "https://contoso.services.ai.azure.com"),
        ("https://apim.contoso.com/team-a/openai/v1", "https://apim.contoso.com/team-a"),
        ("https://contoso.openai.azure.us/", "https://contoso.openai.azure.us"),
        (
            "https://contoso.privatelink.cognitiveservices.azure.com/",
            "https://contoso.cognitiveservices.azure.com",
        ),
        (
            "https://contoso.privatelink.services.ai.azure.com/api/projects/p",
            "https://contoso.services.ai.azure.com",
        ),
        ("https://Contoso.PrivateLink.openai.azure.us/", "https://contoso.openai.azure.us"),
        ("http://127.0.0.1:8080/openai", "http://127.0.0.1:8080"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080/", "http://[::1]:8080"),
        (f"https://{'a' * 63}.contoso.com/", f"https://{'a' * 63}.contoso.com"),
    ],
)
def test_only_azures_own_hosts_lose_their_whole_path(pasted: str, base: str) -> None:
    """A gateway in front of Azure keeps its own path prefix."""
    assert base_url(pasted, azure=True) == base


def test_an_openai_endpoint_keeps_its_path() -> None:
    """The path of an OpenAI-compatible server is part of its address."""
    assert base_url("https://litellm.contoso.com/v1/", azure=False) == "https://litellm.contoso.com/v1"


def test_http_to_another_host_needs_permission() -> None:
    """Keys travel in the clear only if that is asked for."""
    with pytest.raises(ValueError, match="allow_http: true"):
        base_url("http://contoso.com", azure=True)
    assert base_url("http://contoso.com", azure=True, allow_http=True) == "http://contoso.com"


@pytest.mark.parametrize(
    ("pasted", "message"),
    [
        ("", "endpoint is required"),
        ("foo", "expected an https URL"),
        ("fabrikam.openai.azure.com", "expected an https URL"),
        ("ftp://contoso.com", "expected an https URL"),
        ("https://?x", "the URL has no host"),
        ("https:///openai", "the URL has no host"),
        ("https://con toso.com", "without spaces"),
        ("https://contoso.com\n", "without spaces"),
        ("https://contoso.com:port", "expected a URL"),
        ("https://[::1", "expected a URL"),
        ("https://contoso..$", "host is not valid"),
        ("https://contoso..openai.azure.com", "two dots in a row"),
        (f"https://{'a' * 64}.openai.azure.com", "more than 63 characters between dots"),
        ("https://user:password@contoso.com", "must not hold a user name or password"),
    ],
)
def test_what_is_no_usable_url_is_refused(pasted: str, message: str) -> None:
    """The message says what is wrong and never repeats the value, which may be a misplaced key."""
    with pytest.raises(ValueError, match=message) as caught:
        base_url(pasted, azure=True)
    assert not pasted or pasted not in str(caught.value)


def test_private_link_hosts_are_told_apart() -> None:
    """Private-link names can be warned about."""
    assert is_private_link("https://contoso.privatelink.openai.azure.com")
    assert not is_private_link(CLEAN)


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8101", "https://localhost", "http://[::1]:80/v1"])
def test_what_is_on_this_machine(endpoint: str) -> None:
    """By name or by address."""
    assert is_loopback(endpoint)
    assert not is_loopback("https://contoso.openai.azure.com")
