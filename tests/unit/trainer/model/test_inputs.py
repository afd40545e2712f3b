"""Every source becomes the same samples; a row and its images can't part.

Nothing leaks between the parts of a split.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dermis.data.dataset import conditions_of, mix, open_dataset
from dermis.data.generated.cases import CONDITIONS, cases
from dermis.data.mapping import DataMapping, load_mapping
from dermis.data.samples import NOT_GIVEN, SLICES
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE
from dermis.data.split.split import audit_split
from dermis.shared.errors import DermisError
from dermis.shared.manifest import FeatureField, FeatureSchema
from dermis.shared.stores import open_store
from dermis.trainer.model.feature_schema import every_answer
from dermis.trainer.model.inputs import arrays, features, targets
from tests.unit.data.scin_rows import case, files, labelled

pytestmark = pytest.mark.trainer

AGES = ("AGE_18_TO_29", "AGE_30_TO_39", "AGE_40_TO_49", "AGE_50_TO_59", "AGE_60_TO_69", "AGE_70_TO_79")
MAPPING = DataMapping.model_validate(
    {
        "name": "Other",
        "licence": "CC0",
        "image": "file",
        "unit": "person",
        "case": "lesion",
        "attributes": {
            "condition": {"column": "name"},
            "age_group": {"column": "age", "ranges": {"AGE_18_TO_29": [18, 29]}, "absent": [""]},
        },
        "answers": {
            "condition_symptoms": [
                {"column": "itch", "values": {"yes": "ITCHING"}, "absent": ["", "no"]},
                {"column": "hurt", "values": {"yes": "PAIN"}, "absent": ["", "no"]},
            ]
        },
    }
)
TABLE = (
    "file,person,lesion,name,age,itch,hurt\n"
    "a.png,p1,1,Eczema,20,yes,no\n"
    "b.png,p1,1,Eczema,,no,yes\n"
    "c.png,p1,2,Tinea,20,no,\n"
    "d.png,p2,1,,,,\n"
)


def plain(colour: Any) -> Any:
    return bytes(cv2.imencode(".png", np.full((8, 8, 3), colour, np.uint8))[1])


@pytest.fixture
def other(tmp_path: Path) -> Any:
    store = open_store(tmp_path.as_uri())
    store.put_once("manifest.csv", TABLE.encode())
    for n, name in enumerate("abd"):
        store.put_once(f"{name}.png", plain(50 * (n + 1)))
    return open_dataset(str(tmp_path), mapping=MAPPING)


@pytest.fixture
def scin(tmp_path: Path) -> Any:
    """40 cases; the colour of every image and the age of its row are the case's number."""
    rows, store = [], open_store((tmp_path / "scin").as_uri())
    for n in range(40):
        images = (10 * n, 10 * n + 1)[: 1 + n % 2] if n % 5 else ()
        given: dict[str, Any] = {
            "age_group": AGES[n % 6],
            "monk_skin_tone_label_us": str(1 + n % 10),
            "condition_symptoms_itching": "YES",
        }
        made = labelled(100 + n, {"Eczema": 0.75, "Tinea": 0.25}, **given) if n % 4 else case(100 + n, **given)
        rows.append({key: value for key, value in made.items() if not key.startswith("image_")})
        for slot, image in enumerate(images, start=1):
            rows[-1] |= {f"image_{slot}_path": f"dataset/images/{image}.png"}
            store.put_once(f"images/{image}.png", plain(n))
    for name, data in zip((CASES_FILE, LABELS_FILE), files(rows), strict=True):
        store.put_once(name, data)
    return open_dataset((tmp_path / "scin").as_uri(), policy="scin-all")


def test_a_folder_without_any_of_its_images_is_told_by_name(other: Any, tmp_path: Path) -> None:
    other.check_images()  # c.png alone is missing
    for name in "abd":
        (tmp_path / f"{name}.png").unlink()
    with pytest.raises(DermisError, match=rf"not one of 4 images is in {tmp_path.as_uri()}, the first 'a\.png'"):
        other.check_images()


def test_scin_becomes_samples(scin: Any) -> None:
    one = scin.samples[3]
    assert (one.id, one.top, dict(one.target)) == ("103", "Eczema", {"Eczema": 0.75, "Tinea": 0.25})
    assert (one.report.age_group, one.report.monk_skin_tone, one.report.condition_symptoms) == (
        "AGE_50_TO_59",
        "MST4",
        ("ITCHING",),
    )
    assert one.images == ("images/30.png", "images/31.png")
    assert one.graders == ()  # its weights do not follow from the list: nobody can tell who said what
    assert {name: one.slices[name] for name in ("monk_bin", "images", "answers", "fitzpatrick_self")} == {
        "monk_bin": "MST_4_6",
        "images": "2",
        "answers": "GIVEN",
        "fitzpatrick_self": NOT_GIVEN,
    }
    assert scin.samples[4].top is None
    assert not scin.samples[4].target
    assert len(scin.labelled()) + len(scin.unlabelled()) == len(scin) == 40


