"""The small pretrained networks that come with this package, offline: `demo:residual`."""

from __future__ import annotations

from pathlib import Path

from transfuse.errors import UserError, unknown_name
from transfuse.registry import PACKAGE
from transfuse.source.building import from_file, seeded
from transfuse.source.prepare import metadata, stated_prepare
from transfuse.source.spec import Built, Spec

FOLDER = PACKAGE / "demo"
PARAMETERS = {
    "classes": {"type": "int", "default": 10, "low": 2, "doc": "number of classes; the networks have 10"},
    "seed": {"type": "int", "default": 0, "low": 0, "doc": "which random network"},
}


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "demo"


def files(spec: Spec, root: Path) -> list[Path]:
    """The packaged weight file; a random network has its preparation from there too."""
    known = sorted(path.stem for path in FOLDER.glob("*.safetensors"))
    if spec.target not in known:
        raise unknown_name("demo network", spec.target, known, where=spec.text)
    return [FOLDER / f"{spec.target}.safetensors"]


def build(spec: Spec, root: Path) -> Built:
    """The network with its weights. Raises UserError for an unknown name or tag."""
    path = files(spec, root)[0]
    if spec.tag not in (None, "random"):
        raise unknown_name(f"tag of {spec.target}", str(spec.tag), ["random"], where=spec.text)
    if spec.number("classes", 10) != 10:
        raise UserError("the demo networks have 10 classes", where=spec.text, got=spec.options["classes"])
    from transfuse.demo import networks

    with seeded(spec):
        module = networks.build(spec.target)
    if not spec.random:
        return from_file(spec, path, Built(module, licence="Apache-2.0"))
    prepare = stated_prepare(metadata(path), where=str(path))
    return Built(module, prepare, licence="Apache-2.0")
