"""Hundreds of candidates on cached features: without it the best fusion would be the best of the few that were trained.

Every candidate is a ridge head on some blocks, or a pool or cascade of such heads; all are asked for the same rows, out
of fold. Fusers that learn are told by a ridge head on what they give at their start.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import softmax

from transfuse.evaluation.probes.ridge import LIFT, Answer, Heads, System
from transfuse.fusion import outputs_lift
from transfuse.fusion.contract import About
from transfuse.fusion.heat import softened, temperatures
from transfuse.kinds import LEAST_PROBABILITY
from transfuse.registry import method
from transfuse.seeds import stream

# All sources' columns together; a screen looks at principal components, finalists are trained on everything.
WIDEST, ROWS = 512, 4000
# Pools and temperatures are fitted out of fold on thirds of the rows: folds of equal remainder together.
THIRDS = 3
RULES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("mean_prob", {}),
    ("geometric_mean", {}),
    ("vote", {}),
    ("vote", {"votes": "rank"}),
    ("temperature_mean", {}),
    ("convex", {}),
    ("greedy", {}),
    ("route", {}),
)
KINDS = ("confidence", "margin", "agreement")
MOST_MEMBERS, DEEP, DRAWS = 4, 4, 1000
# Blocks [N, D_k] of several sources to one block [N, D].
Fuser = Callable[[Sequence[np.ndarray]], np.ndarray]
# FLOPs of a ridge or linear head of so many columns and classes.
HEAD = 2.0


@dataclass(frozen=True)
class Candidate:
    """One way to fuse: what a recipe would write, its losses [N] out of fold, and what it costs.

    `needs` names the candidates that it is a pool of. `flops` is the mean of one answer.
    """

    name: str
    family: str
    facts: Mapping[str, Any]
    losses: np.ndarray
    flops: float
    needs: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass
class Screen:
    """What is searched: blocks [N, D] by (source, tap), targets [N] and folds [N]; FLOPs of one item by the same.

    `tried` holds what was found so far, in the order it was tried.
    """

    blocks: Mapping[tuple[str, str], np.ndarray]
    targets: np.ndarray
    folds: np.ndarray
    classes: int
    flops: Mapping[tuple[str, str], float]
    tried: dict[str, Candidate] = field(default_factory=dict)
    answers: dict[str, np.ndarray] = field(default_factory=dict)

    def run(self, fusers: Mapping[str, Fuser] | None = None) -> None:
        """Try everything; a fuser's blocks [K, N, D] become one block, by the method's name."""
        self.heads()
        self.others(fusers or {})
        self.pools()
        self.pairs()

    @property
    def sources(self) -> list[str]:
        return list(dict.fromkeys(source for source, _ in self.blocks))

    @property
    def singles(self) -> list[Candidate]:
        return [found for found in self.tried.values() if found.family == "single"]

    def sets(self) -> list[tuple[tuple[str, str], ...]]:
        """Every set of blocks with at most one tap of a source, or all taps of each; up to four sources at once."""
        taps = {source: [key for key in self.blocks if key[0] == source] for source in self.sources}
        options = {source: [(key,) for key in found] for source, found in taps.items()}
        found: list[tuple[tuple[str, str], ...]] = []
        for size in range(1, min(MOST_MEMBERS, len(taps)) + 1):
            for members in combinations(taps, size):
                chosen: list[tuple[tuple[str, str], ...]] = [()]
                for member in members:
                    chosen = [(*before, *some) for before in chosen for some in options[member]]
                every = tuple(key for member in members for key in taps[member])
                found += [*chosen, *([every] if every not in chosen else [])]
        return found

    def heads(self) -> None:
        """Ridge heads on every set of blocks: singles, and concatenations."""
        names = {_key(key): key for key in self.blocks}
        heads = Heads(
            {_key(key): block for key, block in self.blocks.items()},
            self.targets,
            self.classes,
            self.folds,
            widest=WIDEST,
        )
        asked = {tuple(_key(key) for key in some): some for some in self.sets()}
        found = heads.answers(list(asked))
        systems = [System(heads, [fold]) for fold in range(heads.count)]
        for some, keys in asked.items():
            probabilities = _answers(heads, systems, some, found[some])
            sources = tuple(dict.fromkeys(source for source, _ in keys))
            family = "single" if len(sources) == 1 else "features"
            label = "+".join(_label(keys, source, self.blocks) for source in sources)
            facts = {"fuse": "features/concat", "of": list(sources), "taps": _taps(keys)}
            name = label if family == "single" else f"concat.{label}"
            columns = sum(self.blocks[names[each]].shape[1] for each in some)
            # Taps of one source come from one pass, which is as long as the deepest of them.
            once = sum(max(self.flops[key] for key in keys if key[0] == source) for source in sources)
            self._add(name, family, facts, probabilities, once + HEAD * columns * self.classes, sources=sources)

    def pools(self) -> None:
        """Every set of singles, one for each source, under every rule; and cascades of all sources."""
        best = [self._whole(source) for source in self.sources]
        for size in range(2, min(MOST_MEMBERS, len(best)) + 1):
            for members in combinations(best, size):
                for rule, settings in RULES:
                    self._pool(rule, settings, members)
        if len(best) > 1:
            for kind in KINDS:
                self._pool("cascade", {"sure": kind}, sorted(best, key=_mean_loss)[:MOST_MEMBERS])

    def pairs(self) -> None:
        """A single beside a concatenation: both averaged, and first the one, then the other."""
        fused = sorted((one for one in self.tried.values() if one.family == "features"), key=_mean_loss)
        best = {source: self._whole(source) for source in self.sources}
        for place, whole in enumerate(fused[: 3 * DEEP]):
            for one in best.values():
                for rule in ("mean_prob", "geometric_mean"):
                    self._pool(rule, {}, (one, whole))
                if place < DEEP:
                    self._pool("cascade", {}, (one, whole))

    def others(self, fusers: Mapping[str, Fuser]) -> None:
        """Other ways to bring the blocks of each set of sources together, each under a ridge head as concatenation is.

        What such a fuser has to learn is not learned here: its start stands for it.
        """
        whole = {one.sources: one for one in self.tried.values() if one.family == "features"}
        for one in whole.values():
            keys = [key for key in self.blocks if key[1] in one.facts["taps"].get(key[0], ())]
            for name, fuse in fusers.items():
                block = fuse([self.blocks[key] for key in keys])
                heads = Heads({"fused": block}, self.targets, self.classes, self.folds, widest=WIDEST)
                answer = heads.answers([("fused",)])[("fused",)]
                systems = [System(heads, [fold]) for fold in range(heads.count)]
                probabilities = _answers(heads, systems, ("fused",), answer)
                label = one.name.replace("concat.", f"{name.split('/')[1]}.", 1)
                self._add(label, "features", {**one.facts, "fuse": name}, probabilities, one.flops, sources=one.sources)

    def _whole(self, source: str) -> Candidate:
        """The head on all taps of a source that are there: what its own arm of the ladder is."""
        own = [one for one in self.singles if one.sources == (source,)]
        return max(own, key=lambda one: len(one.facts["taps"][source]))

    def _pool(self, rule: str, settings: Mapping[str, Any], members: Sequence[Candidate]) -> None:
        entry = method(f"outputs/{rule}")
        stacked = np.stack([self.answers[one.name] for one in members])
        cost = np.array([one.flops for one in members])
        about = About(np.ones((len(members), self.classes), dtype=bool), cost)
        thirds = self.folds % THIRDS
        pooled, used = outputs_lift.crossfitted(entry, stacked, self.targets, settings, thirds, about)
        told = "".join(f".{value}" for value in settings.values())
        name = f"{rule}{told}." + "+".join(one.name for one in members)
        facts = {"fuse": entry.full_name, **settings, "of": [_member(one) for one in members]}
        sources = tuple(dict.fromkeys(source for one in members for source in one.sources))
        needs = tuple(one.name for one in members if one.family != "single")
        family = "cascade" if outputs_lift.stops_early(entry) else "outputs"
        spent = float((cost @ used).mean())
        self._add(name, family, facts, pooled, spent, needs=needs, sources=sources)

    def _add(
        self, name: str, family: str, facts: Mapping[str, Any], probabilities: np.ndarray, flops: float, **more: Any
    ) -> None:
        self.answers[name] = probabilities
        losses = self.calibrated(probabilities)
        self.tried[name] = Candidate(name, family, facts, losses, flops, **more)

    def calibrated(self, probabilities: np.ndarray) -> np.ndarray:
        """Losses [N] after a temperature that never saw the row, as every arm of a plan has its own."""
        losses = np.empty(len(self.targets))
        for third in range(THIRDS):
            held = self.folds % THIRDS == third
            rest = self.folds % THIRDS != third
            (heat,) = temperatures(probabilities[None, rest], self.targets[rest])
            soft = softened(probabilities[held], float(heat))
            losses[held] = -np.log(np.maximum(soft[np.arange(len(soft)), self.targets[held]], LEAST_PROBABILITY))
        return losses


def _key(key: tuple[str, str]) -> str:
    return "|".join(key)


def _mean_loss(found: Candidate) -> tuple[float, str]:
    return float(found.losses.mean()), found.name


def _member(one: Candidate) -> str:
    """How a recipe calls a member: a source by its name, a fusion by its own."""
    return one.sources[0] if one.family == "single" else one.name


def _label(keys: Sequence[tuple[str, str]], source: str, blocks: Mapping[tuple[str, str], np.ndarray]) -> str:
    """The source, with its taps where it has several."""
    own = [tap for name, tap in keys if name == source]
    several = sum(name == source for name, _ in blocks) > 1
    return f"{source}.{'.'.join(own)}" if several else source


def _taps(keys: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for source, tap in keys:
        found.setdefault(source, []).append(tap)
    return found


def _answers(heads: Heads, systems: Sequence[System], some: tuple[str, ...], answer: Answer) -> np.ndarray:
    """Probabilities [N, C] of one head, each row by the head that never saw its fold."""
    found = np.empty((len(heads.targets), heads.classes))
    for fold, system in enumerate(systems):
        (scores,) = system.scores(some, [float(answer.penalties[fold])], heads.rows[fold])
        found[heads.rows[fold]] = softmax(LIFT * scores / answer.temperatures[fold], axis=1)
    return found


@dataclass(frozen=True)
class Optimism:
    """What choosing flattered: the chosen one's mean loss, how much too low that is, and its gain over the best single.

    `gain`, `low`, `high` are means and 95 % limits over draws of rows in which both were chosen and the others told.
    """

    loss: float
    optimism: float
    gain: float
    low: float
    high: float

    @property
    def shown(self) -> bool:
        """Whether the chosen fusion's gain over the best single excludes zero."""
        return self.low > 0


