"""Client references: an opaque name that an app gives a case, and the index by which a case is found by it."""

import hashlib

REFERENCE_PATTERN = r"[A-Za-z0-9._:-]{1,64}"
REFERENCES_PREFIX = "references/"


def reference_prefix(owner: str, reference: str) -> str:
    """Return where the ids of an owner's cases of a reference lie: by its SHA-256, so that no key holds its text."""
    return f"{REFERENCES_PREFIX}{owner}/{hashlib.sha256(reference.encode()).hexdigest()}/"


def reference_key(owner: str, reference: str, case_id: str) -> str:
    return f"{reference_prefix(owner, reference)}{case_id}"
