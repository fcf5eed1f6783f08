"""The commands: their arguments and help. What they do stands in modules of their own, imported when a
command runs, so that `smalt --help` answers at once."""
# ruff: noqa: PLC0415

import signal
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer

from smalt import __version__
from smalt.cli import processes

app = typer.Typer(
    help="The transparent layer between applications and Azure OpenAI.\n\n"
    "See it at work, offline:  smalt demo\n\n"
    "Run the gateway:  smalt serve --config smalt.yaml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="What is in effect, changes to the file, its schema.", no_args_is_help=True)
app.add_typer(config_app, name="config")
secrets_app = typer.Typer(
    help="Secrets in the keyring of the operating system, for keyring:NAME in smalt.yaml.",
    no_args_is_help=True,
)
app.add_typer(secrets_app, name="secrets")

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", help="The file. Without: smalt.yaml here, else the environment.", metavar="FILE"
    ),
]
Overlay = Annotated[
    str | None,
    typer.Option("--env", help="Lay environments/NAME.yaml, beside the file, over it.", metavar="NAME"),
]
Key = Annotated[str, typer.Argument(help="Such as retry.max_attempts or resources.east.api_keys[0].")]
SecretName = Annotated[str, typer.Argument(help="What smalt.yaml calls it: keyring:NAME.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output, for scripts.")]
Seed = Annotated[int, typer.Option(help="Another seed makes the emulator give other answers.")]
EndWithStdin = Annotated[bool, typer.Option("--end-with-stdin", hidden=True)]


def _version(*, wanted: bool) -> None:
    if wanted:
        _print_version()


def _print_version() -> NoReturn:
    print(f"smalt {__version__}")
    raise typer.Exit


@app.callback()
def smalt(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            help="Show the version.",
            is_eager=True,
            callback=lambda value: _version(wanted=value),
        ),
    ] = False,
) -> None:
    """The transparent layer between applications and Azure OpenAI."""


@app.command("version")
def version_command() -> None:
    """Show the version.

    Example: smalt version
    """
    _print_version()


