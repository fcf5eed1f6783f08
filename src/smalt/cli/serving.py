"""`smalt serve`."""

import json
import logging
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import typer

from smalt import __version__
from smalt.cli.curl import HELLO, curl
from smalt.cli.processes import child, end_with_stdin, needs
from smalt.config import Settings
from smalt.config.advice import warnings
from smalt.config.check import check
from smalt.config.environment import VARIABLES
from smalt.config.fill import with_dotenv
from smalt.config.listening import UNIX
from smalt.config.loading import read, sources
from smalt.core.routes import AZURE_PREFIX
from smalt.errors import ConfigurationError
from smalt.observe.writer import log_of_process

with needs("smalt serve", "gateway"):
    from smalt.gateway.server import Serving, serve
    from smalt.gateway.workers import serve_workers, take_place, tell_parent

logger = logging.getLogger("smalt.config")

EACH_FOR_ITSELF = (
    "%d workers: each keeps limits, quotas and budgets for itself, so that all together may spend that many "
    "times what the settings say; divide limit_tpm, budgets, gateway.limits and concurrency by their number"
)
ENDPOINTS = [variable.name for variable in VARIABLES if variable.path[-1:] == ("endpoint",)]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the configuration comes from, as asked for on the command line. `listen`: if given."""

    path: Path | None
    overlay: str | None
    listen: str | None = None

    def read(self, cwd: Path, *, warn: bool = True) -> Settings:
        """The settings to serve by. Raises ConfigurationError."""
        settings, advice = self.load(cwd)
        return self.advised(settings, advice if warn else ())

    def advised(self, settings: Settings, advice: Sequence[str]) -> Settings:
        """The settings to serve by; what should be mended in them is logged."""
        for warning in advice:
            logger.warning("%s", warning)
        return listening_at(self.listen, settings)

    def files(self, cwd: Path) -> Sequence[Path]:
        """What the settings are made of."""
        return sources(self.path, overlay=self.overlay, cwd=cwd)

    @property
    def worker_command(self) -> Sequence[str]:
        """Runs one worker with the same settings."""
        options = {"--config": self.path, "--env": self.overlay, "--listen": self.listen}
        given = [word for name, value in options.items() if value is not None for word in (name, str(value))]
        return [sys.executable, "-P", "-m", "smalt", "serve", "--worker", *given]

    def load(self, cwd: Path) -> tuple[Settings, Sequence[str]]:
        """The settings, and what should be mended in them. Raises ConfigurationError with every problem; if
        nothing is configured, also with a way out."""
        try:
            document = read(self.path, env=os.environ, overlay=self.overlay, cwd=cwd)
            settings = check(document)
        except ConfigurationError as error:
            if not self.is_configured(os.environ, cwd):
                error.resolution = (*error.resolution, "Without Azure: smalt serve --emulate-if-unconfigured")
            raise
        return settings, warnings(settings, document)

    def is_configured(self, env: Mapping[str, str], cwd: Path) -> bool:
        """Whether anything says which Azure to use."""
        if self.path or self.overlay or (cwd / "smalt.yaml").exists():
            return True
        known = with_dotenv(env, cwd)
        return any(known.get(name) for name in ENDPOINTS)


def run(source: Source, *, workers: int, emulate_if_unconfigured: bool, as_json: bool) -> None:
    """Until SIGINT or SIGTERM, with the requests under way answered first."""
    cwd = Path.cwd()
    with ExitStack() as stack:
        emulator: dict[str, Any] | None = None
        if emulate_if_unconfigured and not source.is_configured(os.environ, cwd):
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="smalt-"))
            source = replace(source, path=Path(folder, "smalt.yaml"))
            command = ("emulate", "--port-base", "0", "--write-config", str(source.path))
            emulator = stack.enter_context(child(*command))
        loaded = source.load(cwd)
        log = stack.enter_context(log_of_process(loaded[0].observe.log))
        settings = source.advised(*loaded)

        def announce(serving: Serving) -> None:
            told = announcement(serving) | {"emulator": emulator}
            text = json.dumps(told) if as_json else "\n".join(lines(told, example(told, settings)))
            print(text, flush=True)

        if workers > 1:
            logger.warning(EACH_FOR_ITSELF, workers)
            serve_workers(settings, announce, source.worker_command, workers)
        else:
            read, files = partial(source.read, cwd), source.files(cwd)
            serve(settings, announce, read=read, files=files, log=log)


def run_worker(source: Source) -> None:
    """One of several; what it needs of its parent comes on standard input."""
    cwd, (place, parent) = Path.cwd(), take_place(sys.stdin.buffer.readline())
    end_with_stdin()
    settings, _ = source.load(cwd)  # the parent has said what should be mended
    read = partial(source.read, cwd, warn=place.siblings.number == 1)
    with log_of_process(settings.observe.log) as log:
        served = listening_at(source.listen, settings)
        announce = partial(tell_parent, parent)
        serve(served, announce, read=read, files=source.files(cwd), log=log, place=place)


def listening_at(listen: str | None, settings: Settings) -> Settings:
    """The same settings with another address."""
    if listen is None:
        return settings
    gateway = settings.gateway.model_copy(update={"listen": listen})
    try:
        _ = gateway.address
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--listen'") from None
    return settings.model_copy(update={"gateway": gateway})


def announcement(serving: Serving) -> dict[str, Any]:
    """What a starting gateway tells scripts. Keys are named only if they were made just now."""
    return {
        "url": serving.url,
        "models": [model for model in serving.models if not model.startswith(AZURE_PREFIX)],
        "gateway_key": serving.made_gateway_key,
        "admin_key": serving.made_admin_key,
    }


def example(told: Mapping[str, Any], settings: Settings) -> str:
    """A curl line for a configured model. A configured key is not shown: where a variable of the
    environment holds it the line names that, else the key's alias."""
    chat = [model for model in told["models"] if "embedding" not in model]
    model = (chat or ["azure/YOUR-DEPLOYMENT"])[0]
    key, variable = told["gateway_key"], None
    if key is None:
        fixed = settings.gateway.keys[0]
        holders = (name for name, value in os.environ.items() if value == fixed.key.get_secret_value())
        variable = next(holders, None)
        key = "" if variable else f"<the key {fixed.alias}>"
    body = {"model": model, "messages": HELLO}
    path = told["url"].removeprefix(UNIX)
    on_path = path != told["url"]
    return curl(
        f"{'http://localhost' if on_path else path}/v1/chat/completions",
        f"authorization: Bearer {key}",
        body,
        variable=variable,
        unix_socket=path if on_path else None,
    )


