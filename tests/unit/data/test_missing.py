"""Columns that are missing together, and absence that predicts a label."""

from typing import Any

import numpy as np
import pytest

from dermis.data.missing import absence_signs, missing_together
from dermis.data.profile.write import write_profile


def columns(*, shared: float = 1.0, n: int = 200) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    form = rng.random(n) < 0.6
    other = np.where(rng.random(n) < shared, form, ~form)
    return {"sex": form, "type": other, "age": np.ones(n, bool), "itch": rng.random(n) < 0.5}


def test_columns_that_are_empty_in_the_same_rows_are_one_group() -> None:
    assert missing_together(columns()) == (("sex", "type"),)
    assert missing_together(columns(shared=0.9)) == ()


def test_a_column_needs_rows_enough_to_be_told_from_chance() -> None:
    few = {name: values[:30] for name, values in columns().items()}
    assert min((~few["sex"]).sum(), few["sex"].sum()) < 20
    assert missing_together(few) == ()


def test_absence_that_predicts_the_label_is_named_with_its_shares() -> None:
    present = columns()
    labels = ["melanoma" if has and n % 2 else "mole" for n, has in enumerate(present["sex"])]
    signs = absence_signs(present, labels)
    assert {sign.column for sign in signs} == {"sex", "type"}
    assert signs[0].among_absent in (0.0, 1.0)
    assert signs[0].absent == (~present["sex"]).sum()
    assert "leave it out of the answers" in str(signs[0])


@pytest.mark.parametrize("seed", range(20))
def test_absence_by_chance_is_no_sign(seed: int) -> None:
    rng = np.random.default_rng(seed)
    present = {str(n): rng.random(400) < 0.5 for n in range(10)}
    assert absence_signs(present, [str(label) for label in rng.integers(0, 6, 400)]) == ()


def test_a_profile_warns_of_a_form_that_only_some_had(tmp_path: Any) -> None:
    rows = [
        f"{n}.png,p{n},{n},{'BCC' if n % 2 else 'NEV'},{'FEMALE' if n % 2 else ''},{'2.0' if n % 2 else ''},50"
        for n in range(80)
    ]
    header = "file,patient_id,lesion_id,label,gender,fitzpatrick,age,itch,grew,hurt,bleed,elevation,region"
    lines = [f"{row},False,False,False,False,False,FACE" for row in rows]
    (tmp_path / "manifest.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    text = write_profile(tmp_path.as_uri(), "pad_ufes_20", "scin-all", tmp_path / "out")
    assert "warning: absence of sex_at_birth (40 of 80) predicts the label" in text
    assert "warning: absence of fitzpatrick_estimated" in text
    assert "age_group" not in text
