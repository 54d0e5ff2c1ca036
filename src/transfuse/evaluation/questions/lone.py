"""Does one source stand against all the others? Without it a source that was tampered with would pass as diverse."""

from __future__ import annotations

from typing import Any

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import Joined, classifies, ensemble_members, joined
from transfuse.evaluation.rows import Quantity, Subject, evidence, mean_of_items
from transfuse.types import Evidence

ORDER = 61
LONE = Quantity("lone_disagreement", "share", "lower", 0.0, 1.0)
FEWEST = 3
SHOWN = 5
LIMITS = (
    "a source may stand alone because it knows more, is damaged, or was made to answer so on some items; "
    "what answers as the others do on these rows is not found"
)


def ask(case: Case) -> list[Evidence]:
    """Of each of three or more pooled sources: the share of judged items on which all the others give one class and it
    alone another; how often each side is right there, how sure it is, and the items on which it is surest.

    For classes that exclude each other; two sources have nobody to tell which of them stands alone.
    """
    members = ensemble_members(case) if classifies(case) else ()
    if len(members) < FEWEST:
        return []
    known = joined([case.tables[name] for name in members])
    classes = np.stack([probs.argmax(axis=2) for probs in known.probs])
    rows = []
    for place, name in enumerate(members):
        alone = standing_alone(classes, place)
        found = mean_of_items(
            alone.astype(np.float64), known.runs, known.items.groups, "items on which it stands alone"
        )
        about = {"members": list(members), "limits": LIMITS, **_about(known, classes, place, alone)}
        rows.append(evidence(LONE, Subject(name, None, case.split), found, about))
    return rows


def standing_alone(classes: np.ndarray, place: int) -> np.ndarray:
    """Where [k, N] one member of classes [K, k, N] differs from all the others, which agree."""
    others = np.delete(classes, place, axis=0)
    return (others == others[0]).all(axis=0) & (others[0] != classes[place])


def _about(known: Joined, classes: np.ndarray, place: int, alone: np.ndarray) -> dict[str, Any]:
    """Who is right on those items, and the items on which it is surest; nothing where there are none."""
    if not alone.any():
        return {}
    targets, own = np.asarray(known.items.targets), classes[place]
    theirs = classes[0 if place else 1]
    sure = np.where(alone, known.probs[place].max(axis=2), 0.0).mean(axis=0)
    first = [int(row) for row in np.argsort(-sure, kind="stable")[:SHOWN] if sure[row] > 0.0]
    return {
        "right": float((own == targets)[alone].mean()),
        "others_right": float((theirs == targets)[alone].mean()),
        "confidence": float(known.probs[place].max(axis=2)[alone].mean()),
        "surest": [known.items.ids[row] for row in first],
    }
