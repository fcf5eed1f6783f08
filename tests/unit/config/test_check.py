"""Bad files and what is said about them: the exact lines."""

from collections.abc import Callable
from importlib.metadata import version

import pytest

from smalt.config import Settings, check_settings
from smalt.config.check import check
from smalt.config.read import parse
from smalt.errors import ConfigurationError, InvalidDeployment, InvalidEndpoint, MissingAuth

LATER = f"not built yet in smalt {version('smalt')}; remove it to go on"

# One resource that is right, to which a test adds what is wrong; 5 lines.
EAST = """\
resources:
  east:
    endpoint: https://contoso-east.openai.azure.com
    api_keys: [k]
    deployments: {d: {model: gpt-4o}}
"""

FULL = """\
resources:
  east:
    endpoint: https://contoso-east.openai.azure.com
    region: eastus
    api: auto
    api_version: "2024-10-21"
    api_keys: ["${KEY1}", "${KEY2:-}"]
    azure_id: /subscriptions/.../accounts/contoso-east
    deployments:
      gpt-4o-ptu:  {model: gpt-4o, sku: ProvisionedManaged, ptu: 50}
      gpt-4o-prod: {model: gpt-4o, sku: Standard, quota_tpm: 120k, quota_rpm: 720, limit_tpm: 100k, weight: 3}
  sweden:
    endpoint: https://contoso-sweden.openai.azure.com
    region: swedencentral
    identity: default
    deployments:
      gpt-4o-prod: {model: gpt-4o, sku: Standard, quota_tpm: 120k}
      gpt-4o-mini: {model: gpt-4o-mini, sku: Standard, quota: sweden-gpt-4o-mini}
  proxy:
    kind: openai
    endpoint: http://litellm.internal:4000/v1
    allow_http: true
    api_keys: ["${LITELLM_KEY}"]
    deployments: {azure/gpt-4o: {model: gpt-4o}}
models:
  gpt-4o:
    route: [east/gpt-4o-ptu, [east/gpt-4o-prod, sweden/gpt-4o-prod], proxy/azure/gpt-4o]
    strategy: least_latency
    fallbacks: [gpt-4o-mini]
  "gpt-4.1*": {route: [east]}
  gpt-4o-mini: {residency: eu, defaults: {temperature: 0.2, seed: 7}}
quotas: {sweden-gpt-4o-mini: 240k}
residency: {eu: [swedencentral, westeurope, francecentral]}
agents:
  narrator: {model: gpt-4o, temperature: 0.9, max_tokens: 800, needs: [tools], instructions: "Narrate."}
retry: {max_attempts: 5, base_s: 1, cap_s: 32, jitter_s: 1, after_timeout: false}
breaker: {failures: 5, open_s: 30}
timeouts: {connect_s: 5, total_s: 600, stream_first_byte_s: 300, stream_idle_s: 300}
network: {ca_file: null, proxy: null, no_proxy: []}
degraded: {gpt-4o: {status: 503, message: "The assistant rests; try again soon."}}
gateway:
  listen: 127.0.0.1:8000
  admin_key: "${SMALT_ADMIN_KEY:-}"
  secrets: ["${SMALT_SECRET:-}"]
  keys: [{alias: ci, key: "${SMALT_KEY_CI}", team: platform, models: [gpt-4o]}]
  callers_may_bring: []
teams: {}
budgets: [{tokens: 1M, per: month}, {tokens: 100k, per: day, tag: feature-x}]
policies: []
prices: {gpt-4o: {input_usd: "2.25", output_usd: 9, cached_usd: 1.1}}
cache: {}
state_dir: ./.smalt
store: sqlite
shared_limits: auto
observe: {log: text, metrics: true, otlp: null}
"""


def test_the_smallest_file_is_enough(loaded: Callable[..., Settings]) -> None:
    """One resource with a key and a deployment."""
    settings = loaded(
        "resources:\n  east:\n    endpoint: https://contoso-east.openai.azure.com\n"
        '    api_keys: ["${AZURE_OPENAI_API_KEY}"]\n    deployments:\n      gpt-4o-prod: {model: gpt-4o}\n',
        AZURE_OPENAI_API_KEY="s3cret",
    )
    east = settings.resources["east"]
    assert east.api_keys[0].get_secret_value() == "s3cret"
    assert east.base_url == "https://contoso-east.openai.azure.com"


def test_the_full_file_has_no_problems(loaded: Callable[..., Settings]) -> None:
    """Everything the file may say is understood."""
    assert loaded(FULL, KEY1="a", LITELLM_KEY="b", SMALT_KEY_CI="c").degraded["gpt-4o"].status == 503


