"""The cells of the release gates and what is measured in each; `python -m gates.table` prints them all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import combinations, product

import numpy as np
from scipy.stats import binom

from evaluation.null_model import ACCURACY, World
from gates import worlds
from transfuse.evaluation.claims import status, statuses
from transfuse.evaluation.metric import metric
from transfuse.evaluation.statistics.bootstrap import interval as bootstrapped
from transfuse.evaluation.statistics.bootstrap import resample
from transfuse.evaluation.statistics.folds import corrected
from transfuse.evaluation.statistics.permutation import family, max_t
from transfuse.evaluation.statistics.power import shown_from
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.types import Undefined

TRIALS = 2000
MARGIN = 0.01
LEVEL, FAMILY_LEVEL, EQUIVALENCE_LEVEL, POWER = 0.025, 0.05, 0.05, 0.75
Cell = Callable[[], "Row"]
Judge = Callable[..., "Interval | Undefined"]


@dataclass(frozen=True)
class Row:
    """One cell: shares of trials. None where it was not asked. `told` are shares that are shown but not held."""

    group: str
    cell: str
    trials: int
    false_at_0: float | None = None
    false_at_margin: float | None = None
    false_equivalent: float | None = None
    family_false: float | None = None
    power: float | None = None
    effect: float | None = None
    coverage: float | None = None
    told: str = ""


def most(level: float, trials: int, tests: int = 1000) -> float:
    """The largest share that a true rate of `level` gives, but for one in twenty grids of so many tests."""
    return float(binom.ppf(1.0 - 0.05 / tests, trials, level)) / trials


def problems(row: Row, tests: int = 1000) -> list[str]:
    """What this cell breaks, as one of so many."""
    limits = (
        ("false claims at difference 0", row.false_at_0, LEVEL),
        ("false claims at the margin", row.false_at_margin, LEVEL),
        ("false equivalence at the margin", row.false_equivalent, EQUIVALENCE_LEVEL),
        ("false claims in the family", row.family_false, FAMILY_LEVEL),
        ("what the interval misses", None if row.coverage is None else 1.0 - row.coverage, 2 * LEVEL),
    )
    found = [
        f"{what}: {share:.3f} > {most(level, row.trials, tests):.3f}"
        for what, share, level in limits
        if share is not None and share > most(level, row.trials, tests)
    ]
    return found + ([f"power {row.power:.2f} < {POWER}"] if row.power is not None and row.power < POWER else [])


def word(found: Interval | Undefined, margin: float) -> str:
    """What the judge says of this interval; higher is better."""
    if isinstance(found, Undefined):
        return "not shown"
    return status(found.low, found.high, found.low90, found.high90, margin, "higher")


# -- the locked protocol -----------------------------------------------------------------------------------------------

RUNS, SPREADS = (2, 3, 5, 10), (0.0, 0.005, 0.01)
LOCKED = [
    *(
        World(runs, items, spread, persistence, 0.7)
        for runs, items, spread, persistence in product(RUNS, (100, 300, 1000), SPREADS, (0.3, 1.0))
    ),
    # Arms whose errors are more and less correlated than those above.
    *(World(runs, 1000, spread, 0.7, own) for runs, spread, own in product(RUNS, SPREADS, (0.4, 1.0))),
    *(World(runs, 10_000, spread, 0.7, 0.5) for runs, spread in product(RUNS, SPREADS)),
]
# One run knows nothing of the spread over runs: its claim is about these trained models, which do not differ here.
ONE_RUN = [World(1, items, 0.0, 1.0, own) for items, own in product((100, 300, 1000, 10_000), (0.5, 1.0))]


def locked_row(
    world: World, judge: Judge = moments, trials: int = TRIALS, seed: int = 11, *, power: bool = True
) -> Row:
    """False claims at 0 and at the margin, false equivalence, coverage, and power at the printed effect."""
    none, margin, equal, covered, effects, kept = 0, 0, 0, 0, [], []
    for draw in worlds.locked(world, trials, seed):
        at_0, at_margin = judge(draw.differences(0.0)), judge(draw.differences(MARGIN))
        none += word(at_0, 0.0) == "better"
        margin += word(at_margin, MARGIN) == "better"
        equal += word(at_margin, MARGIN) == "equivalent"
        # Where nothing varies there is no interval, and nothing is claimed.
        covered += isinstance(at_0, Undefined) or at_0.low <= 0.0 <= at_0.high
        if isinstance(at_0, Interval):
            effects.append(shown_from(at_0))
    effect = float(np.mean(effects)) if effects else None
    if power and effect is not None and ACCURACY + effect < 0.97:
        kept = [word(judge(draw.differences(effect)), 0.0) for draw in worlds.locked(world, trials, seed + 1)]
    shares = [count / trials for count in (none, margin, equal, covered)]
    found = kept.count("better") / trials if kept else None
    cell = (
        f"k={world.runs}, n={world.items:,}, spread {100 * world.seed_sd:g}, persistence {world.persistence:g},"
        f" own {world.own:g}"
    )
    return Row("locked", cell, trials, *shares[:3], power=found, effect=effect, coverage=shares[3])


# -- chosen on validation rows, families, and all that is required -----------------------------------------------------

CHOSEN = [*product((1,), (300, 2000), (0.0,)), *product((5,), (300, 2000), (0.0, 0.005))]


def chosen_row(runs: int, items: int, seed_sd: float, *, on_judged: bool = False, trials: int = TRIALS) -> Row:
    """The best of five equal candidates on 300 rows apart, against an equal single: false claims of the chosen."""
    none, spread = 0, 0.0 if runs == 1 else seed_sd
    for right in worlds.many_arms(6, runs, items + 300, spread, trials, seed=21):
        rows = slice(300, None) if on_judged else slice(300)
        best = 1 + int(right[1:, :, rows].mean(axis=(1, 2)).argmax())
        none += word(moments(right[best, :, 300:] - right[0, :, 300:]), 0.0) == "better"
    cell = f"best of 5 on 300 rows, k={runs}, n={items:,}, spread {100 * spread:g}"
    return Row("chosen on validation", cell, trials, none / trials)


FAMILIES = [
    *product((1,), (300, 2000), (0.0,)),
    *product((3,), (300, 2000), (0.0, 0.01)),
    *product((5,), (300,), (0.0, 0.01)),
]


def family_row(runs: int, items: int, seed_sd: float, *, rule: str = "Holm", trials: int = TRIALS) -> Row:
    """All ten pairs of five equal arms: the share of trials with any false claim."""
    false, spread = 0, 0.0 if runs == 1 else seed_sd
    pairs = list(combinations(range(5), 2))
    for right in worlds.many_arms(5, runs, items, spread, trials, seed=22):
        gaps = [right[one] - right[other] for one, other in pairs]
        if rule == "max-T":
            false += min(max_t(family(gaps), draws=2000)) < FAMILY_LEVEL
        else:
            found = statuses([moments(each) for each in gaps], 0.0, "higher", rule == "Holm")
            false += any(each in ("better", "worse") for each in found)
    cell = f"10 pairs of 5 equal arms by {rule}, k={runs}, n={items:,}, spread {100 * spread:g}"
    return Row("family", cell, trials, family_false=false / trials)


REQUIRED = list(product((1, 5), (300, 2000)))


def required_row(runs: int, items: int, trials: int = TRIALS) -> Row:
    """Three required comparisons, the winner equal to one opponent and 3 points better than the others: the share of
    trials in which all three are shown."""
    none, world = 0, World(runs, items, 0.0 if runs == 1 else 0.005, 1.0)
    rng = np.random.default_rng(23)
    for _ in range(trials):
        shared = rng.normal(size=items)
        best, equal = (world.right(rng, shared, ACCURACY) for _ in range(2))
        weak = [world.right(rng, shared, ACCURACY - 0.03) for _ in range(2)]
        found = statuses([moments(best - other) for other in (equal, *weak)], 0.0, "higher", corrected=False)
        none += all(each == "better" for each in found)
    return Row("required", f"3 required, one of them equal, k={runs}, n={items:,}", trials, none / trials)


# -- cross-fitting -----------------------------------------------------------------------------------------------------

STABLE = [
    worlds.Learners("means", rows, columns, common, repeats)
    for rows, columns, common in ((100, 20, 0), (300, 60, 0), (300, 20, 40), (1000, 2, 0))
    for repeats in (1, 2, 10)
]
JUMPING = [worlds.Learners("jump", rows, 10, 0, repeats) for rows, repeats in product((100, 300), (1, 3))]


def crossfit_row(world: worlds.Learners, trials: int = TRIALS, seed: int = 31) -> Row:
    """False claims about the trained models (their true difference is known), and about the methods (it is 0).

    Repeats are judged with the corrected variance, one set of folds over its items, as the judge does.
    """
    trained, methods, covered, plain, powers, effects = 0, 0, 0, 0, 0, []
    for data in worlds.crossfitted(world, trials, seed):
        over_items = moments(data.differences)
        found = corrected(data.differences, data.folds) if world.repeats > 1 else over_items
        plain += isinstance(over_items, Interval) and over_items.low > 0
        if isinstance(found, Undefined):
            covered += 1
            continue
        trained += found.low > data.truth
        covered += found.low <= data.truth <= found.high
        methods += found.low > 0
        effect = shown_from(found)
        effects.append(effect)
        powers += found.low + effect > data.truth
    told = f"about the methods {100 * methods / trials:.1f} %, by items alone {100 * plain / trials:.1f} %"
    shares = [count / trials for count in (trained, covered, powers)]
    effect = float(np.mean(effects))
    if world.kind != "means":
        told = f"about the trained models {100 * shares[0]:.1f} %, coverage {100 * shares[1]:.1f} %, {told}"
        return Row("cross-fitted, unstable", str(world), trials, told=told)
    false = max(shares[0], methods / trials) if world.repeats > 1 else shares[0]
    return Row("cross-fitted", str(world), trials, false, power=shares[2], effect=effect, coverage=shares[1], told=told)


# -- metrics that are no means over items ------------------------------------------------------------------------------

RESAMPLED = [
    *product(("worst_class", "macro_f1", "ece"), ((1, 300),)),
    *product(("worst_class", "ece"), ((5, 300),)),
    ("ece", (1, 1000)),
]
BATCH = 25


def resampled_row(name: str, size: tuple[int, int], trials: int = TRIALS) -> Row:
    """False claims of the crossed bootstrap, centred percentiles and BCa, of two equal arms. Many simulations share one
    matrix of counts and one product."""
    (runs, items), chosen = size, metric(name)
    false, covered, biased, held = 0, 0, 0, []
    for targets, arms in worlds.classified(4, runs, items, trials, seed=41):
        held += [([chosen.columns(targets, run) for run in arm], chosen.finish) for arm in arms]
        if len(held) == 2 * BATCH:
            drawn = resample(held, items)
            for one, other in zip(drawn[::2], drawn[1::2], strict=True):
                found = bootstrapped(one.minus(other))
                if isinstance(found, Interval):
                    false += found.low > 0
                    covered += found.low <= 0 <= found.high
                    biased += found.bca is not None and found.bca[0] > 0
                else:
                    covered += 1
            held = []
    told = f"BCa {100 * biased / trials:.1f} %"
    cell = f"{name}, 4 classes, k={runs}, n={items:,}"
    return Row("bootstrap", cell, trials, false / trials, coverage=covered / trials, told=told)


def locked_cells() -> Iterator[Cell]:
    """The cells of two arms on one test set, as calls."""
    for world in (*ONE_RUN, *LOCKED):
        yield partial(locked_row, world)


def other_cells() -> Iterator[Cell]:
    """Choices, families, what is required, cross-fitting and resampled metrics, as calls."""
    for cell in CHOSEN:
        yield partial(chosen_row, *cell)
    for cell, rule in product(FAMILIES, ("Holm", "max-T")):
        yield partial(family_row, *cell, rule=rule)
    for cell in REQUIRED:
        yield partial(required_row, *cell)
    for world in (*STABLE, *JUMPING):
        yield partial(crossfit_row, world)
    for cell in RESAMPLED:
        yield partial(resampled_row, *cell)
