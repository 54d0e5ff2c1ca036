"""Classifiers of timm by name: `timm:NAME`, `timm:NAME@TAG`, `timm:NAME?checkpoint=FILE`, `timm:NAME@random`.

With `checkpoint` the weights come from a local file and must fit exactly; without it timm fetches its own. Images are
prepared as timm's configuration of the model says, unless the file's metadata says otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from transfuse.errors import UserError, unknown_name
from transfuse.source.building import cannot_download, class_count, from_file, seeded
from transfuse.source.spec import Built, Spec, local
from transfuse.types import Prepare

if TYPE_CHECKING:
    from torch import nn

PARAMETERS = {
    "checkpoint": {"type": "str", "default": None, "doc": "a local weight file (.safetensors, .pt, .pth)"},
    "classes": {"type": "int", "default": 1000, "low": 2, "doc": "number of classes, for random and checkpoint"},
    "seed": {"type": "int", "default": 0, "low": 0, "doc": "which random network"},
}


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "timm"


def files(spec: Spec, root: Path) -> list[Path]:
    """The checkpoint, where one is named."""
    return [local(root, spec.options["checkpoint"])] if "checkpoint" in spec.options else []


def build(spec: Spec, root: Path) -> Built:
    """The network with its weights. Raises UserError for an unknown name or tag, and for weights that do not fit."""
    import timm

    architecture = spec.target.split(".", 1)[0]
    known = timm.list_models()
    if architecture not in known:
        raise unknown_name("timm model", spec.target, known, where=spec.text)
    count = class_count(spec)
    if spec.random or "checkpoint" in spec.options:
        if spec.random and "checkpoint" in spec.options:
            raise UserError("'@random' and 'checkpoint' exclude each other", where=spec.text)

        def of(classes: int) -> Built:
            with seeded(spec):
                module = timm.create_model(architecture, pretrained=False, num_classes=classes)
            return Built(module, _prepare(module), licence=_licence(module))

        return of(count) if spec.random else from_file(spec, files(spec, root)[0], of(count), of)
    return _pretrained(spec, architecture)


def _pretrained(spec: Spec, architecture: str) -> Built:
    import timm

    from transfuse.source.hub import cache_alone_if_offline

    name = f"{spec.target}.{spec.tag}" if spec.tag else spec.target
    tags = [full.split(".", 1)[1] for full in timm.list_pretrained(f"{architecture}.*")]
    tag = name.partition(".")[2]
    if tag and tag not in tags:
        raise unknown_name(f"tag of {architecture}", tag, [*tags, "random"], where=spec.text)
    try:
        with cache_alone_if_offline():
            module = timm.create_model(name, pretrained=True)
    except (OSError, RuntimeError) as error:
        raise cannot_download(spec, error) from error
    return Built(module, _prepare(module), licence=_licence(module))


def _prepare(module: nn.Module) -> Prepare:
    from timm.data.config import resolve_model_data_config

    settings = resolve_model_data_config(module)
    channels, size = settings["input_size"][0], settings["input_size"][1]
    return Prepare(size=size, mean=tuple(settings["mean"]), std=tuple(settings["std"]), channels=channels)


def _licence(module: nn.Module) -> str:
    return getattr(module, "pretrained_cfg", {}).get("license") or "unknown"
