"""When does training reach the target? Without it "trains faster" would forget the runs that never get there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from transfuse.evaluation.case import Case
from transfuse.evaluation.metric import metric as find_metric
from transfuse.evaluation.rows import Measured, Quantity, Subject, evidence, mean_of_runs
from transfuse.evaluation.statistics.learning import ratio_interval
from transfuse.evaluation.statistics.survival import Times, first_reached, log_rank, median, restricted_mean
from transfuse.reads import RECIPIENT
from transfuse.types import Evidence, Observation, Undefined, Value

ORDER = 95
CITATION = "Kaplan, Meier, JASA, 1958; Mantel, 1966; Dodge et al. (compute to target)"
SEEN = "epoch_loss"
SPLIT = "selection"
NO_TARGET = "no target was fixed beforehand (judge.target)"
# Time by items gone through, by FLOPs from a cold start, and by FLOPs with the members' features kept.
CLOCKS = {
    "time_to_target_items": ("items", "items"),
    "time_to_target_flops": ("flops", "FLOPs"),
    "time_to_target_flops_warm": ("warm_flops", "FLOPs"),
}
# The user's own network by itself, and the winner's form with random weights.
BEGINNERS = (RECIPIENT, f"{RECIPIENT}/scratch", "scratch")
SPEED_UP = Quantity("speed_up", "times", "higher", 0.0)


@dataclass(frozen=True)
class Arrivals:
    """One arm's runs on one clock."""

    arm: str
    runs: tuple[str, ...]
    found: Times


def ask(case: Case) -> list[Evidence]:
    """Items and FLOPs until each arm's training first reaches the target, and the speed-up against the best single and
    against what starts from nothing: the user's own network, and the fusion from scratch.

    Runs that never get there are censored, not dropped: the mean is the area under Kaplan–Meier's curve. The target is
    a value of the primary metric on the selection rows, fixed before the run.
    """
    seen = [each for each in case.observations if each.quantity == SEEN]
    if not seen:
        return []
    if case.target is None:
        name, (_, unit) = next(iter(CLOCKS.items()))
        return [
            evidence(Quantity(name, unit, "lower"), Subject(case.winner, None, SPLIT), Measured.not_there(NO_TARGET))
        ]
    rows = []
    for name, (clock, unit) in CLOCKS.items():
        known = {each.arm: each for each in _arrivals(case, seen, clock, case.target)}
        rows += [_alone(case, each, Quantity(name, unit, "lower", 0.0)) for each in known.values()]
        for base in (known[name] for name in _bases(case) if name in known):
            rows += [_speed_up(each, base, clock) for each in known.values() if each is not base]
    return rows


def _bases(case: Case) -> tuple[str, ...]:
    """Who is run against: the best single, and arms that start from nothing."""
    names = (case.best_single, *(arm.name for arm in case.arms if arm.name in BEGINNERS))
    return tuple(dict.fromkeys(names))


def _arrivals(case: Case, seen: Iterable[Observation], clock: str, target: float) -> list[Arrivals]:
    sign = 1.0 if find_metric(case.task.metric).direction == "lower" else -1.0
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for each in seen:
        point = (float(getattr(each, clock)), sign * each.value)
        curves.setdefault(each.arm, {}).setdefault(each.run, []).append(point)
    found = []
    for arm, runs in sorted(curves.items()):
        ends = [first_reached(sorted(points), sign * target) for _, points in sorted(runs.items())]
        times = Times(np.array([time for time, _ in ends]), np.array([reached for _, reached in ends]))
        found.append(Arrivals(arm, tuple(sorted(runs)), times))
    return found


def _told(each: Arrivals) -> dict[str, float | None]:
    """The time of each run, None where it did not arrive."""
    ends = zip(each.runs, each.found.times, each.found.reached, strict=True)
    return {run: float(time) if reached else None for run, time, reached in ends}


def _alone(case: Case, each: Arrivals, quantity: Quantity) -> Evidence:
    found, subject = each.found, Subject(each.arm, None, SPLIT)
    middle = median(found)
    about = {
        "target": case.target,
        "by_run": _told(each),
        "censored": found.censored,
        "horizon": found.horizon,
        "median": None if isinstance(middle, Undefined) else middle,
    }
    if found.censored == len(found.times):
        reason = f"not reached in any of {len(found.times)} runs, watched up to {found.horizon:.4g} {quantity.unit}"
        return evidence(quantity, subject, Measured.not_there(reason), about)
    if found.censored:
        method = (
            f"restricted mean up to {found.horizon:.4g}; {found.censored} of {len(found.times)} runs did not arrive"
        )
        return evidence(quantity, subject, Measured(restricted_mean(found), method=method), about)
    times = dict(zip(each.runs, found.times.tolist(), strict=True))
    return evidence(quantity, subject, mean_of_runs(times), about)


def _speed_up(each: Arrivals, base: Arrivals, clock: str) -> Evidence:
    """Mean time of the best single over that of the arm, both up to the horizon that both were watched to."""
    limit = min(_watched(each.found), _watched(base.found))
    p = log_rank(each.found, base.found)
    subject = Subject(each.arm, base.arm, SPLIT, detail=clock)
    about = {
        "clock": clock,
        "horizon": None if np.isinf(limit) else limit,
        "censored": [each.found.censored, base.found.censored],
        "log_rank_p": None if isinstance(p, Undefined) else p,
    }
    if base.found.censored == len(base.runs) or each.found.censored == len(each.runs):
        who = each.arm if each.found.censored == len(each.runs) else base.arm
        return evidence(SPEED_UP, subject, Measured.not_there(f"{who} did not reach the target in any run"), about)
    own = restricted_mean(each.found, limit)
    if own <= 0.0:
        return evidence(SPEED_UP, subject, Measured.not_there(f"{each.arm} met the target at once"), about)
    method = "ratio of mean times; runs that did not arrive count up to the common horizon"
    value = restricted_mean(base.found, limit) / own
    low, high = ratio_interval(value, _without(each, base, limit)) or (None, None)
    over = f"; jackknife over {len(each.runs)} runs" if low is not None else ""
    return evidence(SPEED_UP, subject, Measured(value, low=low, high=high, method=method + over), about)


def _without(each: Arrivals, base: Arrivals, limit: float) -> list[Value]:
    """The speed-up without each run, where both arms have the same runs, and more than one."""
    if each.runs != base.runs or len(each.runs) < 2:
        return []
    found: list[Value] = []
    for place in range(len(each.runs)):
        first, second = (
            Times(np.delete(side.found.times, place), np.delete(side.found.reached, place)) for side in (base, each)
        )
        own = restricted_mean(second, limit)
        found.append(restricted_mean(first, limit) / own if own > 0.0 else Undefined("met at once"))
    return found


def _watched(found: Times) -> float:
    """Until when an arm was watched: no limit where all of its runs arrived."""
    return found.horizon if found.censored else float("inf")
