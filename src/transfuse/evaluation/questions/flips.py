"""Which answers change? Without flips, a gain of two points hides five lost and seven won."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from transfuse.evaluation.answers import holding, right
from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import answers, class_name, told
from transfuse.evaluation.claims import evidence_id
from transfuse.evaluation.statistics.power import mcnemar
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.evaluation.tables import Pair, pair
from transfuse.types import Direction, Evidence, Undefined

ORDER = 30
MOST_ITEMS = 24
NEITHER = "numbers are neither right nor wrong; their differences stand in the comparisons"
CITATION = "Yan et al., Positive-congruent training, CVPR 2021; Fagerland, Lydersen, Laake, 2013"


def ask(case: Case) -> list[Evidence]:
    """Positive and negative flip rates of each comparison, and McNemar's mid-p of each run (never pooled over runs).

    A positive flip is an item that arm gets right and versus wrong; accuracy differs by positive − negative flips. The
    items that flip most are listed in `provenance.items` as [id, target, answer of arm, answer of versus]. An item of
    several labels is right where all of them are, so the difference is that in subset accuracy. Nothing is asked of
    numbers and per-item scores, which know no right and wrong.
    """
    if not answers(case):
        return []
    return [row for couple in case.comparisons for row in _rows(case, couple)]


def silent(case: Case) -> dict[str, str]:
    """Numbers are nearer or farther, never right or wrong."""
    return told(case, "answers that change (flips)", numbers=NEITHER, scores=NEITHER)


def _rows(case: Case, couple: tuple[str, str]) -> list[Evidence]:
    arm, versus = couple
    joined = pair(case.tables[arm], case.tables[versus])
    targets = np.asarray(joined.items.targets)
    ours, other = (right(probs, targets) for probs in (joined.first, joined.second))
    won, lost = ours & ~other, ~ours & other
    rates = [
        _rate(case, couple, joined, "positive_flips", won, "higher"),
        _rate(case, couple, joined, "negative_flips", lost, "lower"),
    ]
    rates = [
        replace(row, provenance=row.provenance | {"items": _most_flipped(case, joined, flipped)})
        for row, flipped in zip(rates, (won, lost), strict=True)
    ]
    tests = [_test(case, couple, run, won[row], lost[row]) for row, run in enumerate(joined.runs)]
    return [*rates, *tests]


def _rate(
    case: Case, couple: tuple[str, str], joined: Pair, quantity: str, flipped: np.ndarray, direction: Direction
) -> Evidence:
    """The mean share of flipped items [k, N] with its interval."""
    found = moments(flipped.astype(np.float64), joined.items.groups)
    known = found if isinstance(found, Interval) else None
    return Evidence(
        id=evidence_id(quantity, couple[0], couple[1], case.split),
        arm=couple[0],
        versus=couple[1],
        quantity=quantity,
        value=float(flipped.mean()),
        unit="share",
        direction=direction,
        split=case.split,
        low=max(known.low, 0.0) if known else None,
        high=min(known.high, 1.0) if known else None,
        level=0.95 if known else None,
        n=flipped.shape[1],
        seeds=len(joined.runs),
        pairing="item and run" if len(joined.runs) > 1 else "item",
        method=f"no interval: {found.reason}" if isinstance(found, Undefined) else found.method,
        provenance={"per_run": {run: float(each.mean()) for run, each in zip(joined.runs, flipped, strict=True)}},
    )


def _most_flipped(case: Case, joined: Pair, flipped: np.ndarray) -> list[list[str]]:
    """[id, target, answer of arm, answer of versus] of the items [k, N] that flip in most runs, at most 24.

    Ties: the largest difference in the true class's probability (of labels the largest in any), then the id. Answers
    are those of the first run that flips.
    """
    targets = np.asarray(joined.items.targets)
    rows = np.flatnonzero(flipped.any(axis=0))
    apart = np.abs(joined.first - joined.second)[:, rows]
    moved = (apart.max(axis=2) if targets.ndim == 2 else apart[:, np.arange(len(rows)), targets[rows]]).mean(axis=0)
    often = flipped[:, rows].sum(axis=0)
    ids = joined.items.ids
    order = sorted(range(len(rows)), key=lambda place: (-often[place], -moved[place], ids[rows[place]]))[:MOST_ITEMS]
    found = []
    for row in rows[order].tolist():
        run = int(flipped[:, row].argmax())
        first, second = joined.first[run, row], joined.second[run, row]
        if targets.ndim == 2:
            found.append([ids[row], *(_labels(case, each) for each in (targets[row], holding(first), holding(second)))])
            continue
        answers = (int(targets[row]), int(first.argmax()), int(second.argmax()))
        found.append([ids[row], *(class_name(case, number) for number in answers)])
    return found


def _labels(case: Case, held: np.ndarray) -> str:
    """The labels that hold, as text."""
    return ", ".join(class_name(case, int(number)) for number in np.flatnonzero(held)) or "none"


def _test(case: Case, couple: tuple[str, str], run: str, won: np.ndarray, lost: np.ndarray) -> Evidence:
    b, c = int(won.sum()), int(lost.sum())
    exact, midp = mcnemar(b, c)
    return Evidence(
        id=f"{evidence_id('mcnemar_midp', couple[0], couple[1], case.split)}:{run}",
        arm=couple[0],
        versus=couple[1],
        quantity="mcnemar_midp",
        value=midp,
        unit="probability",
        direction="lower",
        split=case.split,
        p=midp,
        n=len(won),
        seeds=1,
        pairing="item",
        method="McNemar mid-p of one run; items are taken as independent",
        provenance={"run": run, "won": b, "lost": c, "exact_p": exact},
    )
