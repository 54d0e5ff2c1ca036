"""Readers agree with each other and with torch; what does not fit a network is one list; NaN has no way in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from transfuse.errors import UserError
from transfuse.source.weights import FileReader, StateReader, fill, not_finite, require_finite, state_digest

TYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.uint8, torch.bool]


def state():
    generator = torch.Generator().manual_seed(1)
    numbers = torch.randn(2, 3, generator=generator) * 3
    named = {str(dtype).split(".")[-1]: numbers.to(dtype) for dtype in TYPES}
    return {**named, "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4)}


def test_the_file_and_the_memory_give_the_same_numbers(tmp_path):
    save_file(state(), tmp_path / "w.safetensors")
    on_disk, in_memory = FileReader(tmp_path / "w.safetensors"), StateReader(state(), "here")
    assert on_disk.names() == in_memory.names() == sorted(state())
    for name in on_disk.names():
        assert on_disk.meta(name) == in_memory.meta(name)
        assert np.array_equal(on_disk.read(name), in_memory.read(name))
        expected = state()[name]
        assert torch.equal(torch.from_numpy(np.array(in_memory.read(name))).to(expected.dtype), expected)


def test_a_reader_of_memory_shares_none():
    weights = {"a": torch.zeros(3)}
    StateReader(weights, "here").read("a")[:] = 1
    assert weights["a"].sum() == 0


def test_eight_bit_floats_are_refused_by_name():
    with pytest.raises(UserError, match="'w'.*float8"):
        StateReader({"w": torch.zeros(2).to(torch.float8_e4m3fn)}, "here").read("w")


def test_everything_that_does_not_fit_is_one_sorted_list_with_tensor_and_source():
    network = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    before = state_digest(network)
    broken = network.state_dict() | {
        "0.weight": torch.zeros(3, 2),
        "extra": torch.zeros(1),
        "1.bias": torch.tensor([torch.nan]),
    }
    del broken["0.bias"]
    with pytest.raises(UserError) as caught:
        fill(network, broken, "lite0")
    lines = str(caught.value).splitlines()
    assert "lite0" in lines[-1]
    assert [line.split("'")[1] for line in lines[1:5]] == ["0.bias", "0.weight", "1.bias", "extra"]
    assert state_digest(network) == before


def test_a_shape_that_would_broadcast_is_refused():
    with pytest.raises(UserError, match="bias"):
        fill(nn.Linear(3, 2), {"weight": torch.zeros(2, 3), "bias": torch.zeros(1)}, "x")


def test_only_the_batch_counter_may_be_missing():
    network = nn.BatchNorm2d(2)
    old = {name: tensor + 1 for name, tensor in network.state_dict().items() if name != "num_batches_tracked"}
    fill(network, old, "x")
    assert network.running_var.tolist() == [2, 2]
    del old["running_var"]
    with pytest.raises(UserError, match="running_var"):
        fill(network, old, "x")


@pytest.mark.parametrize(("value", "word"), [(torch.nan, "NaN"), (torch.inf, "infinity"), (-torch.inf, "infinity")])
def test_what_is_no_number_is_named(value, word):
    network = nn.Linear(2, 2)
    network.bias.data[1] = value
    assert not_finite(network.state_dict()) == {"bias": word}
    with pytest.raises(UserError, match=f"(?s)'bias' contains {word}.*lite0"):
        require_finite(network, "lite0")


def test_the_digest_follows_every_bit_name_and_shape_and_nothing_else():
    network = nn.Linear(2, 3)
    digest = state_digest(network)
    assert digest == state_digest(network)
    with torch.no_grad():
        network.weight.copy_(network.weight.clone())
    assert digest == state_digest(network)
    network.weight.data[0, 0] = torch.nextafter(network.weight.data[0, 0], torch.tensor(9.0))
    assert digest != state_digest(network)
    zeros = [nn.Linear(2, 3, bias=False), nn.Linear(3, 2, bias=False)]
    for one in zeros:
        nn.init.zeros_(one.weight)
    assert state_digest(zeros[0]) != state_digest(zeros[1])
