"""Transferability scores: LogME beside the published algorithm, and all subsets beside one call each. CPU time."""

from __future__ import annotations

import os
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.stats import multivariate_normal

from benchmarks.pairs import Act, line, ratio, seconds
from transfuse.evaluation.material import Material, value
from transfuse.evaluation.probes.band import reduced
from transfuse.evaluation.probes.lattice import logme_of_sets, subsets
from transfuse.evaluation.probes.moments import moments
from transfuse.evaluation.probes.ridge import Heads
from transfuse.threads import cores, linear_algebra

ROWS, CLASSES = 5000, 100
LARGE, SOURCES, NARROW = 2048, 8, 128
PAIRS = 3
# Work that ends with the process that started it.
BUSY = "import os; first = os.getppid()\nwhile os.getppid() == first: pass"


def made(rows: int, width: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rectified features of classes that overlap, and their class numbers."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, rows)
    centres = rng.normal(size=(classes, 32))
    hidden = centres[targets] + 1.5 * rng.normal(size=(rows, 32))
    return np.maximum(hidden @ rng.normal(size=(32, width)) + rng.normal(size=(rows, width)), 0.0), targets


def published(features: np.ndarray, targets: np.ndarray) -> float:
    """The published algorithm with all work that it does, in plain NumPy: its mean evidence per row.

    N > D: singular vectors of the Gram matrix, those of rank only, and the rows turned by them; else of the features.
    Then class after class at most 11 rounds of the fixed point from a = b = 1, sums of squares held off 0 by 1e-5, the
    evidence in every round, an end where a/b moves by a thousandth; and the class's weights, which it keeps.
    """
    rows, width = features.shape
    left, values, right = _decomposed(features)
    squares, found, weights = values**2, [], []
    for number in range(int(targets.max()) + 1):
        indicator = (targets == number).astype(np.float64)
        sides = left.T @ indicator
        parts = sides**2
        rest = float(indicator @ indicator - parts.sum())
        alpha, beta, ratio_, evidence = 1.0, 1.0, 1.0, 0.0
        for _ in range(11):
            ratio_ = alpha / beta
            gamma = float((squares / (squares + ratio_)).sum())
            norm = float((squares * parts / (squares + ratio_) ** 2).sum())
            residual = float((parts / (1.0 + squares / ratio_) ** 2).sum()) + rest
            alpha, beta = gamma / (norm + 1e-5), (rows - gamma) / (residual + 1e-5)
            logs = width * np.log(alpha) + rows * np.log(beta / (2 * np.pi)) - np.log(alpha + beta * squares).sum()
            evidence = float(logs - beta * residual - alpha * norm) / (2 * rows)
            if abs(alpha / beta - ratio_) <= 1e-3 * ratio_:
                break
        found.append(evidence)
        weights.append(right.T @ (values * sides / (squares + ratio_)))
    return float(np.mean(found)) if np.isfinite(weights).all() else float("nan")


def published_first(features: np.ndarray, targets: np.ndarray) -> float:
    """The algorithm as it was first published (ICML 2021), with all work that it does: its mean evidence per row.

    Singular vectors of the Gram matrix; then class after class at most 11 rounds from a = b = 1 with the weights of all
    columns and the residuals of all rows in every round, an end where a/b moves by a hundredth.
    """
    rows, width = features.shape
    vectors, values, turned = np.linalg.svd(features.T @ features)
    found = []
    for number in range(int(targets.max()) + 1):
        indicator = (targets == number).astype(np.float64)
        sides = turned @ (features.T @ indicator)
        alpha, beta, norm, residual = 1.0, 1.0, 0.0, 0.0
        ratio_ = 1.0
        for _ in range(11):
            weights = vectors @ (sides * beta / (alpha + beta * values))
            gamma = float((values / (values + ratio_)).sum())
            norm = float(weights @ weights)
            residual = float(np.square(indicator - features @ weights).sum())
            alpha, beta = gamma / (norm + 1e-5), (rows - gamma) / (residual + 1e-5)
            moved = abs(alpha / beta - ratio_) / ratio_
            if moved < 1e-2:
                break
            ratio_ = alpha / beta
        logs = width * np.log(alpha) + rows * np.log(beta / (2 * np.pi)) - np.log(alpha + beta * values).sum()
        found.append(float(logs - beta * (residual + 1e-5) - alpha * (norm + 1e-5)) / (2 * rows))
    return float(np.mean(found))


def _decomposed(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Left singular vectors [N, k], singular values [k], right ones [k, D], as the published code has them."""
    if len(features) <= features.shape[1]:
        return np.linalg.svd(features, full_matrices=False)
    _, values, right = np.linalg.svd(features.T @ features)
    values = np.sqrt(values)
    rank = int((values > 1e-10).sum())
    return (features @ right.T)[:, :rank] / values[:rank], values[:rank], right[:rank]


def originals() -> dict[str, Callable[[np.ndarray, np.ndarray], float]]:
    """The authors' own code, both ways that it has, where `TRANSFUSE_LOGME_ORIGINAL` names their `LogME.py` (it needs
    numba); else nothing."""
    path = os.environ.get("TRANSFUSE_LOGME_ORIGINAL")
    if not path:
        return {}
    kind = runpy.run_path(path)["LogME"]
    found = {
        "2022": lambda features, targets: float(kind()._fit_fixed_point(features, targets)),
        "2021": lambda features, targets: float(kind()._fit_icml(features, targets)),
    }
    for each in found.values():
        # It is compiled when it is first called.
        each(*made(60, 8, 3))
    return found


def single() -> list[str]:
    """One score of a wide block, beside the published algorithms, the authors' code and the exact density."""
    features, targets = made(ROWS, LARGE, CLASSES)
    size = f"N {ROWS:,}, D {LARGE:,}, C {CLASSES}"
    rows, others = [], {"2022": published, "2021": published_first}
    for year, other in others.items():
        rows += _beside(f"LogME of {year} / ours, {size}", other, features, targets)
    for year, other in originals().items():
        rows += _beside(f"LogME of {year}, the authors' code / ours", other, features, targets)
    return [
        *rows,
        *_crowded(features, targets),
        *_floor(features),
        *_parts(features, targets),
        f"{'  difference to the exact density, N 400, D 64 and N 90, D 200':<58} {exact():.1e}  ≤ 1e-8 wanted",
    ]


def _crowded(features: np.ndarray, targets: np.ndarray) -> list[str]:
    """Wall time where every core has other work as well, each side as it comes: NumPy starts a thread a core, and they
    wait for each other; we start one."""
    other = originals().get("2022", published)
    busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(cores())]

    def theirs() -> None:
        with linear_algebra(cores()):
            other(features, targets)

    def ours() -> None:
        with linear_algebra():
            _ours(features, targets)

    try:
        found = ratio(theirs, ours, pairs=PAIRS, warm_up=0, clock=time.perf_counter)
    finally:
        for each in busy:
            each.kill()
            each.wait()
    return [line("LogME of 2022 / ours on busy cores, wall time", found, "≥ 8 wanted")]


