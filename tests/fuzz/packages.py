"""Readers of what others pack: HDF5, Keras archives, SavedModels, tar archives, Hugging Face's configurations."""

from __future__ import annotations

import functools
import io
import json
import tarfile
from pathlib import Path

import h5py
import numpy as np

from files.saved_models import message
from fuzz.arrays import zipped
from fuzz.law import Form, Target
from transfuse.data.readers import tars
from transfuse.files.hdf import layered_arrays
from transfuse.files.keras_archives import CONFIG, METADATA, WEIGHTS, check_archive
from transfuse.files.programs import GRAPH, check_program
from transfuse.source.frameworks import hf_models

SIGNATURE = b"\x89HDF\r\n\x1a\n"
PARTS = {
    "module": "keras", "class_name": "Sequential", "registered_name": None,
    "config": {"name": "s", "layers": [
        {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 8, 8, 3]}},
        {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3, "activation": "softmax",
         "kernel_initializer": {"module": "keras.initializers", "class_name": "Zeros", "config": {}}}},
    ]},
}  # fmt: skip
SETTINGS = {
    "architectures": ["ViTForImageClassification"], "model_type": "vit", "image_size": 32, "torch_dtype": "float16",
    "id2label": {"0": "cat", "1": "dog"}, "hidden_size": 8,
}  # fmt: skip
PROCESSOR = {
    "do_center_crop": True, "crop_size": {"height": 32, "width": 32}, "size": {"shortest_edge": 36}, "do_rescale": True,
    "rescale_factor": 0.00392156862745098, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5], "rescale_offset": False, "include_top": False,
}  # fmt: skip
WORDS = (b"layer_names", b"weight_names", b"TREE", b"SNOD", b"HEAP", b"OHDR", b"\x0f\0\0\0", b"../x.h5")


def old_weights() -> bytes:
    """An old Keras weight file of two layers."""
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.attrs["layer_names"] = np.array([b"dense", b"other"])
        for layer in ("dense", "other"):
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array([f"{layer}/kernel:0".encode(), f"{layer}/bias:0".encode()])
            group[f"{layer}/kernel:0"] = np.ones((3, 2), np.float32)
            group.create_dataset(f"{layer}/bias:0", data=np.zeros(2), compression="gzip")
    return out.getvalue()


def archive(config: bytes, weights: bytes) -> bytes:
    """A Keras archive of these parts."""
    return zipped({METADATA: b"{}", CONFIG: config, WEIGHTS: weights})


def archive_read(path: Path) -> None:
    """The check that stands before Keras."""
    check_archive(path)


def settings_read(path: Path) -> None:
    """All that is read of a model's folder before the library is: headed or not, classes, preparation."""
    files = {name: path.parent / name for name in (hf_models.CONFIG, hf_models.PROCESSOR)}
    hf_models._settings(files, str(path))
    hf_models.classes(files, str(path))
    hf_models.prepare_of(files, str(path))


def tar(kind: int) -> bytes:
    """An archive of two labelled items, one of them with a long name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=kind) as made:
        for name, content in (("a.ppm", b"P6 1 1 255 abc"), ("a.cls", b"x"), (f"{'b' * 120}.ppm", b"P6 1 1 255 abd")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return out.getvalue()


def summed(changed: bytes) -> bytes:
    """The archive with the checksums of its headers made right, so that what they say is looked at."""
    made = bytearray(changed)
    for start in range(0, len(made) - 511, 512):
        if made[start + 257 : start + 262] == b"ustar":
            made[start + 148 : start + 156] = b" " * 8
            made[start + 148 : start + 156] = b"%06o\0 " % sum(made[start : start + 512])
    return bytes(made)


def tar_read(path: Path) -> None:
    """The item table of an archive, and all pixels."""
    items = tars.index(f"wds:{path.name}", path.parent)
    read = tars.reader(f"wds:{path.name}", path.parent, items)
    for row in range(len(items)):
        read(row)


def program_read(path: Path) -> None:
    """The check that stands before TensorFlow."""
    check_program(path.parent)


@functools.cache
def targets() -> list[Target]:
    """One target a reader."""
    config, weights = json.dumps(PARTS).encode(), old_weights()
    settings, processor = json.dumps(SETTINGS).encode(), json.dumps(PROCESSOR).encode()
    folder = {hf_models.CONFIG: settings, hf_models.PROCESSOR: processor}
    with_weights, with_config = functools.partial(archive, config), lambda changed: archive(changed, weights)
    packed = [tar(tarfile.PAX_FORMAT), tar(tarfile.GNU_FORMAT)]
    return [
        Target("tar", "a.tar", [Form(packed), Form(packed, summed)], tar_read, (b"ustar", b"path=", b"size=", b"GNU.")),
        Target("h5", "w.h5", [Form([weights])], layered_arrays, WORDS),
        Target(
            "keras archive",
            "m.keras",
            [
                Form([archive(config, weights)]),
                Form([weights], with_weights),
                Form([config], with_config),
                Form([config], with_config, tree=True),
            ],
            archive_read,
            (*WORDS, b"Lambda", b"keras.src", b"builtins"),
        ),
        Target("saved model", GRAPH, [Form([message().SerializeToString()])], program_read, (b"WriteFile", b"SaveV2")),
        Target(
            "hf configuration",
            hf_models.CONFIG,
            [Form([settings]), Form([settings], tree=True)],
            settings_read,
            beside=folder,
        ),
        Target(
            "hf processor",
            hf_models.PROCESSOR,
            [Form([processor]), Form([processor], tree=True), Form([processor], tree=True)],
            settings_read,
            beside=folder,
        ),
    ]
