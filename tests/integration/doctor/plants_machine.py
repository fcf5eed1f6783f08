"""Planted: what is wrong with the file and the machine."""

import sys
from datetime import UTC, date, datetime, timedelta

from tests.integration.doctor.planting import Resources, World, plant


@plant("file", "unusable_settings", "cannot start")
def reference_to_a_vault_that_nobody_resolved(world: World) -> Resources:
    key = world.azure.keys("@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/aoai)")
    return {"east": world.azure.east(api_keys=key)}


@plant("file", "unusable_settings", "cannot start")
def variable_that_is_not_set(world: World) -> Resources:
    return {"east": world.azure.east(api_keys=["${NOT_SET_ANYWHERE}"])}


@plant("packages", "missing_package", "azure-identity")
def package_that_is_missing(world: World) -> Resources:
    world.azure.patch.setitem(sys.modules, "azure.identity", None)  # as if it were not there
    return {"east": world.azure.east(identity=world.azure.application("app"))}


@plant("clock", "clock_skew", "tokens are taken for over", is_warning=True)
def clock_that_is_wrong(world: World) -> Resources:
    world.azure.around["now"] = lambda: datetime.now(UTC) + timedelta(minutes=11)
    return {"east": world.azure.east()}


@plant("prices", "old_prices", "costs may be wrong", is_warning=True)
def model_data_of_long_ago(world: World) -> Resources:
    world.azure.around["today"] = lambda: date(2027, 3, 1)
    return {"east": world.azure.east({"cheap": {"model": "own-model"}})}


@plant("environment", "variable_disagrees", "another model", is_warning=True)
def variable_that_says_something_else(world: World) -> Resources:
    world.azure.patch.setenv("AZURE_OPENAI_GPT4O_DEPLOYMENT_NAME", "cheap")
    return {"east": world.azure.east({"gpt-4o-prod": {"model": "gpt-4o"}, "cheap": {"model": "gpt-4o-mini"}})}


@plant("deployment", "name_tells_other_model", "another model", is_warning=True)
def name_that_tells_another_model(world: World) -> Resources:
    return {"east": world.azure.east({"gpt-4o-prod": {"model": "gpt-4o-mini"}})}
