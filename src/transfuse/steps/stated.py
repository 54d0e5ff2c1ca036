"""What a source's maker states of it: its size, and how right it is on ImageNet-1k; the list that looks at no data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.source.spec import parse
from transfuse.steps import Context, Result
from transfuse.store import Artifact
from transfuse.types import Card

REVISION = 1
DATA_SET, ACCURACY = "ImageNet-1K", "acc@1"


def run(params: Mapping[str, Any], inputs: Mapping[str, Artifact], context: Context) -> Result:
    """`parameters` from the card; `accuracy` in percent where torchvision's metadata of these very weights tell it,
    else None: another weight file of the same architecture is another source.
    """
    card = Card.from_record(inputs["card0"].meta)
    spec = parse(card.spec)
    accuracy = None
    if spec.scheme == "torchvision" and not spec.random:
        accuracy = _torchvision(spec.target, spec.tag)
    return {"parameters": card.parameters, "accuracy": accuracy}, None


def _torchvision(name: str, tag: str | None) -> float | None:
    from torchvision import models

    weights: Any = models.get_model_weights(name)
    member = weights[tag] if tag else weights.DEFAULT
    found = member.meta.get("_metrics", {}).get(DATA_SET, {}).get(ACCURACY)
    return None if found is None else float(found)
