"""Draws the spans of one trace: a row each, below the one that it is a part of, over a common axis of time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from dermis.shared.ids import without_case_ids

_COLOURS = {"gateway": "#0b7285", "worker": "#2b8a3e", "metadata": "#862e9c", "serving": "#1864ab", "sweep": "#e67700"}
_ROW, _LEFT, _WIDTH, _HEAD = 20, 300, 640, 46


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Times in milliseconds since the epoch."""

    trace_id: str
    span_id: str
    parent_id: str | None
    part: str
    name: str
    begun: float
    ended: float
    failed: bool
    case_id: str | None


def span_of(exported: Mapping[str, Any]) -> Span:
    """Read a span as OpenTelemetry's `ReadableSpan.to_json` writes it."""
    return Span(
        trace_id=exported["context"]["trace_id"],
        span_id=exported["context"]["span_id"],
        parent_id=exported["parent_id"],
        part=exported["resource"]["attributes"]["service.name"],
        name=exported["name"],
        begun=_milliseconds(exported["start_time"]),
        ended=_milliseconds(exported["end_time"]),
        failed=exported["status"]["status_code"] == "ERROR",
        case_id=exported["attributes"].get("case_id"),
    )


def trace_of(spans: Sequence[Span], case_id: str | None) -> list[tuple[int, Span]]:
    """Return the spans of the trace in which a case was taken in, each with its depth, parents first.

    Empty if there is none.

    Without an id it is the last case that was taken in. A case that the sweep sent again has more than one trace: the
    earliest is taken.
    """
    if case_id is None:
        case_id = (
            max((span.begun, span.case_id) for span in spans if span.case_id)[1]
            if any(span.case_id for span in spans)
            else None
        )
    name = without_case_ids(case_id or "")
    about = sorted((span for span in spans if span.case_id in (case_id, name)), key=lambda span: span.begun)
    if not about:
        return []
    of_trace = sorted((span for span in spans if span.trace_id == about[0].trace_id), key=lambda span: span.begun)
    ids = {span.span_id for span in of_trace}
    children: dict[str | None, list[Span]] = {}
    for span in of_trace:
        children.setdefault(span.parent_id if span.parent_id in ids else None, []).append(span)
    return list(_down(children, None, 0))


def _down(children: Mapping[str | None, Sequence[Span]], parent: str | None, depth: int) -> Iterator[tuple[int, Span]]:
    for span in children.get(parent, ()):
        yield depth, span
        yield from _down(children, span.span_id, depth + 1)


def draw(rows: Sequence[tuple[int, Span]], *, title: str) -> str:
    """Return the picture as SVG."""
    begun, ended = min(span.begun for _, span in rows), max(span.ended for _, span in rows)
    scale = _WIDTH / max(ended - begun, 0.001)
    height = _HEAD + _ROW * len(rows) + 30
    parts = dict.fromkeys(span.part for _, span in rows)
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 90} {height}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="{height}" fill="#fff"/><text x="8" y="18" font-size="14">{escape(title)}</text>',
    ]
    for n, part in enumerate(parts):
        lines.append(f'<text x="{8 + 90 * n}" y="36" fill="{_colour(part)}">■ {escape(part)}</text>')
    for n in range(6):
        x, at = _LEFT + _WIDTH * n / 5, (ended - begun) * n / 5
        lines.append(f'<path d="M{x:.1f} {_HEAD - 4}V{height - 24}" stroke="#dee2e6"/>')
        lines.append(f'<text x="{x:.1f}" y="{height - 8}" fill="#495057" text-anchor="middle">{at:.0f} ms</text>')
    for n, (depth, span) in enumerate(rows):
        y, x, width = (
            _HEAD + _ROW * n,
            _LEFT + (span.begun - begun) * scale,
            max((span.ended - span.begun) * scale, 1.5),
        )
        edge = ' stroke="#c92a2a" stroke-width="2"' if span.failed else ""
        lines.append(f'<text x="{8 + 12 * depth}" y="{y + 13}">{escape(span.name)}</text>')
        lines.append(
            f'<rect x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="{_ROW - 6}" rx="2" '
            f'fill="{_colour(span.part)}"{edge}/>'
        )
        lines.append(f'<text x="{x + width + 4:.1f}" y="{y + 13}" fill="#495057">{span.ended - span.begun:.1f}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _colour(part: str) -> str:
    return _COLOURS.get(part, "#495057")


def _milliseconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000
