"""Rows of evidence by what they are about; without it each section would dig in raw JSON and guess at what is missing.

A record never computes a result. It finds rows, keeps `undefined` with its reason, and says None where there is no row.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from transfuse.errors import many_problems, printable
from transfuse.report.blocks import Column, Span
from transfuse.report.numbers import better, bounds, spell, unit
from transfuse.report.quantities import quantity
from transfuse.types import CLEAN, Evidence, Undefined, Value

FIELDS = {field.name for field in dataclasses.fields(Evidence)}
NO_INTERVAL = "no interval"
NEEDED = ("id", "arm", "quantity", "unit", "direction")
APART = ("train", "val", "cal")


class Rows:
    """Rows of `evidence.json` and, where there are any, of `measurements.json`.

    Raises `UserError` for rows that cannot be read.
    """

    def __init__(self, evidence: Iterable[Mapping[str, Any]], measurements: Iterable[Mapping[str, Any]] = ()) -> None:
        self.evidence = readings(evidence)
        self.measurements = readings(measurements)
        self.rows = {row.id: row for row in (*self.evidence, *self.measurements)}
        self._by_quantity: dict[str, list[Evidence]] = {}
        for row in self.rows.values():
            self._by_quantity.setdefault(row.quantity, []).append(row)

    def all(self, quantity: str) -> tuple[Evidence, ...]:
        """Every row of a quantity, whatever the rows and the condition, in the order of the record."""
        return tuple(self._by_quantity.get(quantity, ()))

    def find(self, quantity: str, *, arm: str | None = None, versus: str | None = None) -> tuple[Evidence, ...]:
        """All clean judged rows of a quantity, in the order of the record; `arm` and `versus` narrow them."""
        return tuple(
            row
            for row in self._by_quantity.get(quantity, ())
            if row.condition == CLEAN
            and row.split not in APART
            and (arm is None or row.arm == arm)
            and (versus is None or row.versus == versus)
        )

    def level(self, arm: str, quantity: str) -> Evidence | None:
        """An arm's own value, or None when there is no such row."""
        return next((row for row in self.find(quantity, arm=arm) if row.versus is None), None)

    def paired(self, arm: str, versus: str, quantity: str) -> Evidence | None:
        """Arm minus versus; the mirrored row with its signs turned when only that one exists."""
        found = self.find(quantity, arm=arm, versus=versus)
        if found:
            return found[0]
        back = self.find(quantity, arm=versus, versus=arm)
        return mirrored(back[0]) if back else None

    def cell(self, row: Evidence | None, *, absent: str = "–", with_unit: bool = False) -> Span:
        """A row as one cell of a table: the number with its evidence and interval, or why there is none."""
        if row is None:
            return Span(absent, tone="muted")
        if isinstance(row.value, Undefined):
            return Span(
                "undefined",
                (row.id,),
                note=f"{row.arm}, {quantity(row.quantity).title}: {row.value.reason}",
                tone="muted",
            )
        ends = bounds(row)
        lacking = not ends and row.method.startswith(NO_INTERVAL)
        note = f"{quantity(row.quantity).title}: {row.method}" if lacking else ""
        return Span(
            spell(row, interval=False, with_unit=with_unit), (row.id,), f"{ends[0]} to {ends[1]}" if ends else "", note
        )

    def number(self, row: Evidence) -> Span:
        """A row in running text: value and unit, without the interval."""
        return Span(spell(row, interval=False), (row.id,))

    def column(self, quantity_name: str, *, title: str = "", paired: bool = False) -> Column:
        """The column of a quantity, with unit and direction as its rows tell them."""
        row = next((row for row in self.find(quantity_name) if (row.versus is not None) == paired), None)
        parts = [unit(row), quantity(row.quantity).best or better(row.direction)] if row else []
        return Column(title or quantity(quantity_name).title, ", ".join(filter(None, parts)), numeric=True)

    def known(self, evidence: Iterable[str]) -> tuple[str, ...]:
        """Those ids that the record really holds."""
        return tuple(name for name in evidence if name in self.rows)


def clean(value: Any) -> Any:
    """A JSON value whose text holds only what can be printed, besides line ends and tabs; all else becomes `�`."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {clean(key): clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list | tuple) else value


def readings(records: Iterable[Mapping[str, Any]]) -> tuple[Evidence, ...]:
    """Rows as typed records; all that cannot be read are named in one error."""
    rows, problems = [], []
    for place, record in enumerate(records):
        lacking = [name for name in NEEDED if not isinstance(record.get(name), str)]
        if lacking:
            problems.append(f"row {place} ({record.get('id', 'no id')}) lacks {', '.join(lacking)}")
            continue
        fields = {name: value for name, value in record.items() if name in FIELDS and name != "value"}
        rows.append(Evidence(**fields, value=_value(record)))
    repeated = [name for name, times in Counter(row.id for row in rows).items() if times > 1]
    problems += [f"the id {name} stands on several rows" for name in repeated]
    if problems:
        raise many_problems("the evidence holds rows that cannot be read", problems)
    return tuple(rows)


def mirrored(row: Evidence) -> Evidence:
    """The same comparison seen from the other arm; a row without interval has none to turn."""
    value = row.value if isinstance(row.value, Undefined) else -row.value
    low, high = (None if end is None else -end for end in (row.high, row.low))
    return dataclasses.replace(row, arm=row.versus or "", versus=row.arm, value=value, low=low, high=high)


def _value(record: Mapping[str, Any]) -> Value:
    if "undefined" in record:
        return Undefined(str(record["undefined"]))
    value = record.get("value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return Undefined("the record holds no finite value and no reason")
    return float(value)
