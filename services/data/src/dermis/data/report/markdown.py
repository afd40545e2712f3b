"""Tables of Markdown."""

from collections.abc import Iterable, Sequence

from tabulate import tabulate


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[object]], *, align: Sequence[str] = ()) -> str:
    """Return a table in which each cell stands as it is, `|` escaped; `align`: left, right or center by column."""
    cells = [[_cell(value) for value in row] for row in rows]
    if any(len(row) != len(head) for row in cells):
        raise ValueError(f"rows of {sorted({len(row) for row in cells})} cells under {len(head)} columns: {list(head)}")
    return tabulate(
        cells,
        headers=[_cell(name) for name in head],
        tablefmt="pipe",
        stralign=None,
        disable_numparse=True,
        colalign=tuple(align) or None,
    )


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def with_measured(page: str, name: str, text: str) -> str:
    """Return a page of which the part between `<!-- measured: NAME -->` and `<!-- /measured -->` is `text`.

    A page that has no such part gets it at its end.
    """
    begin, end = f"<!-- measured: {name} -->", "<!-- /measured -->"
    before, _, after = page.partition(begin)
    _, there, rest = after.partition(end)
    head = before if there or not before else f"{before.rstrip()}\n\n"
    return f"{head}{begin}\n\n{text.strip()}\n\n{end}{rest or chr(10)}"
