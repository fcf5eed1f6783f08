"""How the gateway and everything it depends on is; made for people and programs that watch it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from smalt.dispatch.heads import CredentialStatus
from smalt.gateway.current import Current
from smalt.redact import redacted

WHEN_LOST: Final = {
    "configuration": "fail open: a file that cannot be used changes nothing, what is in force stays",
    "credentials": "fail open: what was read last is used until it is over or refused; then fail closed: the "
    "resource is avoided while others serve",
    "upstreams": "fail open while another one serves the model; then fail closed: callers get an error, or "
    "what is configured under degraded",
}


def lost_models(current: Current) -> list[str]:
    """Those for which nothing is available, and without which the gateway is not ready."""
    required = current.now.settings.gateway.ready_models
    unavailable = current.now.assembly.dispatcher.unavailable_models()
    return [name for name in unavailable if not required or name in required]


def report(current: Current) -> dict[str, Any]:
    """`status`: `ok`, `degraded` while something rests or is refused that others stand in for, `unavailable`
    while a model is lost without which the gateway is not ready. `when_lost`: what each loss does to calls.
    """
    now, problems = current.now, current.problems
    dispatcher = now.assembly.dispatcher
    upstreams = {
        status.name: {"state": status.state, "reason": status.reason} for status in dispatcher.status()
    }
    credentials = {
        name: list(_credentials(target.heads.status())) for name, target in now.assembly.targets.items()
    }
    troubles = [*upstreams.values(), *(shown for of_one in credentials.values() for shown in of_one)]
    well = not problems and all(shown.get("reason") is None for shown in troubles)
    return {
        "status": "unavailable" if lost_models(current) else "ok" if well else "degraded",
        "models_without_upstream": dispatcher.unavailable_models(),
        "upstreams": upstreams,
        "credentials": credentials,
        "configuration": {"in_force_since": _told(now.since), "problems": problems},
        "when_lost": WHEN_LOST,
    }


def _credentials(all_of_one: list[CredentialStatus]) -> Iterator[dict[str, str | None]]:
    """Without a word of what is secret."""
    at, now_s = datetime.now(UTC), time.monotonic()
    for status in all_of_one:
        since = None if status.since_s is None else at - timedelta(seconds=now_s - status.since_s)
        yield {
            "state": status.state,
            "reason": None if status.trouble is None else redacted(status.trouble),
            "since": None if since is None else _told(since),
        }


def _told(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
