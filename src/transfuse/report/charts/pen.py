"""A sheet to draw on; without it every drawing would spell SVG, escape names and measure text in its own way.

A sheet holds shapes and plain text only: no script, no address, no font, no id. Every colour is one of the page's
variables, so a drawing follows light, dark and print. The same strokes give the same bytes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from xml.sax.saxutils import escape

Anchor = Literal["start", "middle", "end"]
XY = tuple[float, float]
TEXT = 12.5
LONGEST_NAME = 34
GAP = 10.0
NARROW_LETTERS, WIDE_LETTERS = frozenset("fijlrt.,:;|!'()[] -I1/"), frozenset("mwMWG%@—Q+−")


def colour(name: str) -> str:
    """The page's variable of that name; statuses may hold a blank."""
    return f"var(--{name.replace(' ', '-')})"


def figure(number: float) -> str:
    """A coordinate: tenths of a pixel are enough."""
    text = f"{number:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def width_of(words: str, size: float = TEXT) -> float:
    """About how wide a text is in pixels, in whatever plain font the reader has; rather too wide than too narrow: the
    shares are those of the widest font that is usual (DejaVu).
    """
    total = 0.0
    for letter in words:
        if unicodedata.east_asian_width(letter) in "WF":
            total += 1.0
        elif letter in NARROW_LETTERS:
            total += 0.37
        elif letter in WIDE_LETTERS or letter.isupper():
            total += 0.84
        else:
            total += 0.63
    return total * size


def label(name: str, longest: int = LONGEST_NAME) -> str:
    """A name on one line, long ones shortened in the middle."""
    text = re.sub(r"\s+", " ", name)
    half = longest // 2 - 1
    return text if len(text) <= longest else f"{text[:half]}…{text[-half:]}"


def crowded(pairs: Sequence[tuple[str, str]], room: float, size: float) -> bool:
    """Whether a name and the smaller words beside it do not fit on one line of so many pixels, in any of these."""
    return any(width_of(name) + GAP + width_of(words, size) > room for name, words in pairs)


@dataclass
class Sheet:
    """Strokes on a sheet of so many pixels; later strokes lie on top of earlier ones."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def line(self, start: XY, end: XY, ink: str = "line", width: float = 1.0, dash: str = "") -> None:
        """A straight line."""
        x1, y1, x2, y2 = map(figure, (*start, *end))
        self.parts.append(
            f'<path d="M{x1} {y1}L{x2} {y2}" stroke="{colour(ink)}" stroke-width="{figure(width)}"{_dash(dash)}/>'
        )

    def polyline(self, points: Sequence[XY], ink: str, width: float = 2.0, dash: str = "") -> None:
        """Straight lines from point to point."""
        path = "L".join(f"{figure(x)} {figure(y)}" for x, y in points)
        self.parts.append(
            f'<path d="M{path}" fill="none" stroke="{colour(ink)}" stroke-width="{figure(width)}"{_dash(dash)}/>'
        )

    def area(self, points: Sequence[XY], ink: str, opacity: float) -> None:
        """A filled shape."""
        path = "L".join(f"{figure(x)} {figure(y)}" for x, y in points)
        self.parts.append(f'<path d="M{path}Z" fill="{colour(ink)}" fill-opacity="{opacity:g}"/>')

    def box(self, corner: XY, size: XY, ink: str, opacity: float = 1.0) -> None:
        """A filled rectangle from its upper left corner; sizes below 0 are drawn as 0."""
        x, y, width, height = figure(corner[0]), figure(corner[1]), *(figure(max(side, 0.0)) for side in size)
        faint = f' fill-opacity="{opacity:g}"' if opacity < 1 else ""
        self.parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{colour(ink)}"{faint}/>')

    def mark(self, at: XY, ink: str, shape: str = "disc", size: float = 4.5, hollow: bool = False) -> None:
        """A small mark: disc, diamond, square, up, down (triangles), cross or arrow (to the right)."""
        x, y = at
        inside = colour("paper") if hollow else colour(ink)
        look = f'fill="{inside}" stroke="{colour(ink)}" stroke-width="1.6"'
        if shape == "disc":
            self.parts.append(f'<circle cx="{figure(x)}" cy="{figure(y)}" r="{figure(size)}" {look}/>')
            return
        corners = {
            "diamond": [(0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)],
            "square": [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
            "up": [(0, -1.2), (1.15, 0.9), (-1.15, 0.9)],
            "down": [(0, 1.2), (1.15, -0.9), (-1.15, -0.9)],
            "arrow": [(1.2, 0), (-0.9, 1.1), (-0.9, -1.1)],
            "cross": [(-1, -1), (1, 1), (0, 0), (-1, 1), (1, -1), (0, 0)],
        }[shape]
        path = "L".join(f"{figure(x + size * right)} {figure(y + size * down)}" for right, down in corners)
        self.parts.append(f'<path d="M{path}Z" {look}/>')

    def ring(self, at: XY, ink: str, size: float) -> None:
        """A circle around a mark."""
        self.parts.append(
            f'<circle cx="{figure(at[0])}" cy="{figure(at[1])}" r="{figure(size)}" fill="none" '
            f'stroke="{colour(ink)}" stroke-width="1.6"/>'
        )

    def write(
        self,
        at: XY,
        words: str,
        anchor: Anchor = "start",
        ink: str = "ink",
        *,
        size: float = TEXT,
        bold: bool = False,
    ) -> None:
        """Plain text whose middle height lies at `at`."""
        heavy = ' font-weight="650"' if bold else ""
        side = "" if anchor == "start" else f' text-anchor="{anchor}"'
        x, y = figure(at[0]), figure(at[1] + 0.35 * size)
        self.parts.append(
            f'<text x="{x}" y="{y}" fill="{colour(ink)}" font-size="{figure(size)}"{side}{heavy}>{escape(words)}</text>'
        )

    def svg(self) -> str:
        """The drawing for inlining."""
        body = "".join(self.parts)
        size = f'viewBox="0 0 {figure(self.width)} {figure(self.height)}"'
        return f'<svg {size} aria-hidden="true" focusable="false">{body}</svg>\n'


def _dash(dash: str) -> str:
    return f' stroke-dasharray="{dash}"' if dash else ""
