"""`dermis data embed` and `map`, as typed, on generated cases with the demo bundle."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from dermis.data.cli import data
from dermis.data.generated.cases import cases
from dermis.data.scin.columns import CASES_FILE, LABELS_FILE
from dermis.data.space import embed as module
from dermis.shared.bundles import point, publish
from dermis.shared.errors import DermisError
from dermis.shared.manifest import VersionRef
from dermis.shared.stores import open_store
from dermis.trainer.model.export import run_tensorflow
from tests.unit.data.scin_rows import files, labelled

pytestmark = pytest.mark.timeout(
    300
)  # the first map of a machine compiles: seconds alone, a minute where others have the cores
BUNDLE = Path(__file__).parents[4] / "services/standalone/src/dermis/standalone/demo/bundle"
CASES = 90
MISSING, BROKEN = "images/50.png", "images/70.png"


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(data, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def put(folder: Path) -> None:
    """Write cases as a SCIN source: image 10 n of case n, and 10 n + 1 of every third."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for drawn in cases(3, CASES):
        n = drawn.index + 1
        numbers = [10 * n, 10 * n + 1][: 2 if n % 3 == 0 and len(drawn.images) > 1 else 1]
        rows.append(
            labelled(
                n,
                {drawn.condition: 1.0},
                images=numbers,
                monk_skin_tone_label_us=drawn.monk_skin_tone.removeprefix("MST"),
            )
        )
        for number, image in zip(numbers, drawn.images, strict=False):
            (folder / f"images/{number}.png").write_bytes(cv2.imencode(".png", image[..., ::-1])[1].tobytes())
    for name, table in zip((CASES_FILE, LABELS_FILE), files(rows), strict=True):
        (folder / name).write_bytes(table)
    (folder / MISSING).unlink()
    (folder / BROKEN).write_bytes((folder / BROKEN).read_bytes()[:300])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("embed") / "source"
    put(folder)
    return folder


@pytest.fixture(scope="module")
def embeddings(source: Path) -> Path:
    out = source.parent / "embeddings"
    done = run("embed", "--data", source.as_uri(), "--policy", "scin-all", "--bundle", str(BUNDLE), "--out", str(out))
    assert f"MISSING: {MISSING}" in done.output
    assert f"IMAGE_DAMAGED: {BROKEN}" in done.output
    return out / "embeddings.npz"


def arrays(path: Path) -> Mapping[str, np.ndarray]:
    with np.load(path) as loaded:
        return {name: loaded[name] for name in loaded}


def test_an_embedding_is_what_the_bundle_makes_of_the_prepared_image(embeddings: Path, source: Path) -> None:
    loaded = arrays(embeddings)
    listed = [path.name for path in (source / "images").glob("*.png")]
    assert {Path(key).name for key in loaded["image"]} == set(listed) - {Path(BROKEN).name}
    assert str(loaded["bundle"]) == "models/dermis/1 (demo)"
    assert not list(embeddings.parent.glob("parts*"))
    embedder = module.open_embedder(str(BUNDLE), None)
    some = [0, 17, len(loaded["image"]) - 1]
    images = np.zeros((3, 3, 96, 96, 3), np.uint8)
    images[:, 0] = [embedder.prepared((source / loaded["image"][place]).read_bytes()) for place in some]
    mask = np.array([[True, False, False]] * 3)
    features = np.ones((3, embedder.columns), np.float32)  # answers make no difference
    wanted = run_tensorflow(BUNDLE, {"images": images, "image_mask": mask, "features": features})["embedding"]
    assert loaded["embedding"][some] == pytest.approx(wanted, abs=1e-4)
    assert loaded["embedding"].dtype == np.float32


