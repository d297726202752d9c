"""How figures look, and a drawn figure as SVG and PNG.

Colours are Okabe and Ito's (https://jfly.uni-koeln.de/color/), told apart by every kind of colour vision; lines differ in
dashes too. Figures are narrow, so that their text stays legible on a telephone, and stand side by side on a wide screen.
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cvtbatch.validation.outcome import Outcome

BLUE, ORANGE, GREEN, SKY, VERMILION, PURPLE, BLACK, GRAY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#56B4E9",
    "#D55E00",
    "#CC79A7",
    "#000000",
    "#6B6B6B",
)
MODEL_LINES = ((SKY, (0, (1, 1))), (ORANGE, (0, (5, 1.5))), (GREEN, (0, (5, 1, 1, 1))), (BLUE, "solid"))
"""Colour and dashes of the models in the order of the bundle, the last one the primary."""
WIDTH_IN = 4.3
HEIGHT_IN = 3.7
PNG_DPI = 200
FONT = "DejaVu Sans"
LONGEST_LABEL = 30
_STYLE: Any = {
    "font.family": [FONT],
    "font.size": 9,
    # Names are drawn as they are, dollar signs in them too.
    "text.parse_math": False,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.7,
    "svg.fonttype": "path",
    "savefig.facecolor": "white",
    "figure.facecolor": "white",
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure.

    Attributes:
        name: of its files.
        alt: what it shows, for who cannot see it.
        svg: an <svg> element to stand in a page; its ids begin with the name.
    """

    name: str
    title: str
    alt: str
    svg: str
    png: bytes


@contextmanager
def style(name: str) -> Iterator[None]:
    """Draw in the report's style; equal figures have equal bytes."""
    import matplotlib as mpl

    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        yield


def new_figure(height_in: float = HEIGHT_IN) -> Any:
    """Return a figure and its axes."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # Text is a little wider in one format than in the other: leave room for that.
    figure = Figure(figsize=(WIDTH_IN, height_in), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))
    return figure, figure.add_subplot()


def is_drawable(text: str) -> bool:
    """Say whether the figures' font has every character of a text."""
    from matplotlib.font_manager import findfont
    from matplotlib.ft2font import FT2Font

    return all(map(FT2Font(findfont(FONT)).get_char_index, map(ord, text)))


def class_labels(outcome: Outcome) -> tuple[str, str]:
    """Return what cases with the event and those without are called in figures.

    Their font does not have every character, and there is room for so many of them.
    """
    names = (outcome.event, outcome.others)
    fits = all(is_drawable(name) and len(name) <= LONGEST_LABEL for name in names)
    return names if fits else ("event", "no event")


def finish(figure: Any, name: str, title: str, alt: str) -> Drawing:
    """Write a figure as SVG and PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    svg, png = io.BytesIO(), io.BytesIO()
    # The layout costs as much as the drawing, and both files have the same; `savefig` would go through the figure twice for each.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    drawn: Any = FigureCanvasSVG(figure)
    drawn.print_svg(svg, metadata={"Date": None, "Creator": None})
    figure.dpi, drawn = PNG_DPI, FigureCanvasAgg(figure)
    drawn.print_png(png, metadata={"Software": None})
    return Drawing(name, title, alt, _embeddable(svg.getvalue().decode(), name, alt), png.getvalue())


def _embeddable(document: str, name: str, alt: str) -> str:
    """Return the <svg> element alone, its ids made unique in a page that holds several, and named for screen readers."""
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    svg = re.sub(r'xlink:href="#([^"]+)"', rf'xlink:href="#{name}-\1"', svg)
    from html import escape

    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(alt)}" ', 1)


def standalone(drawing: Drawing) -> str:
    """Return the SVG as a file of its own."""
    return f'<?xml version="1.0" encoding="utf-8"?>\n{drawing.svg}'
