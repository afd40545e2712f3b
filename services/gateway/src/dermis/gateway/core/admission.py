"""May another case come in?"""

import math

_LONGEST_S = 30


def refused_for(*, depth: int, age: float, max_depth: int, max_age: float) -> int | None:
    """Return the seconds after which to come again, or None if a case may come in now.

    `depth` jobs wait and the oldest has waited for `age` seconds. The deeper past a limit, the later to come again, up to half a minute.
    """
    excess = max(depth / max_depth, age / max_age)
    if excess < 1:
        return None
    return min(_LONGEST_S, math.ceil(2 * excess))
