"""Members answer one after the other, cheap ones first, and a row that is sure enough goes no further.

    q_k[n] = softmax( log p_k[n] / T_k ),   p_j[n] = q of the j-th member, or the mean over the first j     [N, C]
    a row leaves at the first j with  sure_j[n] >= t_j,  at the latest with the last member

`sure` is the highest probability of p_j (confidence), its distance to the second (margin), or the least probability
that a member asked so far gives to p_j's class (agreement). Temperatures are each member's own. Order, length, answer
(last or mean) and thresholds are those with the lowest mean cost whose log-loss is within `tolerance` of the best that
any order reaches without leaving early: every order of up to four members, above that a beam of three; for each order
and each price of cost the thresholds follow backwards from the last stage, each the best for all rows given those
behind it. Above a million numbers a member, orders are compared on evenly thinned rows and the best on all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transfuse.fusion.contract import About
from transfuse.fusion.heat import softened, temperatures
from transfuse.kinds import LEAST_PROBABILITY

CITATION = "Viola, Jones, CVPR 2001; Wang et al., Wisdom of committees, ICLR 2022; Jitkrittum et al., NeurIPS 2023"
PARAMETERS = {
    "sure": {
        "type": "str",
        "default": "confidence",
        "options": ("confidence", "margin", "agreement"),
        "doc": "what must be high for a row to leave early",
    },
    "tolerance": {
        "type": "float",
        "default": 0.01,
        "low": 0.0,
        "high": 10.0,
        "doc": "share of the log-loss that may be given up for cost",
    },
}
TRAITS = {
    "idempotent": False,
    "convex": False,
    "unanimous": True,
    "pooling": False,
    "symmetric": True,
    "stops_early": True,
}
NEEDS = ("about",)
NEVER = 2.0
ALL_ORDERS, BEAM = 4, 3
# Prices of the whole cost in units of log-loss; orders are compared on at most so many numbers a member.
PRICES = np.concatenate([[0.0], np.geomspace(1e-3, 10.0, 25)])
LOOKED_AT = 1_000_000


def fit(
    probabilities: np.ndarray, targets: np.ndarray, *, about: About, sure: str, tolerance: float
) -> dict[str, np.ndarray]:
    """`probabilities [K, N, C]`, `targets [N]` -> `order [J]`, `thresholds [J - 1]`, `temperatures [K]`, and
    `mean []` and `sure []`: which answer, and which kind of sureness."""
    heats = temperatures(probabilities, targets)
    cost = np.asarray(about.cost, dtype=np.float64)
    thinning = -(-probabilities[0].size // LOOKED_AT)
    ground = _Ground(probabilities, heats, targets, cost, sure)
    if thinning <= 1:
        paths = [*ground.paths()]
    else:
        # Orders are told apart by single precision; thresholds are not found in it.
        few = _Ground(probabilities[:, ::thinning], heats, targets[::thinning], cost, sure, np.dtype(np.float32))
        _, _, _, _, order, mean = _best([*few.paths()], tolerance)
        paths = [ground.path(order, mean=mean)]
    _, _, _, thresholds, order, mean = _best(paths, tolerance)
    kinds = PARAMETERS["sure"]["options"]
    return {
        "order": np.array(order),
        "thresholds": np.array(thresholds, dtype=np.float64),
        "temperatures": heats,
        "mean": np.array(mean),
        "sure": np.array(kinds.index(sure)),
    }


def order(state: dict[str, np.ndarray]) -> np.ndarray:
    """The members in the order in which they are asked; others are never asked."""
    return state["order"]


def stage(
    state: dict[str, np.ndarray], kept: dict[str, np.ndarray], place: int, probabilities: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """The answer [n, C] with one member more, which rows [n] need no more, and what is kept for the others."""
    kind = PARAMETERS["sure"]["options"][int(state["sure"])]
    soft = softened(probabilities, float(state["temperatures"][state["order"][place]]))
    averaged = bool(state["mean"])
    total = soft + kept["total"] if kept and averaged else soft
    answer = total / (place + 1) if averaged else soft
    before = [kept[f"member{number}"] for number in range(place)] if kind == "agreement" else []
    held = {f"member{number}": member for number, member in enumerate([*before, soft])} if kind == "agreement" else {}
    enough = np.ones(len(answer), dtype=bool)
    if place < len(state["thresholds"]):
        enough = _sureness(kind, answer, [*before, soft]) >= state["thresholds"][place]
    return answer, enough, {"total": total, **held}


def _sureness(kind: str, mean: np.ndarray, members: Sequence[np.ndarray]) -> np.ndarray:
    if kind == "confidence":
        return mean.max(axis=1)
    if kind == "margin":
        parted = np.partition(mean, -2, axis=1)
        return parted[:, -1] - parted[:, -2]
    top = mean.argmax(axis=1)[:, None]
    return np.min([np.take_along_axis(member, top, axis=1)[:, 0] for member in members], axis=0)


@dataclass(frozen=True)
class _Path:
    """One order of members: log-loss [N] and sureness [N] after each of them, and the cost up to there.

    `ranks` are the rows [N] by falling sureness; `mean` tells whether answers are means.
    """

    mean: bool
    order: tuple[int, ...] = ()
    losses: tuple[np.ndarray, ...] = ()
    sure: tuple[np.ndarray, ...] = ()
    ranks: tuple[np.ndarray, ...] = ()
    costs: tuple[float, ...] = ()

    def priced(self, prices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Mean log-loss [P], mean cost [P] and thresholds [P, J - 1] where a unit of cost is worth so much loss [P]."""
        count, many = len(self.losses[-1]), len(prices)
        loss, cost = np.tile(self.losses[-1], (many, 1)), np.full((many, count), self.costs[-1])
        thresholds = np.empty((many, len(self.order) - 1))
        for here in range(len(self.order) - 2, -1, -1):
            gain = self.losses[here] - loss + prices[:, None] * (self.costs[here] - cost)
            thresholds[:, here] = found = _thresholds(self.sure[here], self.ranks[here], gain)
            leave = self.sure[here] >= found[:, None]
            loss, cost = np.where(leave, self.losses[here], loss), np.where(leave, self.costs[here], cost)
        return loss.mean(axis=1), cost.mean(axis=1), thresholds


