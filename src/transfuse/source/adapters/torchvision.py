"""Classifiers of torchvision by name: `torchvision:resnet18`, `torchvision:resnet18@IMAGENET1K_V1`, `…@random`.

Without a tag the package's default weights are taken. Images are prepared as the weights' own transforms say.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transfuse.errors import unknown_name
from transfuse.source.building import cannot_download, class_count, seeded
from transfuse.source.spec import Built, Spec
from transfuse.types import Prepare

PARAMETERS = {
    "classes": {"type": "int", "default": 1000, "low": 2, "doc": "number of classes, for random and for files"},
    "seed": {"type": "int", "default": 0, "low": 0, "doc": "which random network"},
}


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "torchvision"


def files(spec: Spec, root: Path) -> list[Path]:
    """No local file decides a card: the package and the tag do."""
    return []


def build(spec: Spec, root: Path) -> Built:
    """The network with its weights. Raises UserError for an unknown name or tag, and for weights out of reach."""
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if spec.target not in known:
        raise unknown_name("torchvision model", spec.target, known, where=spec.text)
    weights: Any = torchvision.models.get_model_weights(spec.target)
    members = {member.name: member for member in weights}
    count = class_count(spec)
    if spec.random:
        with seeded(spec):
            module = torchvision.models.get_model(spec.target, weights=None, num_classes=count, **_quiet(spec))
        return Built(module, _prepare(weights.DEFAULT), licence="BSD-3-Clause")
    if spec.tag not in (None, *members):
        raise unknown_name(f"tag of {spec.target}", str(spec.tag), [*members, "random"], where=spec.text)
    member = members[spec.tag] if spec.tag else weights.DEFAULT
    try:
        module = torchvision.models.get_model(spec.target, weights=member, progress=False)
    except (OSError, RuntimeError) as error:
        raise cannot_download(spec, error) from error
    licence = member.meta.get("license", "BSD-3-Clause")
    return Built(module, _prepare(member), licence, tuple(member.meta["categories"]), seen="ImageNet-1k")


def _quiet(spec: Spec) -> dict[str, Any]:
    # These two warn about a change of default unless told how to initialise.
    return {"init_weights": True} if spec.target in ("googlenet", "inception_v3") else {}


def _prepare(member: Any) -> Prepare:
    transforms = member.transforms()
    return Prepare(size=transforms.crop_size[0], mean=tuple(transforms.mean), std=tuple(transforms.std))
