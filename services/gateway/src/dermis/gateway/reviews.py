"""Second reads: which cases a clinician may read, what they and an adjudicator made of them."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from dermis.gateway.core.second_read import (
    Candidate,
    ReadingOrder,
    Standing,
    in_order,
    needs_reader,
    standing,
)
from dermis.gateway.facts import erased_problem, get_fact, put_fact
from dermis.gateway.guidance import guidance
from dermis.gateway.review_form import ReadingForm
from dermis.shared.case import Assessed, Erased, Fact, Outcome, OutcomeKind, Received, case_key, fact_key, image_key
from dermis.shared.erasing import RetentionMark
from dermis.shared.errors import DermisError, Kind
from dermis.shared.ids import is_id
from dermis.shared.ports import BlobNotFound, BlobStore, has
from dermis.shared.reviews import (
    SECOND_READ_PREFIX,
    Adjudication,
    Review,
    adjudication_key,
    review_key,
    reviews_prefix,
    second_read_key,
)
from dermis.shared.telemetry import log

CLAIM = timedelta(minutes=15)
"""Time for which a case is left to whoever opened it; others may open it all the same."""
_MOST_CACHED = 10_000
_LOOKERS = 8
"""Cases whose folders are listed at a time, as most of it is waiting for the store."""


class ReadingClaim(Fact):
    """`claims/<reader>.json` of a case: its reader is at it."""

    reader: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadableCase:
    """A finished case that its person lets clinicians read; `images`: the numbers of those that can be shown."""

    owner: str
    received: Received
    outcome: Outcome
    images: tuple[int, ...]

    @property
    def case_id(self) -> str:
        return self.received.case_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCase:
    """A readable case in a list: who has read it, who is at it, whether its disagreement is settled."""

    owner: str
    candidate: Candidate
    readers: tuple[str, ...]
    claims: tuple[str, ...]
    adjudicated: bool


class ReviewDesk:
    """The second reads over the store; it remembers what orders a case, which never changes once it is finished."""

    def __init__(self, store: BlobStore, *, readers_per_case: int, clock: Callable[[], datetime]) -> None:
        self.readers_per_case = readers_per_case
        self._store = store
        self._clock = clock
        self._candidates: OrderedDict[str, tuple[str, Candidate]] = OrderedDict()

    def worklist(self, reader: str, order: ReadingOrder) -> list[ListedCase]:
        """Return the cases that `reader` is wanted for, the first to read first."""
        cases = {
            case.candidate.case_id: case
            for case in self._listed()
            if needs_reader(
                readers=case.readers, claims=case.claims, reader=reader, readers_per_case=self.readers_per_case
            )
        }
        return [cases[each.case_id] for each in in_order((case.candidate for case in cases.values()), order)]

    def adjudications(self, adjudicator: str) -> list[ListedCase]:
        """Return the cases whose readings disagree, the oldest first, but for those that `adjudicator` read."""
        return [
            case
            for case in self._listed()
            if adjudicator not in case.readers and self._standing(case) is Standing.TO_ADJUDICATE
        ]

    def counts(self) -> tuple[Counter[Standing], int]:
        """Return how many cases stand where, and how many readings there are."""
        cases = list(self._listed())
        return Counter(self._standing(case) for case in cases), sum(len(case.readers) for case in cases)

    def find(self, case_id: str) -> ReadableCase:
        """Return a case; NOT_FOUND where it is not there, was erased, is not finished, or is not for clinicians."""
        mark = get_fact(self._store, second_read_key(case_id), RetentionMark) if is_id("case", case_id) else None
        if mark is None or (case := self._readable(case_id, mark.owner)) is None:
            raise _not_readable()
        return case

    def image(self, case_id: str, n: int) -> bytes:
        """Return image `n` of a case, a JPEG; NOT_FOUND where there is none."""
        case = self.find(case_id)
        try:
            return self._store.get(image_key(case.owner, case_id, n, "prepared"))
        except BlobNotFound:
            raise _not_readable() from None

    def claim(self, case: ReadableCase, reader: str) -> None:
        """Leave a case to its reader for a while."""
        key = _claim_key(case, reader)
        self._store.delete(key)
        put_fact(self._store, key, ReadingClaim(reader=reader, expires_at=self._clock() + CLAIM))
        self._remove_if_erased(case, key)

    def review(self, case: ReadableCase, reader: str) -> Review | None:
        """Return what `reader` made of a case, None before that."""
        return get_fact(self._store, review_key(case.owner, case.case_id, reader), Review)

    def reviews(self, case: ReadableCase) -> list[Review]:
        keys = self._store.list(reviews_prefix(case.owner, case.case_id))
        return [review for key in keys if (review := get_fact(self._store, key, Review))]

    def adjudication(self, case: ReadableCase) -> Adjudication | None:
        return get_fact(self._store, adjudication_key(case.owner, case.case_id), Adjudication)

    def put_review(self, case: ReadableCase, reader: str, form: ReadingForm) -> None:
        """Keep a reading; CONFLICT where this reader gave one, NOT_FOUND where the case was erased meanwhile."""
        review = Review(
            case_id=case.case_id,
            reader=reader,
            read_at=self._clock(),
            model=case.outcome.model,
            seconds=form.seconds,
            **form.reading,
        )
        self._put(case, review_key(case.owner, case.case_id, reader), review)
        self._store.delete(_claim_key(case, reader))

    def put_adjudication(self, case: ReadableCase, adjudicator: str, form: ReadingForm) -> None:
        """Keep what stands where readings disagree.

        CONFLICT where they don't, where one stands, or where the adjudicator gave one of them.
        """
        reviews = self.reviews(case)
        readers = tuple(sorted(review.reader for review in reviews))
        if adjudicator in readers:
            raise DermisError(Kind.CONFLICT, "OWN_READING", "you have read this case; another adjudicator settles it")
        if standing(reviews, adjudicated=False, readers_per_case=self.readers_per_case) is not Standing.TO_ADJUDICATE:
            raise _no_disagreement()
        fact = Adjudication(
            case_id=case.case_id, reader=adjudicator, read_at=self._clock(), readers=readers, **form.reading
        )
        self._put(case, adjudication_key(case.owner, case.case_id), fact)

    def check_disagreement(self, case: ReadableCase) -> None:
        """CONFLICT where nobody may see others' readings yet: a case's readings are shown once they disagree."""
        if not self._shows_readings(case):
            raise _no_disagreement()

    def check_unseen(self, case: ReadableCase) -> None:
        """CONFLICT where an adjudicator may have seen a case's readings: one of theirs would not be blind."""
        if self._shows_readings(case):
            detail = (
                "its readings disagree, and adjudicators may have seen them; a reader without that role can read it"
            )
            raise DermisError(Kind.CONFLICT, "NOT_BLIND", detail)

    def _shows_readings(self, case: ReadableCase) -> bool:
        adjudicated = self.adjudication(case) is not None
        how = standing(self.reviews(case), adjudicated=adjudicated, readers_per_case=self.readers_per_case)
        return how in (Standing.TO_ADJUDICATE, Standing.ADJUDICATED)

    def _put(self, case: ReadableCase, key: str, fact: Review | Adjudication) -> None:
        if not put_fact(self._store, key, fact):
            raise DermisError(Kind.CONFLICT, "READING_STANDS", "a reading stands already, and is never changed")
        self._remove_if_erased(case, key)

    def _remove_if_erased(self, case: ReadableCase, key: str) -> None:
        """Take back what was put into a case that was erased meanwhile: nothing may stay."""
        if has(self._store, fact_key(case.owner, case.case_id, "erased")):
            self._store.delete(key)
            raise erased_problem(case.case_id)

    def _listed(self) -> Iterator[ListedCase]:
        """Yield all readable cases, the oldest first; one that can't be read is passed over."""
        ids = [key.removeprefix(SECOND_READ_PREFIX) for key in self._store.list(SECOND_READ_PREFIX)]
        with ThreadPoolExecutor(_LOOKERS) as lookers:
            yield from filter(None, lookers.map(self._list_one_or_none, ids))

    def _list_one_or_none(self, case_id: str) -> ListedCase | None:
        try:
            return self._list_one(case_id)
        except DermisError as error:
            log.warning("a case is left out of the second reads", reason=error.reason)
            return None

    def _list_one(self, case_id: str) -> ListedCase | None:
        ordered = self._candidates.get(case_id) or self._remember(case_id)
        if ordered is None:
            return None
        owner, candidate = ordered
        folder = f"{case_key(owner, case_id)}/"
        names = [key.removeprefix(folder) for key in self._store.list(folder)]
        if "erased.json" in names or "received.json" not in names:
            return None
        return ListedCase(
            owner=owner,
            candidate=candidate,
            readers=tuple(_readers(names, "reviews/")),
            claims=tuple(each for each in _readers(names, "claims/") if self._is_at_it(owner, case_id, each)),
            adjudicated="adjudication.json" in names,
        )

    def _remember(self, case_id: str) -> tuple[str, Candidate] | None:
        try:
            case = self.find(case_id)
        except DermisError as error:
            if error.kind is Kind.NOT_FOUND:
                return None  # not finished yet, or without an image
            raise
        self._candidates[case_id] = case.owner, candidate_of(case)
        while len(self._candidates) > _MOST_CACHED:
            self._candidates.popitem(last=False)
        return self._candidates[case_id]

    def _is_at_it(self, owner: str, case_id: str, reader: str) -> bool:
        claim = get_fact(self._store, f"{case_key(owner, case_id)}/claims/{reader}.json", ReadingClaim)
        return claim is not None and self._clock() < claim.expires_at

    def _standing(self, case: ListedCase) -> Standing:
        keys = [review_key(case.owner, case.candidate.case_id, reader) for reader in case.readers]
        enough = len(keys) >= self.readers_per_case and not case.adjudicated
        reviews = [review for key in keys if enough and (review := get_fact(self._store, key, Review))]
        return standing(reviews, adjudicated=case.adjudicated, readers_per_case=self.readers_per_case)

    def _readable(self, case_id: str, owner: str) -> ReadableCase | None:
        if get_fact(self._store, fact_key(owner, case_id, "erased"), Erased):
            return None
        received = get_fact(self._store, fact_key(owner, case_id, "received"), Received)
        outcome = get_fact(self._store, fact_key(owner, case_id, "outcome"), Outcome)
        assessed = get_fact(self._store, fact_key(owner, case_id, "assessed"), Assessed)
        if not (received and outcome and assessed) or not (received.second_read and received.livemode):
            return None
        images = tuple(each.n for each in assessed.images if each.phash is not None)
        if not images or received.self_report.under_18:
            return None
        return ReadableCase(owner=owner, received=received, outcome=outcome, images=images)


