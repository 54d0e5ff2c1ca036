"""Whether stated confidence can be believed, and who is served worst; without it a good mean could hide both."""

from __future__ import annotations

from transfuse.report.blocks import Block, Chart, Column, Heading, Row, Span, Table, Text
from transfuse.report.charts import chart, curves
from transfuse.report.numbers import fixed, spell
from transfuse.report.pieces import chief, defined
from transfuse.report.quantities import quantity
from transfuse.report.view import View

ORDER = 52
FEWEST = 10
NAMES = (
    "ece",
    "ece_debiased",
    "ece_adaptive",
    "ece_uncalibrated",
    "temperature",
    "brier",
    "worst_class",
    "label_ece",
    "label_ece_uncalibrated",
    "binary_brier",
)


def blocks(view: View) -> list[Block]:
    """The reliability diagram, then one table over all arms; what is undefined says why."""
    names = [name for name in NAMES if view.find(name)]
    arms = [str(arm["name"]) for arm in view.arms if any(view.level(str(arm["name"]), name) for name in names)]
    if not arms:
        return []
    meanings = "; ".join(f"{quantity(name).title} = {quantity(name).meaning}" for name in names)
    rows = tuple(
        Row((Span(arm, tone="name"), *(view.cell(view.level(arm, name)) for name in names)), arm == view.winner)
        for arm in arms
    )
    drawing, worst = _diagram(view), "worst_class" in names
    heading = Heading(
        f"Confidence{', and the worst-served class' if worst else ''}",
        "calibration",
        "Confidence",
        _finding(view),
        folded=True,
    )
    return [
        heading,
        *([drawing] if drawing else []),
        Text((f"{meanings[:1].upper()}{meanings[1:]}.",)),
        Table(
            "Confidence and worst class" if worst else "Confidence",
            (Column("Arm"), *(view.column(name) for name in names)),
            rows,
        ),
    ]


def _finding(view: View) -> str:
    name = "ece" if view.level(view.judged_as, "ece") else "label_ece"
    own, before = (view.level(view.judged_as, each) for each in (name, f"{name}_uncalibrated"))
    if own is None:
        return "How far stated confidence is from how often it is right."
    gap, was = (spell(row, interval=False, with_unit=False) if row else "" for row in (own, before))
    then = f"; before its temperature was fitted, {was}" if was else ""
    apart, earlier = defined(own), defined(before)
    worse = apart is not None and earlier is not None and apart > earlier
    why = ". A temperature lowers the loss on rows apart, not always this" if worse else ""
    return f"Bin by bin, what ships misses its stated confidence by {gap} points one way or the other{then}{why}."


def _diagram(view: View) -> Chart | None:
    rows = [row for name in chief(view) if (row := view.level(name, "reliability")) and row.provenance.get("bins")]
    if not rows:
        return None
    lines = []
    for row in rows:
        bins = [each for each in row.provenance["bins"] if len(each) == 5 and each[4] >= FEWEST]
        if not bins:
            continue
        sure, right, count = ([float(each[place]) for each in bins] for place in (2, 3, 4))
        lines.append(
            curves.Line(row.arm, tuple(100 * x for x in sure), tuple(100 * y for y in right), weights=tuple(count))
        )
    if not lines:
        return None
    plane = curves.Plane("stated confidence, %", "answered right, %", diagonal=True)
    told = "; ".join(f"{line.label}: {_told(line)}" for line in lines)
    return chart(
        lambda width: curves.draw(width, lines, plane),
        finding=_sureness(lines[0]),
        caption="Each mark is a bin of answers with about the same confidence, larger where it holds more of them. "
        "On the dotted line confidence and truth agree; below it an arm is too sure. "
        f"Bins of fewer than {FEWEST} answers are left out.",
        summary=f"Share answered right against stated confidence, in bins. {told}.",
        rows=rows,
    )


def _told(line: curves.Line) -> str:
    pairs = zip(line.x, line.y, strict=True)
    return ", ".join(f"{fixed(x, 0)} % stated, {fixed(y, 0)} % right" for x, y in pairs)


def _sureness(line: curves.Line) -> str:
    """Whether answers are right more or less often than they say, weighted by how many there are: bins that miss both
    ways cancel here, and do not in the calibration error.
    """
    gap = sum(w * (x - y) for x, y, w in zip(line.x, line.y, line.weights, strict=True)) / sum(line.weights)
    if abs(gap) < 1.0:
        return (
            f"All bins together, {line.label} is neither too sure nor too timid: {fixed(abs(gap), 1)} points are left."
        )
    return f"All bins together, {line.label} is too {'sure' if gap > 0 else 'timid'} by {fixed(abs(gap), 1)} points."
