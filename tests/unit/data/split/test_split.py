"""A split that leaks nothing, and the audit that says so."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from dermis.data.dataset import Dataset
from dermis.data.defaults import FRACTIONS
from dermis.data.scin.attributes import monk_bin
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE
from dermis.data.scin.label_policy import LabelPolicy, apply_policy
from dermis.data.scin.source import load_policy
from dermis.data.scin.tables import ScinTables, read_tables
from dermis.data.sources import scin_samples
from dermis.data.split.groups import connected, image_links, read_duplicates
from dermis.data.split.split import PARTS, Split, as_text, digest_of, from_text, random_image_leak
from dermis.shared.errors import DermisError
from dermis.shared.stores.memory import MemoryStore
from tests.unit.data.scin_rows import Row, case, labelled, tables

POLICY = LabelPolicy(name="plain", version=1)


def dataset_of(read: ScinTables, *, policy: LabelPolicy = POLICY, duplicates: dict[str, str] | None = None) -> Dataset:
    labels = apply_policy(policy, read.cases)
    samples = tuple(scin_samples(read, labels, duplicates=duplicates))
    return Dataset(
        name="SCIN",
        digest="",
        samples=samples,
        store=MemoryStore(),
        tables=read.digests,
        policy=policy.reference,
        duplicates=None if duplicates is None else digest_of(duplicates),
    )


def split(
    read: ScinTables, *, seed: int = 0, duplicates: dict[str, str] | None = None, **changes: object
) -> tuple[Split, Dataset]:
    dataset = dataset_of(read, duplicates=duplicates)
    return dataset.split(seed=seed, **{"fractions": FRACTIONS, **changes}), dataset  # type: ignore[arg-type]


def many(n: int = 300) -> list[Row]:
    """Cases of three common labels, with one rare label and one linked group of 11.

    Cases 0-10 are in a chain of shared images.
    """
    rows: list[Row] = []
    for index in range(n):
        images = (index, index + 1) if index < 10 else (index,) if index == 10 else (1000 + index, 2000 + index)
        tone = str(1 + (index * 7) % 10)
        if index == 20:
            rows.append(labelled(index + 1, {"Rare": 1.0}, images=images, monk_skin_tone_label_us=tone))
        elif index % 3 == 0:
            rows.append(case(index + 1, images=images, monk_skin_tone_label_us=tone))
        else:
            rows.append(labelled(index + 1, {"ABC"[index % 7 % 3]: 1.0}, images=images, monk_skin_tone_label_us=tone))
    return rows


def test_a_linked_group_of_11_stays_together_and_nothing_leaks() -> None:
    read = tables(many())
    made, dataset = split(read)
    dataset.audit(made)
    chain = [case for case in made.cases if int(case.case_id) <= 11]
    assert len(chain) == 11
    assert len({(case.part, case.fold, case.group) for case in chain}) == 1
    holders: dict[str, set[str]] = {}
    part_of = made.part_of()
    for case_id, key in image_links(read.cases):
        holders.setdefault(key, set()).add(part_of[case_id])
    assert all(len(parts) == 1 for parts in holders.values())


def test_near_duplicate_groups_link_cases() -> None:
    read = tables(many())
    duplicates = {"images/1030.png": "d1", "images/1040.png": "d1", "images/1050.png": "d1"}
    made, dataset = split(read, duplicates=duplicates)
    dataset.audit(made)
    assert len({(case.part, case.fold) for case in made.cases if case.case_id in ("31", "41", "51")}) == 1
    with pytest.raises(DermisError, match="near-duplicate groups that were not given"):
        dataset_of(read).audit(made)
    with pytest.raises(DermisError, match="other than these"):
        dataset_of(read, duplicates={**duplicates, "images/9999.png": "z"}).audit(made)


def test_two_runs_are_byte_identical_and_the_order_of_rows_does_not_matter() -> None:
    rows = many()
    first, _ = split(tables(rows))
    shuffled = tables([rows[place] for place in np.random.default_rng(1).permutation(len(rows))])
    second, _ = split(shuffled)
    assert as_text(first) == as_text(split(tables(rows))[0])
    assert [case.model_dump() for case in first.cases] == [case.model_dump() for case in second.cases]
    assert as_text(first) != as_text(split(tables(rows), seed=1)[0])


def test_every_part_gets_its_share_of_labels_and_tones() -> None:
    read = tables(many())
    made, dataset = split(read)
    part_of = made.part_of()
    for values in ([sample.top or "none" for sample in dataset.samples], monk_bin(read.cases)):
        whole = Counter(values)
        for part, share in FRACTIONS.items():
            counted = Counter(
                value for value, case_id in zip(values, read.cases["case_id"], strict=True) if part_of[case_id] == part
            )
            for value, n in whole.items():
                if n >= 20:
                    assert counted[value] == pytest.approx(share * n, abs=2 + 0.03 * n), (part, value)


def test_a_rare_label_is_in_train_and_trains_in_every_fold() -> None:
    made, _ = split(tables(many()))
    rare = next(case for case in made.cases if case.case_id == "21")
    assert rare.part == "train"
    assert rare.fold is None


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 25), st.integers(0, 25), st.sampled_from(["", "A", "B", "C", "D", "E"])),
        min_size=12,
        max_size=40,
    ),
    st.integers(0, 5),
)
def test_whatever_is_shared_nothing_leaks_and_no_label_is_missing_from_train(
    cases: list[tuple[int, int, str]], seed: int
) -> None:
    rows = [
        labelled(n, {label: 1.0}, images=(one, other)) if label else case(n, images=(one, other))
        for n, (one, other, label) in enumerate(cases, start=1)
    ]
    read = tables(rows)
    groups = set(connected(list(read.cases["case_id"]), image_links(read.cases)).values())
    if len(groups) < 4:
        with pytest.raises(DermisError, match="ask for fewer"):
            split(read, seed=seed, folds=2)
        return
    made, dataset = split(read, seed=seed, folds=2)
    dataset.audit(made)
    for fold in range(2):
        trained = {case.case_id for case in made.cases if case.fold != fold}
        seen = {
            name
            for names, case_id in ((sample.target, sample.id) for sample in dataset.samples)
            if case_id in trained
            for name in names
        }
        assert seen == {name for sample in dataset.samples for name in sample.target}


def moved(made: Split, case_id: str, **changes: object) -> Split:
    cases = tuple(case.model_copy(update=changes) if case.case_id == case_id else case for case in made.cases)
    return made.model_copy(update={"cases": cases})


def test_an_injected_leak_fails_the_audit() -> None:
    read = tables(many())
    made, dataset = split(read)
    other = next(part for part in PARTS if part != made.part_of()["5"])
    with pytest.raises(
        DermisError, match=r"images/\d+\.png is in part \w+ \(case \d+\) and in \w+ \(case \d+\)"
    ) as caught:
        dataset.audit(moved(made, "5", part=other))
    assert caught.value.reason == "SPLIT_LEAK"
    fold = next(case.fold for case in made.cases if case.case_id == "5")
    with pytest.raises(DermisError, match="is in fold"):
        dataset.audit(moved(made, "5", fold=(fold or 0) + 1))


def test_a_label_without_training_cases_fails_the_audit() -> None:
    read = tables(many())
    made, dataset = split(read)
    with pytest.raises(DermisError, match="label 'Rare' has no case in train"):
        dataset.audit(moved(made, "21", part="test"))


def test_a_split_of_other_rows_or_another_policy_fails_the_audit() -> None:
    read = tables(many())
    made, dataset = split(read)
    with pytest.raises(DermisError, match="from other tables"):
        dataset_of(tables(many(299))).audit(made)
    with pytest.raises(DermisError, match="under the label policy plain/1"):
        dataset_of(read, policy=POLICY.model_copy(update={"version": 2})).audit(made)
    with pytest.raises(DermisError, match="every case of the tables once"):
        dataset.audit(made.model_copy(update={"cases": made.cases[1:]}))
    with pytest.raises(DermisError, match="every case of the tables once"):
        dataset.audit(made.model_copy(update={"cases": (*made.cases, made.cases[0])}))


def test_a_fold_file_is_read_back_and_a_changed_one_is_refused() -> None:
    made, _ = split(tables(many()))
    text = as_text(made)
    assert from_text(text) == made
    assert made.digest in text
    with pytest.raises(DermisError, match="the fold file was changed"):
        from_text(text.replace('"part": "test"', '"part": "train"', 1))
    for wrong in ("", "[]", "{}", '{"digest": "x"}'):
        with pytest.raises(DermisError, match="no fold file"):
            from_text(wrong)


@pytest.mark.parametrize(
    "fractions", [{"train": 0.5, "test": 0.5}, {**FRACTIONS, "train": 0.7}, {**FRACTIONS, "train": 0.0, "test": 0.8}]
)
def test_wrong_fractions_are_refused(fractions: dict[str, float]) -> None:
    with pytest.raises(DermisError, match="add up to 1"):
        split(tables(many(30)), fractions=fractions)


def test_near_duplicate_files_are_checked() -> None:
    assert read_duplicates(b"image,group\na,1\nb,1\n") == {"a": "1", "b": "1"}
    assert read_duplicates(b"image,group\n") == {}  # of images that are all different
    for none in (b"a,b\n1,2\n", b""):
        with pytest.raises(DermisError, match="columns image and group"):
            read_duplicates(none)
    with pytest.raises(DermisError, match="row 3: image 'a' stands in two groups"):
        read_duplicates(b"image,group\na,1\na,2\n")


def test_the_leak_of_a_split_by_image_is_counted() -> None:
    pairs = tables([case(n, images=(2 * n, 2 * n + 1)) for n in range(1, 2001)])
    leaked, tested = random_image_leak(dataset_of(pairs).samples, test=0.2, seed=0)
    assert tested == pytest.approx(800, rel=0.1)
    assert leaked / tested == pytest.approx(
        0.8, abs=0.05
    )  # the other image of the case is in train with probability 0.8
    alone = tables([case(n, images=(n,)) for n in range(1, 101)])
    assert random_image_leak(dataset_of(alone).samples, test=0.2, seed=0)[0] == 0


def real(folder: Path) -> ScinTables:
    return read_tables(*((folder / "scin" / name).read_bytes() for name in (CASES_FILE, LABELS_FILE)))


@pytest.mark.parametrize("name", ["scin-all", "scin-grouped"])
def test_on_the_real_rows(real_data: Path, name: str) -> None:
    read = real(real_data)
    dataset = dataset_of(read, policy=load_policy(name))
    made = dataset.split(seed=7)
    dataset.audit(made)
    assert as_text(made) == as_text(dataset.split(seed=7))
    groups = Counter(case.group for case in made.cases)
    assert max(groups.values()) > 1
    sizes = Counter(made.part_of().values())
    for part, share in FRACTIONS.items():
        assert sizes[part] / len(made.cases) == pytest.approx(share, abs=0.04)  # type: ignore[index]


def test_folds_are_as_even_as_scikit_learns(real_data: Path) -> None:
    read = real(real_data)
    labels = apply_policy(load_policy("scin-grouped"), read.cases)
    made = dataset_of(read, policy=load_policy("scin-grouped")).split(seed=7)
    fold_of = {case.case_id: case.fold for case in made.cases}
    ours = np.array([fold_of[case_id] for case_id in read.cases["case_id"]])
    strata = labels.frame["top"].fillna("none").to_numpy()
    groups = connected(list(read.cases["case_id"]), image_links(read.cases))
    theirs = np.zeros(len(ours))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=7).split(
        strata, strata, [groups[c] for c in read.cases["case_id"]]
    )
    for number, (_, tested) in enumerate(folds):
        theirs[tested] = number

    def unevenness(folds: np.ndarray) -> float:
        return float(
            np.mean(
                [np.std([np.sum(strata[folds == fold] == name) for fold in range(5)]) for name in sorted(set(strata))]
            )
        )

    assert unevenness(ours) <= unevenness(theirs) + 1e-9
