"""Stated accuracy: the source that is more often right on ImageNet-1k first, as its weights' own metadata say.

A static list that looks at none of the target's data. Weights whose maker states nothing have no such score.
"""

from __future__ import annotations

from transfuse.evaluation.material import Material
from transfuse.types import Value

CITATION = "Kornblith et al., Do better ImageNet models transfer better?, CVPR 2019"
NEEDS = ("stated_accuracy",)
TRAITS = {"default": True, "unit": "%", "classes": False, "static": True}
ORDER = 81


def score(material: Material) -> Value:
    """The stated share in percent."""
    return float(material.stated_accuracy or 0.0)
