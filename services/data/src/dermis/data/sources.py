"""From the rows of a data set to samples: SCIN's tables, a mapped table, generated cases.

And a split of any samples.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from dermis.data.generated.cases import GeneratedCase
from dermis.data.mapping import ANSWERED, CONDITION, DataMapping, MappedRow
from dermis.data.missing import missing_together
from dermis.data.samples import NOT_GIVEN, SLICES, Sample
from dermis.data.scin.attributes import monk_bin, monk_bin_of
from dermis.data.scin.label_policy import Labels
from dermis.data.scin.reference_differential import weigh
from dermis.data.scin.tables import ScinTables
from dermis.data.split.groups import connected, image_links
from dermis.metadata.core.encode import VOCABULARY
from dermis.shared.case import MAX_IMAGES
from dermis.shared.errors import DermisError, Kind
from dermis.shared.vocabulary import ScinAnswers, SelfReport

_NOT_ASKED = {"monk_skin_tone"}
"""Given by graders, never by the person: it is no sign that answers were given."""


def digest_of_samples(samples: Sequence[Sample]) -> str:
    """SHA-256 of all that the samples say, in their order; images count by their key."""
    rows = [
        (
            s.id,
            s.group,
            s.images,
            s.report.model_dump(mode="json", exclude_none=True),
            dict(s.target),
            s.top,
            dict(s.slices),
        )
        for s in samples
    ]
    return hashlib.sha256(json.dumps(rows, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def slices(report: SelfReport, images: int, **attributes: str | None) -> dict[str, str]:
    """Return a value for each of `SLICES`, and the Monk tone itself; `attributes` wins over the report."""
    race = report.race_ethnicity or ()
    values = {
        "fitzpatrick_self": report.fitzpatrick_skin_type,
        "age_group": report.age_group,
        "sex_at_birth": report.sex_at_birth,
        "race_ethnicity": race[0] if len(race) == 1 else "SEVERAL" if race else None,
        "images": str(images),
        "monk_skin_tone": report.monk_skin_tone,
        "answers": "GIVEN" if report.model_dump(exclude_none=True, exclude=_NOT_ASKED) else "NONE",
        **{name: value for name, value in attributes.items() if value},
    }
    return {name: str(values.get(name) or NOT_GIVEN) for name in (*SLICES, "monk_skin_tone")}


def scin_samples(tables: ScinTables, labels: Labels, *, duplicates: Mapping[str, str] | None = None) -> list[Sample]:
    """Return SCIN's cases in the order of the tables.

    The Monk tone of the report is the graders', the US pool first.
    """
    cases = tables.cases
    group_of = connected(list(cases["case_id"]), image_links(cases, duplicates))
    label_of = {
        name: label
        for name, label in zip(labels.conditions["condition"], labels.conditions["label"], strict=True)
        if isinstance(label, str)
    }
    samples = []
    rows = zip(cases.to_dict("records"), labels.frame.itertuples(), labels.has_label, monk_bin(cases), strict=True)
    for case, label, has_label, tone in rows:
        images = tuple(key for key, _ in case["images"])
        report = _scin_report(case)
        combined = case["combined_race"]
        samples.append(
            Sample(
                id=case["case_id"],
                group=group_of[case["case_id"]],
                images=images,
                report=report,
                target=dict(label.differential),
                top=label.top if has_label else None,
                unlabelled="" if has_label else str(label.status),
                graders=tuple(named for graded in label.lists or () if (named := _merged(weigh((graded,)), label_of))),
                slices=slices(
                    report,
                    len(images),
                    monk_bin=None if tone == "MST_NONE" else tone,
                    fitzpatrick_estimated=case["efst"][0],
                    race_ethnicity=None if pd.isna(combined) else combined,
                ),
            )
        )
    return samples


def _merged(weights: Mapping[str, float], label_of: Mapping[str, str]) -> dict[str, float]:
    total: dict[str, float] = {}
    for name, weight in weights.items():
        if name in label_of:
            total[label_of[name]] = total.get(label_of[name], 0.0) + weight
    whole = sum(total.values())
    return {name: weight / whole for name, weight in total.items()}


def _scin_report(case: Mapping[str, object]) -> SelfReport:
    answers: dict[str, object] = {}
    for name, values in VOCABULARY.items():
        answer = case.get(name)
        if isinstance(answer, str) and answer in values:
            answers[name] = answer
        elif isinstance(answer, tuple):
            answers[name] = tuple(value for value in answer if value in values)
    tone = next((tone for tone in (case["monk_us"], case["monk_india"]) if not pd.isna(tone)), None)
    if tone is not None:
        answers["monk_skin_tone"] = f"MST{tone}"
    return SelfReport.model_validate(answers)


def mapped_samples(
    mapping: DataMapping, rows: Iterable[MappedRow], *, duplicates: Mapping[str, str] | None = None
) -> list[Sample]:
    """Return a mapped table's cases; rows of one case are its images, and what they are told of it is told of the case.

    A case of more images than a case may have becomes several, in one group. Answers that are missing together in the
    same rows (`missing_together`) are left out: their absence says who had a form. INVALID if a case names several
    conditions.
    """
    rows = tuple(rows)
    withheld = withheld_answers(rows)
    cases: dict[str, list[MappedRow]] = {}
    for name, of_case in _cases_of(rows):
        for part in range(0, len(of_case), MAX_IMAGES):
            cases[f"{name} part {part // MAX_IMAGES + 1}" if part else name] = of_case[part : part + MAX_IMAGES]
    named = duplicates or {}
    links = [
        (name, thing)
        for name, of_case in cases.items()
        for row in of_case
        for thing in (f"unit {row.unit}", *([f"near-duplicate group {named[row.image]}"] if row.image in named else []))
    ]
    group_of = connected(list(cases), links)
    samples = []
    for name, of_case in cases.items():
        conditions = {row.attributes[CONDITION] for row in of_case if CONDITION in row.attributes}
        if len(conditions) > 1:
            named_conditions = ", ".join(sorted(conditions))
            detail = (
                f"case {name!r} of {mapping.name} has the conditions {named_conditions}: "
                "name another column as the mapping's case"
            )
            raise DermisError(Kind.INVALID, "DATA_TABLE", detail)
        attributes: dict[str, str] = {}
        answers: dict[str, tuple[str, ...]] = {}
        for row in of_case:
            attributes = {**row.attributes, **attributes}
            answers = {
                key: tuple(dict.fromkeys(answers.get(key, ()) + row.answers.get(key, ())))
                for key in {**answers, **row.answers}
            }
        report = _mapped_report(
            {key: value for key, value in attributes.items() if key not in withheld},
            {key: values for key, values in answers.items() if key not in withheld},
        )
        top = attributes.get(CONDITION)
        samples.append(
            Sample(
                id=name,
                group=group_of[name],
                images=tuple(row.image for row in of_case),
                report=report,
                target={top: 1.0} if top else {},
                top=top,
                unlabelled="" if top else "NO_CONDITION",
                slices=slices(
                    report, len(of_case), **{key: value for key, value in attributes.items() if key in SLICES}
                )
                | {name: attributes.get(name, NOT_GIVEN) for name in mapping.slices},
            )
        )
    return samples


def _cases_of(rows: Iterable[MappedRow]) -> list[tuple[str, list[MappedRow]]]:
    cases: dict[str, list[MappedRow]] = {}
    for row in rows:
        cases.setdefault(row.case, []).append(row)
    return list(cases.items())


def withheld_answers(rows: Sequence[MappedRow]) -> frozenset[str]:
    """Return the attributes and answers that are missing together in the same rows: no self-report gets them."""
    names = sorted({name for row in rows for name in (*row.attributes, *row.answers)} - {CONDITION})
    present = {name: np.array([name in row.attributes or name in row.answers for row in rows]) for name in names}
    return frozenset(name for group in missing_together(present) for name in group)


def _mapped_report(attributes: Mapping[str, str], answers: Mapping[str, tuple[str, ...]]) -> SelfReport:
    several = {name for name, field in ScinAnswers.model_fields.items() if "tuple" in str(field.annotation)}
    fields: dict[str, object] = {name: values if name in several else values[0] for name, values in answers.items()}
    for attribute, name in ANSWERED.items():
        if attributes.get(attribute) in VOCABULARY[name]:
            fields.setdefault(name, attributes[attribute])
    return SelfReport.model_validate(fields)


def generated_sample(case: GeneratedCase, images: Sequence[str]) -> Sample:
    """Return a generated case as a sample; its Monk bin is of the tone painted."""
    tone = case.monk_skin_tone
    return Sample(
        id=str(case.index),
        group=str(case.index),
        images=tuple(images),
        report=case.self_report,
        target={case.condition: 1.0},
        top=case.condition,
        slices=slices(case.self_report, len(images), monk_bin=monk_bin_of(tone), monk_skin_tone=tone),
    )
