"""Does every branch of a fusion work? Without it a dead branch would be paid for in every prediction, unseen."""

from __future__ import annotations

from collections.abc import Mapping

from transfuse.evaluation.case import Case
from transfuse.evaluation.rows import Quantity, Subject, evidence, mean_of_runs
from transfuse.types import Evidence, Flag, Undefined

ORDER = 96
CITATION = "Wang et al., What makes training multi-modal classification networks hard?, CVPR 2020"
SPLIT = "selection"
DEAD = "branch_dead"
# By quantity: its unit, which direction is better, and what it says.
KNOWN: dict[str, Quantity] = {
    "branch_solo": Quantity("branch_solo", "share", "higher", 0.0, 1.0),
    "branch_without": Quantity("branch_without", "share", "higher", 0.0, 1.0),
    "branch_gradient": Quantity("branch_gradient", "ratio", "higher", 0.0, 1.0),
    "branch_share": Quantity("branch_share", "ratio", "higher", 0.0, 1.0),
    "gate_entropy": Quantity("gate_entropy", "ratio", "higher", 0.0, 1.0),
}
NOTE = "through the fused head, on held rows, other branches replaced by their training mean"


def ask(case: Case) -> list[Evidence]:
    """For each branch of each fused arm: accuracy of it alone and of the rest without it, its share of the gradient and
    of the method's weights; for each arm with weights their entropy, 1 where all branches count alike.
    """
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for seen in case.observations:
        quantity, _, branch = seen.quantity.partition(":")
        if quantity in KNOWN:
            found.setdefault((seen.arm, quantity, branch), {})[seen.run] = seen.value
    return [
        evidence(
            KNOWN[quantity],
            Subject(arm, None, SPLIT, detail=branch),
            mean_of_runs(dict(sorted(runs.items())), note=NOTE),
            {"branch": branch} if branch else None,
        )
        for (arm, quantity, branch), runs in sorted(found.items())
    ]


def silent(case: Case) -> dict[str, str]:
    """Branches are watched in tasks of classes only."""
    if case.task.kind == "multiclass" or not any(arm.form == "fused" for arm in case.arms):
        return {}
    return {
        "how branches fare": "a branch alone is right or wrong in tasks of classes only; without/… refits are asked"
    }


def flags(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    """`dead_branch` where, in every run, a branch adds nothing to silence and its absence costs nothing, both with
    95 % confidence over the held rows."""
    verdicts: dict[tuple[str, str], list[bool]] = {}
    for seen in case.observations:
        quantity, _, branch = seen.quantity.partition(":")
        if quantity == DEAD:
            verdicts.setdefault((seen.arm, branch), []).append(seen.value > 0)
    return [_flag(arm, branch, rows) for (arm, branch), dead in sorted(verdicts.items()) if all(dead)]


def _flag(arm: str, branch: str, rows: Mapping[str, Evidence]) -> Flag:
    own = [Subject(arm, None, SPLIT, detail=branch).id(name) for name in ("branch_solo", "branch_without")]
    told = [rows[name].value for name in own if name in rows]
    shown = [f"{100 * value:.1f} %" for value in told if not isinstance(value, Undefined)]
    figures = f" (alone {shown[0]} right, the rest without it {shown[1]})" if len(shown) == 2 else ""
    why = (
        f"The branch '{branch}' of {arm} is dead: it adds nothing, and leaving it out costs nothing{figures}. Remedies:"
        " train with branch_dropout, with objective branch_heads or gradient_blend, or leave the source out."
    )
    return Flag("dead_branch", why, tuple(name for name in own if name in rows))