def _floor(features: np.ndarray) -> list[str]:
    """What no exact way known to us goes below here: one Gram matrix, and 4/3 D³ operations of a reduction at the speed
    of a matrix product."""
    gram = min(seconds(lambda: features.T @ features) for _ in range(PAIRS))
    square = np.ascontiguousarray(features[:LARGE])
    rate = 2 * LARGE**3 / min(seconds(lambda: square @ square) for _ in range(PAIRS))
    reduction = 4 / 3 * LARGE**3 / rate
    told = f"{gram:.2f} + {reduction:.2f} = {gram + reduction:.2f} (products at {rate / 1e9:.1f} GFLOP/s)"
    return [f"{'  Gram matrix and a reduction at the speed of products':<58} {told}"]


def _parts(features: np.ndarray, targets: np.ndarray) -> list[str]:
    """Where our own time goes."""
    kept: dict[str, Any] = {}

    def form() -> None:
        kept["form"] = reduced(kept["moments"].gram, kept["moments"].sums)

    acts: dict[str, Act] = {
        "centring, Gram matrix, class sums": lambda: kept.update(moments=moments(features, targets, CLASSES)),
        "reduction to a band": form,
        "the evidence of all classes at one ratio": lambda: kept["form"].at(1.0),
    }
    return [
        f"{f'  {what}, CPU seconds':<58} {min(seconds(act) for _ in range(PAIRS)):.3f}" for what, act in acts.items()
    ]


