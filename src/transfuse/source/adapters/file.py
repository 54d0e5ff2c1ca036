"""A weight file and the name of its architecture: `file:model.safetensors?arch=torchvision:vgg16&classes=10`.

The architecture is built without its own weights; the file must fit it exactly. How images are prepared must be stated,
by the user or by the file's metadata: a guess would give plausible wrong numbers.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from transfuse.errors import UserError
from transfuse.source.building import from_file
from transfuse.source.spec import RANDOM, SHELF, Built, Spec, local, parse

PARAMETERS = {
    "arch": {"type": "str", "default": None, "doc": "the architecture, e.g. torchvision:vgg16, timm:NAME, demo:NAME"},
    "classes": {"type": "int", "default": 1000, "low": 2, "doc": "number of classes; read off the file"},
}


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "file"


def files(spec: Spec, root: Path) -> list[Path]:
    """The weight file."""
    return [local(root, spec.target)]


def build(spec: Spec, root: Path) -> Built:
    """The architecture with the file's weights. Raises UserError where they do not fit."""
    from transfuse.registry import find

    architecture = _architecture(spec)
    adapter = find(SHELF, architecture.scheme).load()

    def of(classes: int | None = None) -> Built:
        options = architecture.options if classes is None else {"classes": str(classes)}
        return Built(adapter.build(replace(architecture, options=options), root).module)

    return from_file(spec, files(spec, root)[0], of(), of)


def _architecture(spec: Spec) -> Spec:
    if "arch" not in spec.options:
        raise UserError(
            "a weight file does not say which network it belongs to",
            where=spec.text,
            expected=f"file:{spec.target}?arch=torchvision:NAME (or timm:NAME)",
        )
    architecture = parse(spec.options["arch"])
    if architecture.scheme in ("file", "module") or architecture.options or architecture.tag:
        raise UserError("'arch' must be the bare name of a network", where=spec.text, got=architecture.text)
    options = {"classes": spec.options["classes"]} if "classes" in spec.options else {}
    return replace(architecture, tag=RANDOM, options=options)
