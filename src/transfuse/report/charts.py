"""The drawings; without them a reader would have to see overlap and trade-off in columns of numbers.

Every chart is one SVG for inlining: no script, no address, no fonts of its own. It is drawn in placeholder colours that
become the page's colour variables, so it follows light and dark. The same values give the same bytes.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transfuse.report.blocks import Tone
from transfuse.report.numbers import scaled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Placeholders: colours that no drawing would use by chance, by the name of the variable that takes their place.
COLOURS = {
    "ink": "#010a11", "muted": "#020b12", "line": "#030c13", "band": "#040d14", "accent": "#050e15",
    "better": "#060f16", "worse": "#071017", "equivalent": "#081118", "not-shown": "#091219", "paper": "#0a131a",
}  # fmt: skip
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "transfuse",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.parse_math": False,
    "axes.unicode_minus": True,
}
WIDTH, LABEL_LENGTH = 6.4, 30
OFFSETS = [(right, up) for up in (10, -10, 0, 21, -21, 32, -32, 43, -43) for right in (7, -7)]


@dataclass(frozen=True)
class Mark:
    """One comparison of a forest plot: the difference with its interval, in the unit of the axis."""

    label: str
    value: float
    low: float | None
    high: float | None
    tone: Tone


@dataclass(frozen=True)
class Point:
    """One arm against its cost; `front` says that no arm that may ship is both cheaper and better."""

    label: str
    cost: float
    value: float
    low: float | None
    high: float | None
    role: str
    front: bool
    marked: bool


def forest(marks: Sequence[Mark], *, name: str, axis: str, margin: float | None, lower_is_better: bool) -> str:
    """Differences as points with intervals around zero and the band of the margin; right is better in every chart."""
    figure, axes = _canvas(0.34 * len(marks) + 1.05)
    if margin:
        axes.axvspan(-margin, margin, color=COLOURS["band"], linewidth=0)
    axes.axvline(0, color=COLOURS["ink"], linewidth=0.9)
    for place, mark in enumerate(marks):
        colour = COLOURS[mark.tone.replace(" ", "-") if mark.tone != "plain" else "ink"]
        if mark.low is not None and mark.high is not None:
            axes.plot([mark.low, mark.high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
        axes.plot([mark.value], [place], "o", color=colour, markersize=6.5)
    axes.set_yticks(range(len(marks)), [label(mark.label) for mark in marks])
    axes.set_ylim(len(marks) - 0.4, -0.6)
    axes.set_xlabel(axis)
    axes.margins(x=0.08)
    _include(axes, [0.0, *((-margin, margin) if margin else ())])
    if lower_is_better:
        axes.invert_xaxis()
    for place, words in ((0.0, "← worse"), (1.0, "better →")):
        side = "left" if place == 0 else "right"
        axes.text(place, 1.03, words, transform=axes.transAxes, ha=side, va="bottom", color=COLOURS["muted"])
    return _svg(figure, name)


def trade(points: Sequence[Point], *, name: str, axis: str, lower_is_better: bool) -> str:
    """Quality against counted cost on a logarithmic axis; the front is joined by steps. Costs must be above 0."""
    figure, axes = _canvas(3.9)
    _grid(axes)
    front = sorted(((point.cost, point.value) for point in points if point.front), key=lambda pair: pair[0])
    axes.step(*zip(*front, strict=True), where="post", color=COLOURS["accent"], linewidth=1.2, linestyle=(0, (4, 3)))
    for point in points:
        colour = COLOURS["accent" if point.marked else "ink" if point.front else "muted"]
        if point.low is not None and point.high is not None:
            axes.plot([point.cost] * 2, [point.low, point.high], color=colour, linewidth=1.1)
        shape = {"candidate": "D", "baseline": "o"}.get(point.role, "s")
        filled = colour if point.role in ("candidate", "baseline") else COLOURS["paper"]
        axes.plot([point.cost], [point.value], shape, color=colour, markerfacecolor=filled, markersize=6)
    _cost_axis(axes, [point.cost for point in points])
    axes.set_ylabel(axis)
    axes.margins(y=0.12)
    if lower_is_better:
        axes.invert_yaxis()
    _place_labels(axes, points)
    return _svg(figure, name)


def label(name: str) -> str:
    """A name that fits beside a chart: one line, long ones shortened in the middle."""
    text = re.sub(r"\s+", " ", name)
    half = LABEL_LENGTH // 2 - 1
    return text if len(text) <= LABEL_LENGTH else f"{text[:half]}…{text[-half:]}"


def _canvas(height: float) -> tuple[Figure, Axes]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
    figure.patch.set_visible(False)
    axes.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(COLOURS["muted"])
    axes.tick_params(colors=COLOURS["ink"], length=0, which="both")
    axes.xaxis.label.set_color(COLOURS["muted"])
    axes.yaxis.label.set_color(COLOURS["muted"])
    return figure, axes


def _grid(axes: Axes) -> None:
    axes.grid(True, color=COLOURS["line"], linewidth=0.8)
    axes.set_axisbelow(True)


def _include(axes: Axes, values: Sequence[float]) -> None:
    low, high = axes.get_xlim()
    room = 0.05 * (max(high, *values) - min(low, *values)) if len(values) > 1 else 0.0
    axes.set_xlim(min(low, min(values) - room), max(high, max(values) + room))


def _cost_axis(axes: Axes, costs: Sequence[float]) -> None:
    """Room for labels on both sides; short axes get 1-2-5 ticks, so that at least two numbers stand below them."""
    axes.set_xscale("log")
    low, high = min(costs), max(costs)
    reach = max(high / low, 2.0)
    low, high = low / reach**0.15, high * reach**0.15
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 200 else (1,)
    ticks = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
    axes.set_xticks(ticks, [re.sub(r"\.0+\b", "", scaled(tick)) for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(low, high)
    axes.set_xlabel("compute per item, FLOP (logarithmic; left is cheaper)")


def _place_labels(axes: Axes, points: Sequence[Point]) -> None:
    """Write each name where it covers no other name or point: beside the point first, then further out."""
    from matplotlib.transforms import Bbox

    figure = axes.get_figure()
    _quiet_draw(figure)
    pixel = figure.dpi / 72  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]
    spots = [axes.transData.transform((point.cost, point.value)) for point in points]
    taken = [Bbox([spot - 5 * pixel, spot + 5 * pixel]) for spot in spots]
    for (x, y), point in sorted(zip(spots, points, strict=True), key=lambda pair: -pair[0][1]):
        length = 5.6 * len(label(point.label)) * pixel
        boxes = {}
        for right, up in OFFSETS:
            left, middle = x + right * pixel - (length if right < 0 else 0), y + up * pixel
            boxes[right, up] = Bbox([[left, middle - 5 * pixel], [left + length, middle + 5 * pixel]])
        free = [
            offset
            for offset, box in boxes.items()
            if axes.bbox.count_contains(box.corners()) == 4 and not box.count_overlaps(taken)
        ]
        offset = free[0] if free else OFFSETS[0]
        taken.append(boxes[offset])
        _write(axes, point, offset)


def _write(axes: Axes, point: Point, offset: tuple[int, int]) -> None:
    far = abs(offset[1]) > 12
    axes.annotate(
        label(point.label),
        (point.cost, point.value),
        xytext=offset,
        textcoords="offset points",
        ha="left" if offset[0] > 0 else "right",
        va="center",
        color=COLOURS["accent" if point.marked else "ink"],
        fontweight="bold" if point.marked else "normal",
        arrowprops={"arrowstyle": "-", "color": COLOURS["muted"], "linewidth": 0.6} if far else None,
        parse_math=False,
    )


def _quiet_draw(figure: Any) -> None:
    """Lay the figure out. The reader's fonts draw the text, so a character that matplotlib's font lacks is no loss."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.draw_without_rendering()


def _svg(figure: Figure, name: str) -> str:
    """The figure as SVG for inlining; `name` (letters, digits, hyphens) keeps its ids apart from other charts'."""
    from matplotlib import rc_context

    for axes in figure.axes:
        for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            tick.set_parse_math(False)
    buffer = io.StringIO()
    with rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # What matplotlib writes for files that stand alone: a style for the whole page, and addresses of vocabularies.
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" aria-hidden="true">', svg, count=1)
    return re.sub(r"<[^>]+>", lambda tag: _tag(tag.group(), name), svg).strip() + "\n"


def _tag(tag: str, name: str) -> str:
    tag = tag.replace("xlink:href", "href")
    tag = re.sub(r'\bid="', f'id="{name}-', tag).replace('="#', f'="#{name}-').replace("url(#", f"url(#{name}-")
    for variable, colour in COLOURS.items():
        tag = tag.replace(colour, f"var(--{variable})")
    return tag
