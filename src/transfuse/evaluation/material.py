"""What a transferability score may look at, on one set of rows for all sources; without it each score would be given
other samples, and their order would mean nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from transfuse import registry
from transfuse.errors import UserError
from transfuse.evaluation.probes.moments import Moments, checked_block, moments, turned
from transfuse.types import Undefined, Value

SHELF = "evaluation/scores"


@dataclass(frozen=True, eq=False)
class Material:
    """One source as a score sees it: frozen features [N, D] and class numbers y [N] below `classes`.

    `folds [N]` deal the rows; `answers [N, Cs]` are the source's own probabilities; `ids` name the rows; `parameters`
    and `stated_accuracy` (percent on ImageNet-1k) are what its maker states. Raises: `UserError` for features that are
    not finite or do not match, for targets outside the classes, for answers that are no probabilities.
    """

    features: np.ndarray
    targets: np.ndarray
    classes: int
    folds: np.ndarray | None = None
    answers: np.ndarray | None = None
    ids: Sequence[str] = ()
    parameters: int | None = None
    stated_accuracy: float | None = None

    def __post_init__(self) -> None:
        targets = np.asarray(self.targets)
        if len(targets) == 0 or targets.min() < 0 or targets.max() >= self.classes:
            raise UserError("a score needs rows with known classes", expected=f"class numbers below {self.classes}")
        checked_block(self.features, targets)
        if self.answers is not None:
            sums = np.asarray(self.answers).sum(axis=1)
            if len(sums) != len(targets) or not np.allclose(sums, 1.0, atol=1e-3) or np.min(self.answers) < 0:
                raise UserError("a source's answers must be probabilities", expected=f"[{len(targets)}, Cs], sums of 1")

    @property
    def present(self) -> np.ndarray:
        """The classes that have a row."""
        return np.unique(self.targets)

    @cached_property
    def block(self) -> np.ndarray:
        """The features in float64."""
        return np.asarray(self.features, dtype=np.float64)

    @cached_property
    def square(self) -> np.ndarray:
        """The features with min(N, D) columns and the same inner products."""
        return turned(self.block)

    @cached_property
    def moments(self) -> Moments:
        """Moments of `square`; `width` is the features' own D."""
        found = moments(self.square, np.asarray(self.targets), self.classes)
        return Moments(**{**vars(found), "width": self.block.shape[1]})


def value(name: str, material: Material, given: Mapping[str, Any] | None = None) -> Value:
    """One score of the shelf; `Undefined` where it lacks what it needs, or does not exist."""
    entry = registry.find(SHELF, name)
    if reason := lacking(entry, material):
        return Undefined(reason)
    return entry.load().score(material, **entry.settings(given or {}))


def together(name: str, materials: Sequence[Material], given: Mapping[str, Any] | None = None) -> Value:
    """A score of several sources at once, for scores that have the trait `sets`."""
    entry = registry.find(SHELF, name)
    for material in materials:
        if reason := lacking(entry, material):
            return Undefined(reason)
    joint: Callable[..., Value] = entry.load().together
    return joint(materials, **entry.settings(given or {}))


NEEDED = {
    "folds": "the rows were not dealt into folds",
    "answers": "the source's own head gives no classes",
    "parameters": "nobody states how large the source is",
    "stated_accuracy": "nobody states how right these weights are on ImageNet-1k",
}


def lacking(entry: registry.Entry, material: Material) -> str | None:
    """What the score needs and the material has not, in words."""
    missing = [text for need, text in NEEDED.items() if need in entry.needs and getattr(material, need) is None]
    if missing:
        return missing[0]
    if entry.traits.get("classes", True) and len(material.present) < 2:
        return "the rows are all of one class"
    return None
