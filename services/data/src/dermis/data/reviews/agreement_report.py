"""`dermis data agreement`: a table for the terminal, and a report with plots."""

from collections import Counter
from pathlib import Path

import pandas as pd

from dermis.data.report.markdown import markdown_table
from dermis.data.report.report import Report, write_report
from dermis.data.report.words import words
from dermis.data.reviews.agreement import ALL, agreement_tables, model_agreement, reader_agreement
from dermis.data.reviews.cases import ReviewedCases, reviewed_cases
from dermis.data.scin.source import load_policy
from dermis.shared.errors import DermisError, Kind
from dermis.shared.stores import open_store

NOTICE = (
    "Kappa is agreement beyond chance: 1 is full agreement, 0 what chance gives. Readers are letters and stand for "
    "nobody elsewhere. Monk and Fitzpatrick scales are never converted into each other. Cases of people who did not "
    "agree that theirs make dermis better are not in it."
)


def write_agreement(store_url: str, policy_name: str, out: Path) -> str:
    """Write the report of a store's reviews and return what the terminal shows; NOT_FOUND without a review to use."""
    reviewed, policy = reviewed_cases(open_store(store_url)), load_policy(policy_name)
    if not reviewed.cases:
        left = ", ".join(f"{count} {reason}" for reason, count in reviewed.left_out.items()) or "none was read"
        raise DermisError(Kind.NOT_FOUND, "REVIEWS", f"no case of {store_url} was read that may be used: {left}")
    tables = agreement_tables(reviewed.cases, policy)
    report = Report(
        name="agreement",
        title="Agreement of readers and model",
        facts=_facts(reviewed, policy.reference),
        tables=tables,
        notice=NOTICE,
    )
    paths = write_report(report, out)
    readers, model = reader_agreement(reviewed.cases), model_agreement(reviewed.cases, policy)
    lines = [
        markdown_table(
            ("readers", "on", "method", "cases", "agree", "kappa", "95 % interval"),
            [
                (r.readers, r.on, r.method, r.n, f"{r.observed:.3f}", f"{r.estimate:.3f}", _interval(r))
                for r in readers.itertuples()
            ],
        ),
        markdown_table(
            ("model and", "by", "group", "cases", "readings", "mean set", "measure", "share", "95 % interval"),
            [
                (
                    *(
                        r.by,
                        "" if r.scale == ALL else r.scale,
                        words(r.value),
                        r.n,
                        r.readings,
                        f"{r.set_size:.1f}",
                        r.measure,
                    ),
                    *(f"{r.estimate:.3f}", _interval(r)),
                )
                for r in model.itertuples()
            ],
        ),
        f"written {paths[0]}, {paths[1]} and {len(paths) - 2} CSV files in {paths[1].with_suffix('')}/",
    ]
    return "\n\n".join(lines)


def _interval(row: object) -> str:
    low, high = getattr(row, "low"), getattr(row, "high")  # noqa: B009 - itertuples has no type
    return "not stated" if pd.isna(low) else f"{low:.3f} to {high:.3f}"


def _facts(reviewed: ReviewedCases, policy: str) -> dict[str, str]:
    readers = Counter(review.reader for case in reviewed.cases for review in case.reviews)
    return {
        "Cases": f"{len(reviewed.cases):,}, with {sum(readers.values()):,} first reads by {len(readers):,} readers; "
        f"{sum(case.adjudication is not None for case in reviewed.cases):,} adjudicated",
        "Left out": ", ".join(f"{count:,} {words(reason)}" for reason, count in sorted(reviewed.left_out.items()))
        or "none",
        "Label policy": policy,
    }
