"""Test images are the same everywhere, differ from each other, and force nothing of a live case."""

import hashlib
from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from dermis.shared.case import Received, ReceivedImage
from dermis.shared.images import cost
from dermis.shared.images.header import clean
from dermis.shared.test_images import FORCED_ENDS, ForcedEnd, ForcedKind, drawing, forced_by
from dermis.shared.vocabulary import SelfReport


def received(*names: str, livemode: bool) -> Received:
    images = tuple(
        ReceivedImage(
            n=n,
            content_type="image/png",
            bytes=1,
            sha256=hashlib.sha256(drawing(name)).hexdigest(),
            width=1,
            height=1,
        )
        for n, name in enumerate(names, start=1)
    )
    return Received(
        case_id="case_1",
        owner="key_1",
        received_at=datetime.now(UTC),
        images=images,
        self_report=SelfReport(),
        livemode=livemode,
    )


def test_each_has_a_name_and_bytes_of_its_own() -> None:
    names = [end.name for end in FORCED_ENDS]
    assert len({drawing(name) for name in names}) == len(set(names)) == len(names)


def test_their_bytes_never_change() -> None:
    everything = hashlib.sha256(b"".join(drawing(end.name) for end in FORCED_ENDS)).hexdigest()
    assert everything == "a09959001adfd32cfcece3eac8999db985941e3d25e8d4b8cdb3134bb934a53b"


@pytest.mark.parametrize("end", FORCED_ENDS, ids=lambda end: end.name)
def test_each_is_an_image_that_is_stored_as_it_came(end: ForcedEnd) -> None:
    data = drawing(end.name)
    image = clean(data)
    cost.check(image.header)
    assert image.data == data
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded is not None
    assert decoded.shape == (128, 128)


@pytest.mark.parametrize("end", FORCED_ENDS, ids=lambda end: end.name)
def test_only_a_test_case_is_forced(end: ForcedEnd) -> None:
    assert forced_by(received(end.name, livemode=False)) == end
    assert forced_by(received(end.name, livemode=True)) is None


def test_the_first_test_image_decides_and_others_force_nothing() -> None:
    assert forced_by(received("something-else", "failed", "slow", livemode=False)) == ForcedEnd(kind=ForcedKind.FAILED)
    assert forced_by(received("something-else", livemode=False)) is None
