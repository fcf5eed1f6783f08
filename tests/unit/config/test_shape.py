"""What does not fit the schema, in plain sentences."""

import pytest

from smalt.config.fill import fill_variables
from smalt.config.read import parse
from smalt.config.shape import shape

SECRET = "abc123secret"


def faults(text: str, **env: str) -> list[str]:
    document = parse(text, "f")
    fill_variables(document, env)
    shape(document)
    return [str(problem).removeprefix("f:") for problem in document.problems]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("retry: 5", "1:1: retry: expected a mapping such as {key: value}, got text"),
        ("retry: [5]", "1:1: retry: expected a mapping such as {key: value}, got a list"),
        ("resources: x", "1:1: resources: expected a mapping such as {key: value}, got text"),
        ("resources: {east: }", "1:13: resources.east: expected a mapping such as {key: value}, got nothing"),
        ("retry: {max_attempts: -5}", "1:9: retry.max_attempts: expected a whole number above 0, got -5"),
        ("retry: {max_attempts: 1.5}", "1:9: retry.max_attempts: expected a whole number above 0, got 1.5"),
        (
            "retry: {max_attempts: [1]}",
            "1:9: retry.max_attempts: expected a whole number above 0, got a list",
        ),
        ("retry: {base_s: 1s}", "1:9: retry.base_s: expected a number of seconds, 0 or more, got '1s'"),
        ("timeouts: {total_s: 0}", "1:12: timeouts.total_s: expected a number of seconds above 0, got 0"),
        ("retry: {after_timeout: maybe}", "1:9: retry.after_timeout: expected true or false, got 'maybe'"),
        ("retry: {after_timeout: {}}", "1:9: retry.after_timeout: expected true or false, got a mapping"),
        (
            "resources: {e: {api: v2}}",
            "1:17: resources.e.api: expected 'auto', 'classic' or 'v1', got 'v2'",
        ),
        (
            "models: {m: {strategy: least-latency}}",
            (
                "1:14: models.m.strategy: expected 'least_loaded', 'round_robin', 'weighted', 'random' or "
                "'least_latency', got 'least-latency'; did you mean 'least_latency'?"
            ),
        ),
        (
            "models: {m: {strategy: simple-shuffle}}",
            (
                "1:14: models.m.strategy: expected 'least_loaded', 'round_robin', 'weighted', 'random' or "
                "'least_latency', got 'simple-shuffle'; did you mean 'weighted'?"
            ),
        ),
        (
            "agents: {a: {needs: [tool]}}",
            (
                "1:22: agents.a.needs[0]: expected 'tools', 'vision', 'structured_outputs' or 'reasoning', "
                "got 'tool'; did you mean 'tools'?"
            ),
        ),
        (
            "agents: {a: {needs: [{}]}}",
            (
                "1:22: agents.a.needs[0]: expected 'tools', 'vision', 'structured_outputs' or 'reasoning', "
                "got a mapping"
            ),
        ),
        ("resources: {e: {region: [x]}}", "1:17: resources.e.region: expected text, got a list"),
        (
            "resources: {e: {identity: [x]}}",
            "1:17: resources.e.identity: expected a mapping such as {key: value}, got a list",
        ),
        (
            "resources: {e: {identity: x}}",
            (
                "1:17: resources.e.identity.kind: expected 'default', 'managed_identity', "
                "'workload_identity', 'client_secret', 'client_certificate', 'cli' or 'token', got 'x'"
            ),
        ),
        (
            "resources: {e: {api_keys: x}}",
            "1:17: resources.e.api_keys: expected a list such as [a, b], got text",
        ),
        (
            "resources: {e: {api_keys: [{}]}}",
            "1:28: resources.e.api_keys[0]: expected text, got a mapping; text with braces needs quotes",
        ),
        ("models: {m: {route: east/d}}", "1:14: models.m.route: expected a list such as [a, b], got text"),
        (
            "models: {m: {route: [{}]}}",
            "1:22: models.m.route[0]: expected a list such as [a, b], got a mapping",
        ),
        ("models: {m: {route: [[[x]]]}}", "1:23: models.m.route[0][0]: expected text, got a list"),
        (
            "gateway: {keys: [abc]}",
            "1:18: gateway.keys[0]: expected a mapping such as {key: value}, got text",
        ),
        (
            "agents: {a: {temperature: hot}}",
            "1:14: agents.a.temperature: expected a number from 0 to 2, got 'hot'",
        ),
        ("budgets: {}", "1:1: budgets: expected a list such as [a, b], got a mapping"),
    ],
)
def test_a_value_of_the_wrong_kind_is_a_plain_sentence(text: str, fault: str) -> None:
    """What was expected, and what is there."""
    assert faults(text) == [fault]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("resource: {}", "1:1: resource: unknown key; did you mean 'resources'?"),
        ("resources: {e: {endpoit: x}}", "1:17: resources.e.endpoit: unknown key; did you mean 'endpoint'?"),
        (
            "resources: {e: {api_base: x}}",
            "1:17: resources.e.api_base: unknown key; did you mean 'endpoint'?",
        ),
        ("resources: {e: {api_key: x}}", "1:17: resources.e.api_key: unknown key; did you mean 'api_keys'?"),
        (
            "gateway: {keys: [{api_key: x}]}",
            "1:19: gateway.keys[0].api_key: unknown key; did you mean 'key'?",
        ),
        ("num_retries: 3", "1:1: num_retries: unknown key; did you mean 'retry.max_attempts'?"),
        ("gateway: {colour: x}", "1:11: gateway.colour: unknown key"),
        ("<<: {}", "1:1: <<: unknown key"),
        (
            "resources: {e: {deployments: {d: {tpm: 5}}}}",
            "1:35: resources.e.deployments.d.tpm: unknown key; did you mean 'quota_tpm'?",
        ),
        (
            "resources: {e: {deployments: {d: {rpm: 5}}}}",
            "1:35: resources.e.deployments.d.rpm: unknown key; did you mean 'quota_rpm'?",
        ),
        (
            "breaker: {cooldown_time: 5}",
            "1:11: breaker.cooldown_time: unknown key; did you mean 'open_s'?",
        ),
        (
            "resources: {e: {deployments: {d: {priority: 5}}}}",
            "1:35: resources.e.deployments.d.priority: unknown key; did you mean 'route'?",
        ),
    ],
)
def test_an_unknown_key_comes_with_a_suggestion(text: str, fault: str) -> None:
    """From the spelling, or from the words of other tools."""
    assert faults(text) == [fault]


