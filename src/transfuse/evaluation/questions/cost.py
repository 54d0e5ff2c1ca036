"""What does each arm cost? Without it the largest arm would look free."""

from __future__ import annotations

from transfuse.evaluation.case import Case
from transfuse.types import Arm, Evidence

ORDER = 50
UNITS = {
    "parameters": "parameters",
    "trainable_parameters": "parameters",
    "inference_flops": "FLOPs per item",
    "train_flops": "FLOPs",
    "p95_flops": "FLOPs per item",
    "stored_bytes": "bytes",
}


def ask(case: Case) -> list[Evidence]:
    """Counted parameters, FLOPs per item at inference and FLOPs of training, of every arm whose cost is known.

    Of an arm that stops early, FLOPs per item are the mean, with the 95th percentile beside it.
    """
    return [
        _row(arm, quantity)
        for arm in case.arms
        for quantity in UNITS
        if arm.cost is not None and getattr(arm.cost, quantity) is not None
    ]


def _row(arm: Arm, quantity: str) -> Evidence:
    return Evidence(
        id=f"{quantity}:{arm.name}",
        arm=arm.name,
        quantity=quantity,
        value=float(getattr(arm.cost, quantity)),
        unit=UNITS[quantity],
        direction="lower",
        split="none",
        seeds=arm.seeds,
        method="counted, not timed",
        provenance={"notes": list(arm.notes)} if arm.notes and quantity == "train_flops" else {},
    )
