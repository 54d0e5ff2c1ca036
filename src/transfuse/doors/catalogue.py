"""What there is: methods as their files declare them, and weight files as their headers tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transfuse.jsonio import pretty
from transfuse.registry import METHODS, Entry, method, shelf


def entries(name: str | None) -> list[Entry]:
    """One method, or all of all families, sorted."""
    if name is not None:
        return [method(name)]
    return [entry for name in METHODS for entry in shelf(name).values()]


def as_json(name: str | None) -> str:
    """Every method with family, name, one line, parameters and citation."""
    return pretty([record(entry) for entry in entries(name)]).rstrip()


def record(entry: Entry) -> dict[str, Any]:
    """One method as plain values."""
    parameters = [
        {"name": one.name, "type": one.type, "default": one.default, "range": one.describe(), "doc": one.doc}
        for one in entry.parameters.values()
    ]
    return {
        "family": entry.shelf.removeprefix("fusion/"),
        "name": entry.name,
        "method": entry.full_name,
        "one_line": entry.law,
        "parameters": parameters,
        "citation": entry.citation,
    }


def as_text(name: str | None) -> str:
    """A line a method, or the whole of one."""
    found = entries(name)
    if name is None:
        width = max(len(entry.full_name) for entry in found)
        return "\n".join(f"{entry.full_name:<{width}}  {entry.law}" for entry in found)
    (entry,) = found
    lines = [entry.full_name, "", entry.doc.strip(), ""]
    for one in entry.parameters.values():
        lines.append(f"  {one.name} = {one.default!r}  {one.describe()}: {one.doc}")
    return "\n".join([*lines, f"  source: {entry.citation}"])


def related(models: Sequence[str], base: str | None, *, as_json: bool) -> str:
    """Whether checkpoints come from one start: to be merged, to be aligned first, or not to be merged."""
    from transfuse.doors.merging import named_sources, source
    from transfuse.fusion.lineage import lineage, lone
    from transfuse.fusion.streamed import opened

    readers = {name: opened(one).reader for name, one in named_sources(models).items()}
    found = lineage(readers, None if base is None else opened(source(base)).reader)
    if as_json:
        return pretty(found.record()).rstrip()
    lines = [f"lineage: {found.verdict}", f"  why: {found.why}"]
    for pair in found.pairs:
        cosine = "no cosine" if pair.cosine is None else f"cosine {pair.cosine:.4f}"
        apart = "no weights in common" if pair.distance is None else f"{cosine}, distance {pair.distance:.4f}"
        told = f"  {pair.first} and {pair.second}: {apart}"
        told += "" if pair.task_cosine is None else f", cosine of their changes {pair.task_cosine:.4f}"
        if pair.mean_drift is not None and pair.variance_drift is not None:
            told += f", BatchNorm's means {pair.mean_drift:.3f} deviations apart"
            told += f", its log-variances {pair.variance_drift:.3f}"
        lines.append(told)
    if (alone := lone(found.pairs)) is not None:
        lines.append(f"  {alone} stands alone: the others are far nearer to each other than to it")
    lines += [f"  {name} moved from the base by {share:.4f} of its length" for name, share in found.changes.items()]
    lines += [f"  {text}" for text in found.misfits[:10]]
    return "\n".join(lines)
