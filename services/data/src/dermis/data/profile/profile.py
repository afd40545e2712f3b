"""The profile of a data set: every table that the report shows, as frames."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd

from dermis.data.data_source import SCIN
from dermis.data.mapping import CONDITION, DataSide
from dermis.data.profile.flow import mapped_flow, scin_flow
from dermis.data.report.table import ReportTable
from dermis.data.scin.attributes import (
    MONK_BINS,
    NO_RESPONSE,
    REPORTED,
    WHO,
    Answers,
    Attribute,
    count,
    monk_bin,
    shares,
    with_share,
)
from dermis.data.scin.columns import FITZPATRICK, MONK, YES
from dermis.data.scin.label_policy import Labels, LabelStatus
from dermis.data.scin.tables import ScinTables
from dermis.data.statistics import Floats, agreement, mean_interval, share_difference
from dermis.shared.vocabulary import Gradable, ShotType

LABELS_BY_TONE = 12
PUBLISHED = {
    "Cases": 5033,
    "Cases with a reference differential": 3061,
    "Cases gradable but unlabelled": 48,
    "Distinct images listed more than once": 15,
    "Listings of those": 42,
}
"""Counts of SCIN's whole release 1.0.0, so that a reader sees whether a copy is the whole."""


def profile(tables: ScinTables, labels: Labels) -> list[ReportTable]:
    """Return every table of the profile of `tables` under the policy of `labels`, in reading order."""
    cases = tables.cases
    return [
        *_extent(tables, labels),
        *(_by_attribute("Whose skin", name, attribute, attribute.read(cases)) for name, attribute in WHO.items()),
        _all_estimates(cases),
        *(
            _by_attribute("What contributors report", name, attribute, attribute.read(cases))
            for name, attribute in REPORTED.items()
        ),
        *_conditions(cases, labels),
        *(_labelled_by(cases, labels, name, attribute) for name, attribute in WHO.items()),
        _unlabelled(cases, labels),
        _agreements(cases, labels),
        _monk_pools(cases),
    ]


def mapped_profile(side: DataSide) -> list[ReportTable]:
    """Return the tables of a mapped data set, whose units are cases.

    These are its extent and the shares of what its mapping tells.
    """
    keys = [key for images in side.images for key in images]
    measures = {"Cases": len(side.units), "Images listed": len(keys), "Distinct images": len(set(keys))}
    overview = pd.DataFrame(measures.items(), columns=["measure", "n"])
    per_case = [(str(len(images)),) for images in side.images]
    sections = {"Whose skin": WHO, "What contributors report": REPORTED}
    return [
        ReportTable(name="overview", section="Extent", title="Cases and images", frame=overview),
        *([mapped_flow(side)] if CONDITION in side.answers else []),
        _bars("images_per_case", "Extent", "Images per case", per_case, ("1", "2", "3")),
        *(
            _by_attribute(section, name, attribute, side.answers[name], note=side.notes.get(name, ""))
            for section, attributes in sections.items()
            for name, attribute in attributes.items()
            if name in side.answers
        ),
        *([_mapped_labels(side.answers[CONDITION])] if CONDITION in side.answers else []),
    ]


def _mapped_labels(conditions: Answers) -> ReportTable:
    frame = shares([condition for condition in conditions if condition])
    frame = frame[frame["n"] > 0].reset_index(drop=True).rename(columns={"value": "label"})
    return ReportTable(
        name="labels",
        section="Conditions",
        title="Conditions",
        note="Of cases that have one.",
        frame=frame,
        chart="bars",
    )


