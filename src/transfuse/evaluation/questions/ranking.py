"""Does an arm rank its classes right, whatever the threshold? Without it a rare class hides behind accuracy."""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import answers, chief, told
from transfuse.evaluation.rows import Quantity, Subject, evidence, mean_of_items
from transfuse.evaluation.statistics.rank import auroc
from transfuse.evaluation.tables import pair
from transfuse.types import Evidence

ORDER = 45
CITATION = "DeLong, DeLong, Clarke-Pearson, Biometrics, 1988; Sun, Xu, IEEE Signal Processing Letters, 2014"
AUROC = Quantity("auroc", "share", "higher", 0.0, 1.0)
MOST_CLASSES = 100
UNRANKED = "numbers have no threshold; r2 tells how well they follow the truth"


def ask(case: Case) -> list[Evidence]:
    """The area under the ROC curve of the winner, the best single and the ensemble, and the winner's difference to each
    other, with DeLong's paired variance crossed with that of runs.

    Two classes: the second against the first. More: the mean over classes of one against the rest, over those that
    occur, the 100 most frequent at most. Labels: the mean over labels of items with it against those without.
    """
    if not answers(case):
        return []
    arms = chief(case)
    targets = np.asarray(case.tables[case.winner].items.targets)
    classes = ranked_classes(targets, case.tables[case.winner].probs.shape[2])
    if not classes:
        return []
    of = "items with a label against those without" if targets.ndim == 2 else "one class against the rest"
    about = {"classes": len(classes), "of": of if targets.ndim == 2 or len(classes) > 1 else "the second class"}
    rows = []
    for arm in arms:
        table = case.tables[arm].ranked
        values = contributions(np.asarray(table.items.targets), table.probs, classes)
        found = mean_of_items(values, table.runs, table.items.groups, "DeLong's placements")
        rows.append(evidence(AUROC, Subject(arm, None, case.split), found, about))
    for other in arms:
        if other != case.winner:
            both = pair(case.tables[case.winner].ranked, case.tables[other].ranked)
            known = np.asarray(both.items.targets)
            first, second = (contributions(known, probs, classes) for probs in (both.first, both.second))
            found = mean_of_items(first - second, both.runs, both.items.groups, "DeLong's paired placements")
            subject = Subject(case.winner, other, case.split)
            rows.append(evidence(Quantity("auroc", "share", "higher"), subject, found, about))
    return rows


def silent(case: Case) -> dict[str, str]:
    """Numbers are not ranked."""
    return told(case, "area under the ROC curve", numbers=UNRANKED, scores=UNRANKED)


def ranked_classes(targets: np.ndarray, count: int) -> tuple[int, ...]:
    """The classes (or labels) whose area is taken: those that some items have and others have not; of two classes the
    second."""
    labels = targets.ndim == 2
    held = (targets == 1).sum(axis=0) if labels else np.bincount(targets, minlength=count)
    ranked = [number for number in np.argsort(-held, kind="stable").tolist() if 0 < held[number] < len(targets)]
    if count == 2 and not labels:
        return (1,) if 1 in ranked else ()
    return tuple(sorted(ranked[:MOST_CLASSES]))


def contributions(targets: np.ndarray, probs: np.ndarray, classes: tuple[int, ...]) -> np.ndarray:
    """Item values whose mean is the area, averaged over classes (or labels), and whose spread is its uncertainty.

    Targets [N], or of labels [N, C]; [k, N, C] -> [k, N].

    Item i of the m positive stands for area + N / m · (placement − area), a negative one for area + N / n · (…): their
    variance over N is DeLong's s₊² / m + s₋² / n, but for 1 / (N − 1) in place of 1 / (m − 1) and 1 / (n − 1).
    """
    found = np.zeros(probs.shape[:2])
    for number in classes:
        positive = targets[:, number] == 1 if targets.ndim == 2 else targets == number
        for run, scores in enumerate(probs[:, :, number]):
            area = auroc(scores[positive], scores[~positive])
            share = positive.mean()
            found[run, positive] += area.value + area.inside / share
            found[run, ~positive] += area.value + area.outside / (1.0 - share)
    return found / len(classes)
