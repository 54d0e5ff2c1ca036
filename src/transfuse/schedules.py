"""How an arm is trained: regimes and their schedules, without torch, so that the plan can count and hash them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from transfuse.errors import UserError, many_problems, unknown_name
from transfuse.registry import Entry, Parameter, find

Named = tuple[tuple[str, dict[str, Any]], ...]

REGIMES = ("frozen", "partial", "full")
SEARCHED = ("trials", "space")
RATE = "rate"
# What may be searched for, with the range where none is given; settings of size are searched in logs.
SPACE: dict[str, tuple[float, float]] = {
    RATE: (1e-4, 1e-1),
    "weight_decay": (1e-3, 3.0),
    "member_rate": (1e-2, 1.0),
    "smoothing": (0.0, 0.3),
    "warmup": (0.0, 0.5),
    "layer_decay": (0.3, 1.0),
    "branch_dropout": (0.0, 0.5),
    "feature_dropout": (0.0, 0.5),
}
LOGS = (RATE, "weight_decay", "member_rate")


@dataclass(frozen=True)
class Schedule:
    """One training's settings; `rates` are tried in turn and the held rows choose, so they are the tuning budget.

    `member_rate` multiplies the learning rate inside the sources; `warmup` is a share of all steps; the rate then
    falls to zero along a half cosine. Training stops after `patience` epochs without a better held loss. Small training
    sets get more epochs, and patience in proportion, so that no head learns for fewer than `least_steps` steps.
    `objective` and `augment` name files of `train/objectives` and `train/augment`, each with its whole settings.
    `thaw` says how members wake (`train/stages.py`), `average` which mean of weights is kept (`train/averaging.py`).
    `branch_dropout`, `feature_dropout` and `monte_carlo` say what is left out (`fusion/dropping.py`).
    `trials` above 0 are so many points of `space` (name, lowest, highest) in place of the rates (`train/study.py`).
    With `refresh` the statistics of members' BatchNorms are estimated on the training rows before they learn; the plan
    says of which, so it is no part of the record. With `stack` all rates of a head are trained together where that pays
    (`train/stack.py`): the same to rounding, not to the bit.
    """

    regime: str = "frozen"
    until: str | None = None
    epochs: int = 40
    batch: int = 64
    rates: tuple[float, ...] = (1e-3, 3e-3, 1e-2)
    member_rate: float = 1.0
    weight_decay: float = 1.0
    warmup: float = 0.1
    patience: int = 10
    smoothing: float = 0.0
    least_steps: int = 400
    objective: Named = (("supervised", {}),)
    augment: Named = ()
    thaw: str = "at_once"
    thaw_epochs: int = 1
    layer_decay: float = 1.0
    average: str = "none"
    average_decay: float = 0.99
    average_from: float = 0.5
    branch_dropout: float = 0.0
    feature_dropout: float = 0.0
    monte_carlo: int = 0
    stack: bool = False
    refresh: bool = False
    trials: int = 0
    space: tuple[tuple[str, float, float], ...] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Schedule:
        """The schedule that gave this record."""
        space = tuple((str(name), float(low), float(high)) for name, low, high in record.get("space", ()))
        return cls(**{**record, "rates": tuple(record["rates"]), "space": space})

    @property
    def entries(self) -> list[Entry]:
        """The shelf files that this training runs."""
        shelves = (("train/objectives", self.objective), ("train/augment", self.augment))
        found = [find(name, method) for name, named in shelves for method, _ in named]
        # What a file runs of its neighbours stands after all that is named.
        found += [find(entry.shelf, str(other)) for entry in found for other in entry.traits.get("uses", ())]
        return [*found, find("choosers", "search")] if self.trials else found

    def record(self) -> dict[str, Any]:
        found = {name: value for name, value in asdict(self).items() if name != "refresh"}
        # Only where something is searched for, so that other trainings keep their keys.
        return found if self.trials else {name: value for name, value in found.items() if name not in SEARCHED}

    @property
    def tries(self) -> int:
        """How many trainings this one is chosen from: its tuning budget."""
        return self.trials or len(self.rates)

    def lasting(self, rows: int) -> Schedule:
        """The schedule for so many training rows, with enough epochs for `least_steps`."""
        needed = math.ceil(self.least_steps / math.ceil(rows / self.batch))
        if needed <= self.epochs:
            return self
        return replace(self, epochs=needed, patience=math.ceil(self.patience * needed / self.epochs))


_WHOLE = Schedule(
    regime="full", epochs=10, batch=32, rates=(3e-3,), member_rate=0.1, weight_decay=0.05, patience=3, least_steps=1
)
DEFAULTS = {
    "frozen": Schedule(stack=True),
    "partial": replace(_WHOLE, regime="partial"),
    "full": _WHOLE,
    "scratch": replace(_WHOLE, member_rate=1.0),
}
SETTINGS = {
    "epochs": Parameter("epochs", "int", 10, low=1, high=100_000),
    "batch": Parameter("batch", "int", 32, low=1, high=65_536),
    "member_rate": Parameter("member_rate", "float", 0.1, low=0.0, high=10.0),
    "weight_decay": Parameter("weight_decay", "float", 1e-2, low=0.0, high=10.0),
    "warmup": Parameter("warmup", "float", 0.1, low=0.0, high=1.0),
    "patience": Parameter("patience", "int", 3, low=1, high=100_000),
    "smoothing": Parameter("smoothing", "float", 0.0, low=0.0, high=0.9),
    "least_steps": Parameter("least_steps", "int", 1, low=1, high=10_000_000),
    "until": Parameter("until", "str", None),
    "thaw": Parameter("thaw", "str", "at_once", options=("at_once", "head_first", "gradual")),
    "thaw_epochs": Parameter("thaw_epochs", "int", 1, low=1, high=100_000),
    "layer_decay": Parameter("layer_decay", "float", 1.0, low=0.01, high=1.0),
    "average": Parameter("average", "str", "none", options=("none", "ema", "swa")),
    "average_decay": Parameter("average_decay", "float", 0.99, low=0.0, high=0.99999),
    "average_from": Parameter("average_from", "float", 0.5, low=0.0, high=0.95),
    "branch_dropout": Parameter("branch_dropout", "float", 0.0, low=0.0, high=0.95),
    "feature_dropout": Parameter("feature_dropout", "float", 0.0, low=0.0, high=0.95),
    "monte_carlo": Parameter("monte_carlo", "int", 0, low=0, high=1024),
    "stack": Parameter("stack", "bool", False),
    "refresh": Parameter("refresh", "bool", False),
}
# What these move is frozen under `frozen`.
MOVING = ("member_rate", "thaw", "thaw_epochs", "layer_decay")


def in_logs(name: str) -> bool:
    """Whether a setting is searched by its logarithm."""
    return name in LOGS


def space_problem(name: str, low: float, high: float) -> str | None:
    """What is wrong with a range of a search, or None."""
    if name not in SPACE:
        return f"'{name}' is not searched for; what is: {', '.join(SPACE)}"
    bounds = Parameter(RATE, "float", 1e-3, low=0.0, high=10.0) if name == RATE else SETTINGS[name]
    if not low < high or (in_logs(name) and low <= 0) or bounds.problem(low) or bounds.problem(high):
        least = "above 0" if in_logs(name) else f"from {bounds.low:g}"
        return f"{name} must be two rising numbers, {least} to {bounds.high:g}, got {[low, high]}"
    return None


def searched(plan: Schedule, trials: int, space: Mapping[str, tuple[float, float]]) -> Schedule:
    """The schedule with its rates and other numbers searched for; what frozen sources have no use for is left out."""
    idle = ("member_rate", "layer_decay") if plan.regime == "frozen" else ()
    ranges = tuple((name, float(low), float(high)) for name, (low, high) in space.items() if name not in idle)
    return replace(plan, trials=trials, space=ranges, stack=False) if trials else plan


def schedule(given: str | dict[str, Any], *, where: str) -> Schedule:
    """`frozen`, or `{regime: full, epochs: 5, rates: [1e-3]}`, as a whole schedule; all bad values in one error."""
    settings: dict[str, Any] = {"regime": given} if isinstance(given, str) else dict(given)
    regime = settings.pop("regime", "frozen")
    if regime not in REGIMES:
        raise unknown_name("regime", str(regime), REGIMES, where=where)
    rates = settings.pop("rates", None)
    shelved = _shelved(settings, regime, where)
    problems = [text for name, value in settings.items() if (text := SETTINGS[name].problem(value))]
    if rates is not None:
        rates = tuple(rates) if isinstance(rates, list | tuple) else (rates,)
        if not rates or not all(isinstance(rate, float | int) and rate is not True and 0 < rate < 10 for rate in rates):
            problems.append(f"rates must be numbers between 0 and 10, got {list(rates)!r}")
        settings["rates"] = rates
    if (regime == "partial") != bool(settings.get("until")):
        problems.append("`until: SOURCE.TAP` belongs to partial, and partial needs it: up to there sources stay frozen")
    if regime == "frozen":
        idle = [name for name in MOVING if name in settings]
        problems += [f"{name} has nothing to do where all members are frozen" for name in idle]
    if settings.get("refresh") and regime != "full":
        problems.append("refresh belongs to full: what is frozen keeps its statistics")
    if "epochs" in settings:
        # Who names a number of epochs gets it.
        settings.setdefault("least_steps", 1)
    if problems:
        raise many_problems("this training cannot be planned", problems, where=where)
    return replace(DEFAULTS[regime], **settings, **shelved)


def _shelved(settings: dict[str, Any], regime: str, where: str) -> dict[str, Named]:
    """Takes `objective`, `augment` and their parameters out of the settings; what nothing declares is refused.

    Each is a name, `{name: NAME, PARAMETER: value}`, or a list of these. A parameter that only one of them declares may
    stand beside the other settings. What is no whole objective by itself comes on top of `supervised`.
    """
    goals = _asked(settings.pop("objective", None), "train/objectives", where)
    ways = _asked(settings.pop("augment", None), "train/augment", where)
    if not any(entry.traits.get("complete") for entry, _ in goals):
        goals.insert(0, (find("train/objectives", "supervised"), {}))
    for name in [name for name in settings if name not in SETTINGS]:
        takers = [given for entry, given in (*goals, *ways) if name in entry.parameters]
        if not takers:
            declared = [each for entry, _ in (*goals, *ways) for each in entry.parameters]
            known = [*SETTINGS, "rates", "regime", "objective", "augment", *declared]
            raise unknown_name("training setting", name, known, where=where)
        if len(takers) > 1 or name in takers[0]:
            hint = "objective: {name: NAME, " + f"{name}: VALUE" + "}"
            raise UserError(f"'{name}' could be a setting of several parts of this training", where=where, hint=hint)
        takers[0][name] = settings.pop(name)
    place = "blocks" if regime == "frozen" else "canvas"
    for entry, _ in (*goals, *ways):
        if entry.traits.get("on", place) != place:
            raise UserError(
                f"{entry.full_name} works on {entry.traits.get('on')}, this training is given {place}",
                where=where,
                hint=f"regime '{regime}' computes frozen features once" if place == "blocks" else "regime: frozen",
            )
    made = [tuple((entry.name, entry.settings(given, where=where)) for entry, given in each) for each in (goals, ways)]
    return {"objective": made[0], "augment": made[1]}


def _asked(given: Any, shelf: str, where: str) -> list[tuple[Entry, dict[str, Any]]]:
    """What a recipe names of a shelf, each once."""
    found: list[tuple[Entry, dict[str, Any]]] = []
    for one in [] if given is None else given if isinstance(given, list | tuple) else [given]:
        facts = {"name": one} if isinstance(one, str) else one
        if not isinstance(facts, Mapping) or not isinstance(facts.get("name"), str):
            raise UserError(
                f"what is named of {shelf} is a name, or a name with settings", where=where,
                expected="NAME or {name: NAME, PARAMETER: value}", got=repr(one),
            )  # fmt: skip
        entry = find(shelf, facts["name"], where=where)
        if entry.name in [each.name for each, _ in found]:
            raise UserError(f"{entry.full_name} is named twice", where=where)
        found.append((entry, {str(key): value for key, value in facts.items() if key != "name"}))
    return found
