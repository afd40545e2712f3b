"""What stands in stores and queues today must be readable for ever: each example parses and is written as it was.

A new field has a default, so the old example still passes; then add a second example that has it. Never change one.
"""

import json
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from dermis.shared import api_keys, batches, case, jobs, manifest, reviews
from dermis.shared.case import Fact
from dermis.shared.evaluation import EvaluationReport
from dermis.shared.promotions import PromotionFact
from dermis.trainer.records import facts

MODELS: dict[str, type[BaseModel]] = {
    model.__name__: model
    for model in (
        *(case.Received, case.Assessed, case.Outcome, case.Failed, case.Erased, case.OpenCase, case.GivenFeedback),
        *(batches.BatchJob, batches.BatchManifest, batches.BatchRow, batches.BatchErased, batches.BatchResult),
        *(api_keys.ApiKey, api_keys.Revoked),
        *(jobs.AssessJob, manifest.Manifest, manifest.FeatureSchema, manifest.Current),
        *(facts.Started, facts.Resumed, facts.Epoch, facts.RunStopped, facts.RunFailed, facts.RunFinished),
        facts.Checkpoint,
        *(PromotionFact, EvaluationReport, reviews.Review, reviews.Adjudication),
    )
}
EXAMPLES = sorted((Path(__file__).parent / "facts").glob("*.json"))


def model_of(example: Path) -> type[BaseModel]:
    return MODELS[example.stem.partition("-")[0]]


def test_every_model_has_an_example() -> None:
    assert {model_of(example) for example in EXAMPLES} == set(MODELS.values())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_is_read_and_written_as_it_was(example: Path) -> None:
    model = model_of(example)
    text = example.read_text()
    read = model.model_validate_json(text)
    assert json.loads(read.model_dump_json(exclude_unset=True)) == json.loads(text)
    assert model.model_validate_json(read.model_dump_json()) == read
    assert model.model_validate(read.model_dump(mode="json")) == read


@pytest.mark.parametrize("name", MODELS)
def test_the_examples_of_a_model_show_every_field(name: str) -> None:
    model = MODELS[name]
    shown = [
        model.model_validate_json(example.read_text()).model_fields_set
        for example in EXAMPLES
        if model_of(example) is model
    ]
    assert set().union(*shown) == set(model.model_fields)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_a_field_from_the_future_is_kept_by_reports_ignored_by_facts_and_jobs_and_refused_by_bundles(
    example: Path,
) -> None:
    model = model_of(example)
    newer = {**json.loads(example.read_text()), "from_the_future": 1}
    if issubclass(model, EvaluationReport):
        assert json.loads(model.model_validate(newer).model_dump_json(exclude_unset=True)) == newer
    elif issubclass(model, Fact | jobs.AssessJob | batches.BatchModel | manifest.Current):
        assert model.model_validate(newer) == model.model_validate_json(example.read_text())
    else:
        with pytest.raises(ValidationError, match="from_the_future"):
            model.model_validate(newer)


def test_a_job_is_under_1_kb() -> None:
    assert len(jobs.AssessJob(case_id="case_" + "0" * 26, owner="o" * 255).model_dump_json()) < 1000
    assert jobs.wakeup_channel("case_1") == "dermis:case:case_1"
    assert (jobs.CASES_QUEUE, jobs.ASSESS) == ("cases", "case.assess")