LISTEN = "1:11: gateway.listen: expected host:port such as 127.0.0.1:8000, or unix:/path"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("retry: {max_attempts: 0}", "1:9: retry.max_attempts: expected a whole number above 0, got 0"),
        (
            "observe: {otlp: 'collector:4318'}",
            "1:11: observe.otlp: expected the URL of a collector, such as http://127.0.0.1:4318",
        ),
        (
            "observe: {otlp: 'http://[x'}",
            "1:11: observe.otlp: expected the URL of a collector, such as http://127.0.0.1:4318",
        ),
        ("gateway: {listen: 8000}", LISTEN),
        ("gateway: {listen: 'h:99999'}", LISTEN),
        ("gateway: {listen: ':80'}", LISTEN),
        ("gateway: {keys: [{key: k}]}", "1:18: gateway.keys[0].alias: alias is required"),
        ("gateway: {keys: [{alias: a}]}", "1:18: gateway.keys[0].key: key is required"),
        (
            "gateway: {keys: [{alias: a, key: k}, {alias: a, key: l}]}",
            "1:39: gateway.keys[1].alias: the alias 'a' is used twice",
        ),
        (
            "gateway: {callers_may_bring: [a.openai.azure.com, 'https://b']}",
            "1:51: gateway.callers_may_bring[1]: write the host alone, without https://",
        ),
        (
            "gateway: {keys: [{alias: a, key: k}, {alias: b, key: k}]}",
            "1:49: gateway.keys[1].key: the same as the key 'a'",
        ),
        (
            "gateway: {admin_key: k, keys: [{alias: a, key: k}]}",
            "1:43: gateway.keys[0].key: the same as the admin key",
        ),
        (
            "gateway: {admin_key: 'a b'}",
            "1:11: gateway.admin_key: a secret must not hold spaces, line breaks or characters beyond ASCII",
        ),
        ("cache: {size: -1}", "1:9: cache.size: expected a whole number, 0 or more, got -1"),
        ("cache: {ttl_s: 0}", "1:9: cache.ttl_s: expected a number of seconds above 0, got 0"),
        ("cache: {ttl_s: 60}", "1:1: cache.size: size is required: the most answers to keep"),
        ("budgets: [{per: day}]", "1:11: budgets[0].tokens: tokens is required: how many may be spent"),
        (
            "budgets: [{tokens: 1k, per: week}]",
            "1:24: budgets[0].per: expected 'minute', 'hour', 'day', 'month' or 'total', got 'week'",
        ),
        (
            "budgets: [{tokens: 1k, tag: a}, {tokens: 1k}, {tokens: 2k, tag: a}]",
            "1:47: budgets[2]: for the same calls and period as budgets[0]; keep one of the two",
        ),
        (
            (
                "agents: {a: {model: gpt-4o}}\n"
                "budgets: [{tokens: 1k, tag: b, agent: a}, {tokens: 1k, agent: a}, {tokens: 2k, agent: a}]"
            ),
            "2:67: budgets[2]: for the same calls and period as budgets[1]; keep one of the two",
        ),
        (
            "agents: {guide: {model: gpt-4o}}\nbudgets: [{tokens: 1k, agent: guid}]",
            "2:24: budgets[0].agent: no agent is named 'guid'; did you mean 'guide'?",
        ),
        (
            "prices: {gpt4o: {input_usd: 1, output_usd: 1}}",
            "1:10: prices.gpt4o: no deployment serves this model; did you mean 'gpt-4o'?",
        ),
        (
            "prices: {gpt-4o: {input_usd: 1}}",
            "1:10: prices.gpt-4o.output_usd: output_usd is required: USD per 1M tokens",
        ),
        (
            "prices: {gpt-4o: {input_usd: -1, output_usd: 1}}",
            "1:19: prices.gpt-4o.input_usd: expected USD, 0 or more, with at most six decimals, got -1",
        ),
        ("store: postgresql://db/smalt", f"1:1: store: {LATER}"),
    ],
)
def test_a_bad_part_beside_a_good_resource(
    text: str, problem: str, problems: Callable[..., list[str]]
) -> None:
    """One line with the position, and nothing else."""
    assert problems(f"{text}\n{EAST}") == [problem]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("api_keys: [k]", "", "2:3: resources.east.api_keys: either APIKey or EntraToken must be provided"),
        (
            "api_keys: [k]",
            "kind: openai",
            "2:3: resources.east.api_keys: a key is required; a server that asks for none takes any text",
        ),
        (
            "api_keys: [k]",
            "api_keys: ['']",
            "4:5: resources.east.api_keys: either APIKey or EntraToken must be provided",
        ),
        (
            "api_keys: [k]",
            "api_keys: [k, l, m]",
            "4:5: resources.east.api_keys: 3 keys; two at most, as a resource of Azure has",
        ),
        (
            "api_keys: [k]",
            "api_keys: [k, k]",
            "4:5: resources.east.api_keys: the same key twice; give each once",
        ),
        (
            "api_keys: [k]",
            "api_keys: ['keyring:']",
            "4:5: resources.east.api_keys: a keyring has no name: write keyring:NAME",
        ),
        (
            "api_keys: [k]",
            "api_keys: ['@Microsoft.KeyVault(SecretUri=x)']",
            (
                "4:5: resources.east.api_keys: a reference to Key Vault that App Service has not resolved: "
                "give the app's identity the role 'Key Vault Secrets User' on the vault, or write the URL of "
                "the secret here"
            ),
        ),
        (
            "api_keys: [k]",
            "api_keys: ['é']",
            (
                "4:5: resources.east.api_keys: "
                "a secret must not hold spaces, line breaks or characters beyond ASCII"
            ),
        ),
        (
            "deployments: {d: {model: gpt-4o}}",
            "deployments: {}",
            "5:5: resources.east.deployments: deployment ID is required: name at least one deployment",
        ),
        ("{d: {model", "{'': {model", "5:19: resources.east.deployments.: deployment ID is required"),
        (
            "{model: gpt-4o}",
            "{}",
            "5:19: resources.east.deployments.d.model: model is required: the name callers ask for",
        ),
        (
            "{model: gpt-4o}",
            "{model: m, api_version: v1}",
            (
                "5:33: resources.east.deployments.d.api_version: "
                "expected a version such as 2024-10-21 or 2025-04-01-preview"
            ),
        ),
        *(
            (
                "deployments: {d: {model: gpt-4o}}",
                f"{key}\n    deployments: {{d: {{model: m, api_version: 2024-10-21}}}}",
                (
                    "6:33: resources.east.deployments.d.api_version: "
                    "only for resources that are asked by the classic API"
                ),
            )
            for key in ("api: v1", "api_version: preview")
        ),
        (
            "{model: gpt-4o}",
            "{model: m, quota_tpm: 1k, limit_tpm: 2k}",
            "5:48: resources.east.deployments.d.limit_tpm: 2000 is more than quota_tpm, 1000",
        ),
        (
            "{model: gpt-4o}",
            "{model: m, ptu: 5}",
            (
                "5:33: resources.east.deployments.d.ptu: "
                "only for provisioned deployments: set sku, as ProvisionedManaged"
            ),
        ),
        (
            "{model: gpt-4o}",
            "{model: m, ptu: 5, sku: Standard}",
            (
                "5:33: resources.east.deployments.d.ptu: "
                "only for provisioned deployments: set sku, as ProvisionedManaged"
            ),
        ),
        (
            "{model: gpt-4o}",
            "{model: m, sku: ProvisionedManaged, ptu: 5, limit_tpm: 5k}",
            "5:66: resources.east.deployments.d.limit_tpm: does not apply beside ptu; remove one of the two",
        ),
        (
            "{model: gpt-4o}",
            "{model: m, quota: eastern}",
            "5:33: resources.east.deployments.d.quota: no quota is named 'eastern'",
        ),
        (
            "{model: gpt-4o}}",
            "{model: m, quota: eastern}}\nquotas: {east: 5k}",
            "5:33: resources.east.deployments.d.quota: no quota is named 'eastern'; did you mean 'east'?",
        ),
        (
            "{model: gpt-4o}}",
            "{model: m}}\nquotas: {east: many}",
            (
                "6:10: quotas.east: "
                "expected a whole number of tokens above 0 such as 120000, 120k or 1.5m, got 'many'"
            ),
        ),
        (
            "    api_keys",
            "    api_version: 2024-10-32\n    api_keys",
            (
                "4:5: resources.east.api_version: "
                "expected a version such as 2024-10-21, 2025-04-01-preview, v1, preview or latest"
            ),
        ),
        ("east:", "ea/st:", "2:3: resources.ea/st: the name of a resource must not be empty or hold '/'"),
        (
            "endpoint: https",
            "endpoint: ftp",
            "3:5: resources.east.endpoint: expected an https URL such as https://contoso.openai.azure.com",
        ),
        ("endpoint: h", "endpoit: h", "3:5: resources.east.endpoit: unknown key; did you mean 'endpoint'?"),
        (EAST, "retry: {}", "1:1: resources: at least one resource is required"),
        (EAST, "resources: {}", "1:1: resources: at least one resource is required"),
    ],
)
def test_a_bad_resource(old: str, new: str, problem: str, problems: Callable[..., list[str]]) -> None:
    """One line with the position, and nothing else."""
    assert old in EAST
    assert problems(EAST.replace(old, new)) == [problem]


