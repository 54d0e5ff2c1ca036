"""Attacks by their names and what survives them; without it each question would take an attack's name apart anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transfuse.evaluation.cast import Joined, joined
from transfuse.evaluation.statistics.corruption import condition_parts
from transfuse.evaluation.tables import Table
from transfuse.registry import find


@dataclass(frozen=True)
class Attack:
    """One attack: its name, radius, norm, the source it was made against (None: the arm itself), and its kind."""

    condition: str
    name: str
    radius: float
    norm: str
    source: str | None
    gradient: bool
    passes: int

    @classmethod
    def of(cls, condition: str) -> Attack:
        """From NAME@LEVEL, or NAME@LEVEL~SOURCE; norm and kind are what the attack's file declares."""
        whole, _, source = condition.partition("~")
        name, radius = condition_parts(whole)
        traits = find("conditions", name).traits
        return cls(
            condition,
            name,
            float(radius or 0.0),
            str(traits["norm"]),
            source or None,
            bool(traits["gradient"]),
            int(traits["passes"]),
        )

    @property
    def ball(self) -> tuple[str, float]:
        """Where it may go: attacks of one ball are rivals, and the strongest for an item counts."""
        return self.norm, self.radius

    @property
    def words(self) -> str:
        """For a person: `pgd made against lite0`."""
        return self.name if self.source is None else f"{self.name} made against {self.source}"


@dataclass(frozen=True)
class Survivors:
    """What one arm still answers rightly: right [k, n] (1 or 0) under each attack, and on the same items unspoilt."""

    known: Joined
    right: Mapping[str, np.ndarray]
    clean: np.ndarray

    def worst(self, attacks: Sequence[Attack]) -> np.ndarray:
        """Right under all of these attacks at once, item by item [k, n]: the per-item worst case."""
        return np.minimum.reduce([self.right[each.condition] for each in attacks])


def survivors(clean: Table, under: Mapping[str, Table]) -> Survivors:
    """One arm's answers on the attacked items; `clean` may hold more items than were attacked."""
    names = sorted(under)
    items = under[names[0]].items
    places = {item: place for place, item in enumerate(clean.items.ids)}
    rows = np.array([places[item] for item in items.ids], dtype=np.intp)
    whole = Table(clean.arm, items, clean.probs[:, rows], clean.runs)
    known = joined([whole, *(under[name] for name in names)])
    right = [(probs.argmax(axis=2) == known.targets).astype(np.float64) for probs in known.probs]
    return Survivors(known, dict(zip(names, right[1:], strict=True)), right[0])
