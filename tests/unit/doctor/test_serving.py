"""What a server says of its deployments."""

import ssl

from smalt.config.schema import Resource
from smalt.doctor.asking import Answer
from smalt.doctor.patient import Patient
from smalt.doctor.serving import Serving
from smalt.doctor.surroundings import Surroundings

NO_MODEL = b'{"error": {"code": "model_not_found", "message": "The model does not exist"}}'


def test_an_endpoint_is_one_word_to_the_shell() -> None:
    """Whatever its path."""
    resource = Resource.model_validate(
        {
            "kind": "openai",
            "endpoint": "https://litellm.contoso.com/$(x)/v1",
            "deployments": {"m": {"model": "gpt-4o"}},
        }
    )
    patient = Patient("proxy", resource, ssl.create_default_context(), Surroundings({}))
    serving = Serving(patient, lambda _: Answer(404, {}, NO_MODEL), lambda _: None, None)
    (finding,) = serving.findings()
    assert finding.code == "unknown_deployment"
    assert finding.mend[0].startswith(
        "curl --header 'Authorization: Bearer KEY' 'https://litellm.contoso.com/$(x)/v1/models'"
    )
