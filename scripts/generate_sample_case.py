"""Writes the made-up case by which the page of a demo shows what a real result looks like.

`.venv/bin/python scripts/generate_sample_case.py [--check]`

The case is about nobody; what a person may do follows from it as from any case.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from dermis.gateway.schemas import case_of
from dermis.shared.case import (
    CaseState,
    Measured,
    ModelKnowledge,
    ModelRef,
    Outcome,
    OutcomeKind,
    RankedCondition,
    Received,
    ReceivedImage,
)
from dermis.shared.vocabulary import SelfReport

SAMPLE = Path(__file__).parents[1] / "services/gateway/src/dermis/gateway/web/assets/sample.json"
CASE_ID = "case_01k00000000000000000000000"
AT = datetime(2026, 1, 2, 9, tzinfo=UTC)
PROBABILITIES = {"Eczema": 0.58, "Psoriasis": 0.31, "Tinea": 0.11}


def received() -> Received:
    return Received(
        case_id=CASE_ID,
        owner="nobody",
        received_at=AT,
        images=(ReceivedImage(n=1, content_type="image/jpeg", bytes=1, sha256="", width=4, height=3),),
        self_report=SelfReport.model_validate({"related_category": "RASH", "body_parts": ["ARM"]}),
    )


def outcome() -> Outcome:
    return Outcome(
        case_id=CASE_ID,
        finished_at=AT,
        kind=OutcomeKind.DIFFERENTIAL,
        differential=tuple(
            RankedCondition(condition=name.upper(), name=name, probability=share, in_prediction_set=share > 0.2)
            for name, share in PROBABILITIES.items()
        ),
        model=ModelRef(name="sample", version=1, purpose="research"),
        measured=Measured(
            group="FST_V_VI", n=41, people=41, top_1=30 / 41, top_3=39 / 41, floor_top_1=0.4, floor_top_3=0.9, data=""
        ),
        knowledge=ModelKnowledge(kind="a rash", unknown=("that something is no skin cancer",)),
    )


def sample() -> str:
    case = case_of(CaseState(received=received(), outcome=outcome()))
    return case.model_dump_json(include={"outcome", "guidance"}, exclude_none=True, indent=1) + "\n"


if __name__ == "__main__":
    if "--check" not in sys.argv:
        SAMPLE.write_text(sample(), encoding="utf-8")
    elif SAMPLE.read_text(encoding="utf-8") != sample():
        sys.exit(f"{SAMPLE.name} is not fresh; run scripts/generate_sample_case.py")
