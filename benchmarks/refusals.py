"""`python -m benchmarks.refusals [--pictures FOLDER] [--write]`: what the shipped bundles answer and what they refuse.

Unseen drawings, real photos and pictures without skin, all shrunk and stored alike, by each bundle that ships: what the
skin gate refuses alone, what the bundle's out-of-distribution rule does alone, and both. Needs REAL_DATA. `--pictures`
as for `benchmarks.skin_gate`.
"""

import argparse
import csv
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np

from benchmarks.skin_gate import rendered, sources
from dermis.data.dataset import Dataset, open_dataset
from dermis.data.images.gate import load_gate
from dermis.data.report.markdown import markdown_table, with_measured
from dermis.data.statistics import wilson
from dermis.metadata.core.encode import encode_batch
from dermis.shared.case import MAX_IMAGES, OutcomeKind
from dermis.shared.report import Verdict
from dermis.shared.vocabulary import SelfReport
from dermis.standalone import demo, lesions
from dermis.trainer.calibration.outliers import fit_outliers
from dermis.trainer.evaluation.predict import Bundle, open_bundle
from dermis.trainer.metrics import Floats
from dermis.worker.core import quality
from dermis.worker.core.decode import decode
from dermis.worker.core.differential import decide
from dermis.worker.core.prepare import Image, fit, shrink
from dermis.worker.core.skin import Gate

PAGE = Path(__file__).parents[1] / "docs/reference/refusals.md"
DRAWINGS = ("generated:21:200", "generated:22:100:256", "generated:23:30:512")
"""Unseen: no seed of theirs trains or calibrates a bundle, its rule or the skin gate."""
LONGEST, JPEG_QUALITY, FOLDS = 512, 85, 5
TYPES = {"1": "I-II", "2": "I-II", "3": "III-IV", "4": "III-IV", "5": "V-VI", "6": "V-VI"}
NOT_KNOWN = "not known"
_OTHERS = 25
"""Pictures of each generator that shows no skin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A case to show. `kind`: the row that counts it; `part`: its Fitzpatrick group; `group`: connected cases.

    `in_view`: of the half of the real photos by which the drawings' rule was chosen among others (decision 41).
    """

    kind: str
    images: tuple[Image, ...]
    part: str = NOT_KNOWN
    group: str = ""
    in_view: bool = False
    report: SelfReport = field(default_factory=SelfReport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What became of a case: refused by the gate alone, by the bundle's rule alone, by both in turn, or unanswered."""

    kind: str
    part: str
    in_view: bool
    gate: bool
    rule: bool
    either: bool
    unanswered: bool


def stored(image: Image) -> Image:
    """Return an image after the same shrinking and re-encoding, whatever its source."""
    small = cv2.cvtColor(shrink(image, LONGEST), cv2.COLOR_RGB2BGR)
    return decode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()).image


def cases_of(dataset: Dataset, kind: str) -> Iterator[Shown]:
    """Yield a data set's cases, with their answers."""
    for sample in dataset.samples:
        images = tuple(decode(data).image for key in sample.images if (data := dataset.read(key)) is not None)
        yield Shown(kind=kind, images=images[:MAX_IMAGES], group=sample.group, report=sample.report)


