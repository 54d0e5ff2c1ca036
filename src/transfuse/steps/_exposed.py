"""What arms answered beyond clean judged rows, as tables: the same rows under conditions, and items of another kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from transfuse.data.items import Items
from transfuse.evaluation.tables import Table
from transfuse.steps import _case
from transfuse.steps._fitted import task_of
from transfuse.store import Artifact
from transfuse.types import ItemTable

Tables = dict[str, dict[str, Table]]


@dataclass
class Exposed:
    """Tables by exposure and arm; `rows` of each outside set in its own item table; `failed` says why by arm."""

    conditions: Tables = field(default_factory=dict)
    attacks: Tables = field(default_factory=dict)
    outside: Tables = field(default_factory=dict)
    rows: dict[str, np.ndarray] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def exposed(
    inputs: Mapping[str, Artifact],
    judged: tuple[np.ndarray, ItemTable],
    names: Mapping[str, str],
    repeats: Mapping[str, int] | None,
) -> Exposed:
    """From the inputs `expose|PLACE|ARM|RUN|EXPOSURE` and `outside|EXPOSURE` (item tables).

    `judged` are the judged rows, ascending, and their table. `names` are the arms by place; a place without a name is
    not judged. `repeats` tell the repeat of each fold, None a locked protocol. Outside items have the target 0, which
    means nothing.
    """
    found: dict[tuple[str, str], _case.Entry] = {}
    rows, items = judged
    for role, artifact in inputs.items():
        if role.startswith("expose|"):
            _, place, arm, run, exposure = role.split("|", 4)
            entry = found.setdefault((exposure, place), _case.Entry(place))
            entry.arms[run] = arm
            entry.predictions[run] = artifact
    made = Exposed()
    for (exposure, place), entry in sorted(found.items(), key=lambda pair: pair[0]):
        if place not in names:
            continue
        if entry.failure is not None:
            made.failed[f"{names[place]} on {exposure}"] = entry.failure
        elif f"outside|{exposure}" in inputs:
            outside, table = _outside(entry, Items.from_json(inputs[f"outside|{exposure}"].meta))
            made.rows[exposure] = outside
            made.outside.setdefault(exposure, {})[names[place]] = _case.judged_table(entry, table, repeats)
        elif any("attack" in artifact.meta for artifact in entry.predictions.values()):
            table = _some(entry, rows, items)
            made.attacks.setdefault(exposure, {})[names[place]] = _case.judged_table(entry, table, repeats)
        else:
            tables = made.conditions.setdefault(exposure, {})
            tables[names[place]] = _case.judged_table(entry, items, repeats)
    return made


def _some(entry: _case.Entry, judged: np.ndarray, items: ItemTable) -> ItemTable:
    """The table of those judged items that an entry answers."""
    rows = np.unique(np.concatenate([artifact["rows"] for artifact in entry.predictions.values()]))
    places = np.searchsorted(judged, rows).tolist()
    groups = None if items.groups is None else tuple(items.groups[place] for place in places)
    return ItemTable(tuple(items.ids[place] for place in places), np.asarray(items.targets)[places], groups)


def _outside(entry: _case.Entry, items: Items) -> tuple[np.ndarray, ItemTable]:
    rows = np.unique(np.concatenate([artifact["rows"] for artifact in entry.predictions.values()]))
    first = next(iter(entry.predictions.values()))
    # Labels and numbers have one column each; here they mean nothing.
    shape = (len(rows),) if task_of(first) == "multiclass" else (len(rows), first["scores"].shape[1])
    return rows, ItemTable(tuple(items.ids[row] for row in rows), np.zeros(shape, dtype=np.int64))
