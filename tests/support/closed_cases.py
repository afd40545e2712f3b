"""Closed cases of every kind, drawn at random: every reason, answers left out, no photo to three, and reviews."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from dermis.gateway.core.fhir.facts import NextStep, ReportFacts
from dermis.gateway.core.fhir.self_report import QUESTIONS
from dermis.shared.case import (
    AnswerEntry,
    Assessed,
    AssessedImage,
    Consent,
    Failed,
    GroupedAnswer,
    Measured,
    ModelKnowledge,
    ModelRef,
    Outcome,
    OutcomeKind,
    RankedCondition,
    Received,
    ReceivedImage,
    RedFlag,
    Urgency,
)
from dermis.shared.codes import ICD_10, ICD_11, Code, labels
from dermis.shared.ids import id_at
from dermis.shared.report import QualityReport, Verdict
from dermis.shared.reviews import Adjudication, Review, ReviewedCondition
from dermis.shared.vocabulary import FitzpatrickSkinType, Gradable, MonkSkinTone, SelfReport, ShotType

T = TypeVar("T")
START = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ABSTENTIONS = (
    "NO_IMAGE",
    "UNDER_18",
    "NOT_MEASURED_FOR_GROUP",
    "OUT_OF_DISTRIBUTION",
    "LOW_PROBABILITY",
    "LARGE_PREDICTION_SET",
)
REJECTIONS = ("NO_USABLE_IMAGE", None)
QUALITY = ("UNREADABLE", "LOW_RESOLUTION", "TOO_DARK", "TOO_BRIGHT", "NOTHING_VISIBLE", "BLURRED", "NOT_SKIN")
NAMES = ("Eczema", "Psoriasis", "Melanocytic nevus <dark>", "Tinea & friends", "Acné")
TEXTS = ("See a doctor <today> & don't wait.", "Move closer.", "Zeig es \u201ejemandem\u201c.\nBald.", "x" * 500)
PIXEL = b"\xff\xd8\xff\xe0 a photo \xff\xd9"


def random_facts(seed: int) -> ReportFacts:
    """Return the facts of a closed case, the same for the same seed."""
    return _Draw(random.Random(seed), seed).facts()  # noqa: S311 - no secret


class _Draw:
    def __init__(self, rng: random.Random, seed: int) -> None:
        self.rng = rng
        self.at = START + timedelta(milliseconds=seed)
        self.case_id = id_at("case", self.at, seed.to_bytes(10))

    def maybe(self, value: T) -> T | None:
        return value if self.rng.random() < 0.5 else None

    def some(self, values: Sequence[T], most: int | None = None) -> tuple[T, ...]:
        return tuple(self.rng.sample(values, self.rng.randint(0, min(len(values), most or len(values)))))

    def facts(self) -> ReportFacts:
        received = self.received()
        failed = self.rng.random() < 0.15
        reviews = self.reviews()
        return ReportFacts(
            received=received,
            assessed=self.maybe(self.assessed(received)),
            outcome=None if failed else self.outcome(received),
            failed=self.failed() if failed else None,
            reviews=reviews,
            adjudication=self.adjudication(reviews) if self.rng.random() < 0.3 else None,
            photos={image.n: PIXEL * self.rng.randint(1, 50) for image in received.images if self.maybe(1)},
            manifest_sha256=self.maybe("0f" * 32),
            advice=self.advice(),
            shows_reference=self.rng.random() < 0.8,
        )

    def received(self) -> Received:
        images = tuple(self.image(n) for n in range(1, self.rng.randint(0, 3) + 1))
        return Received(
            case_id=self.case_id,
            owner=self.rng.choice(["public", "key_01k9x4q7e8f3rtw5m2c6b0dvza"]),
            received_at=self.at,
            images=images,
            self_report=self.self_report(),
            consent=self.rng.choice(list(Consent)),
            client_reference=self.maybe("visit-7:a_B.9"),
            livemode=self.rng.random() < 0.8,
            second_read=self.rng.random() < 0.5,
        )

    def image(self, n: int) -> ReceivedImage:
        return ReceivedImage(
            n=n,
            content_type=self.rng.choice(["image/jpeg", "image/png", "image/heic"]),
            bytes=self.rng.randint(1, 10**7),
            sha256="ab" * 32,
            width=self.rng.randint(1, 9000),
            height=self.rng.randint(1, 9000),
            orientation=self.rng.randint(1, 8),
            shot_type=self.maybe(self.rng.choice(list(ShotType))),
        )

    def self_report(self) -> SelfReport:
        answers: dict[str, Any] = {}
        for name, (_, values) in QUESTIONS.items():
            if self.rng.random() < 0.5:
                answers[name] = self.rng.random() < 0.5 if values is None else self.answer(name, values)
        return SelfReport.model_validate(answers)

    def answer(self, name: str, values: type[StrEnum]) -> Any:
        several = "tuple" in str(SelfReport.model_fields[name].annotation)
        return self.some(list(values)) if several else self.rng.choice(list(values))

    def assessed(self, received: Received) -> Assessed:
        images = tuple(AssessedImage(n=image.n, quality=self.quality(), phash=None) for image in received.images)
        return Assessed(case_id=self.case_id, assessed_at=self.at + timedelta(seconds=1), images=images)

    def quality(self) -> QualityReport:
        verdict = self.rng.choice(list(Verdict))
        return QualityReport(
            verdict=verdict, reasons=self.some(QUALITY, 3), advice=self.some(TEXTS, 2), measures=None, policy="1"
        )

    def outcome(self, received: Received) -> Outcome:
        kind = self.rng.choice(list(OutcomeKind))
        reason = {
            OutcomeKind.DIFFERENTIAL: None,
            OutcomeKind.ABSTENTION: self.rng.choice(ABSTENTIONS),
            OutcomeKind.REJECTION: self.rng.choice(REJECTIONS),
        }[kind]
        asked = kind is not OutcomeKind.REJECTION and reason not in ("NO_IMAGE", "UNDER_18")
        differential = self.differential() if asked else ()
        return Outcome(
            case_id=self.case_id,
            finished_at=self.at + timedelta(seconds=2),
            kind=kind,
            reason=reason,
            differential=differential,
            coverage=self.maybe(0.9) if asked else None,
            advice=self.some(TEXTS, 2) if kind is OutcomeKind.REJECTION else (),
            red_flags=self.red_flags(),
            model=ModelRef(
                name="lesions", version=self.rng.randint(1, 9), purpose=self.rng.choice(["demo", "research"])
            )
            if asked
            else None,
            images_used=self.some([image.n for image in received.images]),
            measured=self.maybe(self.measured()) if asked else None,
            grouped_answer=self.maybe(self.grouped_answer()) if differential else None,
            knowledge=ModelKnowledge(
                kind="LESIONS",
                unknown=self.some(["rashes", "infections"]),
                data=self.rng.choice(["", "PAD-UFES-20"]),
                painted=self.rng.random() < 0.5,
            )
            if asked
            else None,
        )

    def differential(self) -> tuple[RankedCondition, ...]:
        weights = sorted((self.rng.random() ** 9 for _ in range(self.rng.randint(1, 40))), reverse=True)
        total = sum(weights) or 1.0
        inside = self.rng.randint(0, len(weights))
        return tuple(
            RankedCondition(
                condition=f"CONDITION_{k}",
                name=self.rng.choice([*NAMES, *labels()]),
                probability=weight / total,
                in_prediction_set=k < inside,
                codes=self.some(
                    [Code(system=ICD_11, code="EA90", display="Psoriasis"), Code(system=ICD_10, code="L40")]
                ),
            )
            for k, weight in enumerate(weights)
        )

    def red_flags(self) -> tuple[RedFlag, ...]:
        flags = [
            RedFlag(flag="ANAPHYLAXIS", text=TEXTS[0], urgency=Urgency.EMERGENCY),
            RedFlag(flag="GROWTH", text="Show it to a dermatologist.", urgency=Urgency.SOON),
            RedFlag(flag="FEVER", text="Call today."),
        ]
        return self.some(flags)

    def grouped_answer(self) -> GroupedAnswer:
        entries = (
            AnswerEntry(level="GROUP", id="INFLAMMATORY", name="Inflammatory", probability=0.7, conditions=("A", "B")),
            AnswerEntry(level="CONDITION", id="ECZEMA", name="Eczema", probability=0.2),
        )
        return GroupedAnswer(level="GROUP", entries=entries[: self.rng.randint(1, 2)], coverage=0.8)

    def measured(self) -> Measured:
        group = self.rng.choice(["ALL", "FST1_2"])
        return Measured(group=group, n=120, top_1=0.4, top_3=0.7, floor_top_1=0.2, floor_top_3=0.5, data="SCIN")

    def failed(self) -> Failed:
        at = self.at + timedelta(seconds=3)
        flags = self.red_flags()
        detail = "the case could not be assessed"
        return Failed(case_id=self.case_id, attempt=1, failed_at=at, reason="INTERNAL", detail=detail, red_flags=flags)

    def advice(self) -> NextStep:
        urgency = self.maybe(self.rng.choice(list(Urgency)))
        because = self.some(["you report a mole or growth", "it may be Melanoma (about 3 in 10)"]) if urgency else ()
        return NextStep(urgency=urgency, because=because, next_step=self.rng.choice(TEXTS))

    def reviews(self) -> tuple[Review, ...]:
        readings = [self.reading(f"reader_{k:032x}", k) for k in range(self.rng.choice([0, 0, 1, 2, 2, 3]))]
        if readings and self.rng.random() < 0.5:  # all say what the first says
            readings = [{**readings[0], "reader": each["reader"], "read_at": each["read_at"]} for each in readings]
        return tuple(Review.model_validate(each) for each in readings)

    def adjudication(self, reviews: Sequence[Review]) -> Adjudication:
        readers = tuple(review.reader for review in reviews)
        return Adjudication.model_validate(self.reading("reader_" + "a" * 32, 9) | {"readers": readers})

    def reading(self, reader: str, k: int) -> dict[str, Any]:
        gradable = self.rng.choice(list(Gradable))
        names = self.rng.sample([*NAMES, *labels()], self.rng.randint(1, 5))
        yes = gradable is Gradable.DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT
        conditions = [ReviewedCondition(label=name, confidence=self.rng.randint(1, 5)) for name in dict.fromkeys(names)]
        return {
            "case_id": self.case_id,
            "reader": reader,
            "read_at": self.at + timedelta(hours=k + 1),
            "gradable": gradable,
            "conditions": conditions if yes else (),
            "fitzpatrick_skin_type": self.maybe(self.rng.choice(list(FitzpatrickSkinType))),
            "monk_skin_tone": self.maybe(self.rng.choice(list(MonkSkinTone))),
        }