@app.command()
def serve(  # noqa: PLR0913  each is an option of the command
    *,
    config: ConfigFile = None,
    env: Overlay = None,
    listen: Annotated[
        str | None,
        typer.Option(
            help="Where to listen, instead of gateway.listen: HOST:PORT or unix:/PATH.", metavar="ADDRESS"
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that serve. Each keeps limits and budgets for itself.", min=1)
    ] = 1,
    emulate_if_unconfigured: Annotated[
        bool, typer.Option(help="With nothing configured, stand before an emulator of Azure.")
    ] = False,
    as_json: Json = False,
    end_with_stdin: EndWithStdin = False,
    worker: Annotated[bool, typer.Option("--worker", hidden=True)] = False,
) -> None:
    """Run the gateway until Ctrl-C or SIGTERM; what is under way ends first (gateway.drain).

    Any OpenAI SDK can talk to it: base_url http://HOST:PORT/v1, or azure_endpoint http://HOST:PORT.

    Example: smalt serve --config smalt.yaml --listen 127.0.0.1:8000
    """
    _run_until_told(end_with_stdin=end_with_stdin)
    from smalt.cli import serving

    where = serving.Source(config, env, listen)
    if worker:
        serving.run_worker(where)
    else:
        serving.run(where, emulate_if_unconfigured=emulate_if_unconfigured, as_json=as_json, workers=workers)


@app.command()
def emulate(  # noqa: PLR0913  each is an option of the command
    *,
    config: Annotated[
        Path | None,
        typer.Option(help="A fleet.yaml, with its own ports. Without: three regions.", metavar="FILE"),
    ] = None,
    port_base: Annotated[
        int | None,
        typer.Option(
            help="Port of the control plane; the other ports follow it. 0: any free ones.  [default: 8100]",
            min=0,
            max=65_000,
        ),
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="https, as azure-identity insists on, with a CA made for this run.")
    ] = False,
    seed: Seed = 0,
    speed: Annotated[
        float | None,
        typer.Option(
            help="Limits and waits are N times shorter than Azure's: 60 makes a minute a second.", metavar="N"
        ),
    ] = None,
    write_config: Annotated[
        Path | None, typer.Option(help="Write a smalt.yaml that leads to it.", metavar="FILE")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is not ours.")] = False,
    as_json: Json = False,
    end_with_stdin: EndWithStdin = False,
) -> None:
    """Play Azure OpenAI on this machine until Ctrl-C: regions, quotas, errors, a bill. No account needed.

    It also plays Entra ID, managed identities, Key Vault and ARM. What it says at the start is all that a
    client needs; POST to the control plane to lose a region, throttle it or break its streams.

    Example: smalt emulate --write-config smalt.yaml, and then, in another terminal: smalt serve

    Example: smalt emulate --tls --speed 60
    """
    _run_until_told(end_with_stdin=end_with_stdin)
    from smalt.cli import emulating

    wanted = emulating.Wanted(config, port_base, seed, speed, tls=tls)
    emulating.run(wanted, write_config, force=force, as_json=as_json)


@app.command()
def init(
    *,
    output: Annotated[Path, typer.Option(help="The file to write.", metavar="FILE")] = Path("smalt.yaml"),
    from_litellm: Annotated[
        Path | None, typer.Option(help="Go by the config.yaml of a LiteLLM proxy.", metavar="FILE")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
    from_azure: Annotated[
        bool, typer.Option("--from-azure", help="From what Azure says of your resources; see az login.")
    ] = False,
    subscription: Annotated[
        str | None,
        typer.Option(help="With --from-azure: this one alone, by id or name.", metavar="SUBSCRIPTION"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a first smalt.yaml, from what the environment and .env say of Azure OpenAI.

    Keys stay where they are: the file names their variables. What is not known is left blank, and said.

    With --from-azure: resources, deployments, models, types and quota as the control plane has them, used by
    the identity that asks (az login, a managed identity, AZURE_CLIENT_ID and the like). No key is read.

    Example: smalt init && smalt check

    Example: smalt init --from-litellm config.yaml

    Example: smalt init --from-azure --subscription Production
    """
    if from_azure and from_litellm:
        raise typer.BadParameter("one source at a time: --from-azure or --from-litellm")
    if from_azure:
        from smalt.cli import discovering

        discovering.run(output, subscription, force=force, as_json=as_json)
        return
    from smalt.cli import initializing

    initializing.run(output, from_litellm, force=force, as_json=as_json)


@app.command()
def check(*, config: ConfigFile = None, env: Overlay = None, as_json: Json = False) -> None:
    """Say everything that is wrong with the configuration, or what it adds up to. Asks no server.

    Example: smalt check --config smalt.yaml --env prod
    """
    from smalt.cli import checking

    checking.check(config, env, as_json=as_json)


@app.command()
def doctor(
    *,
    config: ConfigFile = None,
    env: Overlay = None,
    matrix: Annotated[
        bool,
        typer.Option(
            "--matrix", help="Ask a small question on every way, and say where the fault is. Billed."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Find out why it fails: ask every resource, and say the cause and the command that mends it.

    Looks at this machine, the settings, names, proxies, ports, certificates, keys and tokens, roles, versions
    and deployments; with azure_id also at models and quota as ARM has them. Nothing is billed: Azure refuses
    the questions for free, and how it refuses them proves what works. Exit code 1 if there is a fault.

    With --matrix each deployment gets the same question, some twenty tokens, straight and by every proxy; who
    answers tells whether the fault is in the Azure config, the proxy config or the network.

    Example: smalt doctor --config smalt.yaml
    """
    if matrix:
        from smalt.cli import trying

        trying.matrix(config, env, as_json=as_json)
        return
    from smalt.cli import doctoring

    doctoring.doctor(config, env, as_json=as_json)


@app.command("test")
def ask_one_way(
    path: Annotated[
        Literal["azure", "proxy", "openai"],
        typer.Argument(help="Straight to Azure, by a proxy (kind: openai), or straight to OpenAI."),
    ],
    *,
    config: ConfigFile = None,
    env: Overlay = None,
    as_json: Json = False,
) -> None:
    """Ask each deployment on one way a small question: does it answer, and if not, why. Billed.

    Each takes some twenty tokens. Connections refused, 401, 404 and timeouts come with their own advice.
    Exit code 1 if one does not answer.

    Example: smalt test proxy
    """
    from smalt.cli import trying

    trying.one_path(path, config, env, as_json=as_json)


@app.command()
def validate(*, config: ConfigFile = None, env: Overlay = None, as_json: Json = False) -> None:
    """The same as smalt doctor: environment, packages, connectivity, deployments.

    Example: smalt validate --env prod
    """
    from smalt.cli import doctoring

    doctoring.doctor(config, env, as_json=as_json)


@config_app.command()
def schema() -> None:
    """Print the JSON schema of smalt.yaml, for editors.

    Example: smalt config schema > smalt.schema.json
    """
    from smalt.cli import configuring

    configuring.print_schema()


@config_app.command()
def show(*, config: ConfigFile = None, env: Overlay = None, as_json: Json = False) -> None:
    """Print the settings in effect, defaults included, and where each comes from. Secrets are asterisks.

    Example: smalt config show --env prod
    """
    from smalt.cli import configuring

    configuring.show(config, env, as_json=as_json)


@config_app.command()
def get(key: Key, *, config: ConfigFile = None, env: Overlay = None, as_json: Json = False) -> None:
    """Print one setting in effect, on one line. Secrets are asterisks.

    Example: smalt config get models.gpt-4o.strategy
    """
    from smalt.cli import configuring

    configuring.get(key, config, env, as_json=as_json)


@config_app.command("set")
def set_(
    key: Key,
    value: Annotated[str, typer.Argument(help="As it stands in the file; lists and mappings in brackets.")],
    *,
    config: ConfigFile = None,
) -> None:
    """Change one setting in the file. Comments and all the rest stay; what would be wrong is refused.

    Example: smalt config set models.gpt-4o.strategy weighted

    Example: smalt config set resources.east.api_keys '["${EAST_KEY}", keyring:east]'
    """
    from smalt.cli import configuring

    configuring.change(key, value, config)


@secrets_app.command("set")
def set_secret(name: SecretName) -> None:
    """Keep a secret: what is typed at the prompt, unseen, or the first line of standard input.

    Example: smalt secrets set east

    Example: smalt secrets set east < key.txt && smalt config set resources.east.api_keys '[keyring:east]'
    """
    from smalt.cli import keeping

    keeping.put(name)


@secrets_app.command("list")
def list_secrets(*, as_json: Json = False) -> None:
    """Print the names of the secrets that are kept; never a secret.

    Example: smalt secrets list
    """
    from smalt.cli import keeping

    keeping.show_names(as_json=as_json)


@secrets_app.command("remove")
def remove_secret(name: SecretName) -> None:
    """Forget a secret.

    Example: smalt secrets remove east
    """
    from smalt.cli import keeping

    keeping.remove(name)


@app.command()
def demo(*, seed: Seed = 0, as_json: Json = False) -> None:
    """The tour, offline: requests through the gateway, a lost region, the library, the bill.

    Example: smalt demo --json > figures.json
    """
    from smalt.cli.demo import tour

    tour.run(seed, as_json=as_json)


def _run_until_told(*, end_with_stdin: bool) -> None:
    """Before anything slow is imported: a signal that comes early ends the command just as well."""
    processes.exit_on(signal.SIGINT, signal.SIGTERM)
    if end_with_stdin:
        processes.end_with_stdin()
