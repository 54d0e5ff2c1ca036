"""LogME: how well a linear model with the best noise and the best prior explains each class, as evidence per row.

    mean over classes c of max_{a, b} (1/N) log N(y_c; 0, I/b + F Fᵀ/a),   y_c [N] the class's indicator, F [N, D]

in nats per row. Right for N < D as well, where the default of the published code leaves (D − k) log a out of the
log-determinant (k is the rank) and gives 21.3 where 0.42 is true. Absent classes are left out. A class that the
features tell exactly has no bound: undefined. `compat` stops where others stop: `thuml`
(the published code's default, for full column rank the same up to its tolerance), `icml` (its first form), `tllib`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transfuse.evaluation.material import Material
from transfuse.evaluation.probes.logme_fit import GramSide, KernelSide, best, mean_evidence
from transfuse.evaluation.probes.logme_published import published
from transfuse.types import Value, checked

CITATION = "You et al., LogME: practical assessment of pre-trained models, ICML 2021; JMLR 2022"
PARAMETERS = {
    "compat": {
        "type": "str",
        "default": "exact",
        "options": ("exact", "thuml", "icml", "tllib"),
        "doc": "whose stopping rule",
    },
}
TRAITS = {"default": True, "unit": "nats", "sets": True}
ORDER = 20


def score(material: Material, *, compat: str) -> Value:
    """The evidence, mean over the classes that are there."""
    targets = np.asarray(material.targets)
    if compat != "exact":
        found = published(material.block, targets, compat)
        return checked(found, "the published iteration divides by zero on these features")
    rows, width = material.block.shape
    present = material.present.tolist()
    if rows <= width:
        side: GramSide | KernelSide = KernelSide(material.square @ material.square.T, targets, present)
    else:
        side = GramSide(material.moments, present)
    return mean_evidence(best(side))


def together(materials: Sequence[Material], *, compat: str) -> Value:
    """The evidence of all features side by side; it grows with columns on the rows it is computed on."""
    first = materials[0]
    block = np.concatenate([material.block for material in materials], axis=1)
    return score(Material(block, first.targets, first.classes), compat=compat)