def _beside(
    what: str, other: Callable[[np.ndarray, np.ndarray], float], features: np.ndarray, targets: np.ndarray
) -> list[str]:
    """Rows of one comparison: the ratio, the seconds of both, and how far the values are apart."""
    kept: dict[str, float] = {}
    spent: dict[str, list[float]] = {"ours": [], "theirs": []}

    def ours() -> None:
        spent["ours"].append(seconds(lambda: kept.update(ours=_ours(features, targets))))

    def theirs() -> None:
        spent["theirs"].append(seconds(lambda: kept.update(theirs=other(features, targets))))

    found = ratio(theirs, ours, pairs=PAIRS, warm_up=0)
    medians = " / ".join(f"{statistics.median(spent[name]):.2f}" for name in ("theirs", "ours"))
    apart = kept["ours"] - kept["theirs"]
    return [
        line(what, found, "≥ 8 wanted"),
        f"{'  CPU seconds, medians':<58} {medians}",
        f"{'  ours less theirs (it stops early)':<58} {apart:.1e}",
    ]


def _ours(features: np.ndarray, targets: np.ndarray) -> float:
    return float(value("logme", Material(features, targets, CLASSES)))  # pyright: ignore[reportArgumentType]


def exact() -> float:
    """The largest difference of a class's evidence to the normal density at our own optimum, refined by coordinates."""
    from scipy.optimize import minimize

    worst = 0.0
    for rows, width in ((400, 64), (90, 200)):
        features, targets = made(rows, width, 2, seed=1)
        kernel, densities = features @ features.T, []
        for number in range(2):
            indicator = (targets == number).astype(float)

            def loss(logs: np.ndarray, kernel: np.ndarray = kernel, indicator: np.ndarray = indicator) -> float:
                covariance = np.eye(len(kernel)) * np.exp(logs[0]) + kernel * np.exp(logs[1])
                density = multivariate_normal(np.zeros(len(kernel)), covariance, allow_singular=True)
                return -float(density.logpdf(indicator)) / len(kernel)

            options = {"xatol": 1e-8, "fatol": 1e-13, "maxiter": 400}
            densities.append(-minimize(loss, [-2.0, -6.0], method="Nelder-Mead", options=options).fun)
        ours = float(value("logme", Material(features, targets, 2)))  # pyright: ignore[reportArgumentType]
        worst = max(worst, abs(ours - float(np.mean(densities))))
    return worst


def every_subset() -> list[str]:
    """All 255 subsets of 8 sources from shared inner products, beside 255 calls of the single score."""
    blocks = {f"s{place}": made(ROWS, NARROW, CLASSES, seed=2)[0] for place in range(SOURCES)}
    targets = made(ROWS, NARROW, CLASSES, seed=2)[1]
    rng = np.random.default_rng(3)
    blocks = {name: block + rng.normal(size=block.shape) for name, block in blocks.items()}
    sets = subsets(blocks)
    shared: dict[tuple[str, ...], object] = {}
    alone: dict[tuple[str, ...], object] = {}

    spent: list[float] = []

    def ours() -> None:
        spent.append(seconds(lambda: shared.update(logme_of_sets(blocks, targets, CLASSES, sets)[0])))

    def calls() -> None:
        for names in sets:
            features = np.concatenate([blocks[name] for name in names], axis=1)
            alone[names] = value("logme", Material(features, targets, CLASSES))

    found = ratio(calls, ours, pairs=1, warm_up=0)
    apart = max(abs(float(shared[names]) - float(alone[names])) for names in sets)  # pyright: ignore[reportArgumentType]
    size = f"{SOURCES} sources of {NARROW}, N {ROWS:,}, C {CLASSES}"
    return [
        line(f"255 subset LogMEs, one by one / shared, {size}", found, "≥ 3 wanted"),
        f"{'  shared, CPU seconds':<58} {spent[0]:6.1f}  ≤ 30 wanted",
        f"{'  largest difference':<58} {apart:.1e}  ≤ 1e-8 wanted",
    ]


def ridge() -> list[str]:
    """Ridge heads on all subsets, out of fold."""
    blocks = {f"s{place}": made(ROWS, NARROW // 2, 10, seed=place)[0] for place in range(SOURCES)}
    targets = made(ROWS, NARROW // 2, 10, seed=0)[1]
    folds = np.arange(ROWS) % 3
    sets = subsets(blocks)
    spent = seconds(lambda: Heads(blocks, targets, 10, folds).answers(sets, [1e-3]))
    what = f"255 ridge heads, 3 folds, {SOURCES} sources of {NARROW // 2}, C 10, CPU seconds"
    return [f"{what:<58} {spent:6.1f}  ≤ 10 wanted"]


def table() -> list[str]:
    """All rows."""
    return [*single(), *every_subset(), *ridge()]
