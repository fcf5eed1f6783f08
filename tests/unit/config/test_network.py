"""Which proxy a request takes, and which certificates are trusted."""

import os
import ssl
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.config.build import resource, settings

from smalt.config import Settings
from smalt.config.advice import warnings
from smalt.config.network import Network, azure_transport, ca_pem, proxy_for
from smalt.errors import ConfigurationError

AZURE = "https://contoso.openai.azure.com"
PROXY = "http://proxy.contoso.com:3128"
PEM = Path(__file__).parents[2] / "integration" / "dispatch" / "tls" / "cert.pem"
YAML = """\
resources:
  east:
    endpoint: https://contoso.openai.azure.com
    api_keys: [k]
    deployments: {gpt-4o: {model: gpt-4o}}
network: """


def proxied(url: str, *no_proxy: str) -> bool:
    return proxy_for(Network(proxy=PROXY, no_proxy=no_proxy), url, {}) is not None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("env", "url", "proxy"),
    [
        ({}, AZURE, None),
        ({"HTTPS_PROXY": PROXY}, AZURE, PROXY),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://other:1"}, AZURE, PROXY),
        ({"https_proxy": "", "HTTPS_PROXY": PROXY}, AZURE, PROXY),
        ({"HTTPS_PROXY": "proxy.contoso.com:3128"}, AZURE, PROXY),
        ({"HTTP_PROXY": PROXY}, AZURE, None),
        ({"HTTP_PROXY": PROXY}, "http://litellm.internal:4000", PROXY),
        ({"ALL_PROXY": PROXY}, AZURE, PROXY),
        ({"ALL_PROXY": "http://other:1", "HTTPS_PROXY": PROXY}, AZURE, PROXY),
        ({"HTTPS_PROXY": PROXY, "NO_PROXY": "a.com, openai.azure.com"}, AZURE, None),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "a.com,b.com"}, AZURE, PROXY),
        ({"HTTPS_PROXY": PROXY, "no_proxy": "a.com openai.azure.com\tb.com"}, AZURE, None),
    ],
)
def test_the_environment_names_a_proxy(env: Mapping[str, str], url: str, proxy: str | None) -> None:
    """Where the settings name none, by the scheme of the upstream; the small spelling comes first."""
    assert proxy_for(Network(), url, env) == proxy


def test_the_settings_come_before_the_environment() -> None:
    """Key by key: NO_PROXY holds for a proxy of the settings too, unless they have a list of their own."""
    env = {"HTTPS_PROXY": "http://other:1", "NO_PROXY": ".azure.com"}
    assert proxy_for(Network.model_validate({"proxy": PROXY}), AZURE, {**env, "NO_PROXY": ""}) == PROXY
    assert proxy_for(Network.model_validate({"proxy": PROXY}), AZURE, env) is None
    assert proxy_for(Network.model_validate({"proxy": PROXY, "no_proxy": ["a.com"]}), AZURE, env) == PROXY
    assert proxy_for(Network.model_validate({"proxy": "none"}), AZURE, {**env, "NO_PROXY": ""}) is None


@pytest.mark.parametrize(
    ("entry", "direct", "not_direct"),
    [
        ("contoso.com", ["contoso.com", "a.b.contoso.com"], ["mycontoso.com", "contoso.com.evil.org"]),
        (".contoso.com", ["contoso.com", "a.contoso.com"], ["mycontoso.com"]),
        ("*.contoso.com", ["contoso.com", "a.contoso.com"], ["mycontoso.com"]),
        ("CONTOSO.com ", ["contoso.com"], []),
        ("contoso.com.", ["contoso.com", "a.contoso.com."], ["mycontoso.com."]),
        ("contoso.com", ["contoso.com.:8443"], []),
        ("contoso.com:8443", ["contoso.com:8443"], ["contoso.com", "contoso.com:443"]),
        ("contoso.com:443", ["contoso.com"], []),
        ("10.0.0.0/8", ["10.1.2.3", "10.1.2.3:8080"], ["11.1.2.3", "10.example.com"]),
        ("10.1.2.3", ["10.1.2.3"], ["10.1.2.4"]),
        ("fd00::/8", ["[fd00::7]"], ["[2001:db8::1]", "10.0.0.1"]),
        ("[fd00::7]:8443", ["[fd00::7]:8443"], ["[fd00::7]"]),
        ("fd00::7", ["[fd00::7]", "[fd00::7]:81"], ["[fd00::8]"]),
        ("*", ["anything.at.all", "10.1.2.3"], []),
        ("", [], ["contoso.com"]),
    ],
)
def test_what_is_reached_without_the_proxy(entry: str, direct: list[str], not_direct: list[str]) -> None:
    """Hosts with the names below them, with a port if they name one; networks for literal addresses."""
    assert [host for host in direct if proxied(f"https://{host}", "other.org", entry)] == []
    assert [host for host in not_direct if not proxied(f"https://{host}", "other.org", entry)] == []


