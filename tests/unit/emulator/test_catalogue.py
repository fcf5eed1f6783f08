from smalt.emulator.catalogue import MODELS, listing


def test_answers_name_the_model_with_its_version() -> None:
    """Chat models are told with their version, embeddings models without."""
    assert MODELS["gpt-4"].served == "gpt-4-0613"
    assert MODELS["text-embedding-ada-002"].served == "text-embedding-ada-002"


def test_the_list_holds_every_model() -> None:
    """It tells what could be deployed, by served name."""
    assert [entry["id"] for entry in listing()["data"]] == [model.served for model in MODELS.values()]
