"""A store that was made ready has a model and the trainer's folders.

They are the folders that the trainer's container mounts: those that the trainer's keys lie in.
"""

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from dermis.shared import jobs
from dermis.shared.audit import AUDIT_PREFIX
from dermis.shared.manifest import CURRENT_KEY
from dermis.shared.promotions import PROMOTIONS
from dermis.shared.stores.disk import DiskStore
from dermis.standalone.commands.init import FOLDERS, command
from dermis.trainer.records.layout import EVALUATIONS
from dermis.trainer.records.runs import RUNS

ROOT = Path(__file__).parents[3]


def test_a_store_on_disk_gets_a_model_and_the_folders_once(tmp_path: Path) -> None:
    root = tmp_path / "store"
    for _ in range(2):
        ran = CliRunner().invoke(
            command, ["--store", root.as_uri()], env={"DERMIS_STANDALONE_STATE": str(tmp_path)}, catch_exceptions=False
        )
        assert ran.output == "the store's model is dermis version 1, purpose: demo\n"
    assert {path.name for path in root.iterdir() if path.is_dir()} == set(FOLDERS)
    assert {(root / name).stat().st_mode & 0o777 for name in FOLDERS} == {0o700}
    assert all(key.startswith("models/") for key in DiskStore(root).list(""))


def test_a_shipped_model_becomes_current_in_a_store_that_has_another(tmp_path: Path) -> None:
    store = ["--store", (tmp_path / "store").as_uri()]
    for arguments, model in (([], "dermis"), (["--model", "lesions"], "lesions"), ([], "lesions")):
        ran = CliRunner().invoke(
            command, [*store, *arguments], env={"DERMIS_STANDALONE_STATE": str(tmp_path)}, catch_exceptions=False
        )
        assert ran.output.startswith(f"the store's model is {model} version 1, purpose: ")


def test_the_trainer_mounts_the_folders_that_are_made_and_nothing_of_cases_and_keys() -> None:
    volumes = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["trainer"]["volumes"]
    mounted = [
        (each["target"], each["volume"]["subpath"])
        for each in volumes
        if isinstance(each, dict) and each["source"] == "store"
    ]
    assert mounted == [(f"/store/{name}", name) for name in FOLDERS]
    assert not [each for each in volumes if isinstance(each, str) and each.startswith("store")]
    assert not {"cases", "keys", "open", "idempotency", "batches", "scratch"} & set(FOLDERS)
    assert f"for folder in {' '.join(FOLDERS)}; do mkdir -m 0700" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize(
    "key",
    [CURRENT_KEY, RUNS, EVALUATIONS, PROMOTIONS, AUDIT_PREFIX, jobs.shard_list_key("profile"), "reports/"],
    ids=lambda key: key,
)
def test_what_the_trainer_and_the_data_tools_write_lies_in_them(key: str) -> None:
    assert key.partition("/")[0] in FOLDERS
