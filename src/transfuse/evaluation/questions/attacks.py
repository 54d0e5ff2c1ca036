"""What is left where somebody means harm? Without it a fusion would be called robust because nobody tried.

An attack can only be too weak, so accuracy under attack is an upper bound: it is told as "at most", and never shows
that an arm is safe.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import numpy as np

from transfuse.evaluation.attacked import Attack, Survivors, survivors
from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import classifies, joined
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence, mean_of_items
from transfuse.types import Evidence, Flag

ORDER = 86
CITATION = "Croce, Hein, ICML 2020 (worst case over attacks); Athalye, Carlini, Wagner, ICML 2018 (masked gradients)"
ROBUST = Quantity("robust_accuracy", "share", "higher", 0.0, 1.0)
WORST = Quantity("worst_case_accuracy", "share", "higher", 0.0, 1.0)
LOST = Quantity("worst_case_accuracy", "share", "higher")
MASKING = Quantity("gradient_masking", "share", "lower", 0.0, 1.0)
BOUND = "an upper bound: a stronger attack may find more"
MOST_MASKED = 0.02


def ask(case: Case) -> list[Evidence]:
    """Accuracy of each attacked arm under each attack, over all attacks of one norm and radius at once (an item counts
    as right only if no attack breaks it), each attacked candidate's difference to the best single there, and signs that
    gradients are masked: items that survive the strongest gradient attack on the arm itself, but fall to a weaker one.
    """
    if not case.attacks or not classifies(case):
        return []
    attacks = {name: Attack.of(name) for name in sorted(case.attacks)}
    found = {arm: _survivors(case, arm) for arm in sorted({arm for tables in case.attacks.values() for arm in tables})}
    rows = [row for arm, known in found.items() for row in _alone(case, arm, known, attacks)]
    candidates = [arm.name for arm in case.arms if arm.role == "candidate" or arm.name == case.winner]
    for arm in candidates if case.best_single in found else ():
        if arm in found and arm != case.best_single:
            rows += _paired(case, attacks, (arm, case.best_single))
    return rows


def flags(case: Case, rows: Mapping[str, Evidence]) -> list[Flag]:
    """`gradient_masking` for each arm of which more than 2 % of items are shown to survive by hiding gradients only."""
    return [
        Flag("gradient_masking", str(row.provenance["sentence"]), (row.id,))
        for row in rows.values()
        if row.quantity == MASKING.name and row.low is not None and row.low > MOST_MASKED
    ]


def _survivors(case: Case, arm: str) -> Survivors:
    return survivors(case.tables[arm], {name: tables[arm] for name, tables in case.attacks.items() if arm in tables})


def _balls(attacks: Iterable[Attack]) -> dict[tuple[str, float], list[Attack]]:
    found: dict[tuple[str, float], list[Attack]] = {}
    for each in attacks:
        found.setdefault(each.ball, []).append(each)
    return dict(sorted(found.items()))


def _alone(case: Case, arm: str, known: Survivors, attacks: Mapping[str, Attack]) -> list[Evidence]:
    runs, groups = known.known.runs, known.known.items.groups
    tried = [attacks[name] for name in known.right]
    rows = [
        evidence(
            ROBUST,
            Subject(arm, None, case.split, each.condition),
            mean_of_items(known.right[each.condition], runs, groups, BOUND),
            _about([each]),
        )
        for each in tried
    ]
    for (norm, radius), rivals in _balls(tried).items():
        worst = mean_of_items(known.worst(rivals), runs, groups, BOUND)
        about = _about(rivals) | {"clean": float(known.clean.mean())}
        rows.append(evidence(WORST, Subject(arm, None, case.split, f"{norm}@{radius:g}"), worst, about))
        rows += _masking(case, arm, known, rivals)
    return rows


def _about(attacks: Sequence[Attack]) -> dict[str, object]:
    return {"attacks": [each.condition for each in attacks], "norm": attacks[0].norm, "radius": attacks[0].radius}


def _paired(case: Case, attacks: Mapping[str, Attack], couple: tuple[str, str]) -> list[Evidence]:
    """The first one's worst case less the other's, item by item, over the attacks that both met."""
    rows = []
    for (norm, radius), rivals in _balls(attacks.values()).items():
        shared = [each for each in rivals if set(couple) <= set(case.attacks[each.condition])]
        if not shared:
            continue
        tables = [case.attacks[each.condition][arm] for arm, each in product(couple, shared)]
        known = joined(tables)
        right = [(probs.argmax(axis=2) == known.targets).astype(np.float64) for probs in known.probs]
        own, other = (np.minimum.reduce(right[: len(shared)]), np.minimum.reduce(right[len(shared) :]))
        found = mean_of_items(own - other, known.runs, known.items.groups, "each arm under attacks made against it")
        rows.append(evidence(LOST, Subject(*couple, case.split, f"{norm}@{radius:g}"), found, _about(shared)))
    return rows


def _masking(case: Case, arm: str, known: Survivors, rivals: Sequence[Attack]) -> list[Evidence]:
    """The share of items that survive the strongest gradient attack on the arm and fall to what should be weaker: one
    that asks for answers only, a single step, or one made against another model.
    """
    own = [each for each in rivals if each.gradient and each.source is None]
    strongest = max(own, key=lambda each: each.passes, default=None)
    weaker = [each for each in rivals if strongest and each is not strongest and _weaker(each, strongest)]
    if strongest is None or not weaker:
        return []
    hidden = known.right[strongest.condition] * (1.0 - known.worst(weaker))
    by = {each.condition: float((known.right[strongest.condition] * (1 - known.right[each.condition])).mean())
          for each in weaker}  # fmt: skip
    most = max(weaker, key=lambda each: by[each.condition])
    share = float(hidden.mean())
    sentence = (
        f"{100 * share:.1f} % of attacked items survive {strongest.words} on {arm}, but fall to what should be weaker"
        f" (most of all {most.words}): its gradients hide how to mislead it, which is no protection."
    )
    found: Measured = mean_of_items(hidden, known.known.runs, known.known.items.groups).without_p()
    subject = Subject(arm, None, case.split, f"{strongest.norm}@{strongest.radius:g}")
    return [evidence(MASKING, subject, found, {"strongest": strongest.condition, "by": by, "sentence": sentence})]


def _weaker(other: Attack, strongest: Attack) -> bool:
    return not other.gradient or other.source is not None or other.passes < strongest.passes
