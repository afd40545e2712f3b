"""Judges whether the audit is whole: pure, on the objects' contents."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from pydantic import ValidationError

from dermis.shared.audit import AUDIT_PREFIX, AuditCheckpoint, ChainLink, checkpoint_key, day_of, digest_of, link_of
from dermis.shared.ids import made_at

LATE = timedelta(hours=1)
"""A store that refuses may take an object so long after its time."""
_ID = re.compile(r"audit_[0-7][0-9a-hjkmnp-tv-z]{25}")


class ChainFault(StrEnum):
    MISSING = "missing"
    CHANGED = "changed"
    ADDED = "added"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenObject:
    fault: ChainFault
    key: str
    why: str


@dataclass(kw_only=True)
class AuditVerdict:
    """`since`: objects that no checkpoint names yet; the chain of their process alone holds them."""

    broken: list[BrokenObject] = field(default_factory=list)
    objects: int = 0
    since: int = 0
    last: AuditCheckpoint | None = None
    head: str | None = None

    def add(self, fault: ChainFault, key: str, why: str) -> None:
        self.broken.append(BrokenObject(fault=fault, key=key, why=why))


@dataclass(frozen=True, slots=True)
class _LinkedObject:
    key: str
    digest: str
    link: ChainLink


def verify(
    checkpoints: Sequence[tuple[str, bytes]], objects: Iterable[tuple[str, bytes]], *, head: str | None = None
) -> AuditVerdict:
    """Judge checkpoints and objects, each by key in order, against each other and a published `head`.

    What was taken from the end, the newest checkpoints and what they alone name, is told by a published head alone.
    """
    verdict = AuditVerdict()
    read = dict(_read(checkpoints, verdict))
    if read:
        last = max(read)
        verdict.last, verdict.head = read[last]
        _judge_checkpoints(read, verdict)
    if head is not None and head not in {digest for _, digest in read.values()}:
        why = f"no checkpoint has the digest {head}: the end of the audit was cut off, or all of it written anew"
        verdict.add(ChainFault.MISSING, checkpoint_key(max(read, default=0) + 1), why)
    named = {
        key: (digest, number) for number, (checkpoint, _) in read.items() for key, digest in checkpoint.objects.items()
    }
    places = list(_judge_objects(objects, named, read, verdict))
    _judge_chains(places, verdict)
    return verdict


def _read(
    checkpoints: Sequence[tuple[str, bytes]], verdict: AuditVerdict
) -> Iterator[tuple[int, tuple[AuditCheckpoint, str]]]:
    for key, data in checkpoints:
        try:
            checkpoint = AuditCheckpoint.model_validate_json(data)
        except ValidationError:
            verdict.add(ChainFault.CHANGED, key, "it can't be read")
            continue
        if key == checkpoint_key(checkpoint.number):
            yield checkpoint.number, (checkpoint, digest_of(data))
        else:
            verdict.add(ChainFault.CHANGED, key, f"it says that it is number {checkpoint.number}")


def _judge_checkpoints(read: Mapping[int, tuple[AuditCheckpoint, str]], verdict: AuditVerdict) -> None:
    assert verdict.last  # noqa: S101 - whoever calls has one
    faulty = {each.key for each in verdict.broken}
    for number in range(verdict.last.first, verdict.last.number + 1):
        key = checkpoint_key(number)
        if number not in read:
            if key not in faulty:
                verdict.add(ChainFault.MISSING, key, "checkpoints before and after it are there")
            continue
        before = read.get(number - 1)
        if before and number > verdict.last.first and read[number][0].previous != before[1]:
            why = f"checkpoint {number} names another digest of it"
            verdict.add(ChainFault.CHANGED, checkpoint_key(number - 1), why)


def _judge_objects(
    objects: Iterable[tuple[str, bytes]],
    named: Mapping[str, tuple[str, int]],
    read: Mapping[int, tuple[AuditCheckpoint, str]],
    verdict: AuditVerdict,
) -> Iterator[_LinkedObject]:
    """Hold each object against the checkpoint that names it; yield those that are linked."""
    last, seen = verdict.last, set()
    for key, data in objects:
        verdict.objects += 1
        seen.add(key)
        digest, number = named.get(key, ("", 0))
        if number == 0 and last:
            verdict.since += 1
            if last.complete and _time_of(key) < last.made_at - LATE and not last.ends(key):
                why = f"it says it is from {_time_of(key):%Y-%m-%dT%H:%M}, and checkpoint {last.number} did not name it"
                verdict.add(ChainFault.ADDED, key, why)
        elif number and digest != digest_of(data):
            verdict.add(ChainFault.CHANGED, key, f"checkpoint {number} names another digest of it")
        elif (before := read.get(number - 1)) and before[0].complete and _time_of(key) < before[0].made_at - LATE:
            why = f"it says it is from {_time_of(key):%Y-%m-%dT%H:%M}, and checkpoint {number - 1} did not name it"
            verdict.add(ChainFault.ADDED, key, why)
        if link := link_of(data):
            yield _LinkedObject(key, digest_of(data), link)
            if link.name != key.removeprefix(AUDIT_PREFIX) and (not number or digest == digest_of(data)):
                verdict.add(ChainFault.CHANGED, key, f"it says that it is {link.name}")
    for key in sorted(named.keys() - seen):
        if not (last and last.ends(key)):
            verdict.add(ChainFault.MISSING, key, f"checkpoint {named[key][1]} names it")


def _judge_chains(places: Iterable[_LinkedObject], verdict: AuditVerdict) -> None:
    """Follow each process' objects from one to the next."""
    faulty = {each.key for each in verdict.broken}
    is_missing = any(each.fault is ChainFault.MISSING for each in verdict.broken)  # which the gap is of
    chains: dict[str, list[_LinkedObject]] = defaultdict(list)
    for place in places:
        chains[place.link.process].append(place)
    for process, chain in chains.items():
        chain.sort(key=lambda place: (place.link.sequence, place.key))
        first = chain[0]
        if first.link.sequence > 1 and not is_missing and not _began_before_what_is_kept(process, verdict.last):
            verdict.add(ChainFault.MISSING, first.key, f"before it, object {first.link.sequence - 1} of {process}")
        for before, place in pairwise(chain):
            if before.key in faulty or place.key in faulty:
                continue
            if place.link.sequence > before.link.sequence + 1:
                if not is_missing:
                    why = f"before it, object {place.link.sequence - 1} of {process}"
                    verdict.add(ChainFault.MISSING, place.key, why)
            elif place.link.sequence == before.link.sequence:
                verdict.add(ChainFault.ADDED, place.key, f"{process} has two objects {place.link.sequence}")
            elif place.link.previous != before.digest:
                verdict.add(ChainFault.CHANGED, before.key, f"{place.key} names another digest of it")


def _began_before_what_is_kept(process: str, last: AuditCheckpoint | None) -> bool:
    return last is not None and f"{made_at(process).date()}" < last.kept_from


def _time_of(key: str) -> datetime:
    """Return when an object says it was made: by the id in its name, else the end of its day."""
    if match := _ID.search(key):
        return made_at(match[0])
    return datetime.fromisoformat(f"{day_of(key)}T00:00:00+00:00") + timedelta(days=1)
