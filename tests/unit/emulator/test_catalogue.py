from smalt.emulator.catalogue import ALL_MODELS, MODELS, listed, listing, model_of, versions_of


def test_answers_name_the_model_with_its_version() -> None:
    """Language models are told with their version, embeddings models without."""
    assert MODELS["gpt-4"].served == "gpt-4-0613"
    assert MODELS["text-embedding-ada-002"].served == "text-embedding-ada-002"


def test_the_list_holds_every_model() -> None:
    """It tells what could be deployed, by served name, and so does each entry by itself."""
    served = [model.served for model in ALL_MODELS]
    assert [entry["id"] for entry in listing()["data"]] == served
    assert len(set(served)) == len(served)
    entry = listed("gpt-4o-2024-08-06")
    assert entry
    assert entry["capabilities"]["chat_completion"]
    assert listed("gpt-4o") is None


def test_a_model_without_version_is_the_newest() -> None:
    """Of several versions the newest stands first."""
    assert versions_of("gpt-4o") == ["2024-11-20", "2024-08-06", "2024-05-13"]
    assert model_of("gpt-4o") == MODELS["gpt-4o"] == model_of("gpt-4o", "2024-11-20")
    assert model_of("gpt-4o", "2024-05-13").max_output == 4_096
    for model in ALL_MODELS:
        assert MODELS[model.name].version >= model.version


def test_reasoning_begins_as_the_model_does_by_itself() -> None:
    """The default effort is one of those it takes: none since 5.1, but only where none exists."""
    reasoning = [model for model in ALL_MODELS if model.reasons]
    assert all(model.effort in model.efforts for model in reasoning)
    efforts = {name: MODELS[name].effort for name in ("o3", "gpt-5", "gpt-5.1", "gpt-5-pro", "gpt-6.1-sol")}
    assert efforts == {
        "o3": "medium",
        "gpt-5": "medium",
        "gpt-5.1": "none",
        "gpt-5-pro": "high",
        "gpt-6.1-sol": "medium",
    }


def test_later_families_limit_input_alone() -> None:
    """272,000 tokens of gpt-5, 922,000 since gpt-5.4; the o-series has one window."""
    limits = {name: MODELS[name].max_input for name in ("gpt-5", "gpt-5.4", "gpt-6-sol", "o3")}
    assert limits == {"gpt-5": 272_000, "gpt-5.4": 922_000, "gpt-6-sol": 922_000, "o3": 200_000}
