"""The shape of `smalt.yaml`: one class per section, one described field per key.

The descriptions become the reference page and the JSON schema. Programs build the same objects, most
easily by `Settings.model_validate({...})`. Whether the values make sense together says `check.py`.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WithJsonSchema,
)

from smalt.config.endpoint import base_url
from smalt.config.identity import IdentityOrKind, KeyVault
from smalt.config.listening import Address, Drain, Limits, Tls, address
from smalt.config.network import Network
from smalt.config.numbers import (
    Count,
    Delay,
    Penalty,
    Probability,
    Seconds,
    Temperature,
    Tokens,
    Usd,
    Whole,
)
from smalt.config.section import Secret, Secrets, Section
from smalt.core.budgets import Period
from smalt.core.settings import StrategyName
from smalt.wire.paths import Api

DEFAULT_VERSION = "2024-10-21"  # of the classic API
UNDATED_VERSIONS = frozenset({"v1", "preview", "latest"})  # of the v1 API


def _as_pool(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Pool = Annotated[
    tuple[str, ...],
    BeforeValidator(_as_pool),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


def _later(description: str, default: Any = None) -> Any:
    """A field whose place is fixed but which does nothing yet: only its default is accepted (unbuilt.py)."""
    return Field(default=default, description=description, json_schema_extra={"x-built": False})


class Deployment(Section):
    """A model served under a name by a resource; the name is exact and case-sensitive."""

    model_config = ConfigDict(json_schema_extra={"required": ["model"]})

    model: str = Field(default="", description="The name callers ask for. Required.")
    sku: str | None = Field(
        default=None,
        description="Azure's deployment type, such as Standard, GlobalStandard or ProvisionedManaged. "
        "Provisioned deployments are used first.",
    )
    quota_tpm: Tokens | None = Field(
        default=None, description="What Azure grants, in tokens per minute: 120000, 120k or 1.5m."
    )
    limit_tpm: Tokens | None = Field(
        default=None, description="Our own limit, at most quota_tpm. Absent: quota_tpm."
    )
    quota_rpm: Count | None = Field(
        default=None,
        description="What Azure grants, in requests per minute. Absent: what comes with quota_tpm, for "
        "standard deployment types and models of which that is known.",
    )
    api_version: str | None = Field(
        default=None,
        description="Version of the classic API for this deployment: YYYY-MM-DD or YYYY-MM-DD-preview. "
        "Absent: the resource's.",
    )
    quota: str | None = Field(
        default=None, description="Name of a quota, under `quotas`, that it shares with other deployments."
    )
    ptu: Count | None = Field(
        default=None,
        description="Provisioned throughput units, in place of the quotas and limits. Where the throughput "
        "of the model is known, the deployment's utilization is followed and calls spill over before Azure "
        "refuses them.",
    )
    weight: Count = Field(default=1, description="Share of the load under the strategy `weighted`.")


class Resource(Section):
    """One Azure OpenAI account in one region, or one OpenAI-compatible server."""

    model_config = ConfigDict(json_schema_extra={"required": ["endpoint", "deployments"]})

    kind: Literal["azure", "openai"] = Field(
        default="azure",
        description="`openai`: any OpenAI-compatible server (a LiteLLM proxy, OpenAI, vLLM); "
        "used only where a route names it.",
    )
    endpoint: str = Field(
        default="",
        description="The https URL of the resource. Whatever was pasted along (`/openai/v1`, a deployment's "
        "path, the query) is cut; `kind: openai` keeps its path. Required.",
    )
    allow_http: bool = Field(default=False, description="Allow http to a host that is not loopback.")
    region: str | None = Field(default=None, description="Azure's name of the region, such as swedencentral.")
    api: Literal["auto", "classic", "v1"] = Field(
        default="auto",
        description="`auto`: the classic API at api_version for what it has, v1 for the rest.",
    )
    api_version: str = Field(
        default=DEFAULT_VERSION,
        description="Version of the classic API: YYYY-MM-DD or YYYY-MM-DD-preview; or v1, preview, latest.",
    )
    api_keys: Secrets = Field(
        default=(),
        description="One or two keys: `${VAR}`, `file:/path` (relative to this file), `keyring:name`, the "
        "URL of a Key Vault secret, or, but for `--env prod`, the key itself. The second is used once the "
        "first is refused; then the source of the refused one is read again.",
    )
    identity: IdentityOrKind | None = Field(
        default=None,
        description="Entra ID in place of keys, which come first where there are both; keys in a Key Vault "
        "are read with it.",
    )
    azure_id: str | None = Field(
        default=None, description="The Azure resource id: `/subscriptions/.../accounts/NAME`. Informational."
    )
    deployments: dict[str, Deployment] = Field(
        default={}, description="By deployment name. Only the resource named `default` may have none."
    )

    @property
    def on_v1(self) -> bool:
        """Whether Azure's v1 surface is asked for everything."""
        return self.api == "v1" or self.api_version in UNDATED_VERSIONS

    @property
    def spoken_api(self) -> Api:
        """What the resource is spoken to in."""
        if self.kind == "openai":
            return "openai"
        return "v1" if self.on_v1 else "classic"

    @property
    def base_path(self) -> str:
        """What every path begins with; empty on Azure's own hosts. ValueError if there is no usable URL."""
        return urlsplit(self.base_url).path.rstrip("/")

    @property
    def base_url(self) -> str:
        """The endpoint cleaned: what requests are built on. ValueError if it is not usable."""
        return base_url(self.endpoint, azure=self.kind == "azure", allow_http=self.allow_http)


