"""Weights with a low-rank adapter added: without it an adapter could be merged only after something else had merged it.

A LoRA adapter (Hu et al., 2022) is a folder as PEFT writes it: `adapter_config.json` and `adapter_model.safetensors`.

    W' = W + s B A        A [r, in], B [out, r];   s = alpha / r, or alpha / sqrt(r) where `use_rslora` says so

Convolutions have A [r, in, h, w] and B [out, r, 1, 1]. Modules saved whole replace the base's. Read tensor by tensor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.errors import UserError, many_problems
from transfuse.files.texts import json_object
from transfuse.source.weights import FileReader, Reader, cast

LARGEST = 1e9
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PREFIX = "base_model.model."


class AdaptedReader:
    """A base's tensors with an adapter's changes added; names, shapes and types are the base's."""

    def __init__(self, base: Reader, folder: Path) -> None:
        self._base, self.where = base, str(folder)
        config = _config(folder)
        adapter = FileReader(folder / WEIGHTS)
        names = set(base.names())
        self._parts: dict[str, dict[str, str]] = {}
        unknown = []
        for key in adapter.names():
            target, part = _target(key)
            if target not in names:
                unknown.append(f"'{key}' changes '{target}', which the base does not have")
            self._parts.setdefault(target, {})[part] = key
        unknown += [
            f"'{target}' has only one half of its pair"
            for target, parts in self._parts.items()
            if "whole" not in parts and set(parts) != {"A", "B"}
        ]
        if unknown:
            raise many_problems("this adapter does not fit its base", unknown, where=str(folder))
        self._adapter, self._config = adapter, config

    def names(self) -> Sequence[str]:
        return self._base.names()

    def meta(self, name: str) -> tuple[tuple[int, ...], str]:
        return self._base.meta(name)

    def read(self, name: str) -> np.ndarray:
        """Raises UserError where a change has another shape than what it changes."""
        parts = self._parts.get(name)
        if parts is None:
            return self._base.read(name)
        if "whole" in parts:
            return self._adapter.read(parts["whole"])
        whole = self._base.read(name).astype(np.float64)
        change = self._change(parts, name)
        if change.shape != whole.shape:
            raise UserError(
                "an adapter's change does not fit what it changes",
                where=f"{self.where}, tensor '{name}'",
                expected=str(list(whole.shape)),
                got=str(list(change.shape)),
            )
        stored = self.meta(name)[1]
        # Readers give BF16 as float32; the sum stays as exact as that is.
        return cast(whole + change, "F32" if stored == "BF16" else stored)[0]

    def _change(self, parts: Mapping[str, str], name: str) -> np.ndarray:
        down, up = (self._adapter.read(parts[part]).astype(np.float64) for part in "AB")
        rank = down.shape[0]
        alpha = float(_pattern(self._config, "alpha_pattern", name, self._config.get("lora_alpha", rank)))
        scale = alpha / (math.sqrt(rank) if self._config.get("use_rslora") else rank)
        change = (up.reshape(len(up), -1) @ down.reshape(rank, -1)).reshape(len(up), *down.shape[1:])
        return scale * (change.T if self._config.get("fan_in_fan_out") else change)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    config = json_object(path, "this folder holds no adapter", hint=f"a folder with {CONFIG} and {WEIGHTS}")
    kind = config.get("peft_type")
    if kind != "LORA" or config.get("use_dora"):
        got = "DoRA" if config.get("use_dora") else str(kind)
        raise UserError("only LoRA adapters are added to weights", where=str(path), got=got)
    if config.get("bias", "none") != "none":
        raise UserError("adapters that train biases are not read", where=str(path), got=f"bias: {config['bias']}")
    alphas = config.get("alpha_pattern") or {}
    numbers = [config.get("lora_alpha", 1), *(alphas.values() if isinstance(alphas, dict) else [None])]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < LARGEST for one in numbers):
        raise UserError("an adapter's alphas must be numbers", where=str(path), got=f"{numbers}"[:200])
    return config


def _target(key: str) -> tuple[str, str]:
    """Which tensor of the base a tensor of the adapter belongs to, and as what: `A`, `B` or `whole`."""
    name = key.removeprefix(PREFIX)
    for part in "AB":
        for middle in (f".lora_{part}.weight", f".lora_{part}.default.weight"):
            if name.endswith(middle):
                return f"{name.removesuffix(middle)}.weight", part
    return name.replace(".modules_to_save.default.", ".").replace(".modules_to_save.", "."), "whole"


def _pattern(config: Mapping[str, Any], key: str, name: str, default: Any) -> Any:
    """A setting of one module: the pattern that ends its name, else the common one."""
    module = name.removesuffix(".weight")
    return next(
        (value for end, value in (config.get(key) or {}).items() if module == end or module.endswith(f".{end}")),
        default,
    )
