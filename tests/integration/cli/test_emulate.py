"""`smalt emulate` as a process, and the file it writes."""

import json
import subprocess
from pathlib import Path

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
