"""Do the models err differently? Without it nobody could say why an ensemble helps, or that it will not."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import ENSEMBLE, classifies, ensemble_members, joined, singles
from transfuse.evaluation.diversity import (
    Pool,
    agreement,
    disagreement_ratio,
    error_correlation,
    improvement_rate,
    pool,
    q_statistic,
)
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence, mean_of_items, smooth
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
DER = Quantity("der", "ratio", "higher", 0.0)
EIR = Quantity("eir", "ratio", "higher", None, 1.0)
NEVER = "no member ever errs"


def ask(case: Case) -> list[Evidence]:
    """Of each pair of judged singles: how often they answer differently, are wrong together, and how their errors
    correlate. Of the ensemble: the share of items that one member knows, what it gains over its average member (which
    is exactly the members' spread), and the disagreement–error ratio that foretells whether voting helps.

    Diversity explains a gain over the *average* member; only the comparisons tell of the *best* one.
    """
    if not classifies(case):
        return []
    rows = [row for couple in combinations(singles(case), 2) for row in _pair(case, *couple)]
    members = ensemble_members(case)
    return rows + (_ensemble(case, members) if len(members) > 1 else [])


def _pair(case: Case, first: str, second: str) -> list[Evidence]:
    both = pair(case.tables[first], case.tables[second])
    targets, groups = np.asarray(both.items.targets), both.items.groups
    one, other = both.first.argmax(axis=2), both.second.argmax(axis=2)
    cells = agreement(one == targets, other == targets)
    always = "one of the two is always right or always wrong"
    found = (
        (DISAGREEMENT, mean_of_items((one != other).astype(np.float64), both.runs, groups, both.note)),
        (DOUBLE_FAULT, mean_of_items(cells[..., 3], both.runs, groups, both.note)),
        (CORRELATION, smooth(cells, error_correlation, both.runs, groups, always)),
        (Q, smooth(cells, q_statistic, both.runs, groups, always)),
    )
    subject = Subject(first, second, case.split)
    return [evidence(quantity, subject, measured.without_p()) for quantity, measured in found]


def _ensemble(case: Case, members: tuple[str, ...]) -> list[Evidence]:
    known = joined([case.tables[name] for name in members])
    each = [pool([probs[run] for probs in known.probs], known.targets) for run in range(len(known.runs))]

    def of(name: str) -> np.ndarray:
        return np.stack([getattr(one, name) for one in each])

    def mean(name: str, note: str) -> Measured:
        return mean_of_items(of(name), known.runs, known.items.groups, note)

    error = of("member_error")
    der, eir = (
        smooth(np.stack([of(name), error], axis=-1), law, known.runs, known.items.groups, NEVER)
        for name, law in (("disagreement", disagreement_ratio), ("pool_error", improvement_rate))
    )
    beyond = "gain over the average member"
    found = (
        (ORACLE, mean("right_somewhere", "an upper bound of any choice between the members' answers"), {}),
        (BRIER, mean("ambiguity_brier", f"{beyond}, of the mean probabilities"), _losses(each, "brier")),
        (LOG_LOSS, mean("ambiguity_log_loss", f"{beyond}, of the geometric mean"), _losses(each, "log_loss")),
        (DER, der, {"reading": "voting helps markedly from about 1 on, little below"}),
        (EIR, eir, {"of": "the mean probabilities' answer", "majority_vote_error": float(of("vote_error").mean())}),
    )
    subject, about = Subject(ENSEMBLE, None, case.split), {"members": list(members)}
    return [evidence(quantity, subject, measured, about | more) for quantity, measured, more in found]


def _losses(each: list[Pool], name: str) -> dict[str, float]:
    """Mean loss of the members and of the pool; their difference is the ambiguity."""
    return {
        key: float(np.mean([getattr(one, field).mean() for one in each]))
        for key, field in (("mean_member", f"member_{name}"), ("pool", name))
    }