@pytest.mark.parametrize("host", ["localhost:8080", "localhost.", "127.0.0.1", "127.9.9.9:1", "[::1]:8080"])
def test_loopback_never_takes_a_proxy(host: str) -> None:
    """What listens on this machine no proxy could reach."""
    assert not proxied(f"http://{host}")


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        (
            "https://u:hush@p:3128",
            "proxies are spoken to by http alone, such as http://proxy.contoso.com:3128",
        ),
        ("socks5://u:hush@p:1", "proxies are spoken to by http alone, such as http://proxy.contoso.com:3128"),
        ("http://u:hush@:3128", "expected the URL of a proxy such as http://proxy.contoso.com:3128"),
        ("http://u:hush@p:x", "expected the URL of a proxy such as http://proxy.contoso.com:3128"),
        ("http://u:hush@[::", "expected the URL of a proxy such as http://proxy.contoso.com:3128"),
    ],
)
def test_a_proxy_that_cannot_be_used(proxy: str, message: str, problems: Callable[..., list[str]]) -> None:
    """One line at its place, or the variable's name; never what was written."""
    assert problems(f"{YAML}{{proxy: '{proxy}'}}") == [f"6:11: network.proxy: {message}"]
    with pytest.raises(ConfigurationError) as caught:
        proxy_for(Network(), AZURE, {"HTTPS_PROXY": proxy})
    assert str(caught.value).startswith(f"HTTPS_PROXY of the environment: {message}")


def test_nothing_shows_the_credentials_of_a_proxy() -> None:
    """Where it is may be seen, who uses it may not."""
    network = Network.model_validate({"proxy": "http://me:hush@proxy.contoso.com:3128"})
    assert network.model_dump(mode="json")["proxy"] == "http://**********@proxy.contoso.com:3128"
    assert "hush" not in f"{network} {network!r} {network.model_dump()} {network.model_dump_json()}"
    again = Network.model_validate(network.model_dump())
    assert proxy_for(again, AZURE, {}) == "http://me:hush@proxy.contoso.com:3128"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; a relative path begins at the folder of smalt.yaml"),
        (b"", "the file holds no certificate in PEM form; one in DER form is converted by openssl x509"),
        (b"\x30\x82\x01", "the file holds no certificate in PEM form; one in DER form is converted by"),
        (
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            "the file holds a certificate that cannot be read",
        ),
    ],
)
def test_a_ca_file_that_cannot_be_used(
    content: bytes | None, message: str, tmp_path: Path, problems: Callable[..., list[str]]
) -> None:
    """One line at its place, before anything is sent. The path is relative to the settings."""
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    (line,) = problems(f"{YAML}{{ca_file: ca.pem}}")
    assert line.startswith(f"6:11: network.ca_file: {message}")


def test_the_certificates_are_read(tmp_path: Path) -> None:
    """With whatever stands between them; none without a file."""
    (tmp_path / "ca.pem").write_text(f"# Größe\n{PEM.read_text()}\n# end\n{PEM.read_text()}")
    pem = ca_pem(Network(ca_file=str(tmp_path / "ca.pem")))
    assert pem.count("BEGIN CERTIFICATE") == 2
    assert ca_pem(Network()) == ""


def test_http_by_a_proxy_is_warned_of() -> None:
    """There the proxy reads the key; https it only passes on."""
    east = resource({"d": "gpt-4o"}, endpoint="http://litellm.internal", allow_http=True)
    given = settings({"east": east, "west": resource({"d": "gpt-4o"})}, network={"proxy": PROXY})
    (warning,) = warnings(given)
    assert warning == "resources.east.endpoint: http by a proxy, which reads the key and all that is said"
    direct = {"proxy": PROXY, "no_proxy": [".internal"]}
    assert warnings(Settings.model_validate(given.model_dump() | {"network": direct})) == ()


def test_azure_core_gets_the_same_proxy() -> None:
    """For the URL it is to reach; what it asks by http, the metadata service, stays without one."""
    network = Network.model_validate({"proxy": PROXY, "no_proxy": ["contoso.vault.azure.net"]})
    assert azure_transport(network, env={}) == {"proxies": {"https": PROXY, "http": ""}}
    direct = {"proxies": {"https": "", "http": ""}}
    assert azure_transport(network, "https://contoso.vault.azure.net", {}) == direct
    assert azure_transport(Network(), env={}) == direct


def test_azure_core_trusts_the_systems_certificates_too() -> None:
    """In one file, made once, which is gone when the process has ended."""
    network = Network(ca_file=str(PEM))
    file = Path(azure_transport(network)["connection_verify"])
    assert azure_transport(network)["connection_verify"] == str(file)
    trusted = ssl.create_default_context(cafile=str(file)).get_ca_certs(binary_form=True)
    assert set(ssl.create_default_context().get_ca_certs(binary_form=True)) <= set(trusted)
    assert ssl.PEM_cert_to_DER_cert(PEM.read_text()).hex() in {
        ssl.PEM_cert_to_DER_cert(f"-----BEGIN{part}").hex()
        for part in file.read_text().split("-----BEGIN")
        if "CERTIFICATE" in part and PEM.read_text().strip().splitlines()[1] in part
    }
    code = (
        "import os; from smalt.config.network import *\n"
        f"path = azure_transport(Network(ca_file={str(PEM)!r}))['connection_verify']\n"
        "if not os.fork(): raise SystemExit\n"
        "os.wait(); print(path, os.path.exists(path))"
    )
    ran: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    path, existed = ran.stdout.split()
    assert (existed, os.path.exists(path)) == ("True", False)  # noqa: PTH110
