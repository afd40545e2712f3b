"""A cohort's flow as a table and as a figure: every number of the steps stands in both."""

from dermis.data.report.flow import REASONS, flow_table
from dermis.data.report.plots import draw
from dermis.data.report.report import Report, as_html
from dermis.data.scin.label_policy import HAS_LABEL, LabelStatus
from dermis.shared.evaluation import CohortDrop, CohortStep

STEPS = (
    CohortStep(name="tables", cases=1516, images=3109),
    CohortStep(
        name="labelled",
        cases=931,
        images=1976,
        dropped=(
            CohortDrop(reason="NO_PATHOLOGY", cases=584, images=1132),
            CohortDrop(reason="OF_THE_FUTURE", cases=1, images=1),
        ),
    ),
    CohortStep(name="evaluated", cases=931, images=None, dropped=(CohortDrop(reason="MISSING", cases=0, images=7),)),
)


def test_each_step_and_each_reason_is_a_row() -> None:
    frame = flow_table(STEPS, section="Cohort").frame
    left = frame[frame["left out because"] == ""]
    assert left["cases"].tolist() == [1516, 931, 931]
    assert left["photos"].isna().tolist() == [False, False, True]
    assert frame["left out because"].tolist()[1:3] == ["no discernible pathology", "of the future"]


def test_the_figure_has_every_number_and_its_alternative_text_too() -> None:
    svg = draw(flow_table(STEPS, section="Cohort"))
    texts = svg.split("aria-label=")[1]
    for number in (
        "1,516 cases, 3,109 photos",
        "931 cases, 1,976 photos",
        "584 cases, 1,132 photos",
        "1 case, 1 photo",
    ):
        assert number in texts.split(">")[0]
        assert number.split(",")[0] in texts.split(">", 1)[1]
    assert "photos not counted" in texts


def test_every_reason_for_no_label_has_words() -> None:
    assert {str(status) for status in LabelStatus} - set(map(str, HAS_LABEL)) <= REASONS.keys()


def test_a_data_sets_report_shows_it() -> None:
    page = as_html(Report(name="r", title="R", facts={}, tables=[flow_table(STEPS, section="Cohort")]))
    assert '<article id="cohort"' in page
    assert "<svg" in page
    assert "no discernible pathology" in page