def optimism(fusions: Sequence[Candidate], singles: Sequence[Candidate]) -> Optimism:
    """Bootstrap of the choice itself: each draw chooses anew, and the rows it left out say what the choice is worth.

    Tsamardinos, Greasidou, Borboudakis, Bootstrapping the out-of-sample predictions for efficient and accurate
    cross-validation, Machine Learning 2018.
    """
    losses, alone = (np.stack([one.losses for one in some]) for some in (fusions, singles))
    count = losses.shape[1]
    drawn = stream("search", "optimism").multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(np.float64)
    left = (drawn == 0).astype(np.float64)
    left = left[left.sum(axis=1) > 0]
    drawn = drawn[: len(left)]

    def chosen(each: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside, outside = drawn @ each.T / count, left @ each.T / left.sum(axis=1, keepdims=True)
        best = inside.argmin(axis=1)
        rows = np.arange(len(best))
        return inside[rows, best], outside[rows, best]

    inside, outside = chosen(losses)
    _, without = chosen(alone)
    gain = without - outside
    # The share q of rows that is left out has a mean with variance (1 - q) / q of that of all rows' mean.
    share = float(left.sum(axis=1).mean()) / count
    spread = (gain - gain.mean()) * np.sqrt(share / (1 - share))
    low, high = gain.mean() + np.quantile(spread, [0.025, 0.975])
    return Optimism(
        float(losses.mean(axis=1).min()), float((outside - inside).mean()), float(gain.mean()), float(low), float(high)
    )