def test_all_problems_are_reported_at_once(problems: Callable[..., list[str]]) -> None:
    """Of variables, shape and sense together, from top to bottom."""
    text = """\
resources:
  east:
    endpoint: foo
    region: x
    region: y
    api_keys: ["${NOWHERE}"]
    deployments: {d: {modle: gpt-4o, quota_tpm: -1}}
retry: 5
retrys: 5
store: redis
"""
    assert problems(text) == [
        "3:5: resources.east.endpoint: expected an https URL such as https://contoso.openai.azure.com",
        "5:5: resources.east.region: duplicate key",
        "6:16: resources.east.api_keys[0]: the environment variable NOWHERE is not set",
        "7:23: resources.east.deployments.d.modle: unknown key; did you mean 'model'?",
        (
            "7:38: resources.east.deployments.d.quota_tpm: "
            "expected a whole number of tokens above 0 such as 120000, 120k or 1.5m, got -1"
        ),
        "8:1: retry: expected a mapping such as {key: value}, got text",
        "9:1: retrys: unknown key; did you mean 'retry'?",
        f"10:1: store: {LATER}",
    ]


@pytest.mark.parametrize(
    ("endpoint", "phrase"),
    [("''", "endpoint is required"), ("http://contoso.openai.azure.com", "use https"), ("foo", "https URL")],
)
def test_req_1_1_endpoint_must_be_https(endpoint: str, phrase: str) -> None:
    """An empty, plain http or malformed endpoint is refused before any call."""
    text = EAST.replace("https://contoso-east.openai.azure.com", endpoint)
    with pytest.raises(InvalidEndpoint, match=phrase):
        check(parse(text, "smalt.yaml"))


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:1", "http://localhost:1", "http://c\n    allow_http: true"]
)
def test_req_1_1_http_is_allowed_for_loopback_or_by_choice(endpoint: str) -> None:
    """For emulators, and for servers inside one's own network."""
    text = EAST.replace("https://contoso-east.openai.azure.com", endpoint)
    assert check(parse(text, "smalt.yaml")).resources["east"].base_url == endpoint.partition("\n")[0]


