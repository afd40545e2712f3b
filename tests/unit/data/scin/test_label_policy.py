"""What the label of a case is under a policy."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dermis.data.scin.columns import CASES_FILE, LABELS_FILE, NO_PATHOLOGY, YES
from dermis.data.scin.label_policy import LOOKS_HEALTHY, CoarseGroup, LabelPolicy, LabelStatus, apply_policy
from dermis.data.scin.source import load_policy
from dermis.data.scin.tables import read_tables
from dermis.shared.errors import DermisError
from dermis.shared.vocabulary import Gradable
from tests.unit.data.scin_rows import case, labelled, tables

PLAIN = LabelPolicy(name="plain", version=1)
NOT_GRADABLE = Gradable.NO_IMAGE_QUALITY_INSUFFICIENT


def policy(**changes: object) -> LabelPolicy:
    return LabelPolicy.model_validate({**PLAIN.model_dump(), **changes})


def test_no_case_is_lost_and_each_without_a_label_says_why() -> None:
    gradable = "dermatologist_gradable_for_skin_condition_1"
    rows = [
        labelled(1, {"Eczema": 1.0}),
        case(2),
        case(3, **{gradable: NOT_GRADABLE}),  # type: ignore[arg-type]
        case(4, **{gradable: NO_PATHOLOGY}),  # type: ignore[arg-type]
        labelled(5, {"Remove from labeling tool": 1.0}),
    ]
    labels = apply_policy(policy(drop=["remove FROM labeling tool"]), tables(rows).cases)
    assert list(labels.frame["status"]) == [
        LabelStatus.LABELLED,
        LabelStatus.GRADABLE_BUT_UNLABELLED,
        LabelStatus.NOT_GRADABLE,
        LabelStatus.NO_PATHOLOGY,
        LabelStatus.DROPPED,
    ]
    assert list(labels.frame["top"].isna()) == [False, True, True, True, True]
    assert list(labels.has_label) == [True, False, False, False, False]


@pytest.mark.parametrize(
    ("weights", "confidences", "top", "tied"),
    [
        ({"A": 0.33, "B": 0.67}, [2, 4], "B", False),
        ({"A": 0.5, "B": 0.5}, [3, 3], "A", True),  # the same confidence: the one listed first
        ({"B": 0.5, "A": 0.5}, [3, 3], "B", True),
    ],
)
def test_the_top_condition_has_the_most_weight_else_confidence_else_is_listed_first(
    weights: dict[str, float], confidences: list[int], top: str, tied: bool
) -> None:
    frame = apply_policy(PLAIN, tables([labelled(1, weights, confidences=confidences)]).cases).frame
    assert frame["top"].iloc[0] == top
    assert frame["tied"].iloc[0] == tied


def test_between_dermatologists_the_summed_confidence_breaks_a_tie() -> None:
    row = labelled(1, {"A": 0.5, "B": 0.5}, confidences=[2, 5], dermatologist_gradable_for_skin_condition_2=YES)
    labels = apply_policy(PLAIN, tables([row]).cases)
    assert labels.frame["lists"].iloc[0] == ((("A", 2),), (("B", 5),))
    assert labels.frame["top"].iloc[0] == "B"


def test_names_that_differ_in_case_only_are_one_condition() -> None:
    rows = [labelled(n, {"Deep fungal infection": 1.0}) for n in (1, 2)] + [labelled(3, {"deep fungal infection": 1.0})]
    labels = apply_policy(PLAIN, tables(rows).cases)
    assert labels.labels == ("Deep fungal infection",)
    assert labels.conditions["cases"].tolist() == [3]


def test_rare_conditions_move_into_their_group_and_rare_groups_into_other() -> None:
    rows = [
        *(labelled(n, {"Eczema": 1.0}) for n in range(1, 4)),
        labelled(4, {"Tinea pedis": 0.67, "Eczema": 0.33}, confidences=[4, 2]),
        labelled(5, {"tinea corporis": 1.0}),
        labelled(6, {"Scabies": 0.5, "Grover's disease": 0.5}),
    ]
    groups = [CoarseGroup(name="Fungal", contains=("TINEA",)), CoarseGroup(name="Infestation", contains=("scabies",))]
    labels = apply_policy(policy(min_support=2, groups=groups, other="Other"), tables(rows).cases)
    assert labels.labels == ("Eczema", "Fungal", "Other")
    assert labels.frame["differential"].iloc[3] == pytest.approx({"Fungal": 0.67, "Eczema": 0.33})
    assert labels.frame["differential"].iloc[5] == {"Other": 1.0}
    assert dict(zip(labels.conditions["condition"], labels.conditions["label"], strict=True))["Scabies"] == "Other"


def test_without_other_rare_conditions_fall_away_and_the_rest_is_scaled() -> None:
    rows = [labelled(1, {"Eczema": 0.5, "Rare": 0.5}), labelled(2, {"Eczema": 1.0}), labelled(3, {"Rarer": 1.0})]
    labels = apply_policy(policy(min_support=2), tables(rows).cases)
    assert list(labels.frame["differential"]) == [{"Eczema": 1.0}, {"Eczema": 1.0}, {}]
    assert labels.frame["status"].iloc[2] == LabelStatus.DROPPED


@pytest.mark.parametrize(
    ("healthy", "expected"),
    [
        ("NONE", [False, False]),
        ("SELF_REPORTED", [True, False]),
        ("NO_PATHOLOGY", [False, True]),
        ("EITHER", [True, True]),
    ],
)
def test_looks_healthy_is_a_label_where_the_policy_says_so_and_never_over_a_dermatologists_word(
    healthy: str, expected: list[bool]
) -> None:
    gradable = "dermatologist_gradable_for_skin_condition_1"
    rows = [
        case(1, related_category=LOOKS_HEALTHY),
        case(2, **{gradable: NO_PATHOLOGY}),  # type: ignore[arg-type]
        labelled(3, {"Eczema": 1.0}, related_category=LOOKS_HEALTHY),
    ]
    frame = apply_policy(policy(healthy=healthy), tables(rows).cases).frame
    assert [top == LOOKS_HEALTHY for top in frame["top"]] == [*expected, False]
    assert frame["top"].iloc[2] == "Eczema"


def test_recomputed_weights_are_not_rounded() -> None:
    row = labelled(1, {"A": 0.67, "B": 0.33}, confidences=[4, 2])
    frame = apply_policy(policy(weights="RECOMPUTED"), tables([row]).cases).frame
    assert frame["differential"].iloc[0] == pytest.approx({"A": 2 / 3, "B": 1 / 3}, abs=1e-12)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("ABCDEFGH"), min_size=1, max_size=3, unique=True), min_size=1, max_size=12),
    st.integers(1, 5),
)
def test_every_label_but_other_has_its_support_and_weights_add_up(named: list[list[str]], support: int) -> None:
    rows = [labelled(n, {name: round(1 / len(names), 2) for name in names}) for n, names in enumerate(named, start=1)]
    labels = apply_policy(
        policy(min_support=support, groups=[CoarseGroup(name="AB", contains=("A", "B"))], other="Other"),
        tables(rows).cases,
    )
    assert labels.has_label.all()
    for label in labels.labels:
        assert (
            label == "Other" or sum(label in differential for differential in labels.frame["differential"]) >= support
        )
    for differential in labels.frame["differential"]:
        assert sum(differential.values()) == pytest.approx(1)


def test_the_digest_changes_with_any_setting() -> None:
    digests = {
        policy(**change).digest
        for change in ({}, {"version": 2}, {"min_support": 2}, {"drop": ["x"]}, {"healthy": "EITHER"})
    }
    assert len(digests) == 5


def test_a_policy_is_shipped_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(PLAIN.model_dump_json())
    assert load_policy(str(file)) == PLAIN
    assert load_policy("scin-all").min_support == 1
    with pytest.raises(DermisError, match="use scin-all, scin-grouped or a file"):
        load_policy("scin-al")
    file.write_text(json.dumps({**PLAIN.model_dump(), "min_suport": 3}))
    with pytest.raises(DermisError, match="min_suport"):
        load_policy(str(file))


def test_two_groups_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="names two groups"):
        policy(groups=[CoarseGroup(name="Other", contains=("x",))], other="Other")


def test_the_shipped_groups_take_what_they_should() -> None:
    groups = load_policy("scin-grouped").groups

    def group_of(name: str) -> str:
        return next(group.name for group in groups if any(part in name.casefold() for part in group.contains))

    assert group_of("Pseudolymphoma") == "Benign growth"
    assert group_of("Dermatitis herpetiformis") == "Blistering disease"
    assert group_of("Seborrheic Dermatitis") == "Eczema or dermatitis"
    assert group_of("Kaposi's sarcoma of skin") == "Cancer or precursor"
    assert group_of("Cutaneous sarcoidosis") == "Connective tissue or granuloma"
    assert group_of("Miliaria") == "Eczema or dermatitis"


def test_on_the_real_rows(real_data: Path) -> None:
    cases = read_tables(*((real_data / "scin" / name).read_bytes() for name in (CASES_FILE, LABELS_FILE))).cases
    for name in ("scin-all", "scin-grouped"):
        labels = apply_policy(load_policy(name), cases)
        assert len(labels.frame) == len(cases)
        assert labels.has_label.sum() == cases["weights"].map(bool).sum()
        assert labels.frame.loc[labels.has_label, "top"].notna().all()
    one_grader = cases["gradable"].map(len).eq(1) & cases["weights"].map(bool)
    recomputed = apply_policy(policy(weights="RECOMPUTED"), cases[one_grader]).frame["differential"]
    published = cases.loc[one_grader, "weights"]
    for ours, theirs in zip(recomputed, published, strict=True):
        spelled = {name.casefold(): round(weight, 2) for name, weight in ours.items()}
        assert spelled == {name.casefold(): weight for name, weight in theirs.items()}
