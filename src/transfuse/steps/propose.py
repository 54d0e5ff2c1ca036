"""An alternative in words: without it "one better model for the same price" would be asked of those who know its name.

torchvision states accuracy and multiply-adds of its classifiers on ImageNet-1k; both are metadata, nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.steps import Context, Result
from transfuse.store import Artifact

REVISION = 1
NEEDS = ("torch",)
DATA_SET, ACCURACY = "ImageNet-1K", "acc@1"


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`model`, `tag`, `accuracy` (percent) at `pixels`, `flops` at this canvas, `limit`: the best within the winner's.

    FLOPs are scaled from each model's own image size to the canvas by area, where it takes images of that size.
    `model` is None where nothing fits.
    """
    limit = float(inputs["winner"].meta["inference_flops"]) if "winner" in inputs else 0.0
    taken = {str(spec).split(":", 1)[-1].split("@")[0].split("?")[0] for spec in params["sources"]}
    known = [entry for entry in _known(params["canvas"]) if entry["model"] not in taken and entry["flops"] <= limit]
    best = max(known, key=lambda entry: (entry["accuracy"], -entry["flops"], entry["model"]), default={"model": None})
    return {**best, "limit": limit}, None


def _known(canvas: int) -> list[dict[str, Any]]:
    """Every classifier of torchvision with weights for ImageNet-1k: its best tag by accuracy first."""
    from torchvision import models

    found = []
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            meta = weights.meta
            accuracy = meta.get("_metrics", {}).get(DATA_SET, {}).get(ACCURACY)
            if accuracy is None or not meta.get("_ops"):
                continue
            side = weights.transforms().crop_size[0]
            taken = canvas if canvas >= min(meta["min_size"]) else side
            flops = 2e9 * meta["_ops"] * (taken / side) ** 2
            known = {"model": name, "tag": weights.name, "accuracy": float(accuracy), "flops": flops, "pixels": side}
            found.append(known)
    return found