class Parameters(Section):
    """Parameters of requests that leave them out."""

    temperature: Temperature | None = Field(default=None, description="Sampling temperature, 0 to 2.")
    top_p: Probability | None = Field(default=None, description="Nucleus sampling, 0 to 1.")
    max_tokens: Count | None = Field(
        default=None,
        description="Most tokens of an answer, by the name that the operation and the model have for it.",
    )
    frequency_penalty: Penalty | None = Field(default=None, description="Of repeated tokens, -2 to 2.")
    presence_penalty: Penalty | None = Field(default=None, description="Of tokens said before, -2 to 2.")
    seed: Whole | None = Field(default=None, description="For answers that repeat as far as they can.")
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = Field(
        default=None, description="How long a reasoning model thinks; each knows some of these words."
    )

    @property
    def given(self) -> dict[str, int | float | str]:
        """Those that are set, by name."""
        values = ((name, getattr(self, name)) for name in Parameters.model_fields)
        return {name: value for name, value in values if value is not None}


class ModelSettings(Section):
    """How one model is served, where the default is not wanted."""

    route: tuple[Pool, ...] = Field(
        default=(),
        description="Upstreams in order, as `resource/deployment`, or `resource` for all its deployments of "
        "this model. An inner list shares the load. Absent: provisioned first, then all others. For a "
        "pattern, `resource` means the deployment there that has the name asked for.",
    )
    strategy: StrategyName = Field(
        default="least_loaded",
        description="How one of several free upstreams is picked. A fallback keeps its own.",
    )
    fallbacks: tuple[str, ...] = Field(
        default=(),
        description="Models to use, in order, when no upstream of this one is free; then their fallbacks.",
    )
    residency: str | None = Field(
        default=None,
        description="Name of a residency zone. No upstream outside serves this model, not as a fallback and "
        "not by the name of a deployment; and `azure/<deployment>` reaches listed deployments only.",
    )
    defaults: Parameters = Field(
        default=Parameters(),
        description="Parameters for requests that ask for this model, or a deployment of it, and leave them "
        "out. Declared in `x-smalt-rewrites`; not sent where the model that answers is known to refuse them.",
    )


class Agent(Parameters):
    """Named defaults, asked for as the model `agent/<name>`: its parameters, before those of its model."""

    model_config = ConfigDict(json_schema_extra={"required": ["model"]})

    model: str = Field(default="", description="The model used. Required.")
    needs: tuple[Literal["tools", "vision", "structured_outputs", "reasoning"], ...] = Field(
        default=(), description="Abilities that upstreams must have; fallbacks without them are left out."
    )
    fallbacks: tuple[str, ...] = Field(
        default=(),
        description="Models to use, in order, when no upstream of its own is free; then those of its model.",
    )
    instructions: str | None = Field(
        default=None,
        description="The system message, before all that the caller says; `instructions` of Responses. With "
        "`{{ name }}` it is a Jinja2 template, for the variables of `fleet.agent(name).run`.",
    )
    tools: tuple[str, ...] = Field(
        default=(),
        description="Functions that `fleet.agent(name)` of the library calls, as `package.module:function`.",
    )
    max_rounds: Count = Field(
        default=8,
        description="Most requests to the model in one run of `fleet.agent(name)`.",
    )


class Retry(Section):
    """How often and how patiently one call is tried."""

    max_attempts: Count = Field(default=5, description="Most sends of one call, over all upstreams.")
    base_s: Delay = Field(default=1.0, description="First backoff; doubled with every repeat.")
    cap_s: Delay = Field(default=32.0, description="Longest backoff.")
    jitter_s: Delay = Field(default=1.0, description="Most random time added to a backoff.")
    after_timeout: bool = Field(
        default=False, description="Send again after a timeout, although the first may be billed."
    )


