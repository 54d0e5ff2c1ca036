"""A ridge head on any set of sources, out of fold: without it, what a second source adds could not be asked in seconds.

Scores s = x W + b with W = (X_cᵀ X_c + c n D I)⁻¹ X_cᵀ Y_c become probabilities softmax(L s / T). A row is answered by
a head that never saw its fold; penalty c and temperature T are those that did best in the other folds, one held out
after the other. Inner products of the folds are added up, so every set of sources needs the rows once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np
from scipy.linalg import get_lapack_funcs

from transfuse.errors import UserError
from transfuse.evaluation.probes.moments import class_sums, narrowed
from transfuse.kinds import LEAST_PROBABILITY

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2)
LIFT = 20.0
TEMPERATURES = np.geomspace(1 / 8, 32, 13)
# So many places on, a temperature is four times as high.
FOURFOLD = 3
# The columns of all sources together; beyond them each source keeps its share of principal components.
WIDEST = 2048

Names = tuple[str, ...]
(_posv,) = get_lapack_funcs(("posv",), dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Answer:
    """What the head on one set of sources does, out of fold.

    `losses [N]` in nats and `right [N]`; `inner [F]` is, for each fold, the mean loss in the other folds of heads that
    saw neither: what a choice may rest on that is judged in that fold. `penalties`, `temperatures` [F].
    """

    losses: np.ndarray
    right: np.ndarray
    inner: np.ndarray
    penalties: np.ndarray
    temperatures: np.ndarray


class Heads:
    """Ridge heads over folds on the blocks [N, D_s] of several sources; `exact` is False where blocks were narrowed.

    Columns are standardised over all rows, without a look at the labels. Raises: `UserError` for fewer than 3 folds.
    """

    def __init__(
        self,
        blocks: Mapping[str, np.ndarray],
        targets: np.ndarray,
        classes: int,
        folds: np.ndarray,
        *,
        widest: int = WIDEST,
    ) -> None:
        numbers, self.fold = np.unique(folds, return_inverse=True)
        if len(numbers) < 3:
            raise UserError("a head judged out of fold needs at least three folds", got=str(len(numbers)))
        kept, self.exact = narrowed([standardised(block) for block in blocks.values()], widest)
        self.parts = dict(zip(blocks, kept, strict=True))
        ends = np.cumsum([0, *(part.shape[1] for part in kept)])
        self.columns = {name: np.arange(ends[place], ends[place + 1]) for place, name in enumerate(blocks)}
        self.targets, self.classes, self.count = np.asarray(targets), classes, len(numbers)
        self.labels = np.eye(classes)[self.targets]
        self.rows = [np.flatnonzero(self.fold == number) for number in range(self.count)]
        self._kernels: dict[str, np.ndarray] = {}

    @cached_property
    def block(self) -> np.ndarray:
        """All sources side by side. [N, D]."""
        return np.concatenate(list(self.parts.values()), axis=1)

    @cached_property
    def _grams(self) -> list[np.ndarray]:
        return [self.block[rows].T @ self.block[rows] for rows in self.rows]

    @cached_property
    def _crosses(self) -> list[np.ndarray]:
        return [class_sums(self.block[rows], self.targets[rows], self.classes) for rows in self.rows]

    def answers(self, sets: Sequence[Names], penalties: Sequence[float] = PENALTIES) -> dict[Names, Answer]:
        """The head on each of these sets of sources; the empty set answers with the class frequencies."""
        asked = [names for names in dict.fromkeys(sets) if names]
        sums = {names: np.zeros((self.count, len(penalties), len(TEMPERATURES))) for names in asked}
        for first, second in combinations(range(self.count), 2):
            system, edge = System(self, [first, second]), len(self.rows[second])
            rows = np.concatenate([self.rows[second], self.rows[first]])
            for names in asked:
                for place, scores in enumerate(system.scores(names, penalties, rows)):
                    # What was learned without both folds speaks of either, for what is judged in the other.
                    losses = _losses(scores, self.targets[rows], TEMPERATURES)
                    sums[names][first, place] += losses[:edge].sum(axis=0)
                    sums[names][second, place] += losses[edge:].sum(axis=0)
        chosen = {names: [self._chosen(sums[names][fold], fold) for fold in range(self.count)] for names in asked}
        found = {names: (np.zeros(len(self.targets)), np.zeros(len(self.targets))) for names in asked}
        for fold, rows in enumerate(self.rows):
            system = System(self, [fold])
            for names in asked:
                place, heat, _ = chosen[names][fold]
                (scores,) = system.scores(names, [penalties[place]], rows)
                found[names][0][rows] = _losses(scores, self.targets[rows], np.array([heat]))[:, 0]
                found[names][1][rows] = scores.argmax(axis=1) == self.targets[rows]
        made = {
            names: Answer(
                *found[names],
                np.array([each[2] for each in chosen[names]]),
                np.array([penalties[each[0]] for each in chosen[names]]),
                np.array([each[1] for each in chosen[names]]),
            )
            for names in asked
        }
        return made | ({(): self.prior()} if () in sets else {})

    def prior(self) -> Answer:
        """Class frequencies of the other folds, half a row added to each class. Krichevsky, Trofimov, 1981."""
        counts = np.stack([np.bincount(self.targets[rows], minlength=self.classes) for rows in self.rows])
        losses, right = np.zeros(len(self.targets)), np.zeros(len(self.targets))
        for fold, rows in enumerate(self.rows):
            left = counts.sum(axis=0) - counts[fold] + 0.5
            losses[rows] = -np.log(left / left.sum())[self.targets[rows]]
            right[rows] = self.targets[rows] == left.argmax()
        ones = np.ones(self.count)
        inner = np.array([losses[self.fold != fold].mean() for fold in range(self.count)])
        return Answer(losses, right, inner, np.full(self.count, np.inf), ones)

    def kernel(self, names: Names) -> np.ndarray:
        """Inner products of all rows in these sources. [N, N]."""
        for name in names:
            if name not in self._kernels:
                self._kernels[name] = self.parts[name] @ self.parts[name].T
        return np.sum([self._kernels[name] for name in names], axis=0)

    def _chosen(self, sums: np.ndarray, fold: int) -> tuple[int, float, float]:
        """The best penalty's place, its temperature by a parabola through the best three, and the mean loss there."""
        place, heat = np.unravel_index(int(sums.argmin()), sums.shape)
        others = len(self.targets) - len(self.rows[fold])
        step = 0.0
        if 0 < heat < len(TEMPERATURES) - 1:
            left, middle, right = sums[place, heat - 1 : heat + 2]
            bend = left - 2 * middle + right
            step = 0.5 * (left - right) / bend if bend > 0 else 0.0
        spacing = np.log(TEMPERATURES[1] / TEMPERATURES[0])
        return int(place), float(TEMPERATURES[heat] * np.exp(step * spacing)), float(sums[place, heat]) / others


