"""Why a host that takes connections gives no HTTP answer."""

from smalt.doctor.findings import Diagnosis

LOOK = ("ask again later", "look into the log of the server, or of what stands between")


def of_silence(error: Exception) -> Diagnosis:
    """`error`: what asking raised after the connection was there."""
    if isinstance(error, TimeoutError):
        cause = "it took the request and says nothing: overloaded, or a proxy that waits for another"
        return Diagnosis("connection", "answer_timeout", cause, LOOK)
    cause = "it took the request and broke off: a middlebox, or a server that is broken"
    return Diagnosis("connection", "no_answer", cause, LOOK)


def heard(error: Exception) -> str:
    """What is told of it."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"{type(error).__name__}: {error}"[:200]