class Breaker(Section):
    """When an upstream that fails again and again is left alone."""

    failures: Count = Field(default=5, description="Failures in a row that open the breaker.")
    open_s: Seconds = Field(default=30.0, description="How long it stays open.")


class Timeouts(Section):
    """How long to wait for an upstream."""

    connect_s: Seconds = Field(default=5.0, description="For the connection.")
    total_s: Seconds = Field(default=600.0, description="For a whole answer that is not streamed.")
    stream_first_byte_s: Seconds = Field(default=300.0, description="For the first byte of a stream.")
    stream_idle_s: Seconds = Field(default=300.0, description="Between two pieces of a stream.")


class Degraded(Section):
    """What to answer when nothing is available."""

    status: Count = Field(
        default=503,
        description="HTTP status. 200: an answer whose text is the message, without tokens and cost; "
        "embeddings get an error all the same. From 400 on: the error `service_unavailable`.",
    )
    message: str | None = Field(
        default=None,
        description="Text for the caller. Absent: that of the error it stands in for. Needed for 200.",
    )


class OwnPrice(Section):
    """What a model's tokens cost, in USD per 1M, in place of the list price."""

    model_config = ConfigDict(json_schema_extra={"required": ["input_usd", "output_usd"]})

    input_usd: Usd | None = Field(default=None, description="Input. Required.")
    output_usd: Usd | None = Field(default=None, description="Output. Required; 0 for embeddings.")
    cached_usd: Usd | None = Field(
        default=None, description="Input read from the prompt cache. Absent: as input."
    )
    cache_write_usd: Usd | None = Field(
        default=None, description="Input written to the prompt cache. Absent: as input."
    )


class Budget(Section):
    """Tokens that may be spent in a period; a call that may take more is refused before it is sent."""

    model_config = ConfigDict(json_schema_extra={"required": ["tokens"]})

    tokens: Tokens | None = Field(
        default=None, description="Input and output together: 1000000, 1000k or 1M. Required."
    )
    per: Period = Field(
        default="total",
        description="A period of the calendar, in UTC; `total`: since the fleet was made.",
    )
    tag: str | None = Field(
        default=None,
        description="Only the calls with this tag count. Absent: all do.",
    )
    agent: str | None = Field(
        default=None,
        description="Only the calls that ask for this agent count. Absent: all do.",
    )


class Cache(Section):
    """Answers kept in memory for requests that are repeated to the letter."""

    size: Whole = Field(default=0, description="Most answers kept, up to 64 MB in all; 0: none.")
    ttl_s: Seconds = Field(default=3600.0, description="How long an answer is kept.")


class GatewayKey(Section):
    """A fixed gateway key."""

    model_config = ConfigDict(json_schema_extra={"required": ["alias", "key"]})

    alias: str = Field(default="", description="Its name in logs and reports; unique. Required.")
    key: Secret = Field(
        default=SecretStr(""), description="The key: literal, `${VAR}` or `file:/path`. Required."
    )
    team: str | None = Field(default=None, description="A label: the team the key belongs to.")
    models: tuple[str, ...] = Field(default=(), description="Models the key may use. Absent: all.")
    concurrency: Count | None = Field(
        default=None,
        description="Most requests to models under way with this key, in each process. Absent: any number.",
    )


class GuardSettings(Section):
    """A guard: what looks at the texts of requests before they are sent, and of answers as they come."""

    model_config = ConfigDict(json_schema_extra={"required": ["use"]})

    use: str = Field(
        default="",
        description="The class, as `package.module:Class`; there is `smalt.guards.patterns:Patterns`. "
        "Required.",
    )
    options: dict[str, Any] = Field(default={}, description="What the class is made with.")


class Gateway(Section):
    """What `smalt serve` offers."""

    listen: str = Field(
        default="127.0.0.1:8000", description="`host:port`; port 0 takes a free one. Or `unix:/path`."
    )
    tls: Tls | None = Field(default=None, description="Serve https. Absent: http.")
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Addresses and networks of proxies whose `x-forwarded-for` tells who the caller is.",
    )
    limits: Limits = Field(default=Limits(), description="What one process carries at a time.")
    drain: Drain = Field(default=Drain(), description="How it ends.")
    probe_every_s: Delay = Field(
        default=30.0,
        description="A resource that has answered no call for so long is asked for its list of models, which "
        "bills nothing; one that cannot answer is avoided while others serve. 0: not at all.",
    )
    ready_models: tuple[str, ...] = Field(
        default=(),
        description="Names without which the gateway is not ready: `/health/ready` is 503 while nothing is "
        "available for one of them. Absent: all, so that one lost model is a loss of the gateway.",
    )
    admin_key: Secret | None = Field(
        default=None, description="Key of the admin API. Absent: made on first run and printed once."
    )
    secrets: Secrets = _later("The first seals ids and peppers key hashes, all open.", ())
    keys: tuple[GatewayKey, ...] = Field(default=(), description="Fixed gateway keys.")
    guards: tuple[GuardSettings, ...] = Field(
        default=(), description="Guards, asked in this order. Absent: none."
    )
    callers_may_bring: tuple[str, ...] = Field(
        default=(),
        description="Hosts that callers may name in `X-Azure-Endpoint`, beside `X-Azure-API-Key`: names, "
        "`*.openai.azure.com`, addresses and ranges, with `:port` where it is not the usual one. Names must "
        "lead to public addresses, or to such as are listed. Absent: none.",
    )

    @property
    def address(self) -> Address:
        """`listen` as host and port, or as a path. ValueError if it is not usable."""
        return address(self.listen)