def test_all_faults_are_found_at_once() -> None:
    """And what is left is still there to be checked further."""
    document = parse(
        "retry: {max_attempts: x, base_s: y, cap_s: 9}\nfoo: 1\ngateway: {keys: [1, {bar: 2}]}", "f"
    )
    settings = shape(document)
    assert [problem.path for problem in document.problems] == [
        "retry.max_attempts",
        "retry.base_s",
        "gateway.keys[0]",
        "gateway.keys[1].bar",
        "foo",
    ]
    assert settings.retry.cap_s == 9


@pytest.mark.parametrize(
    "text",
    [
        "resources: {e: {api_keys: KEY}}",
        "resources: {e: {api_keys: [[KEY]]}}",
        "resources: {e: {api_keys: {a: KEY}}}",
        "resources: KEY",
        "gateway: {admin_key: [KEY]}",
        "gateway: {keys: [KEY]}",
        "gateway: {keys: KEY}",
        "gateway: {keys: [{key: [KEY]}]}",
        "gateway: KEY",
        "unknown: KEY",
    ],
)
def test_a_misplaced_key_is_never_shown(text: str) -> None:
    """Where structure is missing, the value may be a secret."""
    assert faults(text.replace("KEY", SECRET))
    assert SECRET not in str(faults(text.replace("KEY", SECRET)))


def test_the_value_of_a_variable_is_never_shown() -> None:
    """The message shows what is written."""
    assert faults("retry: {max_attempts: '${KEY}'}", KEY=SECRET) == [
        "1:9: retry.max_attempts: expected a whole number above 0, got ${KEY}"
    ]


def test_long_texts_are_never_shown() -> None:
    """They may be keys."""
    assert faults(f"retry: {{max_attempts: {SECRET * 3}}}") == [
        "1:9: retry.max_attempts: expected a whole number above 0, got text"
    ]
