"""A standardised head measures its features batch by batch, and comes to what all of them at once would give."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dermis.trainer.model.head import Head, build_head
from dermis.trainer.training.batches import Cases
from dermis.trainer.training.stages import MEASURED_AT_ONCE, measure_features

pytestmark = pytest.mark.trainer
CASES = 2 * MEASURED_AT_ONCE + 5


class Drawn:
    """Features of cases with one to three images; the first channel is far from zero and hardly varies."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.maps = rng.normal(0, 2, (CASES, 3, 2, 2, 6)).astype(np.float32)
        self.maps[..., 0] = 300 + self.maps[..., 0] * 0.05
        self.mask = rng.uniform(size=(CASES, 3)) < 0.6
        self.most = 0

    def load(self, places: Any, _rng: Any) -> Any:
        self.most = max(self.most, len(places))
        return self.maps[places], self.mask[places]


def test_mean_and_spread_are_those_of_all_features_and_no_more_than_a_batch_is_read() -> None:
    source = Drawn()
    head = build_head((2, 2, 6), columns=3, conditions=2, head=Head(pooling="images", standardised=True))
    plan: Any = SimpleNamespace(part=SimpleNamespace(rest=None, head=head))
    cases = Cases(
        source=source,
        features=np.zeros((CASES, 3)),
        target=np.zeros((CASES, 2)),
        weight=np.ones(CASES),
        ids=tuple(map(str, range(CASES))),
    )
    measure_features(plan, cases)
    layer, pooled = head.get_layer("standardise"), source.maps[source.mask].mean((1, 2))
    np.testing.assert_allclose(layer.mean, pooled.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.spread, pooled.std(0), rtol=1e-2)
    assert source.most == MEASURED_AT_ONCE