def _best(paths: Sequence[_Path], tolerance: float) -> tuple[bool, float, float, list[float], tuple[int, ...], bool]:
    """The cheapest way through these orders within the tolerance, or where there is none the one that loses least."""
    allowed = (1 + tolerance) * min(path.losses[-1].mean() for path in paths)
    found = []
    for path in paths:
        losses, costs, thresholds = path.priced(PRICES)
        for loss, cost, steps in zip(losses.tolist(), costs.tolist(), thresholds.tolist(), strict=True):
            late = loss > allowed
            found.append((late, loss if late else cost, cost if late else loss, steps, path.order, path.mean))
    return min(found)


def _thresholds(sure: np.ndarray, order: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """For every price the threshold above which leaving loses least in sum: `gain [P, N]` -> [P].

    It lies between two values that occur, so that no row lies on it.
    """
    ordered, sums = sure[order], np.cumsum(gain[:, order], axis=1)
    ends = np.flatnonzero(np.append(ordered[1:] < ordered[:-1], True))
    best = ends[np.argmin(sums[:, ends], axis=1)]
    below = np.append(ordered[1:], -ordered[-1])
    found = np.where(best + 1 < len(ordered), (ordered[best] + below[best]) / 2, 0.0)
    return np.where(sums[np.arange(len(sums)), best] < 0, found, NEVER)


@dataclass(frozen=True)
class _Ground:
    """What orders are compared on: members' answers [K, N, C] with their temperatures, targets [N], cost [K]."""

    members: np.ndarray
    heats: np.ndarray
    targets: np.ndarray
    cost: np.ndarray
    kind: str
    precision: np.dtype = np.dtype(np.float64)

    def paths(self) -> Iterator[_Path]:
        """All ordered choices of members, or the beam's, with either answer."""
        soft = [self._soft(member) for member in range(len(self.members))]
        for mean in (False, True):
            kept, every = [(_Path(mean), np.zeros(()))], len(soft) <= ALL_ORDERS
            for _ in soft:
                grown: dict[tuple[int, ...], tuple[_Path, np.ndarray]] = {}
                for path, total in kept:
                    for member in range(len(soft)):
                        # One member alone answers the same either way.
                        if member not in path.order:
                            longer = self._longer(path, total, member, soft)
                            grown[longer[0].order] = longer
                yield from (path for path, _ in grown.values() if len(path.order) > 1 or not mean)
                kept = [*grown.values()] if every else sorted(grown.values(), key=self._promise)[:BEAM]

    def path(self, order: Sequence[int], *, mean: bool) -> _Path:
        """One order alone."""
        found, total, soft = _Path(mean), np.zeros(()), {}
        for member in order:
            soft[member] = self._soft(member)
            found, total = self._longer(found, total, member, soft)
        return found

    def _soft(self, member: int) -> np.ndarray:
        return softened(self.members[member], float(self.heats[member])).astype(self.precision, copy=False)

    @staticmethod
    def _promise(grown: tuple[_Path, np.ndarray]) -> tuple[float, tuple[int, ...]]:
        """How little loss and cost an order comes to at a middling price."""
        price = PRICES[len(PRICES) // 2 : len(PRICES) // 2 + 1]
        loss, cost, _ = grown[0].priced(price)
        return float((loss + price * cost)[0]), grown[0].order

    def _longer(
        self, path: _Path, total: np.ndarray, member: int, soft: Sequence[np.ndarray] | Mapping[int, np.ndarray]
    ) -> tuple[_Path, np.ndarray]:
        """One member more behind an order; `total` is the sum of those asked before, where answers are means."""
        order = (*path.order, member)
        total = soft[member] + total if path.mean else total
        answer = total / len(order) if path.mean else soft[member]
        loss = -np.log(np.maximum(answer[np.arange(len(answer)), self.targets].astype(np.float64), LEAST_PROBABILITY))
        sure = _sureness(self.kind, answer, [soft[one] for one in order]).astype(np.float64)
        rank = np.argsort(-sure, kind="stable")
        cost = float(self.cost[member] / max(self.cost.sum(), 1e-300))
        costs = (*path.costs, (path.costs[-1] if path.costs else 0.0) + cost)
        longer = _Path(path.mean, order, (*path.losses, loss), (*path.sure, sure), (*path.ranks, rank), costs)
        return longer, total
