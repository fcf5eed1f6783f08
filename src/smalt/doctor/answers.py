"""What an answer to a question that must be refused says of the api-version and the deployment."""

from typing import Literal

from smalt.doctor.asking import Answer
from smalt.doctor.questions import Place
from smalt.wire.classify import error_object
from smalt.wire.models import model_data

Meaning = Literal[
    "served", "no_deployment", "no_path", "other_operation", "retired", "redirected", "not_well", "refused"
]
_MISSING = ("DeploymentNotFound", "model_not_found")


def read(answer: Answer, place: Place) -> Meaning:
    """`served`: the deployment is there. `no_path`: path or version are not known. `refused`: the credential
    is not accepted. `not_well`: the server cannot say now."""
    error = error_object(answer.body)
    code, text = str(error.get("code") or ""), str(error.get("message") or "")
    match answer.status:
        case 401 | 403 | 407:
            return "refused"
        case 404:
            return "no_deployment" if code in _MISSING else "no_path"
        case 410:
            return "retired"
        case 400 if code == "OperationNotSupported":
            return "other_operation" if model_data(place.model) and place.askable else "served"
        case 400 if "api version not supported" in text.lower():
            return "no_path"
        case status if status >= 500:
            return "not_well"
        case status if 300 <= status < 400:
            return "redirected"
        case _:
            return "served"