class System:
    """The normal equations without some folds, for any set of sources: by columns where these are fewer than rows."""

    def __init__(self, heads: Heads, held: Sequence[int]) -> None:
        self.heads = heads
        self.train = np.flatnonzero(~np.isin(heads.fold, held))
        self.learned = [fold for fold in range(heads.count) if fold not in held]
        self.level = heads.labels[self.train].mean(axis=0)
        self.centre = heads.block[self.train].mean(axis=0)
        self._taken: tuple[np.ndarray, dict[str, np.ndarray]] | None = None

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        heads, rows = self.heads, len(self.train)
        gram = np.sum([heads._grams[fold] for fold in self.learned], axis=0)
        cross = np.sum([heads._crosses[fold] for fold in self.learned], axis=0)
        return gram - rows * np.outer(self.centre, self.centre), cross - rows * np.outer(self.centre, self.level)

    def scores(self, names: Names, penalties: Sequence[float], rows: np.ndarray) -> np.ndarray:
        """Scores of held rows under each penalty share c. [P, n, C]."""
        columns = np.concatenate([self.heads.columns[name] for name in names])
        amounts = [penalty * len(self.train) * len(columns) for penalty in penalties]
        if len(columns) > len(self.train):
            return self._by_rows(names, amounts, rows)
        gram, cross = self._moments
        system, sides = gram[np.ix_(columns, columns)], cross[columns]
        weights = np.hstack([shifted_solve(system, amount, sides) for amount in amounts])
        # Source after source, so that no table of this set's columns is put together.
        held, found, start = self._held(rows), np.empty((len(rows), weights.shape[1])), 0
        found[:] = -(self.centre[columns] @ weights)
        for part in (held[name] for name in names):
            found += part @ weights[start : start + part.shape[1]]
            start += part.shape[1]
        return found.reshape(len(rows), len(amounts), -1).transpose(1, 0, 2) + self.level

    def _held(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """These rows of each source, taken once for all sets that are asked about the same rows."""
        if self._taken is None or self._taken[0] is not rows:
            self._taken = rows, {name: part[rows] for name, part in self.heads.parts.items()}
        return self._taken[1]

    def _by_rows(self, names: Names, amounts: Sequence[float], rows: np.ndarray) -> np.ndarray:
        kernel, train = self.heads.kernel(names), self.train
        among, across = kernel[np.ix_(train, train)], kernel[np.ix_(rows, train)]
        means = among.mean(axis=0)
        total = means.mean()
        system, sides = among - means - means[:, None] + total, self.heads.labels[train] - self.level
        held = across - across.mean(axis=1, keepdims=True) - means + total
        return np.stack([held @ shifted_solve(system, amount, sides) for amount in amounts]) + self.level


def shifted_solve(system: np.ndarray, shift: float, sides: np.ndarray) -> np.ndarray:
    """(system + shift I)⁻¹ sides, by Cholesky. Raises: `UserError` where that is not positive definite."""
    shifted = np.array(system, order="F")
    shifted.ravel(order="K")[:: len(system) + 1] += shift
    found = _posv(shifted, np.asfortranarray(sides), lower=1, overwrite_a=1)
    if found[2] != 0:
        raise UserError(
            "the ridge head's equations cannot be solved", got="features beyond what float64 can tell apart"
        )
    return found[1]


def standardised(block: np.ndarray) -> np.ndarray:
    """Columns with mean 0 and standard deviation 1; what does not vary becomes 0. [N, D]."""
    values = np.asarray(block, dtype=np.float64)
    values = values - values.mean(axis=0)
    spread = values.std(axis=0)
    real = spread > 1e-10 * float(spread.max(initial=0.0))
    return values / np.where(real, spread, np.inf)


def _losses(scores: np.ndarray, targets: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """−log softmax(L s / T) of the true class at each temperature, floored as log-loss is. [n, C] -> [n, t]."""
    apart = LIFT * (scores - np.take_along_axis(scores, targets[:, None], axis=1))
    top = apart.max(axis=1, keepdims=True)
    # Classes first: sums over them then run along the rows.
    apart = np.ascontiguousarray((apart - top).T)
    found = top / temperatures
    powers: dict[int, np.ndarray] = {}
    for place in reversed(range(len(temperatures))):
        warmer = powers.pop(place + FOURFOLD, None)
        if warmer is not None and abs(temperatures[place + FOURFOLD] / temperatures[place] - 4.0) < 1e-12:
            # exp(s / T) is the fourth power of exp(s / 4T), which costs a fraction of another exponential.
            powers[place] = np.square(np.square(warmer, out=warmer), out=warmer)
        else:
            powers[place] = np.exp(apart / temperatures[place])
        found[:, place] += np.log(powers[place].sum(axis=0))
    return np.minimum(found, -np.log(LEAST_PROBABILITY))
