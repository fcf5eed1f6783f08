"""What can be said without asking anybody: this machine, the packages, the settings, the model data."""

import platform
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.metadata import PackageNotFoundError, version

from pydantic import SecretStr

from smalt.config.advice import warnings
from smalt.config.endpoint import is_private_link
from smalt.config.environment import OTHER_VARIABLES, VARIABLES
from smalt.config.references import Reference, reference
from smalt.config.schema import Resource, Settings
from smalt.doctor.findings import Diagnosis, Finding, ok
from smalt.doctor.surroundings import Surroundings
from smalt.wire.models import model_table

OLD_PRICES = timedelta(days=90)
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


def of_machine(around: Surroundings) -> Iterator[Finding]:
    """Never what a variable holds, but its name."""
    names = [*(one.name for one in (*VARIABLES, *OTHER_VARIABLES)), *_TRUST]
    seen = [name for name in names if around.env.get(name)]
    seen += [name for name in _PROXIES if around.env.get(name) or around.env.get(name.lower())]
    versions = f"Python {platform.python_version()}, smalt {version('smalt')}"
    yield ok("environment", "", f"{versions}; set: {', '.join(seen) or 'none of our variables'}")


def of_packages(settings: Settings, around: Surroundings) -> Iterator[Finding]:
    """What this configuration needs beyond the base."""
    for module, package, what in _needed(settings):
        if around.installed(module):
            yield ok("packages", "", f"{package} {_version(package)}, for {what}")
            continue
        cause = f"{what} needs {package}, which is not installed here"
        mend = ("pip install 'smalt[azure]'",)
        yield Diagnosis("packages", "missing_package", cause, mend).fault("", f"no module {module}")


def _needed(settings: Settings) -> Iterator[tuple[str, str, str]]:
    resources = settings.resources.values()
    kinds = {kept.kind for one in resources for kept in map(_kept, one.api_keys) if kept}
    if "vault" in kinds:
        yield "azure.keyvault.secrets", "azure-keyvault-secrets", "keys in a Key Vault"
    if "keyring" in kinds:
        yield "keyring", "keyring", "keys in the keyring"
    if "vault" in kinds or any(map(_asks_entra, resources)):
        yield "azure.identity", "azure-identity", "Entra ID"


def _kept(key: SecretStr) -> Reference | None:
    return reference(key.get_secret_value())


def _asks_entra(resource: Resource) -> bool:
    return resource.identity is not None and resource.identity.kind != "token"


def of_settings(settings: Settings) -> Iterator[Finding]:
    """What `smalt check` says of a file that can be used."""
    leading = []
    for name, resource in settings.resources.items():
        if is_private_link(resource.endpoint):
            leading.append(f"resources.{name}.endpoint:")
            cause = (
                "no certificate is for a privatelink name; smalt asks the public one, which DNS leads to the "
                "private address, but other tools will fail"
            )
            mend = (f"endpoint: {resource.base_url}",)
            yield Diagnosis("endpoint", "privatelink", cause, mend).fault(name, resource.endpoint)
    told = [line for line in warnings(settings) if not line.startswith(tuple(leading or ["\0"]))]
    for line in told:
        yield Diagnosis("file", "advice", "it works, but should be mended").warning("", line)
    if not told and not leading:
        count = sum(len(resource.deployments) for resource in settings.resources.values())
        yield ok("file", "", f"{len(settings.resources)} resources, {count} deployments; nothing to mend")


def of_prices(around: Surroundings) -> Finding:
    """How old the data of models is that this version of smalt brings."""
    as_of = date.fromisoformat(model_table().as_of)
    age = around.today() - as_of
    if age <= OLD_PRICES:
        return ok("prices", "", f"models and prices are of {as_of}")
    cause = "costs may be wrong, and new models are unknown"
    mend = ("pip install --upgrade smalt", "or give your own: prices in smalt.yaml")
    return Diagnosis("prices", "old_prices", cause, mend).warning(
        "", f"models and prices are of {as_of}, {age.days} days old"
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "of unknown version"
