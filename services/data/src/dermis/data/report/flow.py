"""The flow of a cohort as a table and as boxes: what each step leaves, and beside it what leaves there and why."""

from collections.abc import Sequence
from textwrap import wrap

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from dermis.data.report.canvas import ACCENT, INK, WIDTH
from dermis.data.report.table import ReportTable
from dermis.shared.evaluation import CohortDrop, CohortStep

STEPS = {
    "tables": "In the tables",
    "gradable": "Usable: photos that graders could judge",
    "labelled": "Labelled under the policy",
    "part": "In the part that is measured",
    "known": "With a condition that the model knows",
    "evaluated": "Evaluated",
    "answered": "Answered",
}
REASONS = {
    "NOT_GRADABLE": "photos not good enough to be graded, or not graded",
    "GRADABLE_BUT_UNLABELLED": "gradable, but no condition named",
    "NO_PATHOLOGY": "no discernible pathology",
    "DROPPED": "conditions that the label policy drops",
    "NO_CONDITION": "no condition in the table",
    "PART_TRAIN": "in the training part",
    "PART_VALIDATION": "in the validation part",
    "PART_CALIBRATION": "in the calibration part",
    "PART_TEST": "in the test part",
    "PART_NONE": "in no part of the split",
    "UNKNOWN_CONDITION": "no condition that the model knows",
    "UNKNOWN_FIRST_CONDITION": "first condition is none that the model knows",
    "MISSING": "photo missing",
    "UNDECODABLE": "photo can't be decoded",
    "UNREADABLE": "photo missing or can't be decoded",
    "UNUSABLE": "photo of unusable quality, not shown to the model",
    "NOT_MEASURED_FOR_GROUP": "abstained: not measured for the skin type",
    "OUT_OF_DISTRIBUTION": "abstained: unlike what the model knows",
    "NO_ANSWER_SURE_ENOUGH": "abstained: no answer is sure enough",
    "LOW_PROBABILITY": "abstained: low probability",
    "LARGE_PREDICTION_SET": "abstained: too many conditions possible",
}
NOTE = (
    "Each case leaves at the first step that leaves it out; a photo that several cases list counts once for each. "
    "Photos that go alone leave their case in."
)
_LEFT, _RIGHT, _GAP = 1.95, 2.15, 0.3
_LINE, _PAD, _SIZE = 0.155, 0.08, 8


def flow_table(steps: Sequence[CohortStep], *, section: str) -> ReportTable:
    """Return the flow as a table; a row without a reason is what the step leaves."""
    rows: list[tuple[str, str, int, int | None]] = []
    for step in steps:
        title = STEPS.get(step.name, step.name)
        rows += [(title, _reason(drop), drop.cases, drop.images) for drop in step.dropped]
        rows.append((title, "", step.cases, step.images))
    frame = pd.DataFrame(rows, columns=["step", "left out because", "cases", "photos"]).astype({"photos": "Int64"})
    return ReportTable(name="cohort", section=section, title="Cohort flow", note=NOTE, frame=frame, chart="flow")


def _reason(drop: CohortDrop) -> str:
    return REASONS.get(drop.reason, drop.reason.replace("_", " ").lower())


def flow(_table: ReportTable, frame: pd.DataFrame) -> tuple[Figure, str]:
    """Draw a box for each step and, to its right, one for those that leave before it."""
    boxes = [(title, rows[rows["left out because"] == ""].iloc[0], rows) for title, rows in _by_step(frame)]
    left = [[*wrap(title, 27), *wrap(_counted(row), 29)] for title, row, _ in boxes]
    right = [_leaving(rows[rows["left out because"] != ""]) for _, _, rows in boxes]
    tops, height = _places([len(lines) for lines in left], [len(lines) for lines in right])
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    axes.set_axis_off()
    previous = 0.0
    for number, (lines, gone, (side, top)) in enumerate(zip(left, right, tops, strict=True)):
        if number:
            _arrow(axes, (_LEFT / 2, previous), (_LEFT / 2, top))
        if gone:
            middle = side + _height(len(gone)) / 2
            _arrow(axes, (_LEFT / 2, middle), (WIDTH - _RIGHT - 0.02, middle))
            _box(axes, WIDTH - _RIGHT - 0.02, side, _RIGHT, gone, bold=0, colour=INK)
        _box(axes, 0.02, top, _LEFT, lines, bold=len(wrap(boxes[number][0], 27)), colour=ACCENT)
        previous = top + _height(len(lines))
    texts = [f"{title}: {_counted(row)}" for title, row, _ in boxes]
    leaving = frame[frame["left out because"] != ""].to_dict("records")
    gone_texts = [f"{row['left out because']}: {_counted(row)}" for row in leaving]
    return figure, "; ".join(texts) + (f". Left out: {'; '.join(gone_texts)}." if gone_texts else ".")


def _by_step(frame: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(title), rows) for title, rows in frame.groupby("step", sort=False)]


def _counted(row: object) -> str:
    cases, photos = row["cases"], row["photos"]  # type: ignore[index]
    images = "photos not counted" if pd.isna(photos) else f"{photos:,} photo{_s(photos)}"
    return f"{cases:,} case{_s(cases)}, {images}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"


def _leaving(rows: pd.DataFrame) -> list[str]:
    lines = []
    for row in rows.to_dict("records"):
        lines += wrap(f"{_counted(row)}: {row['left out because']}", 34, subsequent_indent="  ")
    return lines


def _height(lines: int) -> float:
    return lines * _LINE + 2 * _PAD


def _places(left: Sequence[int], right: Sequence[int]) -> tuple[list[tuple[float, float]], float]:
    """Return the top of each step's right and left box, and the height of all."""
    tops, y = [], 0.03
    for number, (lines, leaving) in enumerate(zip(left, right, strict=True)):
        side = y + _GAP / 2
        if number:
            y += max(_GAP, _height(leaving) + _GAP if leaving else 0.0)
        tops.append((side, y))
        y += _height(lines)
    return tops, y + 0.03


def _box(axes: Axes, x: float, y: float, width: float, lines: Sequence[str], *, bold: int, colour: str) -> None:
    axes.add_patch(Rectangle((x, y), width, _height(len(lines)), fill=False, edgecolor=colour, linewidth=1))
    for number, line in enumerate(lines):
        weight = "bold" if number < bold else "normal"
        place = y + _PAD + (number + 0.5) * _LINE
        axes.text(x + 0.07, place, line, fontsize=_SIZE, va="center_baseline", fontweight=weight)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    style = {"arrowstyle": "-|>", "color": INK, "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=style)
