"""`dermis data images` over the queue: two workers, one of them killed half-way."""

from collections import Counter
from pathlib import Path

import pytest

from tests.system import kill_images


@pytest.mark.timeout(240)
def test_a_killed_worker_costs_no_image_and_doubles_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATH", "STORAGE_EMULATOR_HOST"):
        monkeypatch.setenv(name, kill_images.os.environ.get(name, ""))  # type: ignore[attr-defined]  # put back as they were
    seen = kill_images.run(tmp_path, count=60, width=320, height=240, size=3, lost_after=8)
    seen.check()
    assert len(seen.rows) >= 58
    assert len({name for name, _ in seen.shards_done}) == 2
    assert max(Counter(shard for _, shard in seen.shards_done.elements()).values()) <= 2
    assert "written" in seen.log
