"""What is copied, in which order, and what of a backup goes: decisions by the names of objects alone.

What points is read before what it points to is listed, and put after it was copied. So a backup that is made while
cases come in holds no pointer to what is not in it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from dermis.shared.case import CASES_PREFIX
from dermis.shared.erasing import RETENTION_PREFIX
from dermis.shared.ids import is_id
from dermis.shared.manifest import CURRENT_KEY, SERVER_CONFIG_KEY
from dermis.shared.releases import RELEASES
from dermis.shared.reviews import SECOND_READ_PREFIX

OPEN = "open/"
AUDIT = "audit/"
POINTERS = (SERVER_CONFIG_KEY, CURRENT_KEY)
"""Read first and put last, in this order: serving loads a version before workers ask for it."""
LEFT = ("backups/", "clock/", RELEASES, "scratch/", "sweep/", "uploads/")
"""Not copied: indexes of backups, what ends within the hour or with a canary, what the sweep knows of its machine."""
LASTING = (
    CASES_PREFIX,
    "batches/",
    "deployment.json",
    "evaluations/",
    "keys/",
    "models/",
    "profiles/",
    "promotions/",
    "reports/",
    "runs/",
)
"""Of these nothing goes from a backup because it is gone from the store; only a tombstone takes cases and batches."""
_PUT_ONCE = (*LASTING, AUDIT, "idempotency/", "references/", RETENTION_PREFIX, SECOND_READ_PREFIX)


@dataclass(frozen=True, slots=True)
class Folder:
    """A case or batch: the prefix of its keys, and its tombstone."""

    prefix: str

    @property
    def tombstone(self) -> str:
        return f"{self.prefix}erased.json"

    @property
    def thing_id(self) -> str:
        return self.prefix.split("/")[-2]

    @property
    def case(self) -> tuple[str, str] | None:
        """Owner and id of a case, None for a batch."""
        parts = self.prefix.split("/")
        return (parts[1], parts[2]) if parts[0] == "cases" else None


def folder_of(key: str) -> Folder | None:
    """Return the case or batch that a key belongs to, None for any other."""
    parts = key.split("/")
    if parts[0] == "cases" and len(parts) > 3 and is_id("case", parts[2]):
        return Folder("/".join(parts[:3]) + "/")
    if parts[0] == "batches" and len(parts) > 2 and is_id("batch", parts[1]):
        return Folder("/".join(parts[:2]) + "/")
    return None


def is_copied(key: str) -> bool:
    """Return whether a key is copied in its turn: it is not left out, and neither pointer, marker nor audit."""
    return key not in POINTERS and not key.startswith((*LEFT, OPEN, AUDIT))


def is_put_once(key: str) -> bool:
    """Return whether a key's object never changes, so that the one in the backup is the one in the store."""
    return key.startswith(_PUT_ONCE)


def goes(key: str) -> bool:
    """Return whether a key goes from the backup when the store no longer has it."""
    return not key.startswith(LASTING)


def in_order(keys: Iterable[str], folder: Folder) -> list[str]:
    """Return the keys of a case or batch so that what speaks of others comes after them."""
    return sorted(keys, key=lambda key: (_rank(key.removeprefix(folder.prefix)), key))


def _rank(name: str) -> int:
    last = ("assessed.json", "outcome.json")
    if name in last:
        return 2 + last.index(name)
    return 1 if name in ("received.json", "manifest.json") else 4 if name.startswith(("failed/", "feedback/")) else 0


def is_whole(names: Collection[str]) -> bool:
    """Return whether a case or batch was wholly submitted."""
    return "received.json" in names or "manifest.json" in names


def next_attempt(names: Collection[str], marker_attempt: int) -> int:
    """Return the attempt that a case is in, 0 if it is closed; `marker_attempt` is that of its marker, or 0."""
    if "outcome.json" in names or "erased.json" in names:
        return 0
    failed = [int(name[len("failed/") : -len(".json")]) for name in names if name.startswith("failed/")]
    if failed and marker_attempt <= max(failed):
        return 0
    return marker_attempt or 1