class Observe(Section):
    """What smalt tells about itself."""

    log: Literal["text", "json"] = Field(
        default="text", description="Form of the lines `smalt serve` writes to stderr. Taken at its start."
    )
    calls: bool = Field(
        default=False,
        description="Two lines of the gateway's log for each call. The library logs them at the level INFO "
        "of the loggers `smalt.requests` and `smalt.responses`.",
    )
    metrics: bool = Field(
        default=True,
        description="Serve `/metrics` to Prometheus, without a key: names and numbers alone.",
    )
    otlp: str | None = Field(
        default=None,
        description="URL of an OpenTelemetry collector, such as http://127.0.0.1:4318: it is sent a span for "
        "each call and attempt, by OTLP over HTTP. Needs the extra `otel`.",
    )


class Settings(Section):
    """Everything `smalt.yaml` can say."""

    resources: dict[str, Resource] = Field(default={}, description="By name; a name holds no `/`.")
    models: dict[str, ModelSettings] = Field(
        default={},
        description="By name, where the default route is not wanted. In a name that is a pattern, `*` stands "
        "for any text; names with a route or a deployment win over patterns, long patterns over short ones.",
    )
    quotas: dict[str, Tokens] = Field(
        default={},
        description="Tokens per minute by name: quotas that several deployments share, as Azure grants them "
        "for a subscription, region and model.",
    )
    residency: dict[str, tuple[str, ...]] = Field(
        default={},
        description="Regions by residency zone. Inside are Standard and ProvisionedManaged deployments in "
        "these regions; those of data zones too, if the zone is named `eu`, `us` or `apac`. Global ones "
        "never are, nor is what has no `sku` or `region` here.",
    )
    agents: dict[str, Agent] = Field(default={}, description="By name.")
    retry: Retry = Field(default=Retry(), description="Attempts and backoff.")
    breaker: Breaker = Field(default=Breaker(), description="Circuit breaker.")
    timeouts: Timeouts = Field(default=Timeouts(), description="Patience with upstreams.")
    key_vault: KeyVault = Field(default=KeyVault(), description="Secrets in Key Vaults.")
    network: Network = Field(default=Network(), description="Proxies and certificates.")
    degraded: dict[str, Degraded] = Field(
        default={},
        description="What callers are told when nothing is available for a model: by its name, that of an "
        "agent (`agent/<name>`) or of a deployment (`azure/<deployment>`), or by a pattern such as `*`.",
    )
    gateway: Gateway = Field(default=Gateway(), description="The server.")
    teams: dict[str, Any] = _later("Teams by name.", {})
    budgets: tuple[Budget, ...] = Field(
        default=(),
        description="Tokens per period. Counted in memory, by each process for itself.",
    )
    policies: list[Any] = _later("What callers may do.", [])
    prices: dict[str, OwnPrice] = Field(
        default={},
        description="Own prices by model, for every deployment that bills tokens. Batch, service tiers and "
        "long prompts cost their usual multiple.",
    )
    adapt: bool = Field(
        default=True,
        description="Put requests in the way that the model takes them, declared in `x-smalt-rewrites`: "
        "`max_tokens` becomes `max_completion_tokens` where only that is taken; names of tools become valid, "
        "and are put back in the answer; schemas of strict tools lose the limits that Azure refuses.",
    )
    cache: Cache = Field(
        default=Cache(),
        description="Answers kept for repeated requests, by the library. The gateway keeps none yet.",
    )
    state_dir: str = _later("Folder of everything smalt keeps.", "./.smalt")
    store: str = _later("`sqlite` or a `postgresql://` URL.", "sqlite")
    shared_limits: str = _later("Where limits are shared: `auto` or a `redis://` URL.", "auto")
    observe: Observe = Field(default=Observe(), description="Logs, metrics, traces.")
