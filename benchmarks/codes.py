"""How much of SCIN the table of codes covers: `python -m benchmarks.codes --data URL --write docs/reference/codes.md`.

A case counts as covered by a system where its top label (label policy scin-all and its tie rule) has a CONFIRMED code
of it; what is UNCONFIRMED or has no code counts as not covered.
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from dermis.data.report.markdown import markdown_table
from dermis.data.scin.label_policy import LabelStatus
from dermis.data.scin.source import open_scin
from dermis.data.statistics import wilson
from dermis.shared.codes import ICD_10, ICD_11, CodeStatus, code_rows, codes_of

SYSTEMS = {"ICD-11 MMS": ICD_11, "ICD-10": ICD_10}
POLICY = "scin-all"
AIM = 0.95
HEAD = f"""# Codes of conditions

Written by `python -m benchmarks.codes`. [The table](../../shared/src/dermis/shared/codes.csv) has a row for each of
SCIN's labels that we have seen and each system, with its source and `reviewed: none`: no clinician has looked at it.
A code that no list confirmed is UNCONFIRMED and is never sent; "no code" is a value of its own. Codes stand in
outcomes, in `/v1/conditions`, in [FHIR](../how-to/fhir.md), in [DICOM](../how-to/dicom.md) and on the printed sheet. A
[decision](../decisions/0063-codes.md) says what they were held against, and the licences. The aim is {AIM:.0%} of the
labelled cases.

"""


def coverage(tops: Sequence[str], differentials: Sequence[Mapping[str, float]], system: str) -> tuple[int, float]:
    """Return how many cases' top label has a confirmed code of `system`, and the share of the weight that has one."""
    covered = {label for label in {*tops, *(name for each in differentials for name in each)} if _has(label, system)}
    weight = sum(sum(each.values()) for each in differentials)
    inside = sum(share for each in differentials for name, share in each.items() if name in covered)
    return sum(top in covered for top in tops), inside / weight


def _has(label: str, system: str) -> bool:
    return any(code.system == system for code in codes_of(label))


def page(tops: Sequence[str], differentials: Sequence[Mapping[str, float]], *, of: int) -> str:
    rows, without = [], []
    for name, system in SYSTEMS.items():
        cases, weight = coverage(tops, differentials, system)
        low, high = (float(end) for end in wilson(cases, len(tops)))
        statuses = Counter(row.status for row in code_rows() if row.system == system)
        counts = " / ".join(str(statuses[status]) for status in CodeStatus)
        share = f"{cases / len(tops):.1%} ({low:.1%} to {high:.1%})"
        rows.append([name, f"{cases} of {len(tops)}", share, f"{weight:.1%}", counts])
        lacking = Counter(top for top in tops if not _has(top, system))
        names = ", ".join(f"{top} ({count})" for top, count in lacking.most_common())
        without.append(f"- {name}, {sum(lacking.values())} cases: {names}")
    rows_by_status = "rows: CONFIRMED / UNCONFIRMED / NO_CODE"
    table = markdown_table(["system", "covered", "share (95 % interval)", "share of the weight", rows_by_status], rows)
    begin = f"{HEAD}{len(tops)} labelled cases of the {of} that the command was given.\n\n{table}\n"
    return f"{begin}\nTop labels without a code:\n" + "\n".join(without) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="store URL of SCIN's tables")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the page instead of printing it")
    options = parser.parse_args()
    labels = open_scin(options.data).labels(POLICY)
    labelled = labels.frame[labels.frame["status"] == LabelStatus.LABELLED]
    text = page(list(labelled["top"]), list(labelled["differential"]), of=len(labels.frame))
    if options.write:
        options.write.write_text(text, encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
