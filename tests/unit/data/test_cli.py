"""`dermis data`, as typed."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result

from dermis.data import defaults
from dermis.data.cli import data
from dermis.data.dataset import open_dataset
from dermis.data.generated import cases as generated
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE
from dermis.data.scin.source import open_scin
from dermis.data.split.groups import read_duplicates
from dermis.data.split.split import PARTS, from_text
from dermis.shared.errors import DermisError
from tests.unit.data.scin_rows import case, files, labelled


@pytest.fixture
def source(tmp_path: Path) -> str:
    folder = tmp_path / "a source"
    (folder / "images").mkdir(parents=True)
    rows = [labelled(n, {"AB"[n % 2]: 1.0}, images=(n,), monk_skin_tone_label_us=str(1 + n % 8)) for n in range(1, 40)]
    for name, table in zip((CASES_FILE, LABELS_FILE), files([*rows, case(40, images=(40,))]), strict=True):
        (folder / name).write_bytes(table)
    for n in range(1, 40):
        (folder / "images" / f"{n}.png").write_bytes(cv2.imencode(".png", np.full((4, 4, 3), n, np.uint8))[1].tobytes())
    return folder.as_uri()


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(data, list(arguments), catch_exceptions=True)
    if isinstance(result.exception, DermisError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_split_then_audit(source: str, tmp_path: Path) -> None:
    out = tmp_path / "new" / "split.json"
    output = run("split", "--data", source, "--policy", "scin-all", "--out", str(out)).output
    assert all(part in output for part in PARTS)
    assert "0 of" in output  # one image a case: a split by image has no sibling to leak
    assert json.loads(out.read_text())["digest"] in output
    assert "no leak in 40 cases" in run("audit", "--data", source, "--policy", "scin-all", str(out)).output
    with pytest.raises(DermisError, match="label policy"):
        run("audit", "--data", source, str(out))
    with pytest.raises(DermisError, match="four numbers"):
        run("split", "--data", source, "--fractions", "0.5:0.5", "--out", str(out))


def test_two_processes_write_the_same_bytes(source: str, tmp_path: Path) -> None:
    for seed in ("1", "2"):
        code = (
            f"from dermis.data.cli import data; data(['split', '--data', {source!r}, '--out', "
            f"{str(tmp_path / seed)!r}])"
        )
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "PYTHONHASHSEED": seed},
        )
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_fetch_brings_a_part_home(source: str, tmp_path: Path) -> None:
    home = tmp_path / "at home"
    assert (
        "5 of 40 cases, 5 images"
        in run("fetch", "--data", source, "--where", "monk_us>=8", "--dry-run", str(home)).output
    )
    assert not home.exists()
    result = run("fetch", "--data", source, "--policy", "scin-all", "--where", "label=|A", str(home))
    assert "19 fetched, 0 were there, 1 missing in the source" in result.output
    assert "missing: images/40.png" in result.output
    assert len(list((home / "images").glob("*.png"))) == 19
    again = run("fetch", "--data", source, "--policy", "scin-all", "--where", "label=|A", str(home))
    assert "0 fetched, 19 were there" in again.output
    assert "20 of 20 cases" in run("fetch", "--data", home.as_uri(), "--dry-run", str(tmp_path / "x")).output


def test_profile_and_compare_write_their_files(source: str, tmp_path: Path) -> None:
    assert "CSV files" in run("compare", source, source, "--out", str(tmp_path / "c")).output
    assert (tmp_path / "c" / "compare.html").exists()
    table = (tmp_path / "c" / "compare" / "monk_us.csv").read_text().splitlines()
    assert table[0].startswith("value,n_a,of_a,share_a")
    assert "CSV files" in run("profile", "--data", source, "--policy", "scin-all", "--out", str(tmp_path / "p")).output
    facts = json.loads((tmp_path / "p" / "profile.json").read_text())["facts"]
    assert facts["Source"] == source
    assert facts["Label policy"].startswith("scin-all/1 sha256:")


def test_a_source_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DermisError, match=r"no manifest.csv in .*: name the folder"):
        run("compare", "--mapping-a", "pad_ufes_20", tmp_path.as_uri(), tmp_path.as_uri())


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys; from dermis.data import cli; print([m for m in ('pandas', 'cv2', 'matplotlib') if m in "
        "sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_images_are_measured_without_what_only_calibrating_needs() -> None:
    code = "import sys; from dermis.data.images import measure; print({'sklearn', 'scipy.stats'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "set()"
    )


def test_defaults_name_the_parts() -> None:
    assert tuple(defaults.FRACTIONS) == PARTS
    assert sum(defaults.FRACTIONS.values()) == pytest.approx(1)


def test_generated_cases_are_a_source_like_scin(tmp_path: Path) -> None:
    home = tmp_path / "made"
    assert "30 cases with" in run("generate", "--cases", "30", "--seed", "7", "--longest", "64", str(home)).output
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    run("generate", "--cases", "30", "--seed", "7", "--longest", "64", str(home))
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before
    with pytest.raises(DermisError, match="is there with other content"):
        run("generate", "--cases", "30", "--seed", "8", str(home))
    samples = list(open_dataset(home.as_uri(), policy="scin-all").samples)
    drawings = list(generated.cases(7, 30, longest=64))
    assert len(samples) == len(drawings)
    for sample, drawn in zip(samples, drawings, strict=True):
        assert (sample.top, dict(sample.target), len(sample.images)) == (
            drawn.condition,
            {drawn.condition: 1.0},
            len(drawn.images),
        )
        asked = drawn.self_report.model_copy(update={"monk_skin_tone": drawn.monk_skin_tone})
        assert sample.report.model_dump(exclude_none=True) == asked.model_dump(exclude_none=True)
        read = cv2.imread(str(home / sample.images[0]))
        assert np.array_equal(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), drawn.images[0])


def test_tables_get_painted_images_under_their_names(tmp_path: Path) -> None:
    tables, out = tmp_path / "tables", tmp_path / "out"
    run("generate", "--cases", "12", "--longest", "64", str(tables))
    shutil.rmtree(tables / "images")
    text = run("paint", "--source", str(tables), "--longest", "64", str(out)).output
    assert "12 cases with" in text
    assert (out / CASES_FILE).read_bytes() == (tables / CASES_FILE).read_bytes()
    scin = open_scin(out.as_uri())
    keys = [key for images in scin.cases["images"] for key, _ in images]
    assert f"{len(set(keys))} painted images" in text
    assert all(scin.read_image(key).shape[2] == 3 for key in keys)
    assert {path.stem for path in (out / "images").glob("*.png")} == {key.split("/")[1][:-4] for key in keys}
    run("paint", "--source", str(tables), "--longest", "64", str(out))  # the same again changes nothing


def test_images_duplicates_split_audit(tmp_path: Path) -> None:
    """The whole chain, on generated cases of which two share a picture under two names."""
    folder, out = tmp_path / "generated", tmp_path / "out"
    run("generate", "--cases", "40", "--longest", "128", str(folder))
    source = ("--data", folder.as_uri(), "--policy", "scin-all")
    listed = open_scin(folder.as_uri()).cases
    a, b = (listed["images"].iloc[place][0][0] for place in (3, 30))
    picture = cv2.imread(str(folder / a))
    assert picture is not None
    cv2.imwrite(str(folder / b), cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    run("images", *source, "--local", "--no-pictures", "--out", str(out / "images"))
    run("duplicates", str(out / "images/images.csv"), "--data", folder.as_uri(), "--out", str(out / "duplicates"))
    groups = out / "duplicates/groups.csv"
    assert set(read_duplicates(groups.read_bytes())) == {a, b}
    split, duplicates = out / "split.json", ("--duplicates", str(groups))
    run("split", *source, *duplicates, "--out", str(split))
    part_of = from_text(split.read_bytes()).part_of()
    assert part_of[listed["case_id"].iloc[3]] == part_of[listed["case_id"].iloc[30]]
    assert "no leak in 40 cases" in run("audit", *source, *duplicates, str(split)).output
    with pytest.raises(DermisError, match="give their file"):
        run("audit", *source, str(split))


ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(
    {
        line.split("  #")[0].strip()
        for text in (
            *(page.read_text() for page in (ROOT / "docs").rglob("*.md")),
            *(str(command.help) for command in (data, *data.commands.values())),
        )
        for line in text.splitlines()
        if line.strip().startswith("dermis data ")
    }
)


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_name_options_that_there_are(example: str) -> None:
    _, _, name, *words = shlex.split(example)
    options = {
        option for parameter in data.commands[name].params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {word for word in words if word.startswith("--")} <= options


def test_every_command_has_an_example() -> None:
    assert len(EXAMPLES) > 20
    assert {example.split()[2] for example in EXAMPLES} == set(data.commands)
