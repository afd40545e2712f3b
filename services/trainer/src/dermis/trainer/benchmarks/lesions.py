"""The page on the bundle of six growths, from its own evaluation and the floors of its data.

python -m dermis.trainer.benchmarks.lesions --bundle FOLDER --data FOLDER --write PAGE
"""

import argparse
import sys
from pathlib import Path

from dermis.data.dataset import open_dataset
from dermis.data.report.markdown import markdown_table
from dermis.shared.evaluation import EvaluationReport, Figure
from dermis.trainer.benchmarks.shortcuts import table as floors_table
from dermis.trainer.model.bundle import EVALUATION_FILE

OVERALL = ("top_1", "top_3", "balanced_accuracy", "macro_auroc", "set_coverage", "set_size", "abstained")
HEAD = """# The bundle of six growths, measured

    python -m dermis.trainer.configs.pad_ufes_20 --data FOLDER --out FOLDER   # not run here: needs the photos
    python -m dermis.trainer.benchmarks.lesions --bundle FOLDER --data FOLDER --write PAGE   # not run \
here: needs the photos

The first command builds the bundle, the second writes this page. Five folds of patients; each case by a model, and by
thresholds, that did not see it. The card in the bundle has the rest."""
LAST = """The slice of cases without a Fitzpatrick type is a class mix, not a group of people: no malignant lesion is
in it. [Features](features.md) compares what else could be read of the photos; [refusals](refusals.md) says what it
answers of photos that it does not know."""


def figures_part(report: EvaluationReport) -> str:
    """Return what the bundle's own evaluation says, Markdown."""
    perfect = report.perfect_model_at_this_n.expected_calibration_error
    rows = [[name, as_cell(report.overall[name])] for name in OVERALL]
    error = as_cell(report.overall["expected_calibration_error"])
    rows.append(["expected_calibration_error", f"{error}; a perfect model's {perfect[0]:.3f}, up to {perfect[1]:.3f}"])
    by_what = [
        [what, *(as_cell(row.figures[name]) for name in ("top_1", "top_3"))] for what, row in report.shown.items()
    ]
    floor = ["floor: always the most frequent", f"{report.floors.top_1:.3f}", f"{report.floors.top_3:.3f}"]
    missed = [
        [
            row.condition,
            row.n,
            interval(row.missed_per_100, row.missed_per_100_interval, ".1f"),
            interval(row.in_set, row.in_set_interval),
            interval(row.benign_first, row.benign_first_interval),
        ]
        for row in report.malignant
    ]
    stored = [[row.value, row.n, as_cell(row.figures["top_1"])] for row in report.slices["stored_size"]]
    alarms = as_cell(report.benign_with_malignant) if report.benign_with_malignant else "not stated"
    return "\n\n".join(
        [
            f"n = {report.n} cases, {report.groups} patients.",
            markdown_table(["figure", "value"], rows),
            markdown_table(["shown", "top-1", "top-3"], [*by_what, floor]),
            "## Cancers missed",
            markdown_table(
                ["condition", "n", "missed per 100", "set holds a malignant condition", "benign first"], missed
            ),
            f"Of the benign cases {alarms} get a set with a malignant condition too.",
            "## How copies were stored",
            markdown_table(["copies", "n", "top-1"], stored),
        ]
    )


def interval(value: float | None, bounds: tuple[float, float] | None, form: str = ".3f") -> str:
    if value is None:
        return "not stated"
    return f"{value:{form}}" + (f" ({bounds[0]:{form}}-{bounds[1]:{form}})" if bounds else "")


def as_cell(figure: Figure) -> str:
    return interval(figure.value, figure.interval)


def page(bundle: Path, data: str) -> str:
    """Return the page, Markdown."""
    report = EvaluationReport.model_validate_json((bundle / EVALUATION_FILE).read_bytes())
    floors = ["## Floors: what labels can be told from without looking at skin", floors_table(open_dataset(data)), LAST]
    return "\n\n".join([HEAD, figures_part(report), *floors]) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the page on the bundle of six growths.")
    parser.add_argument("--bundle", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--data", required=True, metavar="FOLDER", help="the photos and manifest.csv of PAD-UFES-20")
    parser.add_argument("--write", required=True, type=Path, metavar="PAGE")
    arguments = parser.parse_args()
    arguments.write.write_text(page(arguments.bundle, arguments.data), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
