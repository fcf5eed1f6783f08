"""Who may use a resource's data plane: by key or by Entra token, refused in the words of the service."""

from dataclasses import dataclass

from smalt.emulator.identity.directory import FOUNDRY_AUDIENCE, OPENAI_AUDIENCE, Directory, Unfit
from smalt.emulator.identity.keys import KeyPair
from smalt.emulator.identity.spec import Principal
from smalt.emulator.refusals import named
from smalt.emulator.server import Request

_V1 = "/openai/v1/"
_OPENAI = "Microsoft.CognitiveServices/accounts/OpenAI"


@dataclass(frozen=True, slots=True)
class Caller:
    """`name`: key1, key2 or entra:NAME. `principal`: None if a key was shown."""

    name: str
    principal: Principal | None = None


class Gate:
    """That of one resource. `keys`: None while they are disabled (disableLocalAuth)."""

    def __init__(self, directory: Directory, arm_id: str) -> None:
        self._directory = directory
        self._arm_id = arm_id

    def authenticate(self, request: Request, keys: KeyPair | None, now: float) -> Caller:
        """Raises `Refusal`. If a key and a token are shown the key counts."""
        v1 = request.path.startswith(_V1)
        shown = request.header("api-key")
        bearer = (request.header("authorization") or "").removeprefix("Bearer ")
        if not shown and v1 and bearer.count(".") != 2:  # there a key may come as bearer token
            shown = bearer
        if not shown:
            return self._by_token(request, v1=v1, now=now)
        if keys is None:
            raise named("local_auth_disabled")
        name = keys.name_of(shown)
        if name is None:
            raise named("invalid_api_key")
        return Caller(name)

    def _by_token(self, request: Request, *, v1: bool, now: float) -> Caller:
        audiences = {OPENAI_AUDIENCE, FOUNDRY_AUDIENCE} if v1 else {OPENAI_AUDIENCE}
        try:
            principal = self._directory.check(request, audiences, now)
        except Unfit as unfit:
            if unfit.reason != "tenant":
                raise named("missing_or_bad_token") from None
            text = f"Token tenant {unfit.claims['tid']} does not match resource tenant."
            raise named("wrong_tenant", message=text) from None
        return Caller(f"entra:{principal.name}", principal)

    def authorize(self, caller: Caller, operation: str, now: float) -> None:
        """Whether a role allows the operation; a key allows all. Raises `Refusal`."""
        if caller.principal is None:
            return
        action = _data_action(operation)
        if not self._directory.allows(caller.principal, action, self._arm_id, now, data=True):
            raise named(
                "permission_denied_data_action",
                message=f"The principal `{caller.principal.object_id}` lacks the required data action "
                f"`{action}`.",
            )


def _data_action(operation: str) -> str:
    match operation.split("/"):
        case ["models"]:
            return f"{_OPENAI}/models/read"
        case ["responses", "retrieve" | "input_items"]:
            return f"{_OPENAI}/responses/read"
        case ["responses", "delete"]:
            return f"{_OPENAI}/responses/delete"
        case ["responses", *_]:
            return f"{_OPENAI}/responses/write"
        case _:
            return f"{_OPENAI}/deployments/{operation}/action"
