"""How well a version was measured for people of the same self-reported Fitzpatrick group, from its evaluation report."""

from typing import Any

from dermis.shared.case import Measured
from dermis.shared.vocabulary import FitzpatrickSkinType
from dermis.worker.core.differential import FITZPATRICK_GROUPS

EVERYONE = "ALL"


def measured_for(evaluation: dict[str, Any], fitzpatrick: FitzpatrickSkinType | None) -> Measured | None:
    """Return the row of that type's group, of the type alone in a report without groups, or of all cases where none is given
    or measured; None if the report has no such figures."""
    try:
        return _row_for(evaluation, fitzpatrick)
    except (AttributeError, TypeError, ValueError):  # a report of another form: no case may fail for it
        return None


def _row_for(evaluation: dict[str, Any], fitzpatrick: FitzpatrickSkinType | None) -> Measured | None:
    floors = {f"floor_{top}": evaluation.get("floors", {}).get(top) for top in ("top_1", "top_3")}
    shared = {**floors, "data": str(evaluation.get("data", ""))}
    if None in floors.values():
        return None
    for cut, value in (("fitzpatrick_group", FITZPATRICK_GROUPS.get(fitzpatrick)), ("fitzpatrick_skin_type", fitzpatrick)):
        for row in evaluation.get("slices", {}).get(cut, ()):
            if value and row.get("value") == value:
                own = {f"floor_{top}": row[f"{top}_floor"] for top in ("top_1", "top_3") if f"{top}_floor" in row}
                return Measured.model_validate({**row, **shared, **own, "group": value})
    intervals = {f"{name}_interval": pair for name, pair in evaluation.get("intervals", {}).items()}
    return Measured.model_validate({**evaluation.get("metrics", {}), **intervals, **shared, "group": EVERYONE, "n": evaluation.get("n")})
