"""The rule of docs/how-to/upgrade.md: one version reads what its neighbours wrote."""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from dermis.shared import case, jobs
from dermis.shared.manifest import FeatureSchema, Manifest

GOLDEN = Path(__file__).parent / "facts"
LENIENT = {
    model.__name__: model
    for module in (case, jobs)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and (GOLDEN / f"{model.__name__}.json").exists()
}


@pytest.mark.parametrize("name", sorted(LENIENT))
def test_a_fact_of_the_next_version_is_read_but_for_what_is_new(name: str) -> None:
    written = json.loads((GOLDEN / f"{name}.json").read_text())
    assert LENIENT[name].model_validate({**written, "new_in_the_next_version": 1}) == LENIENT[name].model_validate(
        written
    )


@pytest.mark.parametrize("model", [Manifest, FeatureSchema])
def test_a_bundle_of_the_next_version_is_refused_and_not_half_understood(model: type[BaseModel]) -> None:
    written = json.loads((GOLDEN / f"{model.__name__}.json").read_text())
    model.model_validate(written)
    with pytest.raises(ValidationError, match="new_in_the_next_version"):
        model.model_validate({**written, "new_in_the_next_version": 1})
