"""Keras networks on PyTorch, trained like any other: `keras:model.keras`, `keras:ResNet50?weights=old.h5`, `…@random`.

An archive is checked without Keras, then opened in a process of its own, before it is opened here; lambdas and custom
classes are refused. Of an old `.h5` file only arrays are read, into a named architecture of keras.applications, whose
own preparation of images is taken. An archive's preparation must be stated beside the source.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transfuse.errors import UserError
from transfuse.source.building import IMAGENET_CLASSES, seeded
from transfuse.source.spec import Built, Spec, local

ARCHIVE = ".keras"
TRAITS = {"carries": "*.keras", "packages": "keras"}
PARAMETERS = {
    "weights": {"type": "str", "default": None, "doc": "an old Keras weight file (.h5), for a named architecture"},
    "classes": {"type": "int", "default": 1000, "low": 2, "doc": "number of classes of a named architecture"},
    "size": {"type": "int", "default": None, "low": 32, "doc": "side of the images of a named architecture, in pixels"},
    "seed": {"type": "int", "default": 0, "low": 0, "doc": "which random network"},
}


def matches(spec: Spec) -> bool:
    """Whether this adapter serves the spec."""
    return spec.scheme == "keras"


def files(spec: Spec, root: Path) -> list[Path]:
    """The archive, or the weight file of a named architecture."""
    if spec.target.endswith(ARCHIVE):
        return [local(root, spec.target)]
    return [local(root, spec.options["weights"])] if "weights" in spec.options else []


def build(spec: Spec, root: Path) -> Built:
    """The network. Raises UserError for a name nobody knows and for weights that do not fit, UnsafeFileError for a file
    that could do more than hold numbers."""
    from transfuse.source.frameworks.keras_files import from_archive
    from transfuse.source.frameworks.keras_network import KerasNetwork

    if not spec.target.endswith(ARCHIVE):
        return _named(spec, root)
    if spec.options:
        raise UserError("an archive takes no options", where=spec.text, got=", ".join(spec.options))
    module = KerasNetwork(from_archive(files(spec, root)[0], spec.text), spec.text)
    return Built(module, notes=module.notes)


def _named(spec: Spec, root: Path) -> Built:
    from transfuse.files.hdf import layered_arrays
    from transfuse.source.blank import restart
    from transfuse.source.frameworks.keras_files import application, fill_from_old
    from transfuse.source.frameworks.keras_network import KerasNetwork

    weights: Any = spec.options.get("weights")
    if spec.target.endswith((".h5", ".hdf5")):
        raise UserError(
            "an old Keras file is read for its arrays only: its configuration may run code",
            where=spec.text,
            hint=f"keras:ARCHITECTURE?weights={spec.target}, for example keras:ResNet50?weights={spec.target}",
        )
    if spec.random == (weights is not None):
        raise UserError(
            "a named architecture needs its weights, or none",
            where=spec.text,
            expected=f"keras:{spec.target}?weights=FILE.h5, or keras:{spec.target}@random",
            hint="weights are not downloaded",
        )
    stored = None if weights is None else layered_arrays(files(spec, root)[0])
    side = spec.number("size", 0) or None
    model, prepare = application(spec.target, spec.number("classes", IMAGENET_CLASSES), side, spec.text)
    if stored is not None:
        fill_from_old(model, stored, spec.text)
    module = KerasNetwork(model, spec.text)
    if spec.random:
        with seeded(spec):
            restart(module, spec.text)
    return Built(module, prepare, notes=module.notes)
