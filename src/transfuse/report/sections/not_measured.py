"""What nobody looked at; without it silence would read as "fine"."""

from __future__ import annotations

from transfuse.figures import plural
from transfuse.report.blocks import Block, Heading, Items, Span, Text
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.types import Evidence, Undefined

ORDER = 90


def blocks(view: View) -> list[Block]:
    """Everything skipped, failed or left out, and every value that came out undefined, with its reason."""
    points = [
        (Span(str(item.get("what", "")), tone="name"), f": {item.get('why') or 'no reason recorded'}")
        for item in view.not_measured
    ]
    points += [
        (Span(_named(row), (row.id,)), f": {row.value.reason}")
        for row in view.evidence
        if isinstance(row.value, Undefined)
    ]
    said = (
        "Nothing below can be concluded from this report."
        if points
        else "The run lists nothing that it left out or could not measure."
    )
    return [
        Heading("What was not measured", "not-measured", "Not measured", _finding(view, len(points)), folded=True),
        Text((said,)),
        *([Items(tuple(points))] if points else []),
    ]


def _finding(view: View, count: int) -> str:
    if not count:
        return "Nothing is listed."
    named = [str(item.get("what", "")) for item in view.not_measured][:3]
    among = f", among them {', '.join(named)}" if named else ""
    return f"{plural(count, 'thing')} nobody looked at or could measure{among}."


def _named(row: Evidence) -> str:
    return f"{quantity(row.quantity).title} of {row.arm}" + (f" against {row.versus}" if row.versus else "")
