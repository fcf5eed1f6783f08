"""Which model a name means, and which version of it."""

import re

from smalt.wire.models import infer_model, model_data

# As OpenAI writes the day of a version. Whatever else follows a model is a word of one's own.
_DATED = re.compile(r"(.+)-(\d{4}-\d\d-\d\d|[01]\d[0-3]\d)")


def named(name: str) -> tuple[str | None, str]:
    """Model and version, where the name is a model's, with or without a provider before it. None: nobody
    knows it; empty: no version."""
    name = name.lower().rpartition("/")[2]
    dated = _DATED.fullmatch(name)
    if dated and (model := model_data(dated[1])):
        return model.name, dated[2]
    data = model_data(name)
    return (data.name if data else None), ""


def meant(name: str) -> tuple[str | None, str]:
    """The same of a name that people gave, such as `gpt-4o-prod`, which tells no version."""
    model, version = named(name)
    return (model, version) if model else (infer_model(name.rpartition("/")[2]), "")
