"""NCE: how much the source's answers tell about the labels, as minus the conditional entropy.

    −H(y | z) = Σ_{y, z} P(y, z) log P(y | z),   z the source's most likely class

At most 0; 0 where each source class stands for one target class, −H(y) where answers tell nothing.
"""

from __future__ import annotations

import numpy as np

from transfuse.evaluation.material import Material
from transfuse.types import Value

CITATION = "Tran, Nguyen, Hassner, Transferability and hardness of supervised classification tasks, ICCV 2019"
NEEDS = ("answers",)
TRAITS = {"default": False, "unit": "nats"}
ORDER = 31


def score(material: Material) -> Value:
    """Minus the conditional entropy of labels given the source's answers."""
    answers = np.asarray(material.answers)
    answered = answers.argmax(axis=1)
    joint = np.zeros((material.classes, answers.shape[1]))
    np.add.at(joint, (np.asarray(material.targets), answered), 1.0 / len(answered))
    mass = np.broadcast_to(joint.sum(axis=0), joint.shape)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / mass[there])).sum())
