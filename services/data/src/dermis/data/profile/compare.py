"""Two data sets side by side: the share of each tone, group and condition."""

import pandas as pd

from dermis.data.mapping import COMPARED, DataSide
from dermis.data.report.table import ReportTable
from dermis.data.scin.attributes import NO_RESPONSE, WHO, count, with_share
from dermis.data.statistics import share_difference


def compare(a: DataSide, b: DataSide) -> list[ReportTable]:
    """Return a table per attribute that both sides know, and one of what only one knows."""
    both = [name for name in COMPARED if name in a.answers and name in b.answers]
    return [_extent(a, b), *(_side_by_side(name, a, b) for name in both)]


def _extent(a: DataSide, b: DataSide) -> ReportTable:
    rows: list[tuple[str, int | None, int | None]] = [("Units", len(a.units), len(b.units))]
    for name, attribute in COMPARED.items():
        if name in a.answers or name in b.answers:
            rows.append((attribute.title, _answered(a, name), _answered(b, name)))
    names = (a.name, b.name if b.name != a.name else f"{b.name} (B)")
    columns = list(zip(*rows, strict=True))
    return ReportTable(
        name="extent",
        section="Extent",
        title="What each data set tells",
        note="Units that give a value; empty: the data set does not tell.",
        frame=pd.DataFrame(
            {"what": columns[0], **{name: pd.array(columns[at], dtype="Int64") for at, name in enumerate(names, 1)}}
        ),
    )


def _answered(side: DataSide, name: str) -> int | None:
    return sum(answer is not None for answer in side.answers[name]) if name in side.answers else None


def _side_by_side(name: str, a: DataSide, b: DataSide) -> ReportTable:
    attribute = COMPARED[name]
    left, right = (count(side.answers[name], attribute.values) for side in (a, b))
    values = list(dict.fromkeys([*[value for value in left if value in attribute.values or left[value]], *right]))
    total = {value: left[value] / max(len(a.units), 1) + right[value] / max(len(b.units), 1) for value in values}
    place = {value: at for at, value in enumerate(attribute.values)}
    values.sort(key=lambda value: (value == NO_RESPONSE, place.get(value, len(place)), -total[value], value))
    frame = pd.DataFrame({"value": values})
    for suffix, counted, side in (("a", left, a), ("b", right, b)):
        part = with_share(pd.DataFrame({"n": [counted[value] for value in values], "of": len(side.answers[name])}))
        frame = frame.join(part.add_suffix(f"_{suffix}"))
    difference, low, high = share_difference(frame["n_a"], frame["of_a"], frame["n_b"], frame["of_b"])
    notes = [f"{side.name}: {side.notes[name]}" for side in (a, b) if name in side.notes]
    return ReportTable(
        name=name,
        section="Whose skin" if name in WHO else "What is shown",
        title=attribute.title,
        note=" ".join([*notes, "difference: B minus A, with Newcombe's hybrid score interval."]),
        frame=frame.assign(difference=difference, low=low, high=high),
        chart="sides",
        sides=(a.name, b.name),
    )