def test_rows_of_a_case_are_its_images_and_persons_stay_together(other: Any) -> None:
    first, second, third = other.samples
    assert first.images == ("a.png", "b.png")
    assert first.report.condition_symptoms == ("ITCHING", "PAIN")
    assert first.report.age_group == "AGE_18_TO_29"
    assert second.report.condition_symptoms is None  # a box left empty is no "no"
    assert first.group == second.group != third.group
    assert third.top is None
    assert set(SLICES) <= first.slices.keys()


def test_an_image_that_is_missing_or_broken_counts_as_not_sent(other: Any) -> None:
    inputs = arrays(other, every_answer(), 8)
    assert inputs["image_mask"].tolist() == [[True, True, False], [False, False, False], [True, False, False]]
    assert inputs["images"][0, 1].max() == 100
    assert not inputs["images"][~inputs["image_mask"]].any()  # type: ignore[index, misc]


@pytest.mark.parametrize(
    ("table", "part"),
    [
        (TABLE.replace("b.png,p1,1,Eczema", "b.png,p1,1,Tinea"), "the conditions Eczema, Tinea"),
        (TABLE.replace("yes,no\n", "often,no\n"), "column itch = 'often': is not foreseen"),
    ],
)
def test_a_table_that_contradicts_its_mapping_is_refused(tmp_path: Path, table: Any, part: str) -> None:
    open_store(tmp_path.as_uri()).put_once("manifest.csv", table.encode())
    with pytest.raises(DermisError, match="DATA_TABLE") as caught:
        open_dataset(str(tmp_path), mapping=MAPPING)
    assert part in caught.value.detail


def test_a_case_of_more_than_three_images_becomes_cases_of_one_group(tmp_path: Any) -> None:
    table = TABLE + "".join(f"{n}.png,p1,1,Eczema,,,\n" for n in range(5))
    open_store(tmp_path.as_uri()).put_once("manifest.csv", table.encode())
    samples = open_dataset(str(tmp_path), mapping=MAPPING).samples
    parts = [sample for sample in samples if sample.id.startswith("p1 1")]
    assert [len(part.images) for part in parts] == [3, 3, 1]
    assert len({part.group for part in parts}) == 1
    assert len({part.id for part in samples}) == len(samples)


def test_answers_that_are_missing_together_are_not_told(tmp_path: Any) -> None:
    rules = load_mapping("pad_ufes_20")
    header = "file,patient_id,lesion_id,label,gender,fitzpatrick,age,itch,grew,hurt,bleed,elevation,region\n"
    rows = [
        f"{n}.png,p{n},1,BCC,{'FEMALE,2.0' if n < 30 else ','},50,True,False,False,False,True,ARM\n" for n in range(60)
    ]
    open_store(tmp_path.as_uri()).put_once("manifest.csv", (header + "".join(rows)).encode())
    samples = open_dataset(str(tmp_path), mapping=rules).samples
    assert {sample.report.sex_at_birth for sample in samples} == {None}
    assert {sample.slices["sex_at_birth"] for sample in samples} == {"FEMALE", NOT_GIVEN}
    assert {sample.report.age_group for sample in samples} == {"AGE_50_TO_59"}
    assert {sample.report.condition_symptoms for sample in samples} == {("ITCHING",)}


@pytest.mark.parametrize(
    ("answers", "part"),
    [
        ({"itch": []}, "is no answer of a self-report"),
        ({"textures": [{"column": "x", "values": {"1": "ROUGH"}}]}, "'ROUGH' is no textures"),
    ],
)
def test_an_answer_outside_the_vocabulary_is_refused(answers: Any, part: str) -> None:
    with pytest.raises(ValueError, match=part):
        DataMapping.model_validate({**MAPPING.model_dump(), "answers": answers})


def test_row_and_image_can_not_part(scin: Any) -> None:
    """After shuffling, splitting and mixing, the colour of each image is still the number in its row."""
    made = scin.split(seed=3)
    schema = FeatureSchema(fields=(FeatureField(name="age_group", kind="ONE_OF", values=AGES),))
    shuffled = replace(scin, samples=tuple(np.random.default_rng(0).permutation(np.array(scin.samples, object))))
    mixed = mix(shuffled, open_dataset("generated:1:3:32"))
    for dataset in (shuffled, *(shuffled.part(made, part) for part in ("train", "test")), *scin.fold(made, 1), mixed):
        inputs = arrays(dataset, schema, 8)
        for row, sample in enumerate(dataset.samples):
            if "generated" in sample.id:
                continue
            number = int(sample.id.rpartition("/")[2]) - 100
            assert inputs["image_mask"][row].sum() == len(sample.images)
            assert (inputs["images"][row, : len(sample.images)] == number).all()
            assert inputs["features"][row].argmax() == number % 6


