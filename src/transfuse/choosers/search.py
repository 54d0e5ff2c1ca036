"""Coefficients are searched for by a model of the scores so far: a black box, whatever the merge does with them.

Tree-structured Parzen estimators (optuna, extra `tune`); the first point is equal weights. Every score counts in the
tuning budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from transfuse.errors import missing_extra

CITATION = "Bergstra et al., Algorithms for hyper-parameter optimization, NeurIPS 2011"
PARAMETERS: dict[str, dict[str, object]] = {}


def choose(
    space: Mapping[str, tuple[float, float]],
    score: Callable[[Mapping[str, float]], float],
    budget: int,
    rng: np.random.Generator,
    first: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """The values with the lowest loss of `budget` scores; of equal ones the earliest.

    The same scores lead to the same proposals: who remembers scores goes on where a search was interrupted. `first` is
    tried first, in place of equal weights.
    """
    try:
        import optuna  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise missing_extra("optuna", "tune", "a search for coefficients") from error

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=int(rng.integers(2**31))))
    start = dict.fromkeys(space, 1.0 / len(space)) if first is None else first
    study.enqueue_trial({name: min(max(start[name], low), high) for name, (low, high) in space.items()})
    study.optimize(
        lambda trial: score({name: trial.suggest_float(name, low, high) for name, (low, high) in space.items()}),
        n_trials=max(1, budget),
    )
    return {name: float(value) for name, value in study.best_params.items()}
