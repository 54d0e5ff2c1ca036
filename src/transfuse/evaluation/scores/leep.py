"""LEEP: how likely the labels are if each source class stands for its mix of target classes.

    mean_i log Σ_z P(y_i | z) θ_iz,   P(y, z) = (1/N) Σ_{i: y_i = y} θ_iz,   θ the source's own probabilities [N, Cs]

At most 0; uniform answers give −H(y), one-hot answers NCE. Source classes without any mass are left out.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.material import Material
from transfuse.evaluation.probes.moments import class_sums
from transfuse.types import Value

CITATION = "Nguyen et al., LEEP: a new measure to evaluate transferability of learned representations, ICML 2020"
NEEDS = ("answers",)
TRAITS = {"default": True, "unit": "nats"}
ORDER = 30


def score(material: Material) -> Value:
    """Mean log-likelihood of the labels under the empirical predictor."""
    return float(np.log(predicted(material)).mean())


def predicted(material: Material) -> np.ndarray:
    """The empirical predictor's probability of each row's own class. [N], above 0."""
    answers, targets = np.asarray(material.answers, dtype=np.float64), np.asarray(material.targets)
    return likelihood(answers, targets, material.classes)


def likelihood(answers: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """Σ_z P(y_i | z) θ_iz for memberships θ [N, Z]. [N]."""
    joint = class_sums(answers, targets, classes)
    mass = joint.sum(axis=1, keepdims=True)
    given = np.divide(joint, mass, out=np.zeros_like(joint), where=mass > 0)
    return np.einsum("nz,nz->n", answers, given.T[targets])
