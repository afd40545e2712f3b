"""Charts that matplotlib plots for the skin gate's training: bars, pies, rings, lines, areas, boxes and heat maps."""

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dermis.worker.core.prepare import Image

_STYLES = ("default", "ggplot", "bmh", "dark_background", "fivethirtyeight", "grayscale", "Solarize_Light2")
_MAPS = ("tab10", "Set2", "Pastel1", "copper", "YlOrBr", "pink", "viridis", "Oranges", "RdBu", "Greys")


def chart(rng: np.random.Generator) -> Image:
    """Return one chart of a kind, style and colours drawn by lot."""
    with mpl.style.context(_STYLES[rng.integers(len(_STYLES))]):
        figure = Figure(figsize=(3.84, 2.88), dpi=100)
        canvas: Any = FigureCanvasAgg(figure)
        axes = figure.subplots()
        colours = mpl.colormaps[_MAPS[rng.integers(len(_MAPS))]](rng.uniform(0, 1, 12))
        _KINDS[rng.integers(len(_KINDS))](axes, rng, colours)
        if rng.random() < 0.5:
            axes.set_title("".join(chr(code) for code in rng.integers(97, 123, 14)))
        canvas.draw()
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _pie(axes: Axes, rng: np.random.Generator, colours: np.ndarray) -> None:
    shares = rng.uniform(0.1, 1, int(rng.integers(2, 9)))
    names = [chr(65 + place) * 3 for place in range(len(shares))] if rng.random() < 0.6 else None
    ring = {"width": float(rng.uniform(0.2, 0.6))} if rng.random() < 0.5 else {}
    edge = {"edgecolor": "white", "linewidth": 2.0} if rng.random() < 0.5 else {}
    axes.pie(shares, labels=names, colors=list(colours), startangle=float(rng.uniform(0, 360)), wedgeprops=ring | edge)


def _bars(axes: Axes, rng: np.random.Generator, colours: np.ndarray) -> None:
    n = int(rng.integers(3, 13))
    draw = axes.barh if rng.random() < 0.4 else axes.bar
    draw(np.arange(n), rng.uniform(0, 1, n), color=colours[: n if rng.random() < 0.5 else 1])


def _lines(axes: Axes, rng: np.random.Generator, colours: np.ndarray) -> None:
    for colour in colours[: int(rng.integers(1, 6))]:
        axes.plot(rng.normal(size=30).cumsum(), color=colour, linewidth=float(rng.uniform(0.5, 3)))
    axes.grid(rng.random() < 0.5)


def _areas(axes: Axes, rng: np.random.Generator, colours: np.ndarray) -> None:
    axes.stackplot(np.arange(12), rng.uniform(0, 1, (int(rng.integers(2, 6)), 12)), colors=list(colours))


def _map(axes: Axes, rng: np.random.Generator, colours: np.ndarray) -> None:
    del colours
    cells = rng.uniform(0, 1, (int(rng.integers(3, 12)), int(rng.integers(3, 12))))
    axes.imshow(cells, cmap=_MAPS[rng.integers(len(_MAPS))], aspect="auto")


def _boxes(axes: Axes, rng: np.random.Generator, colours: np.ndarray) -> None:
    boxes = axes.boxplot(list(rng.normal(size=(int(rng.integers(2, 8)), 20))), patch_artist=True)
    for box, colour in zip(boxes["boxes"], colours, strict=False):
        box.set_facecolor(colour)


_KINDS: tuple[Callable[[Axes, np.random.Generator, np.ndarray], None], ...] = (
    *(_pie, _pie, _bars, _lines, _areas, _map, _boxes),
)
