"""What sections read the evidence through; without it each would dig in raw JSON and guess at what is missing.

A view never computes a result. It finds rows, keeps `undefined` with its reason, and says None where there is no row.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from transfuse.errors import UserError, many_problems
from transfuse.report.blocks import Column, Span
from transfuse.report.numbers import better, bounds, plural, quantity, spell, unit
from transfuse.types import CLEAN, Claim, Evidence, Flag, Recommendation, Undefined, Value

SCHEMA = "transfuse/evidence/1"
LADDER = (
    "prior", "as_is/", "frozen/", "tuned/", "ensemble", "copies", "random/", "scratch",
    "compute_matched", "parameter_matched", "alternative",
)  # fmt: skip
FIELDS = {field.name for field in dataclasses.fields(Evidence)}
NO_INTERVAL = "no interval"
NEEDED = ("id", "arm", "quantity", "unit", "direction")


class View:
    """One run's evidence and, where there are any, its measurements.

    Raises `UserError` for a record of another schema, without a verdict, or with unreadable rows.
    """

    def __init__(self, evidence: Mapping[str, Any], measurements: Mapping[str, Any] | None = None) -> None:
        evidence, measured = clean(evidence), clean(measurements or {})
        if evidence.get("schema") != SCHEMA:
            raise UserError("this is not an evidence record", expected=SCHEMA, got=str(evidence.get("schema")))
        verdict = evidence.get("verdict")
        if not isinstance(verdict, Mapping) or not isinstance(verdict.get("recommendation"), Mapping):
            raise UserError("this evidence record holds no verdict", hint="let the run finish, then report again")
        self.record = evidence
        self.measured: Mapping[str, Any] = measured
        self.setup: Mapping[str, Any] = evidence.get("setup") or {}
        self.ledger: Mapping[str, Any] = evidence.get("ledger") or {}
        self.not_measured: tuple[Mapping[str, Any], ...] = tuple(evidence.get("not_measured") or ())
        self.arms: tuple[Mapping[str, Any], ...] = tuple(sorted(evidence.get("arms") or (), key=_rung))
        self.evidence = readings(evidence.get("evidence") or ())
        self.measurements = readings(measured.get("measurements") or ())
        self.rows = {row.id: row for row in (*self.evidence, *self.measurements)}
        chosen = verdict["recommendation"]
        self.recommendation = Recommendation(chosen["arm"], chosen.get("form", "single"), chosen.get("why", ""))
        self.claims = tuple(_claim(claim) for claim in verdict.get("claims") or ())
        self.flags = tuple(
            Flag(flag["flag"], flag.get("why", ""), tuple(flag.get("evidence") or ()))
            for flag in verdict.get("flags") or ()
        )

    # -- what was asked ------------------------------------------------------------------------------------------------

    @property
    def metric(self) -> str:
        """The quantity that decides: the task's, else that of the first claim."""
        first = self.claims[0].quantity if self.claims else "log_loss"
        return (self.setup.get("task") or {}).get("metric") or first

    @property
    def title(self) -> str:
        return self.setup.get("title") or "Fusion report"

    @property
    def summary(self) -> str:
        """What was judged, in one line."""
        classes, judged, runs = self.data.get("classes"), self.data.get("judged"), self.setup.get("runs") or ()
        protocol = {"locked": "one locked test set", "crossfit": "cross-fitted"}.get(self.protocol)
        return ", ".join(
            part
            for part in (
                str(self.data.get("source") or ""),
                plural(classes, "class") if isinstance(classes, int) else "",
                plural(judged, "judged item") if isinstance(judged, int) else "",
                plural(len(runs), "run") if runs else "",
                protocol,
            )
            if part
        )

    @property
    def protocol(self) -> str:
        return self.setup.get("protocol") or "unknown"

    @property
    def data(self) -> Mapping[str, Any]:
        return self.setup.get("data") or {}

    @property
    def margin(self) -> float | None:
        """The difference in the deciding metric below which nobody cares."""
        value = (self.setup.get("margin") or {}).get("value")
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

    @property
    def winner(self) -> str:
        """The arm to ship."""
        return self.recommendation.arm

    @property
    def judged_as(self) -> str:
        """The arm whose judged rows speak for what ships: a choice made in each fold, for what it chose on all rows."""
        return str((self.record["verdict"]["recommendation"]).get("judged_as") or self.winner)

    @cached_property
    def best_single(self) -> str | None:
        """The best single source as it was chosen on the selection rows; None when no choice tells."""
        if named := self.setup.get("best_single"):
            return str(named)
        for choice in self.setup.get("choices") or ():
            if str(choice.get("choice", "")).replace(" ", "_").replace("-", "_") == "best_single":
                return choice.get("chosen")
        return None

    def arm(self, name: str) -> Mapping[str, Any]:
        """The record of an arm, empty when the evidence lists none of that name."""
        return next((arm for arm in self.arms if arm.get("name") == name), {})

    # -- rows ----------------------------------------------------------------------------------------------------------

    def find(self, quantity: str, *, arm: str | None = None, versus: str | None = None) -> tuple[Evidence, ...]:
        """All clean judged rows of a quantity, in the order of the record; `arm` and `versus` narrow them."""
        return tuple(
            row
            for row in (*self.evidence, *self.measurements)
            if row.quantity == quantity
            and row.condition == CLEAN
            and row.split not in ("train", "val", "cal")
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

    def claimed(self, claim: Claim) -> Evidence | None:
        """The paired row that a claim rests on."""
        own = [self.rows[name] for name in claim.evidence if name in self.rows]
        return next((row for row in own if row.versus and row.quantity == claim.quantity), None) or self.paired(
            claim.arm, claim.versus, claim.quantity
        )

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
        parts = [unit(row), better(row.direction)] if row else []
        return Column(title or quantity(quantity_name).title, ", ".join(filter(None, parts)), numeric=True)

    def known(self, evidence: Iterable[str]) -> tuple[str, ...]:
        """Those ids that the record really holds."""
        return tuple(name for name in evidence if name in self.rows)


def clean(value: Any) -> Any:
    """A JSON value whose text holds only what can be printed, besides line ends and tabs; all else becomes `�`."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else "�" for c in value)
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


def _claim(record: Mapping[str, Any]) -> Claim:
    ids = tuple(record.get("evidence") or ())
    return Claim(record["arm"], record["versus"], record["quantity"], record["status"], ids, record.get("sentence", ""))


def _rung(arm: Mapping[str, Any]) -> int:
    """The place on the ladder; candidates come last, and the order of the record decides among equals."""
    name = str(arm.get("name", ""))
    if arm.get("role") == "candidate":
        return len(LADDER) + 1
    steps = (step for step, rung in enumerate(LADDER) if name == rung or (rung.endswith("/") and name.startswith(rung)))
    return next(steps, len(LADDER))
