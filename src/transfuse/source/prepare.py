"""Without this file, what a user states about a source's images would reach the network unchecked.

Torch-free: reads the `prepare` mapping of a recipe or of a weight file's metadata into a `Prepare`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse.errors import UserError, first_line, many_problems, unknown_name
from transfuse.files.texts import parsed
from transfuse.files.weights import safetensors_header
from transfuse.types import Prepare

if TYPE_CHECKING:
    from torch import nn

METADATA_KEY = "transfuse.card"
EXAMPLE = "prepare: {size: 224, order: rgb, scale: 1, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}"
# Columns are stated by name, for a source of columns alone (`transfuse.cells.schema_of`).
FIELDS = tuple(field.name for field in fields(Prepare) if field.name != "columns")


def read(stated: Mapping[str, Any], *, where: str, base: Prepare | None = None) -> Prepare:
    """A `Prepare` from a mapping, laid over `base`.

    `scale`, `mean` and `std` belong together: where one is stated, none of the base's is kept, `mean` is required,
    `std` is 1 and `scale` 1 unless stated. A single number stands for all channels. Without a base, `size` and
    `mean` are required. Raises UserError listing all that is wrong.
    """
    for name in stated:
        if name not in FIELDS:
            raise unknown_name("field of prepare", name, FIELDS, where=where)
    normalising = any(name in stated for name in ("mean", "std", "scale"))
    values: dict[str, Any] = {} if base is None else dict(vars(base))
    if base is None or normalising:
        values |= {"scale": 1.0, "std": 1.0, "mean": None}
    values |= stated
    values.setdefault("channels", 3)
    values.setdefault("order", "rgb")
    problems = _problems(values)
    if problems:
        raise many_problems("prepare does not say how the source wants its images", problems, where=where, hint=EXAMPLE)
    channels = values["channels"]
    return Prepare(
        size=values["size"],
        mean=_per_channel(values["mean"], channels),
        std=_per_channel(values["std"], channels),
        scale=float(values["scale"]),
        order=values["order"],
        channels=channels,
    )


def _problems(values: Mapping[str, Any]) -> list[str]:
    problems: list[str] = []
    size, channels = values.get("size"), values["channels"]
    if type(size) is not int or size < 1:
        problems.append(f"size must be the side in pixels the source was trained at, got {size!r}")
    if channels not in (1, 3) or isinstance(channels, bool):
        return [*problems, f"channels must be 3, or 1 for grey images, got {channels!r}"]
    if values["order"] not in ("rgb", "bgr"):
        problems.append(f"order must be rgb or bgr, got {values['order']!r}")
    if not _number(values["scale"]) or values["scale"] <= 0:
        problems.append(f"scale must be above 0 (1 for images in [0, 1], 255 for [0, 255]), got {values['scale']!r}")
    for name in ("mean", "std"):
        value = values.get(name)
        parts: list[Any] = list(value) if isinstance(value, list | tuple) else [value] * channels
        if len(parts) != channels or not all(_number(part) for part in parts):
            problems.append(f"{name} must be one number a channel ({channels}), in units of scale, got {value!r}")
        elif name == "std" and any(part <= 0 for part in parts):
            problems.append(f"std must be above 0, got {value!r}")
    return problems


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _per_channel(value: Any, channels: int) -> tuple[float, ...]:
    return tuple(float(part) for part in value) if isinstance(value, list | tuple) else (float(value),) * channels


def metadata(path: Path) -> dict[str, Any]:
    """What a safetensors file states of itself under `transfuse.card`, as a mapping; empty where it states nothing.

    Known keys: the fields of `Prepare`, and `classes`, `licence`, `seen`. Raises UserError where it is no JSON object.
    """
    if path.suffix != ".safetensors":
        return {}
    text = safetensors_header(path).metadata.get(METADATA_KEY, "{}")
    try:
        stated = parsed(text)
    except ValueError as error:
        raise UserError(f"the metadata '{METADATA_KEY}' is no JSON", where=str(path), got=first_line(error)) from error
    if not isinstance(stated, dict):
        raise UserError(f"the metadata '{METADATA_KEY}' is no JSON object", where=str(path), got=text[:80])
    return stated


def stated_prepare(stated: Mapping[str, Any], *, where: str, base: Prepare | None = None) -> Prepare | None:
    """The `Prepare` in a file's metadata, laid over `base`; `base` where the metadata has none of its fields."""
    own = {name: value for name, value in stated.items() if name in FIELDS}
    return read(own, where=where, base=base) if own else base


def what_to_state(network: nn.Module) -> str:
    """What to try where a network does not accept its images."""
    odd = sorted({str(each.dtype) for each in network.parameters() if each.is_floating_point()} - {"torch.float32"})
    if odd:
        return f"module.float(): images come in float32, and it has weights in {' and '.join(odd)}"
    return "state the size and channels it was trained at: " + EXAMPLE
