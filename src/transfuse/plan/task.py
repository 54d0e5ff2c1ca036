"""`task:` in a recipe: what is to be learned and by which metrics it is judged, checked before any work.

Without it a metric of another kind of task would be found out by the judge, after all training.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from transfuse.errors import UserError, nearest
from transfuse.given import is_pointer
from transfuse.kinds import KINDS
from transfuse.registry import Entry, kinds_of, shelf
from transfuse.types import TaskKind


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TaskEntry(Strict):
    """The kind of task and its metrics: the kind's where none are named; `pkg.module:function` is one of your own."""

    kind: TaskKind = "multiclass"
    metric: str = KINDS["multiclass"].metric
    also: list[str] = [*KINDS["multiclass"].also]

    @model_validator(mode="before")
    @classmethod
    def _usual(cls, given: Any) -> Any:
        known = KINDS.get(str(given.get("kind", "multiclass"))) if isinstance(given, dict) else None
        return {"metric": known.metric, "also": [*known.also]} | given if known else given

    @field_validator("kind", mode="before")
    @classmethod
    def _kind(cls, kind: Any) -> Any:
        if isinstance(kind, str) and kind in KINDS:
            return kind
        near = nearest(str(kind), sorted(KINDS))
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(KINDS)}"
        raise ValueError(f"there is no task of kind '{kind}'; {hint}")

    @model_validator(mode="after")
    def _holding(self) -> TaskEntry:
        for name in (self.metric, *self.also):
            check_metric(name, self.kind)
        return self


def check_metric(name: str, kind: str | None = None) -> None:
    """Refuse names that no metric has, and metrics of another kind of task; a pointer is looked at once there is a
    folder to find it in."""
    known = shelf("evaluation/metrics")
    if is_pointer(name):
        return
    if name not in known:
        near = nearest(name, sorted(known))
        hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(sorted(known))}"
        raise ValueError(f"there is no metric '{name}'; {hint}")
    if kind is not None and kind not in kinds_of(known[name]):
        fitting = [other for other, entry in known.items() if kind in kinds_of(entry)]
        raise ValueError(f"the metric '{name}' does not hold for a {kind} task; known: {', '.join(fitting)}")


def check_kind(how: Entry, kind: str, where: str) -> None:
    """Refuse a method that does not hold for this kind of task: pools and parts of a training say for which they do,
    other methods where they do not for all."""
    says = how.shelf == "fusion/outputs" or how.shelf.startswith("train/") or "kinds" in how.traits
    if says and kind not in kinds_of(how):
        known = " or ".join(kinds_of(how))
        raise UserError(f"{how.full_name} does not hold for a {kind} task", where=where, expected=f"a task of {known}")
