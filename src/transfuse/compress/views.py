"""Answer by the mean over views of an image: test-time augmentation, bought with as many passes as there are views.

p(x) = mean over views v of softmax f(v(x));  views: x itself, x moved by `reach` of its side in four directions and,
with `mirror`, all of these mirrored. Nothing is learned; the network is the one that it is made of. It makes nothing
smaller: it stands on this shelf since it changes a fitted network, and is judged against it.
"""

from __future__ import annotations

from transfuse.compress import Rows
from transfuse.fusion.viewed import Viewed
from transfuse.source.base import Source

CITATION = (
    "Krizhevsky, Sutskever, Hinton, ImageNet classification with deep convolutional neural networks, NeurIPS 2012;"
    " Shanmugam et al., Better aggregation in test-time augmentation, ICCV 2021"
)
PARAMETERS = {
    "reach": {"type": "float", "default": 0.0625, "low": 0.0, "high": 0.5, "doc": "how far it is moved, of its side"},
    "mirror": {"type": "bool", "default": False, "doc": "mirrored views too, where left and right mean the same"},
}
TRAITS = {"trains": False, "smaller": False, "faster": False}
COST = {"pace": 5.0, "where": (("mirror", True, {"pace": 10.0}),)}


def compress(model: Source, rows: Rows, *, reach: float, mirror: bool) -> Source:
    """The network behind its views."""
    return Viewed(model, reach, mirror)
