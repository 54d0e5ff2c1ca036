"""Which arms are worth their cost? Without it a table of losses and costs leaves the weighing to the eye."""

from __future__ import annotations

from transfuse.evaluation.case import Case
from transfuse.evaluation.measure import compare
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.recommend import may_ship
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence
from transfuse.evaluation.statistics.resample import Interval
from transfuse.types import Arm, Cost, Evidence

ORDER = 55
PARETO = Quantity("pareto", "1 = on the front", "higher", 0.0, 1.0)
METHOD = "an arm is off the front only where an arm that costs no more is shown better, or no worse and costs less"


def ask(case: Case) -> list[Evidence]:
    """1 for each arm that may be shipped and is not shown dominated in the primary metric, inference FLOPs and
    parameters; 0 with the arms that dominate it.

    j dominates i where j costs no more in either count, and its gain over i is shown above 0 (95 % interval); or where
    j costs less and its gain is shown above −margin.
    """
    arms = [(arm, arm.cost) for arm in may_ship(case) if arm.cost is not None]
    if len(arms) < 2:
        return []
    rows = []
    for arm, cost in arms:
        by = [other.name for other, price in arms if other is not arm and _dominates(case, other, price, arm, cost)]
        found = Measured(float(not by), len(case.items), method=METHOD)
        rows.append(evidence(PARETO, Subject(arm.name, None, case.split), found, {"by": by}))
    return rows


def _dominates(case: Case, first: Arm, price: Cost, second: Arm, cost: Cost) -> bool:
    if price.inference_flops > cost.inference_flops or price.parameters > cost.parameters:
        return False
    less = price.inference_flops < cost.inference_flops or price.parameters < cost.parameters
    metric = find_metric(case.task.metric)
    found = compare(case.tables[first.name], case.tables[second.name], metric).interval
    if not isinstance(found, Interval):
        return False
    gain = -found.high if metric.direction == "lower" else found.low
    return gain > 0.0 or (less and gain > -case.margin_of(metric.name))
