"""Size: the larger source first. A list that looks at no data, and the one that every other score must beat.

log10 of the number of parameters
"""

from __future__ import annotations

import math

from transfuse.evaluation.material import Material
from transfuse.types import Undefined, Value

CITATION = "a baseline; e.g. Kornblith et al., Do better ImageNet models transfer better?, CVPR 2019"
NEEDS = ("parameters",)
TRAITS = {"default": True, "unit": "powers of ten", "classes": False, "static": True}
ORDER = 80


def score(material: Material) -> Value:
    """The logarithm of the card's count."""
    count = int(material.parameters or 0)
    return math.log10(count) if count > 0 else Undefined("the source has no parameters")
