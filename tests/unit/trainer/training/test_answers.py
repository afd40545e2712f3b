"""The answers branch fitted at once is the logistic regression of scikit-learn, and no step could make it better."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from dermis.data.dataset import conditions_of, open_dataset
from dermis.shared.errors import DermisError
from dermis.trainer.config import Config, Stage
from dermis.trainer.model.head import Head, build_head
from dermis.trainer.model.inputs import features, targets
from dermis.trainer.training.answers import fit_answers
from dermis.trainer.training.batches import Cases
from dermis.trainer.training.loop import TrainedPart, TrainState
from dermis.trainer.training.train import fit_stage

pytestmark = pytest.mark.trainer
L2 = 0.004
CONFIG = Config(name="answers", head=Head(pooling="images", l2=L2), stages=(Stage(epochs=1, solver="lbfgs"),))


class NoImages:
    def load(self, places: Any, _rng: Any) -> Any:
        return np.zeros((len(places), 3, 1, 1, 4), np.float32), np.zeros((len(places), 3), bool)


def cases() -> Cases:
    dataset = open_dataset("generated:3:240")
    target, _ = targets(dataset.samples, conditions_of(dataset.samples))
    return Cases(
        source=NoImages(),
        features=features(dataset.samples, CONFIG.schema),
        target=target,
        weight=np.ones(len(target)),
        ids=tuple(sample.id for sample in dataset.samples),
    )


def new_part(training: Cases, head: Head = CONFIG.head) -> TrainedPart:
    columns, conditions = training.features.shape[1], training.target.shape[1]
    return TrainedPart(None, build_head((1, 1, 4), columns=columns, conditions=conditions, head=head))


def test_it_is_scikit_learns_logistic_regression() -> None:
    training = cases()
    part, state, seen = new_part(training), TrainState(), []
    stage = CONFIG.stages[0]
    fit_stage(
        part,
        training,
        training,
        config=CONFIG,
        stage=stage,
        state=state,
        on_epoch=lambda _state, metrics: seen.append(metrics),
    )
    rows, labels = np.nonzero(training.target)
    peer = LogisticRegression(C=1 / (2 * L2 * len(training)), max_iter=5000, tol=1e-8)
    peer.fit(training.features[rows], labels, sample_weight=training.target[rows, labels])
    images, mask = NoImages().load(range(len(training)), None)
    logits = np.asarray(part.infer(images, mask, training.features))
    ours = np.exp(logits - logits.max(1, keepdims=True))
    np.testing.assert_allclose(ours / ours.sum(1, keepdims=True), peer.predict_proba(training.features), atol=2e-3)
    assert state.epoch == state.total == 1
    assert seen[0]["loss"] > seen[0]["validation_loss"], "the penalty is part of the loss alone"


def test_a_problem_that_is_not_convex_is_refused() -> None:
    training = cases()
    for config in (replace(CONFIG, focal=2.0), replace(CONFIG, head=Head(answers_units=4)), replace(CONFIG, mixup=0.2)):
        with pytest.raises(DermisError, match=r"set head\.answers_units, focal and mixup to 0"):
            fit_answers(new_part(training), training, config)