def _extent(tables: ScinTables, labels: Labels) -> list[ReportTable]:
    section, cases = "Extent", tables.cases
    images = [
        (case_id, key) for case_id, listed in zip(cases["case_id"], cases["images"], strict=True) for key, _ in listed
    ]
    listings = Counter(key for _, key in images)
    several = [n for n in listings.values() if n > 1]
    held_by = pd.DataFrame(images, columns=["case_id", "key"]).drop_duplicates()
    shared = held_by[held_by["key"].duplicated(keep=False)]
    measures = {
        "Cases": len(cases),
        "Cases with a reference differential": int(cases["weights"].map(bool).sum()),
        "Cases with a label under the policy": int(labels.has_label.sum()),
        "Cases without a label": int((~labels.has_label).sum()),
        "Cases gradable but unlabelled": int((labels.frame["status"] == LabelStatus.GRADABLE_BUT_UNLABELLED).sum()),
        "Cases with several dermatologists": int(cases["gradable"].map(len).gt(1).sum()),
        "Cases whose top condition is tied": int(labels.frame["tied"].sum()),
        "Cases without an image": int(cases["images"].map(len).eq(0).sum()),
        "Images listed": len(images),
        "Distinct images": len(listings),
        "Distinct images listed more than once": len(several),
        "Listings of those": sum(several),
        "Cases that share an image": int(shared["case_id"].nunique()),
        "Shot types without an image": int(cases["loose_shot_types"].sum()),
    }
    overview = pd.DataFrame(measures.items(), columns=["measure", "n"])
    if set(tables.original["source"]) == {SCIN}:
        overview["whole release 1.0.0"] = pd.array([PUBLISHED.get(measure) for measure in measures], dtype="Int64")
    per_case = [(str(len(listed)),) for listed in cases["images"]]
    shots = [(shot or NO_RESPONSE,) for listed in cases["images"] for _, shot in listed]
    return [
        ReportTable(name="overview", section=section, title="Cases and images", frame=overview),
        scin_flow(cases, labels),
        _bars("images_per_case", section, "Images per case", per_case, ("1", "2", "3")),
        _bars("shot_types", section, "Shot types", shots, tuple(ShotType), note="Share of images listed."),
    ]


def _bars(
    name: str,
    section: str,
    title: str,
    answers: Sequence[tuple[str, ...] | None],
    order: Sequence[str] = (),
    note: str = "",
) -> ReportTable:
    """Return a table of shares where "no response" is no answer: shown only if it came up."""
    frame = shares(answers, order)
    nonempty = frame[(frame["value"] != NO_RESPONSE) | (frame["n"] > 0)].reset_index(drop=True)
    return ReportTable(name=name, section=section, title=title, note=note, frame=nonempty, chart="bars")


def _by_attribute(
    section: str, name: str, attribute: Attribute, answers: Answers, note: str | None = None
) -> ReportTable:
    frame = shares(answers, attribute.values)
    return ReportTable(
        name=name,
        section=section,
        title=attribute.title,
        note=attribute.note if note is None else note,
        frame=frame,
        chart="bars",
    )


def _all_estimates(cases: pd.DataFrame) -> ReportTable:
    estimates = [(grade,) for efst in cases["efst"] for grade in efst if grade]
    title = "Fitzpatrick skin type, every dermatologist's estimate"
    return _bars("fitzpatrick_estimates", "Whose skin", title, estimates, FITZPATRICK, note="Share of estimates given.")


