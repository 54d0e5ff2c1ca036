"""Every method on the shelf in every stored type, through files: its own `reference` in float64, rounded once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from transfuse.fusion.checks.weights_cases import statistic
from transfuse.fusion.contract import Unit
from transfuse.fusion.streamed import merge_files
from transfuse.registry import method, shelf
from transfuse.seeds import stream

# Bits of the fraction that is stored.
TYPES = {torch.bfloat16: 7, torch.float16: 10, torch.float32: 23, torch.float64: 52}
SHAPE = (7, 6)


def drawn(name: str, dtype: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(stream("types", name).normal(size=SHAPE)).to(dtype)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", sorted(shelf("fusion/weights")))
def test_a_method_is_its_reference_rounded_once(name, dtype, tmp_path):
    entry = method(f"weights/{name}")
    members = "abc"[: entry.traits.get("members", 3)]
    for each in (*members, "base"):
        save_file({"w": drawn(each, dtype)}, tmp_path / f"{each}.safetensors")
    weights = [0.5, 2.0, 1.0][: len(members)]
    stats = {need: {each: {"w": statistic(need, each, SHAPE)} for each in members} for need in entry.needs}
    merge_files(
        entry,
        {each: tmp_path / f"{each}.safetensors" for each in members},
        tmp_path / "out.safetensors",
        base=tmp_path / "base.safetensors" if entry.traits["needs_base"] else None,
        weights=weights,
        stats=stats,
    )
    found = load_file(tmp_path / "out.safetensors")["w"]
    unit = Unit(
        name="w",
        x=torch.stack([drawn(each, dtype).double() for each in members]).numpy(),
        w=np.array(weights),
        rng=stream(0, "merge", "w", 0),
        base=drawn("base", dtype).double().numpy() if entry.traits["needs_base"] else None,
        settings=entry.settings({}),
        stat={need: np.stack([of[each]["w"] for each in members]) for need, of in stats.items()},
    )
    wanted = np.asarray(entry.load().reference(unit)).reshape(SHAPE)
    assert found.dtype == dtype
    unit_in_the_last_place = 2.0 ** (np.floor(np.log2(np.abs(wanted) + 1e-300)) - TYPES[dtype])
    assert (np.abs(found.double().numpy() - wanted) <= 0.5 * unit_in_the_last_place + 1e-12).all()
