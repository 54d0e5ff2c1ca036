"""The demo's design, fixed before its first run: what `transfuse demo` compares, on what, and why.

Three architectures (residual, VGG-like, depthwise), all pretrained on Fashion-MNIST: no class of theirs is a class of
the target, so nothing but features can carry over. The target is scikit-learn's digits with 10 labels per class, which
is little enough for sources to matter; 1,000 rows to test; 5 redraws of the training sample, so that the intervals
cover the luck of the draw. See docs/decisions/0003-demo.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transfuse.plan.recipe import Recipe

NAMES = ("residual", "vgg", "depthwise")


def recipe(per_class: int = 10) -> Recipe:
    """The demo as a recipe; `per_class` is the number of training images of each digit."""
    from transfuse.plan.recipe import validated

    return validated(
        {
            "title": "Demo: three small Fashion-MNIST networks on handwritten digits",
            "sources": {name: {"spec": f"demo:{name}", "seen": "none"} for name in NAMES},
            "data": {
                "read": "sklearn:digits",
                "splits": {"per_class": per_class, "val": 150, "test": 1000},
                "canvas": 28,
            },
            "ladder": "quick",
            "candidates": ["features/concat", "features/gate"],
            "seeds": 5,
        },
        where="demo",
    )
