"""From a Keras file to a network that may be trusted as far as a file can be: looked at, tried apart, then opened.

An archive is checked part by part without Keras, then opened and run once in a process of its own; only then here. Of
old `.h5` files nothing is read but arrays, into an architecture that Keras itself makes.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.errors import UnsafeFileError, UserError, first_line, many_problems, unknown_name
from transfuse.files.keras_archives import check_archive
from transfuse.jsonio import file_digest
from transfuse.source.frameworks.keras_backend import BACKEND, VARIABLE, keras, quiet
from transfuse.types import Prepare

TRIED = "TRANSFUSE_KERAS_TRIED"
LONGEST_SECONDS = 600
TRY = "import sys; from transfuse.source.frameworks.keras_files import try_out; try_out(sys.argv[1])"


def from_archive(path: Path, where: str) -> Any:
    """The model of a `.keras` file. Raises UserError or UnsafeFileError for one that is not what it should be."""
    check_archive(path)
    _tried_apart(path, file_digest(path))
    return _loaded(path, where)


def _loaded(path: Path, where: str) -> Any:
    package = keras(where)
    try:
        with quiet():
            return package.saving.load_model(path, safe_mode=True, compile=False)
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError, OSError, RuntimeError) as error:
        raise UserError("Keras cannot open this archive", where=where, got=first_line(error)) from error


@functools.lru_cache(maxsize=256)
def _tried_apart(path: Path, digest: str) -> None:
    """Open and run the archive in a process of its own, once for its content; processes started from here know of it.

    Raises UnsafeFileError where that process fails or takes too long.
    """
    known = os.environ.get(TRIED, "").split(",")
    if digest in known:
        return
    with tempfile.TemporaryDirectory() as empty:
        surroundings = {**os.environ, VARIABLE: BACKEND, "KERAS_HOME": empty, "CUDA_VISIBLE_DEVICES": ""}
        surroundings["PYTHONPATH"] = os.pathsep.join(part for part in sys.path if part)
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter, our own line of code, a path as its argument
                [sys.executable, "-c", TRY, str(path.absolute())],
                cwd=empty, env=surroundings, capture_output=True, text=True, timeout=LONGEST_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise UnsafeFileError("opening this archive takes too long", where=str(path)) from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UnsafeFileError("opening this archive fails in a process of its own", where=str(path), got=last[:300])
    os.environ[TRIED] = ",".join([*filter(None, known), digest])


def try_out(name: str) -> None:
    """Open an archive and run it once; what the process apart does."""
    path = Path(name)
    model = _loaded(path, name)
    shape = [size or 32 for size in model.input_shape[1:]]
    model(np.zeros((1, *shape), np.float32), training=False)


def architectures(where: str) -> dict[str, Any]:
    """The networks of keras.applications by name."""
    applications = keras(where).applications
    return {name: made for name, made in vars(applications).items() if name[0].isupper() and callable(made)}


def application(name: str, classes: int, side: int | None, where: str) -> tuple[Any, Prepare]:
    """A network of keras.applications without pretrained weights, and how it wants its images."""
    known = architectures(where)
    if name not in known:
        raise unknown_name(
            "Keras architecture",
            name,
            known,
            where=where,
        )
    shape = {} if side is None else {"input_shape": (side, side, 3)}
    try:
        with quiet():
            model = known[name](weights=None, classes=classes, classifier_activation=None, **shape)
    except ValueError as error:
        raise UserError("Keras cannot make this network", where=where, got=first_line(error)) from error
    return model, _prepare_of(known[name], int(model.input_shape[1]))


def _prepare_of(made: Any, side: int) -> Prepare:
    """What the network's own `preprocess_input` does to images in [0, 255], read off three colours."""
    apply = sys.modules[made.__module__].preprocess_input
    probe = np.zeros((4, 1, 1, 3), np.float32)
    for channel in range(3):
        probe[channel + 1, 0, 0, channel] = 255
    found = np.asarray(apply(probe.copy()), dtype=np.float64).reshape(4, 3)
    order = "bgr" if abs(found[1] - found[0]).argmax() == 2 else "rgb"
    rise = [found[1 + (2 - c if order == "bgr" else c), c] - found[0, c] for c in range(3)]
    std = tuple(255 / each for each in rise)
    mean = tuple(float(-found[0, c] * std[c]) + 0.0 for c in range(3))
    return Prepare(
        side, tuple(round(each, 4) for each in mean), tuple(round(float(each), 4) for each in std), 255, order
    )


def fill_from_old(model: Any, stored: Mapping[str, list[np.ndarray]], where: str) -> None:
    """Put the arrays of an old weight file into a model: by the layers' names, or in their order where names differ.

    Raises UserError listing all that does not fit.
    """
    layers = {layer.name: layer for layer in model.layers if layer.weights}
    if set(stored) != set(layers) and len(stored) == len(layers):
        stored = dict(zip(layers, stored.values(), strict=True))
    problems = [f"'{name}' is missing" for name in layers if name not in stored]
    problems += [f"'{name}' is unexpected" for name in stored if name not in layers]
    for name in layers.keys() & stored.keys():
        problems += _unfit(name, _old_order(layers[name]), stored[name])
    if problems:
        raise many_problems("the weights do not fit the network", sorted(problems), where=where)
    for name, layer in layers.items():
        for variable, array in zip(_old_order(layer), stored[name], strict=True):
            variable.assign(array)


def _old_order(layer: Any) -> list[Any]:
    """Old files hold a layer's learned weights first, then its statistics."""
    return [*layer.trainable_weights, *layer.non_trainable_weights]


def _unfit(name: str, variables: list[Any], arrays: list[np.ndarray]) -> list[str]:
    wanted, got = [tuple(each.shape) for each in variables], [array.shape for array in arrays]
    if wanted != got:
        return [f"'{name}' has the shapes {got}, expected {wanted}"]
    return [f"'{name}' contains NaN or infinity" for array in arrays if not np.isfinite(array).all()][:1]
