"""Simulated predictions whose truth is known, for the gates; without them "2.5 %" would be a promise on paper.

`locked` extends the two-arm world of `evaluation/null_model.py`: the same draws are read at several true gains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from evaluation.null_model import ACCURACY, SHARED, World

FOLDS = 5


@dataclass(frozen=True)
class Draw:
    """Latent margins of one simulated trial of two arms, [k, N] each; right where they exceed −ability."""

    world: World
    first: np.ndarray
    second: np.ndarray

    def differences(self, gain: float) -> np.ndarray:
        """Differences in right answers [k, N] where the true accuracies differ by `gain`."""
        better, base = (np.float32(-self.world.ability(ACCURACY + each)) for each in (gain, 0.0))
        return np.subtract(self.first > better, self.second > base, dtype=np.float64)


def locked(world: World, trials: int, seed: int) -> Iterator[Draw]:
    """So many trials: hard items shared by both arms, what an arm never learns, the luck of each run, and the rest."""
    rng = np.random.default_rng(seed)
    persistent, rest = (np.float32(world.own * share**0.5) for share in (world.persistence, 1.0 - world.persistence))
    runs, items = world.runs, world.items

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, dtype=np.float32)

    for _ in range(trials):
        shared = normal(items) * np.float32(SHARED)
        arms = []
        for _ in range(2):
            latent = shared + persistent * normal(items) + np.float32(world.run_sd) * normal(runs, 1)
            arms.append(latent + rest * normal(runs, items) if rest > 0 else np.broadcast_to(latent, (runs, items)))
        yield Draw(world, *arms)


@dataclass(frozen=True)
class Learners:
    """Two equally good learners, cross-fitted on n rows of two classes: each sees `columns` of its own (and `common`
    ones), so that neither is better in expectation over training rows.

    `kind` is `means` (nearest class mean: stable) or `jump` (the best single column, chosen in each fold: unstable).
    """

    kind: str
    rows: int
    columns: int
    common: int
    repeats: int

    def __str__(self) -> str:
        return f"{self.kind}, n={self.rows}, {self.columns}+{self.common} columns, {self.repeats} repeats"


@dataclass(frozen=True)
class Fitted:
    """Differences in right answers [repeats, N], the fold of each row, and the trained models' true difference."""

    differences: np.ndarray
    folds: np.ndarray
    truth: float


def crossfitted(world: Learners, trials: int, seed: int) -> Iterator[Fitted]:
    """So many data sets, each cross-fitted in `repeats` deals of five folds."""
    rng = np.random.default_rng(seed)
    fit = _means if world.kind == "means" else _jump
    for _ in range(trials):
        labels = rng.integers(0, 2, world.rows)
        signs = 2.0 * labels - 1.0
        blocks, centre = _blocks(rng, world, signs)
        folds = np.stack([rng.permutation(np.arange(world.rows) % FOLDS) for _ in range(world.repeats)])
        found, truths = [], []
        for dealt in folds:
            answers = [fit(block, labels, dealt, centre) for block in blocks]
            found.append(np.subtract(answers[0][0], answers[1][0], dtype=np.float64))
            truths.append(answers[0][1] - answers[1][1])
        yield Fitted(np.stack(found), folds, float(np.mean(truths)))


def _blocks(rng: np.random.Generator, world: Learners, signs: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """The columns of both learners and the class centre they share."""
    if world.kind == "jump":
        centre = np.linspace(0.4, 0.12, world.columns)
    else:
        centre = np.full(world.columns, world.columns**-0.5)
    own = [rng.normal(size=(world.rows, world.columns)) + signs[:, None] * centre for _ in range(2)]
    if not world.common:
        return own, centre
    more = np.full(world.common, world.common**-0.5)
    shared = rng.normal(size=(world.rows, world.common)) + signs[:, None] * more
    return [np.concatenate([block, shared], axis=1) for block in own], np.concatenate([centre, more])


def _means(block: np.ndarray, labels: np.ndarray, folds: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, float]:
    """Right answers [N] of the nearest class mean of the other folds, and the mean true accuracy of its models."""
    member = np.eye(FOLDS)[folds]
    sums = np.stack([member[labels == side].T @ block[labels == side] for side in (0, 1)])
    counts = np.stack([member[labels == side].sum(axis=0) for side in (0, 1)])
    means = (sums.sum(axis=1, keepdims=True) - sums) / (counts.sum(axis=1, keepdims=True) - counts)[..., None]
    weights = means[1] - means[0]
    offset = -(means[1] ** 2 - means[0] ** 2).sum(axis=1) / 2.0
    scores = np.einsum("nd,nd->n", block, weights[folds]) + offset[folds]
    size, lean = np.sqrt((weights**2).sum(axis=1)), weights @ centre
    true = (ndtr((lean + offset) / size) + ndtr((lean - offset) / size)) / 2.0
    return (scores > 0) == (labels == 1), float(true[folds].mean())


def _jump(block: np.ndarray, labels: np.ndarray, folds: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, float]:
    """Right answers [N] of the column that is right most often in the other folds, and its mean true accuracy."""
    right = (block > 0) == (labels == 1)[:, None]
    best = np.array([right[folds != fold].mean(axis=0).argmax() for fold in range(FOLDS)])
    return right[np.arange(len(labels)), best[folds]], float(ndtr(centre)[best[folds]].mean())


def many_arms(arms: int, runs: int, items: int, seed_sd: float, trials: int, seed: int) -> Iterator[np.ndarray]:
    """Right answers [arms, k, N] of equally good arms that share hard items."""
    rng, base = np.random.default_rng(seed), World(runs, items, seed_sd)
    limit = np.float32(-base.ability(ACCURACY))
    for _ in range(trials):
        latent = rng.standard_normal((1, 1, items), dtype=np.float32)
        latent = latent + np.float32(0.7) * rng.standard_normal((arms, 1, items), dtype=np.float32)
        latent = latent + np.float32(base.run_sd) * rng.standard_normal((arms, runs, 1), dtype=np.float32)
        yield (latent > limit).astype(np.float64)


def classified(
    classes: int, runs: int, items: int, trials: int, seed: int
) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    """Targets and probabilities [k, N, C] of two equally good arms that share hard items, calibrated in expectation."""
    rng = np.random.default_rng(seed)
    for _ in range(trials):
        targets = rng.integers(0, classes, items)
        shared = 2.0 * np.eye(classes)[targets] + rng.normal(size=(items, classes))
        arms = []
        for _ in range(2):
            scores = shared + 0.7 * rng.normal(size=(items, classes)) + 0.3 * rng.normal(size=(runs, items, classes))
            odds = np.exp(1.2 * (scores - scores.max(axis=2, keepdims=True)))
            arms.append(odds / odds.sum(axis=2, keepdims=True))
        yield targets, arms
