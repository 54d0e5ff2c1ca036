"""Does the claim stand without a bell curve? Without it the p of three seeds could not be told from that of thirty."""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.cast import item_metric
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.evaluation.statistics.permutation import SignFlip, sign_flip, sign_flips
from transfuse.evaluation.tables import differences, pair
from transfuse.types import Evidence

ORDER = 22
CITATION = "Fisher, The design of experiments, 1935; Phipson, Smyth, 2010"
OVER_RUNS = Quantity("sign_flip_runs", "probability", "lower", 0.0, 1.0)
OVER_ITEMS = Quantity("sign_flip_items", "probability", "lower", 0.0, 1.0)


def ask(case: Case) -> list[Evidence]:
    """Of each comparison in the primary metric: the p of random signs of the runs' differences (for these items only),
    and of the items' mean differences over runs (for these trained models only). Neither corrects for the other.

    The smallest p that so few runs could ever give is told.
    """
    return [*_over_runs(case), *_over_items(case)]


def _over_runs(case: Case) -> list[Evidence]:
    metric, rows = find_metric(case.task.metric), []
    for arm, versus in case.comparisons:
        joined = pair(case.tables[arm], case.tables[versus])
        if len(joined.runs) > 1:
            targets = joined.items.targets
            gaps = metric.values(targets, joined.first) - metric.values(targets, joined.second)
            over = f"{len(gaps)} runs, for these items only"
            rows.append(_row(OVER_RUNS, Subject(arm, versus, case.split), sign_flip(gaps), over, metric.name))
    return rows


def _over_items(case: Case) -> list[Evidence]:
    metric = item_metric(case)
    if metric is None or not case.comparisons:
        return []
    known = case.tables[case.comparisons[0][0]].items
    gaps = []
    for arm, versus in case.comparisons:
        first = case.tables[arm]
        means = differences(first, case.tables[versus], metric).mean(axis=0)
        place = {item: row for row, item in enumerate(first.items.ids)}
        gaps.append(means[[place[item] for item in known.ids]])
    over = "items, for these trained models only"
    found = zip(case.comparisons, sign_flips(np.stack(gaps), known.groups), strict=True)
    return [_row(OVER_ITEMS, Subject(*couple, case.split), each, over, metric.name) for couple, each in found]


def _row(quantity: Quantity, subject: Subject, found: SignFlip, over: str, metric: str) -> Evidence:
    way = "all sign patterns" if found.exact else "4,999 drawn sign patterns"
    reach = {"metric": metric, "smallest_p": found.smallest, "exact": found.exact}
    if found.smallest > 0.05:
        reach["note"] = f"no p below {found.smallest:.2g} can be reached, so this test can show nothing at 5 %"
    measured = Measured(found.p, p=found.p, method=f"{way} of {over}")
    return evidence(quantity, subject, measured, reach)
