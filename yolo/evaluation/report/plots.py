"""Plots as SVG for a page: no fixed size, text in the page's colour, reproducible bytes."""

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from yolo.evaluation.analysis.calibration import BINS, Calibration
from yolo.metrics.voc_ap import Floats

ACCENT = "#3b82f6"
GOOD = "#16a34a"
KIND_COLOURS = ("#f59e0b", "#a855f7", "#ec4899", "#94a3b8")
"""Colours of the error types `yolo.evaluation.analysis.error_types.KINDS`."""
_INK = "#010203"
"""Placeholder for the page's text colour."""
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "yolo",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "grid.color": _INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.5,
}


def precision_recall(recall: Floats, precision: Floats, envelope: Floats) -> str:
    """Plot a class's curve and its monotone envelope; the area below the envelope is the AP."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(2.6, 2.1, left=0.19, bottom=0.21)
        axes.fill_between(
            np.insert(recall, 0, 0),
            np.insert(envelope, 0, envelope[:1].max(initial=0)),
            step="pre",
            color=ACCENT,
            alpha=0.18,
            linewidth=0,
        )
        axes.plot(recall, precision, color=ACCENT, linewidth=1.4)
        axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        _ticks(axes)
        return _svg(figure)


def anatomy_bars(
    names: Sequence[str], shares: Sequence[Sequence[float]], kinds: Sequence[str]
) -> str:
    """Plot a stacked bar per name: shares (0..1) of correct detections and of each error type."""
    with mpl.rc_context(_STYLE):
        height = 0.5 + 0.24 * len(names)
        longest = max(map(len, names))
        figure, axes = _figure(5.0, height, left=0.06 + 0.013 * longest, bottom=0.34 / height)
        place = np.arange(len(names))
        left = np.zeros(len(names))
        table = np.array(shares, dtype=float).reshape(len(names), -1)
        for column, (kind, colour) in enumerate(
            zip(("correct", *kinds), (GOOD, *KIND_COLOURS), strict=True)
        ):
            axes.barh(place, table[:, column], left=left, color=colour, height=0.72, label=kind)
            left += table[:, column]
        axes.set(xlim=(0, 1), yticks=place, yticklabels=names)
        axes.set_xticks(np.linspace(0, 1, 6), [f"{t}%" for t in range(0, 101, 20)])
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        return _svg(figure)


def reliability(calibration: Calibration) -> str:
    """Plot precision against score, with the diagonal of perfect calibration."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(3.4, 2.6, left=0.15, bottom=0.17)
        some = calibration.count > 0
        centres = (np.arange(BINS) + 0.5) / BINS
        axes.bar(
            centres[some], calibration.precision[some], width=0.9 / BINS, color=ACCENT, alpha=0.75
        )
        axes.plot([0, 1], [0, 1], color=_INK, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="score", ylabel="share of true detections")
        _ticks(axes)
        return _svg(figure)


def _figure(width: float, height: float, *, left: float, bottom: float) -> tuple[Figure, Axes]:
    """Make a figure (inches) with one plot; left, bottom: share of the figure for axis labels."""
    figure = Figure(figsize=(width, height))
    FigureCanvasSVG(figure)
    axes = figure.add_axes((left, bottom, 0.96 - left, 0.97 - bottom))
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    return figure, axes


def _ticks(axes: Axes) -> None:
    ticks = np.linspace(0, 1, 6)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # ids would be repeated by the other plots of the page
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    # the page sets the size; the view box keeps the aspect ratio
    return re.sub(r'(<svg[^>]*?) width="[^"]*"| height="[^"]*pt"', r"\1", svg).strip()