def _conditions(cases: pd.DataFrame, labels: Labels) -> list[ReportTable]:
    section, frame = "Conditions", labels.frame
    named = frame.loc[labels.has_label, "differential"]
    graded = [(answer,) for answers in cases["gradable"] for answer in answers]
    confidences = [(str(confidence),) for grades in cases["confidences"] for confidence in grades]
    support = count(tuple(differential) for differential in named)
    tops = frame["top"].value_counts()
    in_use = sorted(labels.labels, key=lambda label: (-support[label], label))
    label_frame = pd.DataFrame({"label": in_use, "n": [support[name] for name in in_use]}).assign(of=len(named))
    label_frame = with_share(label_frame).assign(
        top=[int(tops.get(name, 0)) for name in in_use],
        weight=[round(sum(differential.get(name, 0.0) for differential in named), 1) for name in in_use],
    )
    conditions = labels.conditions.rename(columns={"cases": "n", "top_cases": "top"})
    conditions.insert(2, "of", int(cases["weights"].map(bool).sum()))
    sizes = [(str(len(weights)),) for weights in cases["weights"] if weights]
    graders = [(str(len(answers)),) for answers in cases["gradable"]]
    return [
        _bars("status", section, "Label status", [(str(status),) for status in frame["status"]], tuple(LabelStatus)),
        _bars(
            "gradable",
            section,
            "Gradable, every dermatologist's answer",
            graded,
            tuple(Gradable),
            note="Share of answers given.",
        ),
        _bars("graders_per_case", section, "Dermatologists per case", graders),
        ReportTable(
            name="labels",
            section=section,
            title="Labels under the policy",
            note="n: labelled cases whose differential holds the label; top: whose top condition it is; weight: "
            "its sum.",
            frame=label_frame,
            chart="bars",
        ),
        ReportTable(
            name="conditions",
            section=section,
            title="Conditions as named, and the label that each becomes",
            note="n: cases that name the condition, of those with a reference differential.",
            frame=conditions,
        ),
        _bars(
            "conditions_per_case",
            section,
            "Conditions per labelled case",
            sizes,
            sorted({size for (size,) in sizes}, key=int),
        ),
        _bars(
            "confidences",
            section,
            "Dermatologists' confidences",
            confidences,
            ("1", "2", "3", "4", "5"),
            note="Share of those given.",
        ),
        _labels_by_tone(cases, labels),
    ]


def _labels_by_tone(cases: pd.DataFrame, labels: Labels) -> ReportTable:
    rows = pd.DataFrame({"label": labels.frame["top"], "tone": monk_bin(cases)})[labels.has_label]
    in_tone = rows["tone"].value_counts()
    pairs = rows.value_counts()
    frame = pd.DataFrame(
        [
            (label, tone, int(pairs.get((label, tone), 0)), int(in_tone.get(tone, 0)))
            for label in rows["label"].value_counts().index[:LABELS_BY_TONE]
            for tone in MONK_BINS
        ],
        columns=["label", "tone", "n", "of"],
    )
    return ReportTable(
        name="labels_by_tone",
        section="Conditions",
        title="Most frequent top conditions by Monk skin tone",
        note="Share of the labelled cases of that tone (US graders; India's where the US gave none). A tone with "
        "fewer than 20 is not drawn.",
        frame=with_share(frame),
        chart="matrix",
    )


def _labelled_by(cases: pd.DataFrame, labels: Labels, name: str, attribute: Attribute) -> ReportTable:
    answers = attribute.read(cases)
    all_cases = count(answers, attribute.values)
    labelled = count((answer for answer, has in zip(answers, labels.has_label, strict=True) if has), attribute.values)
    frame = pd.DataFrame(
        [(value, labelled[value], of, of - labelled[value]) for value, of in all_cases.items()],
        columns=["value", "n", "of", "lost"],
    )
    return ReportTable(
        name=f"labelled_by_{name}",
        section="Who would be lost",
        title=f"Labelled share: {attribute.title}",
        note="n: labelled cases; lost: cases that dropping the unlabelled would lose.",
        frame=with_share(frame),
        chart="bars",
    )


def _unlabelled(cases: pd.DataFrame, labels: Labels) -> ReportTable:
    has = labels.has_label.to_numpy()
    rows = []
    for attribute in WHO.values():
        answers = attribute.read(cases)
        labelled = count((answer for answer, labelled in zip(answers, has, strict=True) if labelled), attribute.values)
        unlabelled = count(
            (answer for answer, labelled in zip(answers, has, strict=True) if not labelled), attribute.values
        )
        rows += [
            (attribute.title, value, unlabelled[value], int((~has).sum()), labelled[value], int(has.sum()))
            for value in {**labelled, **unlabelled}
        ]
    frame = pd.DataFrame(rows, columns=["attribute", "value", "unlabelled", "of unlabelled", "labelled", "of labelled"])
    difference, low, high = share_difference(
        frame["labelled"], frame["of labelled"], frame["unlabelled"], frame["of unlabelled"]
    )
    return ReportTable(
        name="unlabelled",
        section="Who would be lost",
        title="The unlabelled beside the labelled",
        note="difference: share among the unlabelled minus share among the labelled, with Newcombe's hybrid score "
        "interval.",
        frame=frame.assign(difference=difference, low=low, high=high),
    )


