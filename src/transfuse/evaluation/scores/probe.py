"""Probe: minus the log-loss of a ridge head on the frozen features, out of fold; the score to look at first.

A row is answered by a head that never saw its fold, with the penalty and the temperature that did best in the other
folds. It is what training will do, in small: no other score here is as close to what is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transfuse.evaluation.material import Material
from transfuse.evaluation.probes.ridge import Heads
from transfuse.types import Undefined, Value

CITATION = "Hoerl, Kennard, Ridge regression, Technometrics, 1970; cross-validated as in Stone, JRSS B, 1974"
NEEDS = ("folds",)
TRAITS = {"default": True, "unit": "nats", "sets": True}
ORDER = 10


def score(material: Material) -> Value:
    """Of one source."""
    return together([material])


def together(materials: Sequence[Material]) -> Value:
    """Of all features side by side; undefined for fewer than three folds."""
    first = materials[0]
    folds = np.asarray(first.folds)
    if len(np.unique(folds)) < 3:
        return Undefined("the rows were dealt into fewer than three folds")
    blocks = {str(number): material.block for number, material in enumerate(materials)}
    names = tuple(blocks)
    answer = Heads(blocks, np.asarray(first.targets), first.classes, folds).answers([names])[names]
    return -float(answer.losses.mean())
