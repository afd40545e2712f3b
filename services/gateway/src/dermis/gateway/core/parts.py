"""What has come of an image that is sent in parts, as a fold over the parts' offsets and sizes."""

from collections.abc import Iterable, Sequence


def offset_after(starts: Sequence[int], *, last_bytes: int) -> int:
    """Return how many bytes have come, of the parts' offsets in order and the size of the last.

    A part is put once, where the one before it ends, so that the sizes of the others follow from the offsets.
    """
    return starts[-1] + last_bytes if starts else 0


def joined(parts: Iterable[tuple[int, bytes]]) -> bytearray:
    """Return the bytes of parts, in order of their offsets, as far as each begins where the one before it ends."""
    whole = bytearray()
    for start, data in parts:
        if start != len(whole):
            break
        whole += data
    return whole
