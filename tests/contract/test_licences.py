"""Weights that ship: their licence stands in the bundle's manifest, on its card and, unless it is ours, in NOTICE."""

import re
import tomllib
from pathlib import Path

import pytest

from dermis.shared.manifest import MANIFEST_FILE, URGENCY_THRESHOLD, Manifest

ROOT = Path(__file__).parents[2]
NOTICE = " ".join((ROOT / "NOTICE").read_text(encoding="utf-8").replace("Apache License 2.0", "Apache-2.0").split())
CARD = "model_card.md"
BUNDLES = sorted(path.parent for path in ROOT.glob("services/*/src/dermis/*/*/bundle/" + MANIFEST_FILE))
WEIGHTS = ("*.tflite", "*.npz", "*.onnx", "*.h5", "*.keras", "*.pt", "*.safetensors", "variables.data*")
LICENCES = re.compile(r"Apache-2\.0|CC BY(?:-[A-Z]+)* \d\.\d")
DOI = re.compile(r"doi:[\w./]*\w")

of_each_bundle = pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.parent.name)


def read(folder: Path) -> tuple[Manifest, str]:
    manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    return manifest, (folder / CARD).read_text(encoding="utf-8")


def test_there_are_bundles_to_look_at() -> None:
    assert {folder.parent.name for folder in BUNDLES} >= {"demo", "lesions"}


@of_each_bundle
def test_a_bundle_says_its_licences_in_manifest_card_and_notice(folder: Path) -> None:
    manifest, card = read(folder)
    assert manifest.knowledge is not None
    licences = set(LICENCES.findall(manifest.knowledge.licence))
    assert licences
    assert f"- Licence: {manifest.knowledge.licence}." in card
    if licences - {"Apache-2.0"}:
        assert str(folder.relative_to(ROOT)) in NOTICE
        assert [each for each in licences if each not in NOTICE] == []
        assert set(DOI.findall(card)) <= set(DOI.findall(NOTICE))


@of_each_bundle
def test_a_card_says_what_its_model_knows(folder: Path) -> None:
    manifest, card = read(folder)
    knows = manifest.knowledge
    expected = [f"- Knows: {knows.kind}.", *(f"- Does not know: {each}." for each in knows.unknown)]
    expected += [condition.name for condition in manifest.conditions]
    expected += [f"{group} {n}" for group, n in knows.measured_on.items()]
    if knows.not_measured:
        expected.append(f"No answer for people who report a type of {', '.join(knows.not_measured)}")
    chosen = manifest.urgency_calibrated_on
    default = "dermis' default, not chosen on cases of this model"
    expected.append(f"from a probability of {manifest.urgency_threshold:g}: ")
    expected.append(f"chosen on {chosen} calibration cases" if chosen else default)
    assert chosen or manifest.urgency_threshold == URGENCY_THRESHOLD
    if manifest.outliers or manifest.textures:
        expected.append("- Photos unlike those of training get no answer.")
    assert [part for part in expected if part not in card] == []
    assert any("skin cancer" in each for each in knows.unknown)


def test_weights_that_ship_are_of_a_bundle_or_named_in_notice() -> None:
    weights = {path for kind in WEIGHTS for path in ROOT.glob(f"services/*/src/**/{kind}")}
    assert len(weights) >= 4
    lost = [path for path in weights if not any(folder in path.parents for folder in BUNDLES)]
    assert [path for path in lost if str(path.relative_to(ROOT)) not in NOTICE] == []


def test_licence_and_notice_go_into_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["license-files"]) == {"LICENSE", "NOTICE"}
    assert all((ROOT / name).is_file() for name in project["license-files"])