def photos(folder: Path, kind: Callable[[dict[str, str]], str], scale: str = "") -> Iterator[Shown]:
    """Yield each photo of a folder with `manifest.csv` as a case without answers."""
    with (folder / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            part = TYPES.get(row.get(scale, "").removesuffix(".0"), NOT_KNOWN)
            group = row.get("patient_id", "").removeprefix("PAT_") or row["file"]
            images = (decode((folder / row["file"]).read_bytes()).image,)
            yield Shown(
                kind=kind(row), images=images, part=part, group=group, in_view=zlib.crc32(group.encode()) % 2 == 0
            )


def no_skin(pictures: Path | None) -> Iterator[Shown]:
    """Yield pictures that show no skin: drawn here, and those of packages that did not train the gate."""
    for place, (kind, draw) in enumerate(rendered.TEST.items()):
        for n in range(_OTHERS):
            yield Shown(kind=f"no skin, generated: {kind}", images=(draw(np.random.default_rng([place, n, 1])),))
    for source in sources.TEST if pictures else ():
        for _, picture in sources.read(source, pictures or Path()):
            yield Shown(kind=f"no skin, packages: {source.kind}", images=(picture,))


class Judge:
    """Judges cases as the worker does, by one bundle."""

    def __init__(self, bundle: Bundle, gate: Gate) -> None:
        self.bundle, self.gate = bundle, gate
        policy = files("dermis.worker").joinpath("quality_policy.json").read_bytes()
        self.policy = quality.Policy.model_validate_json(policy)

    def see(self, case: Shown) -> tuple[Seen, Floats]:
        """Return what becomes of a case, and the embedding [E] of all its images."""
        images = [stored(image) for image in case.images]
        scores = [self.gate.score(image) for image in images]
        reports = [
            self.gate.judge(quality.assess(image, self.policy), score)
            for image, score in zip(images, scores, strict=True)
        ]
        kept = [im for im, report in zip(images, reports, strict=True) if report.verdict is not Verdict.UNUSABLE]
        gate = all(self.gate.refuses(Verdict.USABLE, score) for score in scores)
        strange, answered, embedding = self._ask(images, case.report)
        served_strange, served_answered = (strange, answered) if len(kept) == len(images) else (False, False)
        if 0 < len(kept) < len(images):
            served_strange, served_answered, _ = self._ask(kept, case.report)
        seen = Seen(
            kind=case.kind,
            part=case.part,
            in_view=case.in_view,
            gate=gate,
            rule=strange,
            either=gate or served_strange,
            unanswered=not kept or not served_answered,
        )
        return seen, embedding

    def _ask(self, images: Sequence[Image], report: SelfReport) -> tuple[bool, bool, Floats]:
        """Return whether the rule calls a case strange, whether it is answered, and its embedding."""
        bundle, manifest = self.bundle, self.bundle.manifest
        size = manifest.image_size
        pixels, mask = np.zeros((1, MAX_IMAGES, size, size, 3), np.uint8), np.zeros((1, MAX_IMAGES), bool)
        for slot, image in enumerate(images):
            pixels[0, slot], mask[0, slot] = fit(image, size, manifest.image_fit), True
        probabilities, embedding, _ = bundle.run(pixels, mask, encode_batch(bundle.schema, [report]))
        decision = decide(
            probabilities[0],
            manifest,
            report.fitzpatrick_skin_type,
            outlier_score=float(bundle.outliers.score(embedding[0])) if bundle.outliers else None,
            texture_score=bundle.textures.case_score(pixels[mask]) if bundle.textures else None,
            answer_unmeasured=True,
        )
        answered = decision.kind is OutcomeKind.DIFFERENTIAL
        return decision.reason == "OUT_OF_DISTRIBUTION", answered, embedding[0]


def out_of_fold(judge: Judge, cases: Iterable[Shown]) -> list[Seen]:
    """Return what becomes of a bundle's own training cases by outlier rules that were fitted without their group.

    The backbone is frozen, so that the embedding is the same in every fold; each rule is fitted on every other group of
    the rest and calibrated on the others, as the bundle's is. Only the rule is out of fold, so `unanswered` says no
    more than the rule and what the bundle, which learned from these cases, would abstain on besides.
    """
    rule = judge.bundle.manifest.outliers
    if rule is None:
        raise ValueError(f"{judge.bundle.manifest.key} has no outlier rule: its training cases can't be judged by fold")
    judged = list(cases)
    seen, rows = zip(*(judge.see(case) for case in judged), strict=True)
    embedding = np.stack(rows)
    _, group = np.unique([case.group for case in judged], return_inverse=True)
    fold = np.random.default_rng(0).permutation(group.max() + 1)[group] % FOLDS
    strange = np.zeros(len(judged), bool)
    for each in range(FOLDS):
        half = (fold != each) & (group % 2 == 0), (fold != each) & (group % 2 == 1)
        fitted = fit_outliers(embedding[half[0]], embedding[half[1]], false_alarms=rule.false_alarms)
        if fitted is None:
            raise ValueError(f"too few cases to fit an outlier rule with {rule.false_alarms:.0%} of false alarms")
        strange[fold == each] = fitted[0].score(embedding[fold == each]) > fitted[1].threshold
    return [
        replace(
            one, rule=bool(flag), either=one.gate or bool(flag), unanswered=one.gate or bool(flag) or one.unanswered
        )
        for one, flag in zip(seen, strange, strict=True)
    ]


def table(name: str, groups: Sequence[tuple[str, Sequence[Seen]]]) -> str:
    """Return a row a group: n, and the shares refused by the gate, by the rule, by both, and without an answer."""
    head = (name, "n", "skin gate alone", "rule alone", "both", "no answer for any reason")
    rows = [
        (
            group,
            f"{len(seen):,}",
            *(_share([bool(getattr(one, name)) for one in seen]) for name in ("gate", "rule", "either", "unanswered")),
        )
        for group, seen in groups
        if seen
    ]
    return markdown_table(head, rows)


def _share(flags: Sequence[bool]) -> str:
    low, high = (float(end) for end in wilson(sum(flags), len(flags)))
    return f"{sum(flags)}: {sum(flags) / len(flags):.1%} ({low:.1%} to {high:.1%})"


def by(seen: Sequence[Seen], name: Callable[[Seen], str]) -> list[tuple[str, list[Seen]]]:
    """Return the cases by a name, in the order in which names first come."""
    return [(key, [one for one in seen if name(one) == key]) for key in dict.fromkeys(map(name, seen))]


def by_type(seen: Sequence[Seen], kind: str) -> list[tuple[str, list[Seen]]]:
    """Return the cases of one kind by Fitzpatrick group, light first."""
    here = [one for one in seen if one.kind.startswith(kind)]
    return [(part, [one for one in here if one.part == part]) for part in (*dict.fromkeys(TYPES.values()), NOT_KNOWN)]


def _in_view(seen: Sequence[Seen]) -> list[tuple[str, list[Seen]]]:
    """Return the half of the photos by which the rule was not chosen among others, and the half by which it was."""
    halves = ((False, "not in view when the rule was chosen"), (True, "in view then"))
    return [(name, [one for one in seen if one.in_view is flag]) for flag, name in halves]


def drawn(data: Path, pictures: Path | None, gate: Gate) -> str:
    """Return the tables of the drawings' bundle."""
    judge = Judge(open_bundle(demo.BUNDLE), gate)
    drawings = [judge.see(one)[0] for url in DRAWINGS for one in cases_of(open_dataset(url), f"drawings, {url}")]
    real = [
        judge.see(one)[0]
        for one in (
            *photos(data / "scin", lambda _: "SCIN"),
            *photos(data / "fitzpatrick17k", lambda _: "Fitzpatrick17k", "fitzpatrick_scale"),
            *photos(data / "pad_ufes_20_large", lambda _: "PAD-UFES-20", "fitzpatrick"),
        )
    ]
    nothing = [judge.see(one)[0] for one in no_skin(pictures)]
    return "\n\n".join(
        (
            "## The drawings' bundle",
            "Drawings that nothing learned from; every refusal is wrong here:",
            table("unseen drawings", [*by(drawings, lambda one: one.kind), ("all drawings", drawings)]),
            "Real photos, of which none is to be answered; none sets the threshold:",
            table("photos", [*by(real, lambda one: one.kind), ("all photos", real), *_in_view(real)]),
            "Fitzpatrick17k by type, as its annotators label it:",
            table("type", by_type(real, "Fitzpatrick17k")),
            "PAD-UFES-20 by type, as clinicians estimated it:",
            table("type", by_type(real, "PAD-UFES-20")),
            "Pictures that show no skin:",
            table("pictures", [*by(nothing, lambda one: one.kind), ("all pictures", nothing)]),
        )
    )


def lesional(data: Path, pictures: Path | None, gate: Gate) -> str:
    """Return the tables of the bundle of six growths."""
    judge = Judge(open_bundle(lesions.BUNDLE), gate)
    own = open_dataset(str(data / "pad_ufes_20_large"), mapping="pad_ufes_20").labelled()
    growths = out_of_fold(judge, cases_of(own, "PAD-UFES-20, rule out of fold by patient"))
    others = [
        judge.see(one)[0]
        for one in (
            *photos(data / "fitzpatrick17k", lambda row: f"Fitzpatrick17k: {row['scin_name']}", "fitzpatrick_scale"),
            *photos(data / "scin", lambda _: "SCIN"),
            *no_skin(pictures),
            *(one for url in DRAWINGS[:1] for one in cases_of(open_dataset(url), "drawings")),
        )
    ]
    strangers = [one for one in others if one.kind.startswith("Fitzpatrick17k")]
    nothing = [one for one in others if one.kind.startswith("no skin")]
    rest = [one for one in others if one.kind in ("SCIN", "drawings")]
    return "\n\n".join(
        (
            "## The bundle of six growths",
            "Growths that it knows, which it is to answer: its own training cases, so only the rule is out of fold.",
            table("growths", by(growths, lambda one: one.kind)),
            "Conditions that it doesn't know, none of which is to be answered:",
            table("photos", [*by(strangers, lambda one: one.kind), ("all of Fitzpatrick17k", strangers)]),
            "The same by type:",
            table("type", by_type(strangers, "Fitzpatrick17k")),
            "What is no photo of a growth:",
            table("cases", [*by([*rest, *nothing], lambda one: one.kind), ("all without skin", nothing)]),
        )
    )


PARTS = {"drawings": drawn, "lesions": lesional}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refusals", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("REAL_DATA"), help="the real data [REAL_DATA]")
    parser.add_argument("--pictures", type=Path, help="unpacked packages of everyday pictures")
    parser.add_argument("--bundle", choices=sorted(PARTS), action="append", help="one of the bundles [default: all]")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(PAGE.parents[2])}")
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data, or set REAL_DATA to the folder that holds photos/")
    gate = load_gate()
    for name in options.bundle or PARTS:
        text = PARTS[name](Path(options.data, "photos"), options.pictures, gate)
        print(text)
        if options.write:
            page = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
            PAGE.write_text(with_measured(page, f"refusals of {name}", text), encoding="utf-8")


if __name__ == "__main__":
    main()
