"""Columns of the data's own table, beside its images or texts: `columns:*`, or some of them, `columns:age,weight`.

Numbers and categories become one block, without weights and without a head: what stands in the columns, judged and
fused like any other source. Which columns hold numbers is read off the data; `prepare: {zip: [a, b], age: number}`
states it.
"""

from __future__ import annotations

from pathlib import Path

from transfuse.errors import UserError
from transfuse.source.spec import Built, Spec

TRAITS = {"carries": "*", "field": "columns"}
EVERY = "*"


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "columns"


def files(spec: Spec, root: Path) -> list[Path]:
    """No file decides its card but the data's table, whose columns are stated beside it."""
    return []


def build(spec: Spec, root: Path) -> Built:
    """The columns. Raises UserError where one is named twice, or has no name."""
    from transfuse.source.table import Columns

    if spec.target == EVERY:
        return Built(Columns(None), seen="none", licence="the data's")
    names = tuple(name.strip() for name in spec.target.split(","))
    if "" in names or len(set(names)) != len(names):
        raise UserError("columns are written columns:NAME,NAME", where=spec.text, got=spec.target)
    return Built(Columns(names), seen="none", licence="the data's")
