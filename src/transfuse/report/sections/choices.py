"""What was decided before the judged rows were opened; without it a chosen number could pass for a measured one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.figures import plural, usual
from transfuse.report.blocks import Block, Column, Heading, Items, Prose, Row, Span, Table, Text
from transfuse.report.numbers import bounds
from transfuse.report.quantities import quantity
from transfuse.report.view import View
from transfuse.report.words import PROTOCOL

ORDER = 80


def blocks(view: View) -> list[Block]:
    """The protocol, the data and its rows, the margin, the ledger, and each choice with its scores."""
    found: list[Block] = [
        Heading("Protocol and choices", "choices", "Protocol", _finding(view), folded=True),
        Text((PROTOCOL.get(view.protocol, "How the rows were kept apart is not recorded."),)),
        Items(tuple((point,) for point in [*_data(view), *_margin(view), *_ledger(view)])),
    ]
    found += [*_optimism(view), *_searched(view)]
    choices = view.setup.get("choices") or ()
    return [*found, _table(view, choices) if choices else Text(("No choice is recorded.",))]


def _optimism(view: View) -> list[Block]:
    """By how much choosing the best of several flatters it where it was chosen."""
    rows = view.find("selection_optimism")
    return [
        Text((
            Span("Optimism of choosing: ", tone="name"),
            view.number(row),
            f". {row.provenance.get('sentence') or row.method}",
        ))
        for row in rows
    ]  # fmt: skip


def _searched(view: View) -> list[Block]:
    """What each search of fusions found, and by how much looking at so many of them flattered the best."""
    found: list[Block] = []
    for flattery in view.find("search_optimism"):
        gains = view.find("search_gain", arm=flattery.arm)
        looked = flattery.provenance.get("searched")
        count = plural(looked, "fusion") if isinstance(looked, int) else "several fusions"
        said: Prose = (
            Span(f"{flattery.arm[:1].upper()}{flattery.arm[1:]}: ", tone="name"),
            f"{count} were looked at on features of the selection rows. Choosing among them flattered the best, "
            f"{flattery.provenance.get('candidate', 'which is not recorded')}, by ",
            view.number(flattery),
        )
        if gains:
            ends = f", 95 % interval {' to '.join(ends)}" if (ends := bounds(gains[0])) else ""
            said = (*said, "; with that taken off it is ahead of the best single by ", view.number(gains[0]), ends)
        found.append(Text((*said, ".")))
    return found


def _finding(view: View) -> str:
    """The protocol in one line, and whether the judged rows were fresh."""
    judged, ordinal = view.data.get("judged"), view.ledger.get("ordinal")
    rows = f"{plural(judged, 'judged item')}" if isinstance(judged, int) else "The judged items"
    fresh = "openings not recorded"
    if isinstance(ordinal, int):
        fresh = "opened for the first time" if ordinal == 1 else f"opening number {ordinal}"
    return (
        f"{rows}, {fresh}; choices were made on rows apart."
        if view.protocol != "predictions"
        else f"{rows}; choices were made elsewhere."
    )


def _data(view: View) -> list[str]:
    data = view.data
    names = (
        ("items", "Items"),
        ("classes", "Classes"),
        ("labels", "Labels"),
        ("targets", "Targets"),
        ("train", "For training"),
        ("selection", "For choosing"),
        ("judged", "Judged"),
    )
    points = [f"{title}: {_count(data[name])}" for name, title in names if data.get(name) is not None]
    runs = view.setup.get("runs") or ()
    if runs:
        noun = "fold" if view.protocol == "crossfit" else "run"
        points.append(f"{plural(len(runs), noun)}: {', '.join(str(run) for run in runs)}")
    return [*points, *(str(note) for note in data.get("notes") or ())]


def _count(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"{len(value):,}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _margin(view: View) -> list[str]:
    margin = view.setup.get("margin") or {}
    if not margin:
        return ["Margin: none was recorded."]
    rule = margin.get("rule", "unknown")
    value = f", which is {usual(view.margin, 4)} here" if view.margin is not None else ""
    return [f"Margin in {quantity(margin.get('metric') or view.metric).title}: rule “{rule}”{value}."]


def _ledger(view: View) -> list[str]:
    ordinal = view.ledger.get("ordinal")
    if not isinstance(ordinal, int):
        return ["How often the judged rows were opened before is not recorded."]
    if ordinal == 1:
        return ["The judged rows were opened for the first time by this plan."]
    return [
        f"The judged rows had been opened by {plural(ordinal - 1, 'other plan')} before this one, "
        "so its claims are weaker than they look."
    ]


def _table(view: View, choices: list[Mapping[str, Any]]) -> Table:
    columns = (
        Column("Choice"),
        Column("Run"),
        Column("Chosen"),
        Column("Score", f"{quantity(view.metric).title} on the selection rows", numeric=True),
        Column("Next best", "on the same rows", numeric=True),
    )
    return Table(
        "What was chosen, on rows apart from the judged ones", columns, tuple(_row(choice) for choice in choices)
    )


def _row(choice: Mapping[str, Any]) -> Row:
    scores = {name: score for name, score in (choice.get("scores") or {}).items() if isinstance(score, int | float)}
    chosen = str(choice.get("chosen", ""))
    others = sorted((score, name) for name, score in scores.items() if name != chosen)
    own: Prose = (usual(scores[chosen], 4),) if chosen in scores else ("–",)
    runner = f"{usual(others[0][0], 4)} ({others[0][1]})" if others else "–"
    return Row((
        Span(str(choice.get("choice", "")).replace("_", " ")),
        Span(str(choice.get("run") or "all")),
        Span(chosen, tone="name"),
        Span(str(own[0])),
        Span(runner),
    ))  # fmt: skip
