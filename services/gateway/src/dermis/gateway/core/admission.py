"""May another case come in?"""

import math

from dermis.shared.ports import Room

_LONGEST_S = 30


def refused_for(*, depth: int, line: int, line_age: float, max_depth: int, max_age: float) -> int | None:
    """Return the seconds after which to come again, or None if a case may come in now.

    `depth` cases wait, `line` of them in the caller's own line, the first of those for `line_age` seconds. Whoever
    fills the queue is refused first: from `max_depth` on those with more than a few in line (a fiftieth of it), from
    twice that those with any, from four times that all. So is whose first case waits too long, but for a few: the
    workers are away then, not overrun.
    The more there is too much, the later to come again, up to half a minute.
    """
    few = max(1, max_depth // 50)
    crowd = depth / max_depth
    most = max_depth if crowd < 1 else few if crowd < 2 else 1 if crowd < 4 else 0
    excess = max(crowd, line / max_depth, 1) if line >= most else 0
    if line > few:
        excess = max(excess, line_age / max_age)
    return min(_LONGEST_S, math.ceil(2 * excess)) if excess >= 1 else None


def too_little(room: Room, *, least_bytes: int, least_inodes: int) -> bool:
    """Whether a store has less free than what is accepted already may need."""
    return room.bytes < least_bytes or (room.inodes is not None and room.inodes < least_inodes)
