"""Keras archives from strangers, looked at before Keras is: a configuration may name any function to be called.

A `.keras` file is a zip of a configuration and weights. Everything that the configuration would make must be one of
Keras's own layers, models, initialisers and the like, by an explicit list; nothing with code of its own passes.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

from transfuse.errors import UnsafeFileError, UserError, first_line
from transfuse.files.arrays import DAMAGE as NO_ARCHIVE
from transfuse.files.arrays import FREE_BYTES, LARGEST_RATIO
from transfuse.files.hdf import opened_hdf
from transfuse.files.texts import parsed

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
LARGEST_CONFIG, LARGEST_WEIGHTS = 64 << 20, 16 << 30
MODULES = {
    "keras.layers", "keras.models", "keras.initializers", "keras.regularizers", "keras.constraints",
    "keras.dtype_policies", "keras.src.models.functional", "keras.src.models.sequential", "keras.src.models.model",
}  # fmt: skip
# What Keras keeps right under its own name.
TOP = {"DTypePolicy", "FloatDTypePolicy", "Sequential", "Functional"}
# These run what they are given: code, a program in a folder, a module of another framework.
RUNS_CODE = {"Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "HashedCrossing"}
VALUES = {"__keras_tensor__", "__tuple__", "__ellipsis__", "__slice__", "__numpy__", "__tensor__", "__dtype__"}


def check_archive(path: Path) -> dict[str, Any]:
    """The archive's configuration. Raises UserError for what is no Keras archive, UnsafeFileError for a configuration
    that names anything but Keras's own parts, and for weights that are more than numbers. Nothing is run."""
    where = str(path)
    if not path.is_file():
        raise UserError("there is no such file", where=where)
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {one.filename: one.file_size for one in archive.infolist()}
            strange = sorted(set(sizes) - {CONFIG, METADATA, WEIGHTS})
            if strange or not {CONFIG, WEIGHTS} <= set(sizes):
                raise UnsafeFileError(
                    "this archive is not what Keras writes of a network",
                    where=where,
                    expected=f"{CONFIG}, {METADATA}, {WEIGHTS}",
                    got=", ".join(strange[:5]) or "parts are missing",
                )
            most = min(LARGEST_WEIGHTS, max(FREE_BYTES, LARGEST_RATIO * path.stat().st_size))
            if sizes[CONFIG] > LARGEST_CONFIG or sizes[WEIGHTS] > most:
                raise UnsafeFileError("this archive is too large", where=where)
            config = parsed(archive.read(CONFIG))
            weights = io.BytesIO(archive.read(WEIGHTS))
    except NO_ARCHIVE as error:
        raise UserError("this is no Keras archive", where=where, got=first_line(error)) from error
    if not isinstance(config, dict):
        raise UserError("this is no Keras archive", where=where, got="a configuration that is no mapping")
    # How it was trained is not read: the network is opened uncompiled.
    _check({key: value for key, value in config.items() if key != "compile_config"}, where)
    with opened_hdf(weights, where):
        pass
    return config


def _check(config: Any, where: str) -> None:
    pending = [config]
    while pending:
        found = pending.pop()
        if isinstance(found, list):
            pending += found
        elif isinstance(found, dict):
            _check_part(found, where)
            pending += found.values()


def _check_part(part: dict[str, Any], where: str) -> None:
    name, module = part.get("class_name"), part.get("module")
    if name is None and module is None:
        return
    told = isinstance(name, str) and isinstance(module, str | None)
    known = told and (
        (module is None and name in VALUES)
        or (module in MODULES and name not in RUNS_CODE and str(name).isidentifier())
        or (module == "keras" and name in TOP)
    )
    if not known:
        raise UnsafeFileError(
            "this archive would make something that may run code of its own",
            where=where,
            expected="layers of Keras alone",
            got=f"{module or 'nothing'}: {name}",
            hint="write the network with Keras's layers, or export it to ONNX (onnx:FILE)",
        )