def test_req_1_2_deployment_is_required_and_case_sensitive() -> None:
    """No deployment is an error; names that differ in case are different deployments."""
    with pytest.raises(InvalidDeployment, match="deployment ID is required"):
        check(parse(EAST.replace("{d: {model: gpt-4o}}", "{}"), "smalt.yaml"))
    both = EAST.replace("{d: ", "{GPT-4o: {model: a}, gpt-4o: ")
    assert list(check(parse(both, "smalt.yaml")).resources["east"].deployments) == ["GPT-4o", "gpt-4o"]
    wrong = f"models: {{gpt-4o: {{route: [east/D]}}}}\n{EAST}"
    with pytest.raises(ConfigurationError, match="resource east has no deployment 'D'"):
        check(parse(wrong, "smalt.yaml"))


def test_req_1_3_a_key_is_required() -> None:
    """Without key and identity no call can succeed."""
    with pytest.raises(MissingAuth, match="either APIKey or EntraToken must be provided"):
        check(parse(EAST.replace("api_keys: [k]", ""), "smalt.yaml"))


def test_req_1_3_a_token_will_do() -> None:
    """In place of the key; one that is empty is none."""
    with_token = EAST.replace("api_keys: [k]", "identity: {kind: token, token: t}")
    assert check(parse(with_token, "smalt.yaml")).resources["east"].identity
    with pytest.raises(MissingAuth, match=r"identity: either APIKey or EntraToken must be provided"):
        check(parse(with_token.replace("token: t}", "token: ''}"), "smalt.yaml"))


@pytest.mark.parametrize("written", ["2025-04-01-preview", "2024-06-01", "v1", "preview", "latest"])
def test_req_1_4_api_version_defaults_to_2024_10_21(written: str) -> None:
    """A setting overrides."""
    assert check(parse(EAST, "f")).resources["east"].api_version == "2024-10-21"
    text = EAST.replace("    api_keys", f"    api_version: {written}\n    api_keys")
    assert check(parse(text, "f")).resources["east"].api_version == written


