"""The case before the judge: everything that was fixed before the judged rows were looked at, in one record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from transfuse.errors import UserError, unknown_name
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.nearest import Near
from transfuse.evaluation.tables import Table
from transfuse.types import Arm, Features, Flag, ItemTable, Observation, Task, Undefined

RELATIVE = 0.05
SMALLEST_SHARE, LARGEST_SHARE = 0.001, 0.02
PRIOR = "prior"
# The protocol of predictions that were handed in.
ELSEWHERE = "predictions"


@dataclass(frozen=True)
class MarginRule:
    """How large a gain must be to matter: `auto`, or a number in the primary metric's unit.

    auto: 5 % of the baseline's loss; for metrics where 1 is perfect, 5 % of its error, clamped to 0.001–0.02; 0 for
    scores without a known best value.
    """

    rule: str | float = "auto"

    def __post_init__(self) -> None:
        if self.rule != "auto":
            self.number()

    def number(self) -> float:
        """The rule as a number; an error where it is none."""
        try:
            value = float(self.rule)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0.0):
            raise UserError("a margin is 'auto' or a number that is not negative", got=str(self.rule))
        return value

    def value(self, metric: str, baseline_value: float) -> float:
        """The margin for a baseline of this value, in the metric's unit."""
        if self.rule != "auto":
            return self.number()
        if not math.isfinite(baseline_value):
            raise UserError("a margin needs the baseline's value", got=str(baseline_value))
        facts = find_metric(metric)
        if facts.direction == "lower":
            return RELATIVE * abs(baseline_value)
        if facts.high is None:
            return 0.0
        return min(max(RELATIVE * (facts.high - baseline_value), SMALLEST_SHARE), LARGEST_SHARE)


@dataclass(frozen=True)
class Case:
    """What is to be judged.

    `tables` hold the judged arms (calibrated probabilities on the judged rows). `selection` gives every arm's value of
    the primary metric on the selection rows; `winner` (a candidate) and `best_single` were chosen there. `comparisons`
    are pairs (arm, versus); if all of them are the winner's, each is required and none is corrected
    (intersection–union), otherwise Holm's correction covers all of them. `within_budget` names the arms that may be
    shipped, None means all.

    What follows is asked about where it is: `conditions` hold tables of the same items by condition (NAME@LEVEL)
    and arm; `attacks` tables of some of them under attacks (NAME@LEVEL, perhaps ~SOURCE), against each arm its own;
    `outside` tables of items of another kind by set (`ood:NAME`) and arm, whose targets mean nothing;
    `features` of the sources on rows apart; `nearest` tells by finder which items have a near-identical training row;
    `observations` of trainings. `guards` are margins by metric: an arm that is worse than the best single by more may
    do harm. `target` is a value of the primary metric that was fixed beforehand, for the time until it is reached.
    `selection_losses` are the item losses [n] by which the winner was chosen, by
    choice (one, or one a fold) and candidate, all of the same rows; `chosen_by` names their metric (None: the primary
    one, turned so that lower is better), and `chosen_on_judged` says that these rows are the judged ones.
    """

    task: Task
    items: ItemTable
    arms: tuple[Arm, ...]
    tables: Mapping[str, Table]
    selection: Mapping[str, float]
    winner: str
    best_single: str
    comparisons: tuple[tuple[str, str], ...]
    margin: MarginRule
    protocol: str
    flags: tuple[Flag, ...] = ()
    within_budget: frozenset[str] | None = None
    split: str = "test"
    selected_on: str = "the selection rows"
    conditions: Mapping[str, Mapping[str, Table]] = field(default_factory=dict)
    attacks: Mapping[str, Mapping[str, Table]] = field(default_factory=dict)
    outside: Mapping[str, Mapping[str, Table]] = field(default_factory=dict)
    features: Features | None = None
    nearest: Mapping[str, Near | Undefined] = field(default_factory=dict)
    observations: tuple[Observation, ...] = ()
    guards: Mapping[str, float] = field(default_factory=dict)
    target: float | None = None
    selection_losses: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    chosen_by: str | None = None
    chosen_on_judged: bool = False

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names):
            raise UserError("arms must have distinct names", got=", ".join(names))
        for name in (self.winner, self.best_single, *self.tables, *self.selection):
            if name not in names:
                raise unknown_name("arm", name, names)
        for name in (self.winner, self.best_single):
            if name not in self.tables or name not in self.selection:
                raise UserError(f"arm '{name}' was chosen, so it must be judged and have a value on the selection rows")
        for name in {name for couple in self.comparisons for name in couple}:
            if name not in self.tables:
                raise unknown_name("judged arm", name, self.tables)
        for name, value in self.selection.items():
            if not math.isfinite(value):
                raise UserError(f"arm '{name}' has no finite value on the selection rows", got=str(value))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The primary metric, then the others, each once."""
        return tuple(dict.fromkeys((self.task.metric, *self.task.also)))

    @property
    def corrected(self) -> bool:
        """Whether the comparisons form a family under Holm's correction."""
        return any(arm != self.winner for arm, _ in self.comparisons)

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def margin_of(self, metric: str) -> float:
        """The margin for a metric, the same for all comparisons so that mirrored arms mirror.

        The rule's, from the best single's value on the selection rows, for the primary metric; `auto`, from its value
        on the judged rows, for the others (a number is in the primary metric's unit only).
        """
        if metric == self.task.metric:
            return self.margin.value(metric, self.selection[self.best_single])
        table = self.tables[self.best_single].read_by(find_metric(metric))
        value = float(find_metric(metric).values(table.items.targets, table.probs).mean())
        return MarginRule().value(metric, value) if math.isfinite(value) else 0.0
