"""Mutated photos of every format through `decode` itself, in a child under limits.

None crashes it, costs too much or gets past its words.
"""

import os
import signal
from pathlib import Path

import pytest

from tests.support.mutations import mutations, photos
from tests.system import decode_mutations


@pytest.fixture(autouse=True)
def _children_import_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))


def test_no_mutation_crashes_the_decoder_or_raises_anything_but_a_refusal() -> None:
    tally = decode_mutations.run(640, seed=int(os.environ.get("MUTATION_SEED", "1")))
    assert tally.bad == []
    assert sum(tally.answers.values()) == 640
    for form in ("jpeg", "png", "webp", "heic", "avif"):
        assert tally.answers[f"{form}: taken"], f"no mutation of a {form} is taken: none gets as far as its decoder"
    assert tally.longest[0] < decode_mutations.CPU_SECONDS
    assert tally.peak_bytes < decode_mutations.MEMORY_BYTES


def test_a_photo_that_kills_the_child_is_named_and_the_others_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = {name: data for name, data in photos().items() if name.startswith("webp")}
    monkeypatch.setattr(decode_mutations, "_child", deadly_child)
    tally = decode_mutations.run(8, seed=1, seeds=seeds)
    names = [name for name, _ in mutations(8, seed=1, seeds=seeds)]
    assert tally.bad == [f"{names[n]}: the process died of SIGSEGV" for n in (2, 5)]
    assert sum(tally.answers.values()) == 8


REAL_CHILD = decode_mutations._child


def deadly_child(pipe, first, count, seed, seeds) -> None:  # type: ignore[no-untyped-def]
    """A child whose decoder dies of the photos 2 and 5."""

    def answer(data: bytes) -> str:
        if data in {data for n, (_, data) in enumerate(mutations(count, seed=seed, seeds=seeds)) if n in (2, 5)}:
            os.kill(os.getpid(), signal.SIGSEGV)
        return "taken"

    decode_mutations._answer = answer
    REAL_CHILD(pipe, first, count, seed, seeds)
