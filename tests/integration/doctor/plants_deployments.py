"""Planted: deployments that are not what the settings say."""

from tests.integration.doctor.planting import Resources, World, plant


@plant("version", "wrong_api_version", "2024-10-21 works")
def version_that_does_not_exist(world: World) -> Resources:
    both = {"gpt-4o-prod": {"model": "gpt-4o"}, "cheap": {"model": "gpt-4o-mini"}}
    return {"east": world.azure.east(both, api_version="2024-10-31")}


@plant("version", "wrong_api_version", "2024-10-21 works")
def version_of_one_deployment(world: World) -> Resources:
    both = {
        "gpt-4o-prod": {"model": "gpt-4o"},
        "cheap": {"model": "gpt-4o-mini", "api_version": "2024-10-31"},
    }
    return {"east": world.azure.east(both)}


@plant("deployment", "unknown_deployment", "is the name of a model")
def name_of_the_model(world: World) -> Resources:
    return {"east": world.azure.east({"gpt-4o": {"model": "gpt-4o"}})}


@plant("deployment", "unknown_deployment", "Did you mean gpt-4o-prod?")
def name_in_capitals(world: World) -> Resources:
    world.azure.known_as("app")
    return {"east": world.azure.east({"GPT-4o-Prod": {"model": "gpt-4o"}}, azure_id=world.azure.id("east"))}


@plant("deployment", "deployment_elsewhere", "it is on sweden")
def deployment_of_another_resource(world: World) -> Resources:
    return {"east": world.azure.east({"only-here": {"model": "gpt-4o"}}), "sweden": world.azure.sweden()}


@plant("deployment", "other_model", "get answers of gpt-4o-mini")
def another_model_behind_it(world: World) -> Resources:
    world.azure.known_as("app")
    return {"east": world.azure.east({"cheap": {"model": "gpt-4o"}}, azure_id=world.azure.id("east"))}


@plant("deployment", "other_model", "another kind than gpt-4o")
def embeddings_in_place_of_chat(world: World) -> Resources:
    return {"east": world.azure.east({"embeddings": {"model": "gpt-4o"}})}


@plant("deployment", "other_version", "Azure has upgraded it")
def another_version_behind_it(world: World) -> Resources:
    world.azure.known_as("app")
    served = {"gpt-4o-august": {"model": "gpt-4o-2024-11-20"}}
    return {"east": world.azure.east(served, azure_id=world.azure.id("east"))}


@plant("deployment", "other_sku", "the wrong type", is_warning=True)
def another_type_of_deployment(world: World) -> Resources:
    world.azure.known_as("app")
    served = {"gpt-4o-prod": {"model": "gpt-4o", "sku": "GlobalStandard"}}
    return {"east": world.azure.east(served, azure_id=world.azure.id("east"))}


@plant("quota", "quota_above_grant", "refused with 429")
def quota_that_azure_does_not_grant(world: World) -> Resources:
    world.azure.known_as("app")
    served = {"gpt-4o-prod": {"model": "gpt-4o", "quota_tpm": "240k"}}
    return {"east": world.azure.east(served, azure_id=world.azure.id("east"))}


@plant("quota", "quota_above_grant", "reckoned too low")
def units_that_azure_does_not_have(world: World) -> Resources:
    world.azure.known_as("app")
    served = {"gpt-4o-ptu": {"model": "gpt-4o", "sku": "ProvisionedManaged", "ptu": 80}}
    return {"east": world.azure.east(served, azure_id=world.azure.id("east"))}


@plant("control plane", "other_region", "the wrong region", is_warning=True)
def region_of_another_resource(world: World) -> Resources:
    world.azure.known_as("app")
    return {"east": world.azure.east(region="westeurope", azure_id=world.azure.id("east"))}


@plant("control plane", "azure_id", "not of the form")
def azure_id_that_is_a_name(world: World) -> Resources:
    return {"east": world.azure.east(azure_id="contoso-east")}


@plant("control plane", "azure_id", "azure_id is that of another")
def azure_id_of_nothing(world: World) -> Resources:
    world.azure.known_as("app")
    return {
        "east": world.azure.east(azure_id=world.azure.id("east").replace("accounts/east", "accounts/west"))
    }


@plant("retirement", "retired_model", "was retired on 2025-04-30")
def deployment_that_was_retired(world: World) -> Resources:
    return {"east": world.azure.east({"long": {"model": "gpt-35-turbo-16k"}})}


@plant("retirement", "retired_model", "will stop to answer", is_warning=True)
def model_past_its_date(world: World) -> Resources:
    return {"east": world.azure.east({"veteran": {"model": "gpt-4"}})}