def test_it_goes_on_where_it_was_stopped(
    source: Path, embeddings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART", 20)
    arguments = (
        "embed",
        "--data",
        source.as_uri(),
        "--policy",
        "scin-all",
        "--bundle",
        str(BUNDLE),
        "--out",
        str(tmp_path),
    )
    whole = module.Embedder.embed

    def stop_at(self: module.Embedder, images: list[np.ndarray]) -> np.ndarray:
        calls.append(len(images))
        if sum(calls) > 50:
            raise KeyboardInterrupt
        return whole(self, images)

    calls: list[int] = []
    monkeypatch.setattr(module.Embedder, "embed", stop_at)
    stopped = run(*arguments)
    assert stopped.exit_code == 130
    assert "run the same command to go on" in stopped.output
    assert len(list(tmp_path.rglob("parts/*/*.npz"))) == 2
    assert not (tmp_path / "embeddings.npz").exists()
    done: list[int] = []
    monkeypatch.setattr(module.Embedder, "embed", lambda self, images: done.append(len(images)) or whole(self, images))
    assert run(*arguments).exit_code == 0
    loaded, wanted = arrays(tmp_path / "embeddings.npz"), arrays(embeddings)
    assert loaded["image"].tolist() == wanted["image"].tolist()
    assert loaded["embedding"] == pytest.approx(wanted["embedding"], abs=1e-6)
    assert 0 < sum(done) <= len(loaded["image"]) - 38  # two parts of 20, of which two images have none


def test_a_bundle_is_a_folder_or_a_version_in_a_store(source: Path, embeddings: Path, tmp_path: Path) -> None:
    store = open_store((tmp_path / "store").as_uri())
    publish(store, BUNDLE)
    point(store, VersionRef(name="dermis", version=1))
    there = ("--data", (source / "images").as_uri(), "--prefix", "1")
    for name in ("current", "dermis/1"):
        out = tmp_path / name
        run("embed", *there, "--store", (tmp_path / "store").as_uri(), "--bundle", name, "--out", str(out))
        loaded, wanted = arrays(out / "embeddings.npz"), arrays(embeddings)
        assert len(loaded["image"]) > 5
        place = wanted["image"].tolist().index("images/100.png")
        assert loaded["embedding"][loaded["image"].tolist().index("100.png")] == pytest.approx(
            wanted["embedding"][place], abs=1e-5
        )
    with pytest.raises(DermisError, match="write NAME/VERSION or current"):
        run("embed", *there, "--store", (tmp_path / "store").as_uri(), "--bundle", "dermis")
    with pytest.raises(DermisError, match=r"no manifest.json in 'nowhere'"):
        run("embed", *there, "--bundle", "nowhere")
    changed = shutil.copytree(BUNDLE, tmp_path / "changed")
    (changed / "saved_model.pb").write_bytes(b"other")
    with pytest.raises(DermisError, match=r"saved_model.pb is not what its manifest says"):
        run("embed", *there, "--bundle", str(changed))


@pytest.fixture(scope="module")
def mapped(source: Path, embeddings: Path) -> Path:
    duplicates = source.parent / "groups.csv"
    duplicates.write_text("image,group\nimages/10.png,a\nimages/20.png,a\n")
    out = source.parent / "map"
    arguments = (
        "--data",
        source.as_uri(),
        "--policy",
        "scin-all",
        "--duplicates",
        str(duplicates),
        "--pictures-from",
        source.as_uri(),
    )
    run("map", str(embeddings), *arguments, "--least", "5", "--case", "3", "--out", str(out))
    return out


def test_the_demo_bundle_sorts_by_condition_and_by_tone(mapped: Path) -> None:
    frame = pd.read_csv(mapped / "map/sorts_by.csv")
    neighbours = frame[frame["measure"].str.startswith("neighbours")].set_index("sorts by")
    condition, tone = neighbours.loc["Condition"], neighbours.loc["Monk skin tone"]
    assert condition["n"] == tone["n"] == CASES - 2
    for sorts in (condition, tone):  # by both: generated skin takes most of an image
        assert sorts["estimate"] > sorts["chance at most"]
        assert sorts["above chance"] > 0
    assert (frame["chance"] <= frame["chance at most"]).all()
    by_tone = pd.read_csv(mapped / "map/condition_alike_by_monk_bin.csv")
    assert by_tone["n"].sum() == CASES - 2
    assert (by_tone["low"] <= by_tone["estimate"]).all()


def test_the_map_has_every_case_its_neighbours_and_pictures(mapped: Path, source: Path) -> None:
    rows = pd.read_csv(mapped / "map.csv", dtype={"case": str}).set_index("case")
    assert set(rows.index) == {str(n) for n in range(1, CASES + 1)} - {"5", "7"}
    assert rows["images"].sum() == len(list((source / "images").glob("*.png"))) - 1
    assert rows.loc["1", "group"] == rows.loc["2", "group"]
    assert rows["group"].nunique() == CASES - 3
    near = pd.read_csv(mapped / "neighbours.csv", dtype=str)
    assert set(near.groupby("case").size()) == {10}
    assert not ((near["case"] == "1") & (near["neighbour"] == "2")).any()
    page = (mapped / "map.html").read_text()
    assert "Neighbours of case 3" in page
    assert page.count("data:image/jpeg;base64,") >= 11 + 12
    assert 'aria-label="UMAP: Condition. A map of 88 points' in page
    assert "<script" not in page
    far = pd.read_csv(mapped / "map/far_by_monk_bin.csv")
    assert (far["n"].sum(), far["of"].sum()) == (4, CASES - 2)


def test_without_tables_every_image_is_a_case_and_two_runs_are_equal(embeddings: Path, tmp_path: Path) -> None:
    for name in "ab":
        output = run("map", str(embeddings), "--out", str(tmp_path / name)).output
        assert "map.html" in output
    assert (tmp_path / "a/map.html").read_bytes() == (tmp_path / "b/map.html").read_bytes()
    assert len(pd.read_csv(tmp_path / "a/map.csv")) == len(arrays(embeddings)["image"])


def test_what_makes_no_map_is_told(embeddings: Path, source: Path, tmp_path: Path) -> None:
    with pytest.raises(DermisError, match="no case '99999'"):
        run("map", str(embeddings), "--data", source.as_uri(), "--case", "99999", "--out", str(tmp_path))
    with pytest.raises(DermisError, match="with --data"):
        run("map", str(embeddings), "--mapping", "pad_ufes_20", "--out", str(tmp_path))
    np.savez(tmp_path / "few.npz", image=np.array(["a", "b"]), embedding=np.ones((2, 3)))
    with pytest.raises(DermisError, match="2 cases make no map: embed at least 20"):
        run("map", str(tmp_path / "few.npz"), "--out", str(tmp_path))
    np.savez(tmp_path / "twice.npz", image=np.array(["a", "a"]), embedding=np.ones((2, 3)))
    with pytest.raises(DermisError, match="an image twice"):
        run("map", str(tmp_path / "twice.npz"), "--out", str(tmp_path))
    (tmp_path / "no.npz").write_text("text")
    with pytest.raises(DermisError, match=r"no.npz is no .npz"):
        run("map", str(tmp_path / "no.npz"), "--out", str(tmp_path))
