"""Images of a data set that a mapping reads.

Tones, labels, and a colour space that follows the label, in both reports.
"""

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from dermis.data.cli import data
from dermis.data.mapping import scin_side
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE
from dermis.shared.errors import DermisError
from tests.support.colors import SPACES, in_space, profile_of
from tests.support.images import encode, noise
from tests.unit.data.scin_rows import files, labelled, tables

WARNING = "ADOBE_RGB follows the label 'Melanoma': 92% of 24 images, 8% of 24 others"
MONK = {
    "name": "Clinic",
    "licence": "CC0",
    "image": "photo",
    "images": "photos",
    "unit": "person",
    "case": "lesion",
    "attributes": {"monk_us": {"column": "tone"}, "condition": {"column": "diagnosis"}},
}


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(data, list(arguments))
    if isinstance(result.exception, DermisError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def jpeg(n: int, *, adobe: bool = False) -> bytes:
    image = noise(height=64, width=96, level=120, spread=30, seed=n)
    if not adobe:
        return encode(image, "JPEG")
    return encode(in_space(image, SPACES["Adobe RGB"]), "JPEG", icc_profile=profile_of(SPACES["Adobe RGB"]))


def as_table(rows: list[dict[str, str]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def atlas(folder: Path, adobe_of: dict[str, int]) -> Path:
    """Write a folder in Fitzpatrick17k's form, 24 photos of each label, of which the first few are Adobe RGB."""
    folder.mkdir()
    rows = []
    for label, adobe in adobe_of.items():
        for n in range(24):
            (folder / f"{label}{n}.jpg").write_bytes(jpeg(n, adobe=n < adobe))
            rows.append({"file": f"{label}{n}.jpg", "scin_name": label, "fitzpatrick_scale": str(1 + n % 6)})
    (folder / "manifest.csv").write_text(as_table(rows))
    return folder


def facts(report: Path) -> dict[str, str]:
    return dict(json.loads(report.read_text())["facts"])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("nevi", "warned"), [(2, True), (22, False)])
def test_a_profile_that_follows_the_label_is_named_in_both_reports(tmp_path: Path, nevi: int, warned: bool) -> None:
    source = ("--data", str(atlas(tmp_path / "atlas", {"Melanoma": 22, "Nevus": nevi})))
    images, profile = tmp_path / "images", tmp_path / "profile"
    outputs = [run("images", *source, "--local", "--no-pictures", "--out", str(images)).output]
    outputs.append(run("profile", *source, "--images", str(images / "images.csv"), "--out", str(profile)).output)
    for output, report in zip(outputs, (images / "images.json", profile / "profile.json"), strict=True):
        assert (f"warning: {WARNING}" in output) is warned
        assert ("warning" in output) is warned
        line = facts(report)["Colour spaces that follow a label"]
        assert (WARNING in line) if warned else (line == "none")
    by_label = {
        (row["value"], row["color_space"]): row["n"] for row in rows_of(profile / "profile/color_spaces_by_label.csv")
    }
    assert by_label == {
        ("Melanoma", "ADOBE_RGB"): "22",
        ("Melanoma", "SRGB"): "2",
        ("Nevus", "ADOBE_RGB"): str(nevi),
        ("Nevus", "SRGB"): str(24 - nevi),
    }
    assert "warning" not in run("profile", *source, "--out", str(profile)).output, "the profile itself reads no image"


def test_images_are_counted_by_the_scales_that_the_mapping_has(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("images", "--data", str(atlas(tmp_path / "atlas", {"Melanoma": 0})), "--local", "--out", str(out))
    named = {table.stem for table in (out / "images").glob("*.csv")}
    assert {name for name in named if name.startswith("rejected")} == {
        "rejected_by_fitzpatrick_estimated",
        "rejected_cases",
    }
    assert {row["value"]: row["of"] for row in rows_of(out / "images/rejected_cases.csv")} == {
        **{f"FST{n}": "4" for n in range(1, 7)},
        "No response": "0",
    }
    assert "color_spaces_by_fitzpatrick_estimated" in named
    histogram = rows_of(out / "images/histogram_brightness_mean.csv")
    assert {group: sum(int(row[group]) for row in histogram) for group in list(histogram[0])[2:]} == {
        "all": 24,
        "FST_I_II": 8,
        "FST_III_IV": 8,
        "FST_V_VI": 8,
    }


@pytest.fixture
def clinic(tmp_path: Path) -> tuple[str, ...]:
    """Six photos of three lesions, of which the last photo is missing, by a mapping in a file."""
    folder = tmp_path / "clinic"
    (folder / "photos").mkdir(parents=True)
    cells = [("p1", "1", "2", "Melanoma"), ("p1", "2", "2", "Nevus"), ("p2", "1", "9", "Nevus")]
    rows = [
        {"photo": f"{person}-{lesion}-{n}.jpg", "person": person, "lesion": lesion, "tone": tone, "diagnosis": name}
        for person, lesion, tone, name in cells
        for n in range(2)
    ]
    for n, row in enumerate(rows[:-1]):
        (folder / "photos" / row["photo"]).write_bytes(jpeg(n))
    (folder / "manifest.csv").write_text(as_table(rows))
    (tmp_path / "clinic.json").write_text(json.dumps(MONK))
    return ("--data", str(folder), "--mapping", str(tmp_path / "clinic.json"))


def test_a_mapping_of_ones_own_with_monk_tones(clinic: tuple[str, ...], tmp_path: Path) -> None:
    out = tmp_path / "out"
    output = run("images", *clinic, "--local", "--out", str(out)).output
    assert "6 images, 1 of them missing" in output
    assert "Rejected images: Monk skin tone" in output
    assert {row["image"]: row["fault"] for row in rows_of(out / "images.csv")}["photos/p2-1-1.jpg"] == "MISSING"
    assert {
        row["value"]: row["of"] for row in rows_of(out / "images/rejected_by_monk_bin.csv") if row["of"] != "0"
    } == {
        "MST_1_3": "4",
        "MST_7_10": "1",
    }
    cases = {row["value"]: row["of"] for row in rows_of(out / "images/rejected_cases.csv")}
    assert (cases["MST_1_3"], cases["MST_7_10"]) == ("2", "1"), "a person's lesions are two cases"
    assert facts(out / "images.json")["Data set"] == "Clinic"


@pytest.mark.parametrize(
    ("where", "wanted"),
    [("label=Melanoma", ["p1-1-0", "p1-1-1"]), ("monk_bin=MST_7_10", ["p2-1-0", "p2-1-1"]), ("monk_us>=10", None)],
)
def test_where_picks_cases_of_a_mapped_set(
    clinic: tuple[str, ...], tmp_path: Path, where: str, wanted: list[str] | None
) -> None:
    arguments = ("images", *clinic, "--where", where, "--local", "--no-pictures", "--out", str(tmp_path / "out"))
    if wanted is None:
        with pytest.raises(DermisError, match="no images in"):
            run(*arguments)
        return
    run(*arguments)
    assert [row["image"] for row in rows_of(tmp_path / "out/images.csv")] == [f"photos/{name}.jpg" for name in wanted]


def test_images_of_another_folder_belong_to_cases_by_name(clinic: tuple[str, ...], tmp_path: Path) -> None:
    photos, out = tmp_path / "elsewhere", tmp_path / "out"
    photos.mkdir()
    for name in ("p2-1-0.jpg", "stranger.jpg"):
        (photos / name).write_bytes(jpeg(1))
    arguments = ("--data", str(photos), "--prefix", "", "--tables", (tmp_path / "clinic").as_uri(), *clinic[2:])
    run("images", *arguments, "--local", "--out", str(out))
    counted = {row["value"]: row["of"] for row in rows_of(out / "images/rejected_by_monk_bin.csv") if row["of"] != "0"}
    assert counted == {"MST_7_10": "1", "NO_CASE": "1"}


def test_a_mapping_without_a_tone_tells_no_reject_rate(clinic: tuple[str, ...], tmp_path: Path) -> None:
    rules = {**MONK, "attributes": {"condition": {"column": "diagnosis"}}}
    (tmp_path / "clinic.json").write_text(json.dumps(rules))
    out = tmp_path / "out"
    run("images", *clinic, "--local", "--out", str(out))
    named = {table.stem for table in (out / "images").glob("*.csv")}
    assert {name for name in named if name.startswith(("rejected", "color_spaces_by"))} == {"color_spaces_by_label"}
    assert {row["tone"] for row in rows_of(out / "images/darkest_kept.csv")} <= {"No response"}


def test_what_is_wrong_is_told(clinic: tuple[str, ...], tmp_path: Path) -> None:
    out = ("--local", "--out", str(tmp_path / "out"))
    with pytest.raises(DermisError, match="SCIN's tables: name them with --tables"):
        run("images", *clinic, *out, "--calibrate")
    with pytest.raises(DermisError, match="leave --prefix out, or name the store"):
        run("images", *clinic, *out, "--prefix", "")
    with pytest.raises(DermisError, match="dermis data generate"):
        run("images", "--data", "generated:1:5", *out)
    table = tmp_path / "images.csv"
    for text, match in (
        ("image\na.jpg\n", "no column 'color_space'"),
        ("image,color_space\na.jpg,SRGB\n", "not one image of images.csv"),
    ):
        table.write_text(text)
        with pytest.raises(DermisError, match=match):
            run("profile", *clinic, "--images", str(table), "--out", str(tmp_path / "profile"))
    manifest = tmp_path / "clinic/manifest.csv"
    manifest.write_text(manifest.read_text().replace(",9,", ",MST9,"))
    with pytest.raises(DermisError, match="column tone = 'MST9': is no Monk skin tone"):
        run("images", *clinic, *out)


def test_a_published_profile_holds_no_warning(tmp_path: Path) -> None:
    source = ("--data", str(atlas(tmp_path / "atlas", {"Melanoma": 22, "Nevus": 2})))
    table = tmp_path / "images.csv"
    listed = [(f"{label}{n}.jpg", n < adobe) for label, adobe in (("Melanoma", 22), ("Nevus", 2)) for n in range(24)]
    table.write_text(
        as_table([{"image": image, "color_space": "ADOBE_RGB" if adobe else "SRGB"} for image, adobe in listed])
    )
    store = tmp_path / "store"
    arguments = ("--images", str(table), "--out", str(tmp_path / "out"), "--publish", "--store", store.as_uri())
    assert WARNING in run("profile", *source, *arguments).output
    (published,) = store.rglob("report.json")
    report = json.loads(published.read_text())
    assert "follow" not in published.read_text()
    assert [each["name"] for each in report["tables"]] == [
        "overview",
        "images_per_case",
        "fitzpatrick_estimated",
        "labels",
        "color_spaces",
    ]


def test_the_profile_of_scin_warns_by_the_condition_that_was_weighted_most(tmp_path: Path) -> None:
    names = ["Melanoma"] * 24 + ["Eczema"] * 24
    rows = [labelled(n, {name: 0.7, "Acne": 0.3}, images=(n,)) for n, name in enumerate(names, start=1)]
    assert scin_side(tables(rows)).answers["condition"] == [(name,) for name in names]
    for name, content in zip((CASES_FILE, LABELS_FILE), files(rows), strict=True):
        (tmp_path / name).write_bytes(content)
    adobe = {*range(1, 23), 25, 26}
    listed = [{"image": f"images/{n}.png", "color_space": "ADOBE_RGB" if n in adobe else "SRGB"} for n in range(1, 49)]
    (tmp_path / "images.csv").write_text(as_table(listed))
    arguments = ("profile", "--data", str(tmp_path), "--policy", "scin-all", "--out", str(tmp_path / "out"))
    assert f"warning: {WARNING}" in run(*arguments, "--images", str(tmp_path / "images.csv")).output
    assert (tmp_path / "out/profile/color_spaces_by_monk_bin.csv").exists()
    assert "warning" not in run(*arguments).output


def test_compare_takes_the_mapping_that_fits(tmp_path: Path) -> None:
    folder = atlas(tmp_path / "atlas", {"Melanoma": 0}).as_uri()
    run("compare", folder, folder, "--out", str(tmp_path / "out"))
    assert facts(tmp_path / "out/compare.json")["A"].startswith("Fitzpatrick17k")


@pytest.mark.parametrize(("name", "images"), [("pad_ufes_20", 149), ("fitzpatrick17k", 593)])
def test_real_photos_of_mapped_sets(real_data: Path, tmp_path: Path, name: str, images: int) -> None:
    source = ("--data", str(real_data / "photos" / name))
    output = run("images", *source, "--local", "--no-pictures", "--out", str(tmp_path)).output
    assert f"{images} images, 0 of them missing" in output
    assert "Rejected images: Fitzpatrick skin type, estimated" in output
    assert (
        facts(tmp_path / "images.json")["Colour spaces that follow a label"] == "none"
    )  # these copies carry no profile
    assert sum(int(row["of"]) for row in rows_of(tmp_path / "images/rejected_by_fitzpatrick_estimated.csv")) == images
