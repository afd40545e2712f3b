"""A case in another colour space is judged and kept in sRGB, by what the gateway read of its profile."""

from datetime import UTC, datetime

import cv2
import numpy as np
import pytest

from dermis.data.generated.skin import scene
from dermis.shared.case import Received, ReceivedImage, fact_key, image_key
from dermis.shared.errors import DermisError, Kind
from dermis.shared.images.header import CleanImage, clean
from dermis.shared.jobs import AssessImageJob, scratch_key
from dermis.shared.stores.memory import MemoryStore
from dermis.shared.vocabulary import MonkSkinTone, SelfReport
from dermis.worker import tasks
from dermis.worker.assess import _remove_originals
from dermis.worker.core.decode import decode
from tests.support.colors import CONTAINERS, SPACES, delta_e, in_container, in_space, lab, patches, table_profile
from tests.support.images import encode
from tests.unit.worker.test_pipeline import JOB, SETTINGS, World

SCENE = scene("Eczema", tone=MonkSkinTone.MST7, seed=1, size=(384, 512))
WIDE = [name for name in SPACES if name != "sRGB"]


def by_tables(container: str = "PNG") -> bytes:
    return encode(in_space(SCENE, SPACES["Display P3"]), container, icc_profile=table_profile(SPACES["Display P3"]))


def received(world: World, *images: CleanImage) -> Received:
    """Store a case as the gateway does."""
    described = []
    for n, image in enumerate(images, start=1):
        color = image.header.color
        whole = isinstance(color, bytes)
        world.store.put_once(image_key(JOB.owner, JOB.case_id, n, "original"), image.data)
        if isinstance(color, bytes):
            world.store.put_once(image_key(JOB.owner, JOB.case_id, n, "profile"), color)
        described.append(
            ReceivedImage(
                n=n,
                content_type=image.header.format,
                bytes=len(image.data),
                sha256="",
                width=image.header.width,
                height=image.header.height,
                color=None if isinstance(color, bytes) else color,
                keep_original=not whole,
            )
        )
    fact = Received(
        case_id=JOB.case_id,
        owner=JOB.owner,
        received_at=datetime.now(UTC),
        images=tuple(described),
        self_report=SelfReport(),
    )
    world.store.put_once(fact_key(JOB.owner, JOB.case_id, "received"), fact.model_dump_json().encode())
    return fact


def prepared(store: MemoryStore, n: int = 1) -> np.ndarray:
    data = store.get(image_key(JOB.owner, JOB.case_id, n, "prepared"))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def difference(image: np.ndarray) -> float:
    return float(delta_e(lab(patches(image, 64)), lab(patches(SCENE, 64))).max())


@pytest.mark.parametrize("space", WIDE)
@pytest.mark.parametrize("container", CONTAINERS)
def test_the_prepared_image_has_the_colours_of_the_scene(container: str, space: str) -> None:
    world = World()
    image = clean(in_container(SCENE, SPACES[space], container))
    received(world, image)
    assert difference(decode(image.data).image) > 1.5  # the clean copy says nothing of its colours any more
    world.work()
    assert difference(prepared(world.store)) < 1
    assert world.store.get(image_key(JOB.owner, JOB.case_id, 1, "original")) == image.data


@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP"])
def test_a_profile_by_tables_is_applied_and_goes_together_with_the_original(container: str) -> None:
    world = World()
    image = clean(by_tables(container))
    received(world, image)
    world.work()
    assert difference(prepared(world.store)) < 1
    kept = [key.rpartition("/")[2] for key in world.store.list(f"cases/{JOB.owner}/{JOB.case_id}/images/")]
    assert "prepared" in kept
    assert not {"original", "profile"} & set(kept)


def test_a_case_whose_original_is_gone_goes_on_from_what_was_prepared() -> None:
    world = World(faults=[RuntimeError("the process dies here")])
    received(world, clean(by_tables()))
    with pytest.raises(RuntimeError):
        world.pipeline().assess(JOB)
    before = prepared(world.store)
    tasks.work(world.pipeline(), JOB, settings=SETTINGS, redelivered=True, metrics=world.metrics)
    assert world.status() == "FINISHED"
    assert np.array_equal(prepared(world.store), before)
    assert len(world.seen) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_case_whose_original_is_gone_outlives_an_outage(seed: int) -> None:
    """A JPEG that is decoded and encoded again has other bytes: what was prepared first stands."""
    noise = np.random.default_rng(seed).normal(0, 12, SCENE.shape)
    image = np.clip(SCENE + noise, 0, 255).astype(np.uint8)
    world = World(faults=[DermisError(Kind.UNAVAILABLE, "SERVING_UNAVAILABLE", "no answer")] * 4)
    received(
        world,
        clean(encode(in_space(image, SPACES["Display P3"]), "PNG", icc_profile=table_profile(SPACES["Display P3"]))),
    )
    world.work()
    before = prepared(world.store)
    assert world.status() == "ASSESSED"
    world.work()
    assert world.status() == "FINISHED"
    assert np.array_equal(prepared(world.store), before)


def test_an_original_that_another_worker_removes_meanwhile_is_not_judged_without_its_profile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, first = World(), World()
    fact = received(first, clean(by_tables()))
    received(world, clean(by_tables()))
    first.work()
    get = world.store.get

    def get_and_remove(key: str) -> bytes:
        data = get(key)
        if key.endswith("/original"):  # the other worker has prepared the image and removes original and profile
            form = image_key(JOB.owner, JOB.case_id, 1, "prepared")
            world.store.put_once(form, first.store.get(form))
            _remove_originals(world.pipeline(), fact)
        return data

    monkeypatch.setattr(world.store, "get", get_and_remove)
    world.work()
    assert world.status() == "FINISHED"
    seen, expected = (np.asarray(each.seen[0].images[0], np.int16) for each in (world, first))
    assert np.abs(seen - expected).mean() < 1


def test_an_image_that_cannot_be_decoded_leaves_no_profile_behind() -> None:
    world = World()
    image = clean(by_tables("JPEG"))
    received(world, CleanImage(header=image.header, data=image.data[: len(image.data) // 2]))
    world.work()
    assert not [key for key in world.store.list("cases/") if key.endswith(("original", "profile"))]
    assert world.status() == "FINISHED"


def test_a_case_stored_before_profiles_were_read_is_read_as_before() -> None:
    world = World()
    plain = clean(encode(SCENE, "PNG"))
    old = received(world, plain).model_dump(mode="json")
    del old["images"][0]["color"], old["images"][0]["keep_original"]
    (image,) = Received.model_validate(old).images
    assert (image.color, image.keep_original) == (None, True)
    world.work()
    assert difference(prepared(world.store)) < 1


def test_an_image_to_judge_at_once_is_judged_in_its_colours() -> None:
    world = World()
    for name, data in (("numbers", in_container(SCENE, SPACES["Display P3"], "PNG")), ("tables", by_tables())):
        image = clean(data)
        color = image.header.color
        world.store.put_once(scratch_key(name), image.data)
        if isinstance(color, bytes):
            world.store.put_once(scratch_key("profile"), color)
        job = AssessImageJob(
            scratch_id=name,
            content_type="image/png",
            color=None if isinstance(color, bytes) else color,
            profile_id="profile" if isinstance(color, bytes) else None,
        )
        assert len(job.model_dump_json()) < 1000
        world.pipeline().assess_image(job)
    assert len(world.announced) == 2
    assert not list(world.store.list("scratch/"))
