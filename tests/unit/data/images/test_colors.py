"""Colour spaces by tone and label: what follows the label is named, what is chance is not."""

from typing import Any

import pytest

from dermis.data.images.colors import color_tables, shortcuts
from dermis.data.images.tables import ImageTable, images_frame, with_cases
from dermis.data.mapping import DataSide
from dermis.worker.core import shard


def drawn(groups: dict[str, tuple[int, int]]) -> ImageTable:
    """Return images with one case each: by label, how many are Adobe RGB and of how many."""
    rows: list[dict[str, Any]] = []
    conditions: list[tuple[str] | None] = []
    tones: list[tuple[str]] = []
    for label, (adobe, of) in groups.items():
        for n in range(of):
            row = dict.fromkeys(shard.COLUMNS) | {"image": f"{label}-{n}", "width": 1, "fault": "", "reasons": ""}
            rows.append(row | {"color_space": "ADOBE_RGB" if n < adobe else "SRGB"})
            conditions.append((label,) if label else None)
            tones.append(("2",) if n % 2 else ("9",))
    keys = [str(row["image"]) for row in rows]
    side = DataSide(
        name="drawn",
        units=keys,
        images=[[key] for key in keys],
        answers={"condition": conditions, "monk_us": tones},
        notes={},
    )
    return with_cases(images_frame(rows), side)


def test_a_profile_that_follows_the_label_is_named_with_its_numbers() -> None:
    found = shortcuts(drawn({"Melanoma": (71, 100), "Erythema": (0, 100), "Eczema": (30, 100)}))
    named = {(each.label, each.space): each for each in found}
    melanoma = named["Melanoma", "ADOBE_RGB"]
    assert (melanoma.n, melanoma.of, melanoma.others, melanoma.others_of) == (71, 100, 30, 200)
    assert "71% of 100 images, 15% of 200 others" in str(melanoma)
    assert ("Erythema", "ADOBE_RGB") in named
    assert ("Eczema", "ADOBE_RGB") not in named


@pytest.mark.parametrize(
    "groups",
    [
        {"Melanoma": (30, 100), "Eczema": (28, 100)},
        {"Melanoma": (19, 19), "Eczema": (0, 300)},  # too few
        {"Melanoma": (9, 20), "Eczema": (60, 200)},  # chance
        {"Melanoma": (100, 100)},  # nothing to compare with
        {"": (50, 100)},
    ],
)
def test_what_is_too_few_or_chance_is_no_warning(groups: dict[str, tuple[int, int]]) -> None:
    assert shortcuts(drawn(groups)) == []


def test_shares_stand_by_label_and_tone() -> None:
    found = {table.name: table.frame for table in color_tables(drawn({"Melanoma": (30, 40), "Rare": (1, 3)}))}
    assert found["color_spaces"].set_index("value")["n"].to_dict() == {"ADOBE_RGB": 31, "SRGB": 12}
    by_label = found["color_spaces_by_label"]
    assert set(by_label["value"]) == {"Melanoma"}  # the rare one has fewer than 20 images
    assert by_label.set_index("color_space").loc["ADOBE_RGB", ["n", "of", "share"]].tolist() == [30, 40, 0.75]
    assert found["color_spaces_by_monk_bin"].groupby("value")["n"].sum().to_dict() == {"MST_1_3": 21, "MST_7_10": 22}


def test_without_tables_only_the_spaces_are_counted() -> None:
    images = drawn({"Melanoma": (1, 2)})
    alone = ImageTable(frame=images.frame, side=None, owners=[-1, -1])
    assert [table.name for table in color_tables(alone)] == ["color_spaces"]
    assert shortcuts(alone) == []