def lines(told: Mapping[str, Any], example: str) -> Sequence[str]:
    """The same for people."""
    url = told["url"]
    told_of = [f"smalt {__version__} listens on {url}; Ctrl-C ends it.", ""]
    if told["emulator"]:
        told_of += [
            "Nothing is configured here (no smalt.yaml, no AZURE_OPENAI_ENDPOINT): the answers come from an",
            "emulator of Azure, made up and free of charge.",
            f"  control       {told['emulator']['control_url']}/_emulator/state",
            "",
        ]
    told_of += [
        f"  models        {', '.join(told['models']) or 'azure/<deployment>: any of the resource'}",
        "  OpenAI        POST /v1/chat/completions, /responses, /embeddings, /completions; GET /v1/models",
        f"                any OpenAI SDK: base_url={url}/v1",
        "  Azure OpenAI  POST /openai/deployments/<model>/chat/completions, /embeddings; /openai/v1/...",
        f"                AzureOpenAI: azure_endpoint={url}",
        "  health        GET /health, /health/live, /health/ready, /metrics",
        "  admin         GET /admin/v1/usage, /admin/v1/upstreams",
        "",
    ]
    made = {"gateway key": told["gateway_key"], "admin key": told["admin_key"]}
    told_of += [f"  {name:<12}  {key}   (made for this run)" for name, key in made.items() if key]
    return [*told_of, "", "Try it:", f"  {example}"]
