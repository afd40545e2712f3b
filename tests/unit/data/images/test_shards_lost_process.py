"""An image that takes the measuring process along is named, and all others are measured."""

from pathlib import Path

import pytest

from dermis.data.images import shards
from dermis.data.images.measure import load_quality_policy
from dermis.data.images.shards import begin, collect, make_plan, measure_here
from dermis.shared.stores import open_store
from tests.support import deadly
from tests.support.images import encode, quarters


@pytest.mark.parametrize("processes", [1, 2])
def test_an_image_that_kills_its_process_is_named_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processes: int
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[4]))
    monkeypatch.setattr(shards, "_measure", deadly.measure)
    monkeypatch.setattr(shards, "_lines", deadly.lines)
    source, store_url = open_store(f"file://{tmp_path / 'source'}"), f"file://{tmp_path / 'store'}"
    keys = [f"{n}{'-poison' if n in (1, 2, 7) else ''}.png" for n in range(9)]
    for key in keys:
        source.put_once(key, encode(quarters(), "PNG"))
    plan = make_plan(f"file://{tmp_path / 'source'}", keys, load_quality_policy(None), size=3)
    steps: list[int] = []
    measure_here(store_url, plan, begin(open_store(store_url), plan), processes=processes, step=steps.append)
    rows = collect(open_store(store_url), plan)
    assert sum(steps) == 9
    assert {str(row["image"]) for row in rows if row["fault"] == "WORKER_LOST"} == {
        key for key in keys if "poison" in key
    }
    assert all(row["phash"] for row in rows if not row["fault"])