@pytest.mark.parametrize(
    "written", ["2024", "2024-10", "24-10-21", "2024-13-01", "20241021", "V1", "2024-10-21-beta"]
)
def test_req_0_14_invalid_api_version_is_refused_before_any_call(written: str) -> None:
    """Azure would answer 404 without a word about the version."""
    text = EAST.replace("    api_keys", f"    api_version: {written}\n    api_keys")
    with pytest.raises(ConfigurationError, match=r"resources\.east\.api_version: expected a version such as"):
        check(parse(text, "f"))


@pytest.mark.parametrize("key", ["quota_tpm: 5k", "limit_tpm: 5k", "quota_rpm: 5", "quota: q"])
def test_a_limit_beside_ptu_is_refused(key: str) -> None:
    """It would do nothing."""
    text = EAST.replace("{model: gpt-4o}", f"{{model: m, sku: ProvisionedManaged, ptu: 5, {key}}}")
    with pytest.raises(ConfigurationError, match="does not apply beside ptu"):
        check(parse(f"{text}quotas: {{q: 5k}}\n", "f"))


def test_a_provisioned_deployment_without_ptu_may_have_a_limit() -> None:
    """Our own, as for any other."""
    text = EAST.replace("{model: gpt-4o}", "{model: m, sku: ProvisionedManaged, limit_tpm: 5k}")
    assert check(parse(text, "f")).resources["east"].deployments["d"].limit_tpm == 5_000


def test_what_nothing_can_serve_is_told_when_all_else_is_right(problems: Callable[..., list[str]]) -> None:
    """Before, it might only follow from another problem."""
    fenced = f"models: {{gpt-4o: {{residency: eu}}}}\nresidency: {{eu: [westeurope]}}\n{EAST}"
    assert problems(fenced) == [
        "1:19: models.gpt-4o.residency: residency leaves no upstream: east/d (its SKU is not known)"
    ]
    assert problems(f"store: postgresql://db/smalt\n{fenced}") == [f"1:1: store: {LATER}"]


def test_the_default_resource_may_have_no_deployments() -> None:
    """`azure/<deployment>` reaches it."""
    text = EAST.replace("east:", "default:").replace("{d: {model: gpt-4o}}", "{}")
    assert check(parse(text, "f")).resources["default"].deployments == {}


def test_a_private_link_endpoint_is_mended() -> None:
    """The certificate covers the public name only, and DNS leads that to the private address."""
    text = EAST.replace("contoso-east.openai", "contoso.privatelink.openai")
    assert check(parse(text, "f")).resources["east"].base_url == "https://contoso.openai.azure.com"


def test_settings_of_programs_are_checked_the_same_way() -> None:
    """Without positions."""
    check_settings(check(parse(EAST, "f")))
    with pytest.raises(ConfigurationError) as caught:
        check_settings(Settings.model_validate({"resources": {"east": {"endpoint": "foo"}}}))
    assert caught.value.problems == (
        "resources.east.endpoint: expected an https URL such as https://contoso.openai.azure.com",
        "resources.east.api_keys: either APIKey or EntraToken must be provided",
        "resources.east.deployments: deployment ID is required: name at least one deployment",
    )


def test_keys_of_the_gateway_have_no_other_source(problems: Callable[..., list[str]]) -> None:
    """They are compared, not sent: a reference would be taken for the key itself."""
    (problem,) = problems(EAST + "gateway: {keys: [{alias: a, key: 'keyring:ci'}]}")
    assert problem.endswith("gateway.keys[0].key: a keyring is not read for this; give the secret by ${VAR}")


IDENTITY = EAST.replace("api_keys: [k]", "identity: {}")


@pytest.mark.parametrize(
    ("identity", "lacking"),
    [
        ("{kind: client_secret, tenant_id: t, client_id: c}", ["client_secret"]),
        ("{kind: client_certificate, client_id: c}", ["tenant_id", "certificate_file"]),
        ("{kind: client_secret, tenant_id: t, client_id: c, client_secret: 'keyring:app'}", []),
        ("managed_identity", []),
        ("workload_identity", []),
        ("cli", []),
    ],
)
def test_each_kind_of_identity_names_what_it_needs(
    problems: Callable[..., list[str]], identity: str, lacking: list[str]
) -> None:
    """Before anybody is asked for a token."""
    found = problems(IDENTITY.replace("{}", identity, 1)) if lacking else []
    kind = identity.partition("kind: ")[2].partition(",")[0]
    assert [problem.partition("identity.")[2] for problem in found] == [
        f"{name}: {name} is required for the kind {kind}" for name in lacking
    ]
