"""Do the models err differently? Without it nobody could say why an ensemble helps, or that it will not."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from transfuse.evaluation.answers import holding
from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import ENSEMBLE, answers, answers_numbers, ensemble_members, joined, singles, told
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence, mean_of_items, smooth
from transfuse.evaluation.statistics.diversity import (
    Pool,
    agreement,
    disagreement_ratio,
    error_correlation,
    improvement_rate,
    pool,
    pool_of_labels,
    pool_of_numbers,
    q_statistic,
    residual_correlation,
    residual_products,
)
from transfuse.evaluation.tables import pair
from transfuse.types import Evidence

ORDER = 60
CITATION = "Kuncheva, Whitaker, Machine Learning, 2003; Theisen et al., NeurIPS 2023; Wood et al., JMLR 2023"
DISAGREEMENT = Quantity("disagreement", "share", "higher", 0.0, 1.0)
DOUBLE_FAULT = Quantity("double_fault", "share", "lower", 0.0, 1.0)
CORRELATION = Quantity("error_correlation", "correlation", "lower", -1.0, 1.0)
Q = Quantity("q_statistic", "Q", "lower", -1.0, 1.0)
ORACLE = Quantity("oracle_accuracy", "share", "higher", 0.0, 1.0)
BRIER = Quantity("ambiguity_brier", "squared error", "higher", 0.0)
LOG_LOSS = Quantity("ambiguity_log_loss", "nats", "higher", 0.0)
SQUARED = Quantity("ambiguity_squared_error", "units²", "higher", 0.0)
DER = Quantity("der", "ratio", "higher", 0.0)
EIR = Quantity("eir", "ratio", "higher", None, 1.0)
NEVER = "no member ever errs"
BEYOND = "gain over the average member"


def ask(case: Case) -> list[Evidence]:
    """Of each pair of judged singles: how often they answer differently, are wrong together, and how their errors
    correlate. Of the ensemble: the share of items that one member knows, what it gains over its average member (which
    is exactly the members' spread), and the disagreement–error ratio that foretells whether voting helps.

    Of labels each one is a question of its own, averaged over labels. Of numbers: how errors correlate, the members'
    spread in squared error, and the share of their error that the mean removes. Diversity explains a gain over the
    *average* member; only the comparisons tell of the *best* one.
    """
    if not (answers(case) or answers_numbers(case)):
        return []
    of_pair, of_ensemble = (_numbers_pair, _numbers) if answers_numbers(case) else (_pair, _ensemble)
    rows = [row for couple in combinations(singles(case), 2) for row in of_pair(case, *couple)]
    members = ensemble_members(case)
    return rows + (of_ensemble(case, members) if len(members) > 1 else [])


def silent(case: Case) -> dict[str, str]:
    """Scores of anything say nothing of answers."""
    return told(case, "diversity", scores="scores per item tell no answers that could differ")


def _pair(case: Case, first: str, second: str) -> list[Evidence]:
    both = pair(case.tables[first], case.tables[second])
    targets, groups = np.asarray(both.items.targets), both.items.groups
    labels = targets.ndim == 2
    one, other = (holding(each) if labels else each.argmax(axis=2) for each in (both.first, both.second))
    cells, apart = agreement(one == targets, other == targets), (one != other).astype(np.float64)
    if labels:
        cells, apart = cells.mean(axis=2), apart.mean(axis=2)
    always = "one of the two is always right or always wrong"
    found = (
        (DISAGREEMENT, mean_of_items(apart, both.runs, groups, both.note)),
        (DOUBLE_FAULT, mean_of_items(cells[..., 3], both.runs, groups, both.note)),
        (CORRELATION, smooth(cells, error_correlation, both.runs, groups, always)),
        (Q, smooth(cells, q_statistic, both.runs, groups, always)),
    )
    subject, about = Subject(first, second, case.split), {"of": "labels, over all items"} if labels else None
    return [evidence(quantity, subject, measured.without_p(), about) for quantity, measured in found]


def _ensemble(case: Case, members: tuple[str, ...]) -> list[Evidence]:
    known = joined([case.tables[name] for name in members])
    law = pool_of_labels if known.targets.ndim == 2 else pool
    each = [law([probs[run] for probs in known.probs], known.targets) for run in range(len(known.runs))]

    def of(name: str) -> np.ndarray:
        return np.stack([getattr(one, name) for one in each])

    def mean(name: str, note: str) -> Measured:
        return mean_of_items(of(name), known.runs, known.items.groups, note)

    error = of("member_error")
    der, eir = (
        smooth(np.stack([of(name), error], axis=-1), law, known.runs, known.items.groups, NEVER)
        for name, law in (("disagreement", disagreement_ratio), ("pool_error", improvement_rate))
    )
    found = (
        (ORACLE, mean("right_somewhere", "an upper bound of any choice between the members' answers"), {}),
        (BRIER, mean("ambiguity_brier", f"{BEYOND}, of the mean probabilities"), _losses(each, "brier")),
        (LOG_LOSS, mean("ambiguity_log_loss", f"{BEYOND}, of the geometric mean"), _losses(each, "log_loss")),
        (DER, der, {"reading": "voting helps markedly from about 1 on, little below"}),
        (EIR, eir, {"of": "the mean probabilities' answer", "majority_vote_error": float(of("vote_error").mean())}),
    )
    subject, about = Subject(ENSEMBLE, None, case.split), {"members": list(members)}
    return [evidence(quantity, subject, measured, about | more) for quantity, measured, more in found]


def _numbers_pair(case: Case, first: str, second: str) -> list[Evidence]:
    """How the errors of two models of numbers correlate."""
    both = pair(case.tables[first], case.tables[second])
    targets = np.asarray(both.items.targets)
    columns = residual_products(both.first - targets, both.second - targets)
    same = "one of the two errs by the same everywhere"
    found = smooth(columns, residual_correlation, both.runs, both.items.groups, same)
    about = {"of": "errors in numbers, mean over targets"}
    return [evidence(CORRELATION, Subject(first, second, case.split), found.without_p(), about)]


def _numbers(case: Case, members: tuple[str, ...]) -> list[Evidence]:
    """What the mean of the members' numbers gains over their average error."""
    known = joined([case.tables[name] for name in members])
    each = [pool_of_numbers([found[run] for found in known.probs], known.targets) for run in range(len(known.runs))]
    spread, error, pooled = (
        np.stack([getattr(one, name) for one in each]) for name in ("ambiguity", "member_error", "pool_error")
    )
    runs, groups = known.runs, known.items.groups
    removed = smooth(np.stack([pooled, error], axis=-1), improvement_rate, runs, groups, NEVER)
    about, subject = {"members": list(members)}, Subject(ENSEMBLE, None, case.split)
    losses = {"mean_member": float(error.mean()), "pool": float(pooled.mean())}
    gained = mean_of_items(spread, runs, groups, f"{BEYOND}, of the mean of their numbers", size=0.0)
    return [
        evidence(SQUARED, subject, gained, about | losses),
        evidence(EIR, subject, removed, about | {"of": "squared error of the mean of the numbers"}),
    ]


def _losses(each: list[Pool], name: str) -> dict[str, float]:
    """Mean loss of the members and of the pool; their difference is the ambiguity."""
    return {
        key: float(np.mean([getattr(one, field).mean() for one in each]))
        for key, field in (("mean_member", f"member_{name}"), ("pool", name))
    }