def test_no_part_of_a_split_shares_a_group_and_another_ones_split_is_refused(other: Any, scin: Any) -> None:
    made = scin.split(seed=1, folds=3)
    parts = {part: scin.part(made, part) for part in ("train", "validation", "calibration", "test")}
    assert sum(map(len, parts.values())) == 40
    assert {s.id for fold in range(3) for s in scin.fold(made, fold)[1].samples} == {
        c.case_id for c in made.cases if c.fold is not None
    }
    first = made.cases[0]
    torn = {sample.group: sample for sample in scin.samples}[first.group]
    moved = made.model_copy(
        update={"cases": tuple(c.model_copy(update={"part": "test"}) if c is first else c for c in made.cases)}
    )
    if first.part != "test":
        twin = replace(torn, id="twin")
        with pytest.raises(DermisError, match="SPLIT_LEAK"):
            audit_split(moved, (*scin.samples, twin), tables=scin.tables, policy=scin.policy)
    with pytest.raises(DermisError, match="from other tables"):
        other.part(made, "train")


def test_a_group_torn_apart_is_a_leak() -> None:
    dataset = open_dataset("generated:1:40:32")
    paired = replace(dataset, samples=tuple(replace(s, group=str(n // 2)) for n, s in enumerate(dataset.samples)))
    made = paired.split(seed=0)
    part_of = made.part_of()
    assert all(part_of[str(2 * n)] == part_of[str(2 * n + 1)] for n in range(20))
    place = next(n for n, c in enumerate(made.cases) if c.part == "train")
    cases_ = list(made.cases)
    cases_[place] = cases_[place].model_copy(update={"part": "test"})
    with pytest.raises(DermisError, match="SPLIT_LEAK"):
        paired.part(made.model_copy(update={"cases": tuple(cases_)}), "train")


def test_a_split_made_with_near_duplicates_is_used_with_them_alone() -> None:
    dataset = replace(open_dataset("generated:1:40:32"), duplicates="a")
    made = dataset.split(seed=0)
    assert len(dataset.part(made, "train")) + len(dataset.part(made, "test")) < 40
    for other, remedy in ((None, "give their file"), ("b", "give its own")):
        for use in (lambda data: data.part(made, "train"), lambda data: data.fold(made, 0)):
            with pytest.raises(DermisError, match=remedy):
                use(replace(dataset, duplicates=other))


def test_targets_are_the_differentials_of_the_conditions_known(scin: Any) -> None:
    conditions = conditions_of(scin.samples)
    table, labels = targets(scin.samples, conditions)
    assert [c.id for c in conditions] == ["ECZEMA", "TINEA"]
    assert table[1].tolist() == [0.75, 0.25]
    assert labels[:5].tolist() == [-1, 0, 0, 0, -1]
    assert not table[0].any()
    only, labels = targets(scin.samples, conditions[1:])
    assert only[1].tolist() == [1.0]
    assert labels[1] == 0
    assert len(scin.labelled(["Tinea"])) == 30


def test_generated_cases_are_what_was_painted() -> None:
    dataset = open_dataset("generated:3:12:48")
    painted = list(cases(3, 12, longest=48))
    assert [s.top for s in dataset.samples] == [c.condition for c in painted]
    assert {s.top for s in dataset.samples} <= {c.name for c in CONDITIONS}
    inputs = arrays(dataset, every_answer(), 48)
    assert inputs["image_mask"].sum(1).tolist() == [len(c.images) for c in painted]
    assert features(dataset.samples, every_answer()).shape == inputs["features"].shape
    image = painted[0].images[0]
    top, left = (48 - image.shape[0]) // 2, (48 - image.shape[1]) // 2
    assert np.array_equal(inputs["images"][0, 0, top : top + image.shape[0], left : left + image.shape[1]], image)


def test_a_data_set_has_a_digest_and_one_name(other: Any) -> None:
    assert open_dataset("generated:1:5").digest != open_dataset("generated:2:5").digest
    assert other.digest == replace(other).digest
    with pytest.raises(DermisError, match="open each once"):
        mix(other, other)


@pytest.mark.parametrize(
    ("name", "n", "conditions"), [("pad_ufes_20", 143, 6), ("pad_ufes_20_large", 838, 6), ("fitzpatrick17k", 593, 12)]
)
def test_real_tables_find_their_mapping(real_data: Path, name: str, n: int, conditions: int) -> None:
    dataset = open_dataset(str(real_data / "photos" / name))
    assert (len(dataset), len(conditions_of(dataset.samples))) == (n, conditions)
    assert arrays(replace(dataset, samples=dataset.samples[:8]), every_answer(), 32)["image_mask"][:, 0].all()


def test_real_scin_rows(real_data: Path) -> None:
    dataset = open_dataset(str(real_data / "scin"))
    assert (len(dataset), len(dataset.labelled())) == (1516, 931)
    assert all(sum(s.target.values()) == pytest.approx(1) for s in dataset.labelled().samples)
    assert all(sum(graded.values()) == pytest.approx(1) for s in dataset.samples for graded in s.graders)
    made = dataset.split(seed=0)
    assert sum(len(dataset.part(made, part)) for part in ("train", "validation", "calibration", "test")) == 1516
