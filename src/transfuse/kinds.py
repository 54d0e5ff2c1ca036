"""What a task of each kind asks for; without it every room would keep its own list of what goes with regression."""

from __future__ import annotations

from dataclasses import dataclass

from transfuse.errors import unknown_name
from transfuse.types import Scale, TaskKind

# Where a logarithm of a probability is wanted, none counts as smaller: one sure error costs 34.5 nats and not infinity.
# Pools are fitted by what the judge's log-loss will ask of them, so both agree on it.
LEAST_PROBABILITY = 1e-15


@dataclass(frozen=True)
class Kind:
    """One kind of task: what a score column stands for, what a trained network gives, and how it is judged by default.

    multiclass: one of C classes, targets [N] as numbers, scores [N, C] through a softmax. multilabel: any of C labels,
    targets [N, C] in {0, 1}, scores [N, C] through a sigmoid each. regression: T numbers, targets and scores [N, T] in
    the target's own unit.
    """

    name: TaskKind
    column: str
    columns: str
    scale: Scale
    metric: str
    also: tuple[str, ...]
    least: int


KINDS: dict[str, Kind] = {
    "multiclass": Kind(
        "multiclass", "class", "classes", "logit", "log_loss", ("accuracy", "brier", "ece", "worst_class"), 2
    ),
    "multilabel": Kind(
        "multilabel",
        "label",
        "labels",
        "logit",
        "binary_log_loss",
        ("binary_brier", "subset_accuracy", "hamming_accuracy", "macro_f1", "macro_average_precision", "label_ece"),
        1,
    ),
    "regression": Kind(
        "regression", "target", "targets", "value", "squared_error", ("rmse", "absolute_error", "r2"), 1
    ),
}


def kind_of(name: str, *, where: str | None = None) -> Kind:
    """The kind of that name; an unknown one is an error that offers the nearest."""
    if name not in KINDS:
        raise unknown_name("kind of task", str(name), KINDS, where=where)
    return KINDS[name]
