"""What was promised of the doctor, by number."""

import pytest
from tests.integration.doctor.conftest import SUBDOMAIN, Azure
from tests.integration.doctor.proxy import connect_proxy

from smalt.doctor.findings import Finding


def one(findings: tuple[Finding, ...], area: str, subject: str = "east") -> Finding:
    (found,) = [finding for finding in findings if (finding.area, finding.subject) == (area, subject)]
    return found


def test_req_1_34_the_missing_role_is_named(azure: Azure) -> None:
    """Role, scope and principal, in a command that can be typed as it stands."""
    azure_id, owner = azure.id("east"), azure.handle.state()["identity"]["principals"]["owner"]["object_id"]
    findings = azure.findings({"east": azure.east(identity=azure.application("owner"), azure_id=azure_id)})
    fault = one(findings, "authentication")
    assert "'Cognitive Services OpenAI User'" in fault.cause
    assert azure_id in fault.cause
    assert fault.mend[0] == (
        f"az role assignment create --assignee-object-id {owner} --assignee-principal-type ServicePrincipal "
        f"--role 'Cognitive Services OpenAI User' --scope {azure_id}"
    )


def test_req_2_9_the_name_of_a_private_endpoint(azure: Azure) -> None:
    """The resource's own name at a private address is right; a privatelink name is a fault."""
    azure.names[SUBDOMAIN] = ["10.1.2.3"]
    azure.patch.setenv("HTTPS_PROXY", connect_proxy({SUBDOMAIN: "127.0.0.1"}))  # leads to the private address
    endpoint = f"https://{SUBDOMAIN}:{azure.port('east')}"
    right = azure.findings({"east": azure.east(endpoint=endpoint)})
    assert one(right, "name").found == f"{SUBDOMAIN} has the private address 10.1.2.3"
    assert [finding.subject for finding in right if finding.verdict == "fault"] == []
    wrong = azure.findings(
        {"east": azure.east(endpoint=endpoint.replace(".openai.", ".privatelink.openai."))}
    )
    fault = one(wrong, "endpoint")
    assert (fault.verdict, fault.code) == ("fault", "privatelink")
    assert "no certificate is for a privatelink name" in fault.cause
    assert fault.mend == (f"endpoint: {endpoint}",)


def test_req_4_5_private_endpoints(azure: Azure) -> None:
    """Private DNS, an authority of one's own, and the proxy that should be bypassed."""
    azure.names[SUBDOMAIN] = ["10.1.2.3"]
    azure.sections["network"] = {"ca_file": str(azure.handle.ca_file)}
    azure.patch.delenv("SSL_CERT_FILE")
    azure.patch.setenv("HTTPS_PROXY", connect_proxy({SUBDOMAIN: "127.0.0.1"}))
    findings = azure.findings({"east": azure.east(endpoint=f"https://{SUBDOMAIN}:{azure.port('east')}")})
    assert "private address" in one(findings, "name").found
    assert one(findings, "tls").verdict == "ok"
    warning = one(findings, "proxy")
    assert (warning.verdict, warning.code) == ("warning", "private_through_proxy")
    assert warning.mend[0].startswith("export NO_PROXY=")
    assert SUBDOMAIN in warning.mend[0]


def test_req_4_8_a_key_as_bearer_token_at_azure_itself(azure: Azure) -> None:
    """The audience that Azure complains of is no audience: a key was sent as token."""
    token = azure.key("east-key-1", "TOKEN")
    findings = azure.findings({"east": azure.east(identity={"kind": "token", "token": token})})
    fault = one(findings, "authentication")
    assert "audience is incorrect" in fault.found
    assert fault.code == "key_as_bearer"
    assert "east-key-1" not in repr(findings)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("cheap", "AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME says cheap for gpt-4o, the settings say gpt-4o-mini"),
        ("gone", "AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME names gone, which no resource of the settings has"),
    ],
)
def test_req_4_9_the_environment_disagrees(name: str, says: str, azure: Azure) -> None:
    """A variable that code may read names another deployment than the settings."""
    azure.patch.setenv("AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME", name)
    served = {"gpt-4o-prod": {"model": "gpt-4o"}, "cheap": {"model": "gpt-4o-mini"}}
    findings = azure.findings({"east": azure.east(served)})
    assert [one.found for one in findings if one.code == "variable_disagrees"] == [says]


def test_req_4_9_the_ways_disagree(azure: Azure) -> None:
    """One deployment under two models: straight, and by the proxy."""
    proxy = azure.east(
        {"azure/gpt-4o-prod": {"model": "gpt-4.1"}},
        kind="openai",
        endpoint=f"{azure.handle.url('east')}/openai/v1",
    )
    findings = azure.findings({"east": azure.east(), "proxy": proxy})
    (warning,) = [finding for finding in findings if finding.code == "paths_disagree"]
    assert warning.found == "model is gpt-4.1 by way of proxy, gpt-4o at east"
