"""Tests lie where the code lies: a folder of tests/unit for each room, and a module's name in front of a test's."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests/unit"
ROOMS = {
    **{part.name: part / "src/dermis" / part.name for part in sorted((ROOT / "services").iterdir())},
    "shared": ROOT / "shared/src/dermis/shared",
    "client": ROOT / "clients/python/src/dermis/client",
    "benchmarks": ROOT / "benchmarks",
    "system": ROOT / "tests/system",
}
RINGS = ("core", "adapters", "routes", "web", "commands", "stores", "backbones")
"""Folders of a room whose tests lie with the room's own: a module's name says which one is meant."""

ELSEWHERE = {
    "data/test_notebook.py": "runs the notebook of docs/how-to",
    "shared/test_tree.py": "holds laws of the whole tree",
    "trainer/test_lesions.py": "tests the committed lesions bundle, which several rooms make",
    "trainer/test_demo.py": "tests the committed demo bundle, which several rooms make",
    "trainer/training/test_devices.py": "tests a whole training on several devices",
}


def room_of(test: Path) -> Path:
    part, *rooms = test.relative_to(UNIT).parts[:-1]
    return ROOMS[part].joinpath(*rooms)


def names_in(room: Path) -> set[str]:
    folders = [room, *(room / ring for ring in RINGS)]
    return {entry.stem.strip("_") for folder in folders if folder.is_dir() for entry in folder.iterdir()}


def is_named_after_a_module(test: Path) -> bool:
    name = test.stem.removeprefix("test_")
    return any(name == module or name.startswith(f"{module}_") for module in names_in(room_of(test)))


def unit_tests() -> list[Path]:
    return sorted(UNIT.rglob("test_*.py"))


def test_each_folder_of_tests_is_a_room() -> None:
    assert len(unit_tests()) > 100
    assert [str(test) for test in unit_tests() if not room_of(test).is_dir()] == []


def test_each_test_is_named_after_a_module_of_its_room() -> None:
    others = {str(test.relative_to(UNIT)) for test in unit_tests() if not is_named_after_a_module(test)}
    assert others == set(ELSEWHERE)
