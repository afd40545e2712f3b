"""Figures of a report as text in the cells of a page."""

from dermis.shared.evaluation import Figure, Interval


def figure_text(figure: Figure | None) -> str:
    if figure is None or figure.value is None:
        return ""
    low_high = f" ({figure.interval[0]:.3f}\N{EN DASH}{figure.interval[1]:.3f})" if figure.interval else ""
    return f"{figure.value:.3f}{low_high}" + (f", floor {figure.floor:.3f}" if figure.floor is not None else "")


def perfect_text(measure: str, band: Interval) -> str:
    if not band:
        return ""
    return (
        f"{band[0]:.3f} to {band[1]:.3f}" if "coverage" in measure else f"{band[0]:.3f}, 95th percentile {band[1]:.3f}"
    )
