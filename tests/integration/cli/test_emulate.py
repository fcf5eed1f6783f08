"""`smalt emulate` as a process, and the file it writes."""

import json
import subprocess
from pathlib import Path

import httpx2
import pytest
from tests.integration.cli.commands import announced, end, read_until, running, smalt

ANYWHERE = ("--port-base", "0")


def test_its_configuration_leads_to_it(tmp_path: Path) -> None:
    """The file is usable as it is, says where it comes from, and may be written again."""
    for _ in range(2):
        with running(
            "emulate", *ANYWHERE, "--write-config", "smalt.yaml", "--json", cwd=tmp_path
        ) as emulator:
            told = announced(emulator)
            summary = json.loads(smalt("check", "--json", cwd=tmp_path))
            assert end(emulator) == (0, "")

        text = (tmp_path / "smalt.yaml").read_text()
        assert text.startswith("# Written by smalt emulate")
        assert all(resource["endpoint"] in text for resource in told["resources"].values())
        assert summary["ok"]
        assert summary["resources"] == 3


def test_the_curl_line_works(tmp_path: Path) -> None:
    """The line shown is complete: pasted, it brings an answer."""
    with running("emulate", *ANYWHERE, cwd=tmp_path) as emulator:
        line = read_until("curl", emulator).splitlines()[-1]
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["choices"]


def test_over_tls_a_gateway_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever trusts the announced CA, by file or by variable, gets answers."""
    options = (*ANYWHERE, "--tls", "--write-config", "smalt.yaml", "--json")
    with running("emulate", *options, cwd=tmp_path) as emulator:
        told = announced(emulator)
        monkeypatch.setenv("SSL_CERT_FILE", told["ca_file"])
        with running("serve", "--listen", "127.0.0.1:0", "--json", cwd=tmp_path) as gateway:
            served = announced(gateway)
            answer = httpx2.post(
                f"{served['url']}/v1/chat/completions",
                headers={"authorization": f"Bearer {served['gateway_key']}"},
                json={"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}]},
                trust_env=False,
            )
            assert answer.status_code == 200
            assert end(gateway)[0] == 0
        assert all(resource["endpoint"].startswith("https://") for resource in told["resources"].values())
        assert Path(told["ca_file"]).exists()
        assert end(emulator) == (0, "")
    assert not Path(told["ca_file"]).exists()


def test_the_curl_line_works_over_tls(tmp_path: Path) -> None:
    """It names the CA, and the variable that clients heed stands above it."""
    with running("emulate", *ANYWHERE, "--tls", cwd=tmp_path) as emulator:
        said = read_until("curl -s", emulator)
        done = subprocess.run(
            ["bash", "-c", said.splitlines()[-1]], capture_output=True, text=True, check=True
        )
    assert json.loads(done.stdout)["choices"]
    assert "export SSL_CERT_FILE=" in said


def test_it_announces_identity_and_vault(tmp_path: Path) -> None:
    """All that azure-identity must be told is said at the start, and is what the control plane says."""
    with running("emulate", *ANYWHERE, "--json", cwd=tmp_path) as emulator:
        told = announced(emulator)
        state = httpx2.get(f"{told['control_url']}/_emulator/state", trust_env=False).json()
    assert told["client_secrets"] == {"app": ["app-secret"], "machine": []}
    assert told["identity"] == state["identity"]
    assert told["vaults"] == state["vaults"]
    assert told["ca_file"] is None


def test_speed(tmp_path: Path) -> None:
    """It shortens what the caller is told to wait, whatever the file says."""
    (tmp_path / "fleet.yaml").write_text(
        "control_port: 0\nspeed: 2\nresources:\n  north:\n    port: 0\n    region: swedencentral\n"
        "    keys: [one]\n    deployments: {mini: {model: gpt-4o-mini, capacity: 1}}\n"
    )
    with running("emulate", "--config", "fleet.yaml", "--speed", "30", "--json", cwd=tmp_path) as emulator:
        told = announced(emulator)
        url = f"{told['resources']['north']['endpoint']}/openai/v1/chat/completions"
        body = {"model": "mini", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 900}
        asked = [httpx2.post(url, headers={"api-key": "one"}, json=body, trust_env=False) for _ in range(2)]
    assert told["speed"] == 30
    assert [answer.status_code for answer in asked] == [200, 429]
    assert int(asked[1].headers["retry-after-ms"]) <= 2_000  # a minute


@pytest.mark.parametrize(
    "options", [("--speed", "0"), ("--speed", "nan"), ("--config", "fleet.yaml", "--port-base", "8100")]
)
def test_what_cannot_be_meant_is_refused(options: tuple[str, ...], tmp_path: Path) -> None:
    """The option is named."""
    assert options[-2] in smalt("emulate", *options, cwd=tmp_path, code=2)


def test_it_does_not_write_over_other_files(tmp_path: Path) -> None:
    """A configuration somebody wrote by hand stays as it is, unless --force."""
    (tmp_path / "smalt.yaml").write_text("resources: {}\n")
    said = smalt("emulate", *ANYWHERE, "--write-config", "smalt.yaml", cwd=tmp_path, code=1)
    assert "--force" in said
    assert (tmp_path / "smalt.yaml").read_text() == "resources: {}\n"

    options = (*ANYWHERE, "--write-config", "smalt.yaml", "--force", "--json")
    with running("emulate", *options, cwd=tmp_path) as emulator:
        announced(emulator)
    assert "endpoint:" in (tmp_path / "smalt.yaml").read_text()


def test_it_plays_the_fleet_it_is_given(tmp_path: Path) -> None:
    """`--config` names regions and deployments."""
    (tmp_path / "fleet.yaml").write_text(
        "control_port: 0\nresources:\n  north:\n    port: 0\n    region: swedencentral\n    keys: [one]\n"
        "    deployments: {mini: {model: gpt-4o-mini, capacity: 10}}\n"
    )
    with running("emulate", "--config", "fleet.yaml", "--json", cwd=tmp_path) as emulator:
        resources = announced(emulator)["resources"]
    assert list(resources) == ["north"]
    assert resources["north"]["deployments"] == {"mini": "gpt-4o-mini"}
