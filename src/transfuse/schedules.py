"""How an arm is trained: regimes and their schedules, without torch, so that the plan can count and hash them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from transfuse.errors import many_problems, unknown_name
from transfuse.registry import Parameter

REGIMES = ("frozen", "partial", "full")


@dataclass(frozen=True)
class Schedule:
    """One training's settings; `rates` are tried in turn and the held rows choose, so they are the tuning budget.

    `member_rate` multiplies the learning rate inside the sources; `warmup` is a share of all steps; the rate then
    falls to zero along a half cosine. Training stops after `patience` epochs without a better held loss. Small training
    sets get more epochs, and patience in proportion, so that no head learns for fewer than `least_steps` steps.
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

    def record(self) -> dict[str, Any]:
        return asdict(self)

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
    "frozen": Schedule(),
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
}


def schedule(given: str | dict[str, Any], *, where: str) -> Schedule:
    """`frozen`, or `{regime: full, epochs: 5, rates: [1e-3]}`, as a whole schedule; all bad values in one error."""
    settings: dict[str, Any] = {"regime": given} if isinstance(given, str) else dict(given)
    regime = settings.pop("regime", "frozen")
    if regime not in REGIMES:
        raise unknown_name("regime", str(regime), REGIMES, where=where)
    rates = settings.pop("rates", None)
    for name in settings:
        if name not in SETTINGS:
            raise unknown_name("training setting", name, [*SETTINGS, "rates", "regime"], where=where)
    problems = [text for name, value in settings.items() if (text := SETTINGS[name].problem(value))]
    if rates is not None:
        rates = tuple(rates) if isinstance(rates, list | tuple) else (rates,)
        if not rates or not all(isinstance(rate, float | int) and rate is not True and 0 < rate < 10 for rate in rates):
            problems.append(f"rates must be numbers between 0 and 10, got {list(rates)!r}")
        settings["rates"] = rates
    if (regime == "partial") != bool(settings.get("until")):
        problems.append("`until: SOURCE.TAP` belongs to partial, and partial needs it: up to there sources stay frozen")
    if "epochs" in settings:
        # Who names a number of epochs gets it.
        settings.setdefault("least_steps", 1)
    if problems:
        raise many_problems("this training cannot be planned", problems, where=where)
    return replace(DEFAULTS[regime], **settings)
