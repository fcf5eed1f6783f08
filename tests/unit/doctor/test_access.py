"""Refusals, read."""

from datetime import UTC, datetime

from smalt.config.schema import Resource
from smalt.doctor.access import Subject, of_refusal
from smalt.doctor.asking import Answer
from smalt.doctor.az import Account
from smalt.doctor.credentials import Shown
from smalt.doctor.tokens import Token

MOMENT = datetime(2026, 11, 21, tzinfo=UTC)


def test_a_subscription_is_one_word_to_the_shell() -> None:
    """Whatever azure_id holds."""
    resource = Resource.model_validate({"endpoint": "https://contoso.openai.azure.com"})
    subject = Subject(resource, Account("contoso", "rg", "`x`"), MOMENT, {})
    answer = Answer(400, {}, b'{"error": {"code": "", "message": "Tenant provided in token does not match"}}')
    refused = of_refusal(answer, Shown("the token", ("authorization", "Bearer t"), Token("t", {})), subject)
    assert refused is not None
    assert refused.code == "wrong_tenant"
    assert refused.mend[0] == "az account show --subscription '`x`' --query tenantId --output tsv"
