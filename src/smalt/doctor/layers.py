"""Whether the environment, the proxy's names and the settings mean the same model by the same deployment."""

from collections.abc import Iterator, Mapping

from smalt.config.environment import VARIABLES
from smalt.config.schema import Settings
from smalt.doctor.credentials import is_proxy
from smalt.doctor.findings import Diagnosis, Finding
from smalt.doctor.model_names import meant, named

_CAUSE = "callers get answers of another model than the name tells, at another price"


def of_layers(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    """Warnings only: what really answers is asked elsewhere. Nothing if all agree."""
    yield from _names(settings)
    yield from _paths(settings)
    yield from _environment(settings, env)


def _names(settings: Settings) -> Iterator[Finding]:
    """A deployment whose name tells one model while its settings say another."""
    for resource_name, resource in settings.resources.items():
        for name, spec in resource.deployments.items():
            told, model = meant(name)[0], named(spec.model)[0]
            if told and model and told != model:
                mend = (f"model: {told}   # or another deployment",)
                yield Diagnosis("deployment", "name_tells_other_model", _CAUSE, mend).warning(
                    f"{resource_name}/{name}", f"the name tells {told}, model is {spec.model}"
                )


def _paths(settings: Settings) -> Iterator[Finding]:
    """One deployment, reached directly and by a proxy, under two models."""
    direct, proxied = (
        {
            (name.removeprefix("azure/"), resource_name): spec.model
            for resource_name, resource in settings.resources.items()
            if is_proxy(resource) is behind
            for name, spec in resource.deployments.items()
            if not behind or name.startswith("azure/")
        }
        for behind in (False, True)
    )
    for (name, proxy), model in proxied.items():
        for (other, resource), expected in direct.items():
            if name == other and model != expected:
                mend = (f"give both the model {expected}, or the proxy's deployment another name",)
                yield Diagnosis("deployment", "paths_disagree", _CAUSE, mend).warning(
                    f"{proxy}/azure/{name}", f"model is {model} by way of {proxy}, {expected} at {resource}"
                )


def _environment(settings: Settings, env: Mapping[str, str]) -> Iterator[Finding]:
    """Variables that name a deployment of a model, where the settings give it another model, or lack it."""
    served: dict[str, set[str]] = {}
    for resource in settings.resources.values():
        for name, spec in resource.deployments.items():
            served.setdefault(name, set()).add(spec.model)
    for variable in VARIABLES:
        name = env.get(variable.name, "").strip()
        if variable.model is None or not name or variable.model in served.get(name, ()):
            continue
        if name in served:
            found = f"{variable.name} says {name} for {variable.model}, the settings say {_or(served[name])}"
        elif any(variable.model in models for models in served.values()):
            found = f"{variable.name} names {name}, which no resource of the settings has"
        else:
            continue  # the settings are about other models
        mend = (f"unset {variable.name}   # or make both say the same",)
        yield Diagnosis("environment", "variable_disagrees", _CAUSE, mend).warning("", found)


def _or(models: set[str]) -> str:
    return " or ".join(sorted(models))
