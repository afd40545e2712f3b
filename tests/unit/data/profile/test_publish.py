"""What of a profile is published: nothing of a few people, nothing that gives them away."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from dermis.data.cli import data
from dermis.data.profile.profile import profile
from dermis.data.profile.publish import LEAST, publishable
from dermis.data.report.table import ReportTable
from dermis.data.scin.label_policy import apply_policy
from dermis.data.scin.source import load_policy
from tests.unit.data.scin_rows import case, labelled, tables

FIXTURE = Path(__file__).parents[3] / "support/data_report.json"


def of_counts(*counts: int, of: int | None = None, name: str = "age_group") -> ReportTable:
    frame = pd.DataFrame({"value": [str(n) for n in range(len(counts))], "n": counts, "of": of or sum(counts)})
    return ReportTable(name=name, section="", title="", frame=frame.assign(share=0.5, low=0.1, high=0.9), chart="bars")


def shown(table: ReportTable) -> list[int | None]:
    (published,) = publishable([table])
    frame = published.frame
    hidden = frame["n"].isna()
    assert frame.loc[hidden, ["share", "low", "high"]].isna().all(axis=None)
    return [None if pd.isna(n) else int(n) for n in frame["n"]]


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ((40, 30, 0), [40, 30, 0]),
        ((40, 5, 3, 2), [40, 5, None, None]),
        ((40, 20, 3), [40, None, None]),  # else 3 is what is missing to the whole
        ((60, 4), [None, None]),
        ((60, 4, 0), [None, None, 0]),
        ((0, 3), [None, None]),  # the whole is a few
    ],
)
def test_small_counts_are_withheld_and_so_is_what_gives_them_away(
    counts: tuple[int, ...], wanted: list[int | None]
) -> None:
    assert shown(of_counts(*counts)) == wanted


def test_a_few_who_lack_a_value_are_withheld_where_several_may_be_given() -> None:
    assert shown(of_counts(48, 30, 2, of=50, name="body_parts")) == [None, 30, None]


def test_a_share_of_a_few_is_withheld_with_their_number() -> None:
    frame = pd.DataFrame({"label": ["A", "A"], "tone": ["MST_1_3", "MST_7_10"], "n": [0, 8], "of": [3, 20]}).assign(
        share=0.0, low=0.0, high=1.0
    )
    (table,) = publishable([ReportTable(name="labels_by_tone", section="", title="", frame=frame, chart="matrix")])
    assert [pd.isna(value) for value in table.frame["of"]] == [True, False]
    assert [pd.isna(value) for value in table.frame["high"]] == [True, False]


def test_of_a_profile_nothing_of_a_few_is_left() -> None:
    rows = [
        labelled(n, {"Eczema": 1.0}, monk_skin_tone_label_us=str(1 + n % 7), fitzpatrick_skin_type=f"FST{1 + n % 2}")
        for n in range(1, 61)
    ]
    rows += [
        labelled(100, {"A long sentence about one person": 1.0}, sex_at_birth="MALE"),
        case(101, race_ethnicity_other_race="YES"),
    ]
    read = tables(rows)
    everything = profile(read, apply_policy(load_policy("scin-all"), read.cases))
    assert any("A long sentence" in table.frame.to_csv() for table in everything)
    published = publishable(everything)
    assert {"overview", "monk_us", "race_ethnicity", "labels", "labels_by_tone"} <= {table.name for table in published}
    assert not {"conditions", "monk_pools", "unlabelled", "labelled_by_monk_us"} & {table.name for table in published}
    for table in published:
        assert "A long sentence" not in table.frame.to_csv()
        if table.name != "overview":
            assert not table.frame["n"].dropna().between(1, LEAST - 1).any(), table.name


def test_the_gateways_tests_look_at_what_is_published_of_generated_cases(tmp_path: Path) -> None:
    source, store, out = (tmp_path / name for name in ("made", "store", "out"))

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(data, list(arguments), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.output

    run("generate", "--cases", "120", "--seed", "7", "--longest", "64", str(source))
    publish = ("profile", "--data", source.as_uri(), "--out", str(out), "--publish", "--store", store.as_uri())
    said = run(*publish)
    assert run(*publish) == said  # put once, and again no fault
    key = said.split("published as ")[1].strip()
    document = (store / key).read_text(encoding="utf-8")
    assert source.name not in json.dumps(json.loads(document)["facts"])
    assert document == FIXTURE.read_text(encoding="utf-8"), f"copy what `dermis data {' '.join(publish)}` published"
    state = {"DERMIS_STORE_URL": "", "DERMIS_STANDALONE_STATE": str(tmp_path / "state")}
    result = CliRunner().invoke(data, ["profile", "--data", source.as_uri(), "--out", str(out), "--publish"], env=state)
    assert (tmp_path / "state" / "store" / result.output.split("published as ")[1].strip()).is_file()
