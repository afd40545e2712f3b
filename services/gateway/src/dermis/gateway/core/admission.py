"""May another case come in?"""

import math

from dermis.shared.ports import Room

_LONGEST_S = 30
_FEW = 50


def refused_for(*, depth: int, age: float, max_depth: int, max_age: float) -> int | None:
    """Return the seconds after which to come again, or None if a case may come in now.

    `depth` jobs wait and the oldest has waited for `age` seconds. The age of a few (a fiftieth of `max_depth`) doesn't count: the
    workers are away then, not overrun. The deeper past a limit, the later to come again, up to half a minute.
    """
    excess = max(depth / max_depth, age / max_age if depth > max_depth // _FEW else 0)
    if excess < 1:
        return None
    return min(_LONGEST_S, math.ceil(2 * excess))


def too_little(room: Room, *, least_bytes: int, least_inodes: int) -> bool:
    """Whether a store has less free than what is accepted already may need."""
    return room.bytes < least_bytes or (room.inodes is not None and room.inodes < least_inodes)
