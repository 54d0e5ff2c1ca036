"""The drawings; without them a reader would have to see overlap and trade-off in columns of numbers.

Each file is one kind of drawing and one function, `draw(sheet width, ...) -> SVG text`. A drawing is made twice, for a
screen and for a phone, because text that is scaled down cannot be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from transfuse.report.blocks import Chart
from transfuse.types import Evidence

WIDE, NARROW = 720.0, 350.0


def chart(
    draw: Callable[[float], str], *, finding: str, caption: str, summary: str, rows: Sequence[Evidence] = ()
) -> Chart:
    """The block of a drawing at both widths; `finding` says what there is to see, `summary` all of it, from `rows`."""
    ids = tuple(dict.fromkeys(row.id for row in rows))
    return Chart(draw(WIDE), draw(NARROW), finding, caption, summary, ids)