def candidate_of(case: ReadableCase) -> Candidate:
    """Return what orders a case, from its outcome."""
    outcome = case.outcome
    ranked = outcome.differential
    inside = sum(each.in_prediction_set for each in ranked)
    return Candidate(
        case_id=case.case_id,
        urgency=guidance().of_outcome(outcome, case.received.self_report).urgency,
        abstained=outcome.kind is OutcomeKind.ABSTENTION,
        margin=ranked[0].probability - ranked[1].probability if len(ranked) > 1 else None,
        set_share=inside / len(ranked) if ranked else 0.0,
        group_cases=outcome.measured.n if outcome.measured else None,
    )


def _readers(names: list[str], folder: str) -> Iterator[str]:
    return (name.removeprefix(folder).removesuffix(".json") for name in names if name.startswith(folder))


def _claim_key(case: ReadableCase, reader: str) -> str:
    return f"{case_key(case.owner, case.case_id)}/claims/{reader}.json"


def _no_disagreement() -> DermisError:
    return DermisError(Kind.CONFLICT, "NO_DISAGREEMENT", "the readings of this case do not disagree")


def _not_readable() -> DermisError:
    detail = "there is no such case to read; it may have been erased, by its person or because its time was over"
    return DermisError(Kind.NOT_FOUND, "NOT_READABLE", detail)