def _agreements(cases: pd.DataFrame, labels: Labels) -> ReportTable:
    self_reported = cases["fitzpatrick_skin_type"].where(cases["fitzpatrick_skin_type"].isin(FITZPATRICK))
    first_estimate = [efst[0] for efst in cases["efst"]]
    monk = zip(cases["monk_us"], cases["monk_india"], strict=True)
    compared: dict[str, tuple[list[list[Any]], Sequence[Any]]] = {
        "Monk skin tone, US and India": ([[us, india] for us, india in monk], MONK),
        "Fitzpatrick, between dermatologists": ([list(efst) for efst in cases["efst"]], FITZPATRICK),
        "Fitzpatrick, self-reported and estimated": (
            [list(pair) for pair in zip(self_reported, first_estimate, strict=True)],
            FITZPATRICK,
        ),
        "Gradable or not, between dermatologists": (
            [[answer == YES for answer in answers] for answers in cases["gradable"]],
            (False, True),
        ),
    }
    rows: list[tuple[Any, ...]] = []
    for what, (grades, scale) in compared.items():
        pairs = _pairs(grades, scale)
        if len(pairs):
            measures = agreement(pairs)
            if len(scale) == 2:
                measures = {"exact": measures["exact"], "kappa": measures["quadratic-weighted kappa"]}
            rows += [(what, measure, len(pairs), *values) for measure, values in measures.items()]
    rows += _condition_agreement(labels)
    return ReportTable(
        name="agreement",
        section="Agreement",
        title="Agreement between those who looked",
        note="n: cases that two or more graded, or whose lists can be told apart. Intervals: 95 %, percentile "
        "bootstrap over cases, 1,000 resamples. Where more than two graded a case, all ordered pairs count.",
        frame=pd.DataFrame(rows, columns=["between", "measure", "n", "estimate", "low", "high"]),
    )


def _pairs(grades: Sequence[Sequence[Any]], scale: Sequence[Any]) -> Floats:
    """Return [cases, K, K]: how often each ordered pair of grades was given to a case.

    Cases graded less than twice are left out.
    """
    place: Mapping[Any, int] = {grade: index for index, grade in enumerate(scale)}
    graded = [[place[grade] for grade in case_grades if not pd.isna(grade)] for case_grades in grades]
    usable = [case_grades for case_grades in graded if len(case_grades) > 1]
    pairs = np.zeros((len(usable), len(scale), len(scale)))
    for case, case_grades in enumerate(usable):
        for one, other in permutations(case_grades, 2):
            pairs[case, one, other] += 1
    return pairs


def _condition_agreement(labels: Labels) -> list[tuple[Any, ...]]:
    several = [lists for lists in labels.frame["lists"] if lists is not None and len(lists) > 1]
    if not several:
        return []
    first, overlaps, any_shared = [], [], []
    for lists in several:
        pairs = list(
            permutations([[name for name, _ in sorted(graded, key=lambda item: -item[1])] for graded in lists], 2)
        )
        first.append(np.mean([one[0] == other[0] for one, other in pairs]))
        overlaps.append(np.mean([one[0] in other for one, other in pairs]))
        any_shared.append(np.mean([bool(set(one) & set(other)) for one, other in pairs]))
    measures = {
        "same first condition": first,
        "first condition in the other's list": overlaps,
        "any condition in common": any_shared,
    }
    return [
        ("Conditions, between dermatologists", measure, len(several), *mean_interval(np.array(values)))
        for measure, values in measures.items()
    ]


def _monk_pools(cases: pd.DataFrame) -> ReportTable:
    pairs = cases[["monk_us", "monk_india"]].dropna().value_counts()
    frame = pd.DataFrame(
        [(us, india, int(pairs.get((us, india), 0))) for us in MONK for india in MONK], columns=["US", "India", "n"]
    )
    return ReportTable(
        name="monk_pools",
        section="Agreement",
        title="Monk skin tone: graders in the US and in India",
        frame=frame,
        note="Cases that both pools graded.",
        chart="matrix",
    )
