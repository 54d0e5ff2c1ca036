"""The lift of merging: what is right about every merge, whatever the method; parity with numpy and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from transfuse.errors import UserError
from transfuse.fusion.weights_lift import merge_states
from transfuse.registry import method

MEAN = method("weights/mean")


def state(seed, dtype=np.float32, shape=(3, 4)):
    return {"weight": np.random.default_rng(seed).normal(size=shape).astype(dtype)}


@settings(deadline=None, max_examples=30)
@given(
    weights=st.lists(st.floats(0.01, 10), min_size=1, max_size=5),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    shape=st.sampled_from([(), (1,), (0,), (2, 3)]),
)
def test_the_mean_is_numpys_average(weights, dtype, shape):
    states = {f"s{k}": state(k, dtype, shape) for k in range(len(weights))}
    wanted = np.average([s["weight"].astype(np.float64) for s in states.values()], axis=0, weights=weights)
    found = merge_states(MEAN, states, weights=weights)["weight"]
    assert found.dtype == dtype
    assert np.allclose(found, wanted, rtol=2 * np.finfo(dtype).eps, atol=1e-14 + np.finfo(dtype).smallest_subnormal)


def test_equal_means_are_torchs_swa():
    nets = [nn.Linear(4, 3) for _ in range(3)]
    swa = torch.optim.swa_utils.AveragedModel(nets[0])
    for net in nets:
        swa.update_parameters(net)
    states = {str(k): {name: value.numpy() for name, value in net.state_dict().items()} for k, net in enumerate(nets)}
    merged = merge_states(MEAN, states)
    assert all(np.allclose(merged[name], value.numpy(), atol=1e-6) for name, value in swa.module.state_dict().items())


def test_a_merged_batchnorm_net_loads_and_counts_as_the_longest_trained():
    nets = [nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)) for _ in range(2)]
    for rounds, net in enumerate(nets, start=2):
        for _ in range(rounds):
            net(torch.randn(2, 3, 4, 4))
    states = {str(k): {name: value.numpy() for name, value in net.state_dict().items()} for k, net in enumerate(nets)}
    merged = {name: torch.from_numpy(array) for name, array in merge_states(MEAN, states).items()}
    nets[0].load_state_dict(merged)
    assert nets[0][1].num_batches_tracked == 3


def test_the_result_has_the_first_sources_type():
    states = {"half": state(0, np.float16), "single": state(1, np.float32)}
    assert merge_states(MEAN, states)["weight"].dtype == np.float16


def test_all_problems_come_at_once():
    second = {"weight": np.zeros((4, 3), np.float32), "extra": np.zeros(2)}
    with pytest.raises(UserError) as caught:
        merge_states(MEAN, {"one": state(0) | {"bias": np.zeros(3)}, "two": second})
    for text in (
        "'bias' is missing in 'two'",
        "'extra' of 'two' is unknown",
        "[3, 4] in 'one', [4, 3] in 'two'",
        "(3)",
    ):
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (np.full((3, 4), np.nan, np.float32), "NaN or infinity"),
        (np.zeros((3, 4), np.complex64), "type C64"),
        (np.zeros((3, 4), np.int64), "F32 in 'one', I64 in 'two'"),
    ],
)
def test_a_tensor_that_is_no_real_number_is_refused(bad, text):
    with pytest.raises(UserError, match=text):
        merge_states(MEAN, {"one": state(0), "two": {"weight": bad}})


def test_a_first_source_with_nan_is_named_itself():
    with pytest.raises(UserError, match="of 'one' holds NaN"):
        merge_states(MEAN, {"one": {"weight": np.array([np.nan])}, "two": {"weight": np.array([1.0])}})


@pytest.mark.parametrize("weights", [(1.0, -1.0), (0.0, 0.0), (1.0,), (1.0, 2.0, 3.0), (1.0, float("nan"))])
def test_weights_that_give_no_mean_are_refused(weights):
    with pytest.raises(UserError, match="weight"):
        merge_states(MEAN, {"one": state(0), "two": state(1)}, weights=weights)


def test_a_result_its_type_cannot_hold_is_an_error_and_not_infinity():
    near = {"one": {"weight": np.array([6e4], np.float16)}, "two": {"weight": np.array([-6e4], np.float16)}}
    with pytest.raises(UserError, match="F16 cannot hold") as caught:
        merge_states(MEAN, near, weights=(2.0, -1.0))
    assert "'weight'" in str(caught.value)


def test_unknown_settings_are_refused():
    with pytest.raises(UserError, match="unknown parameter of weights/mean 'power'"):
        merge_states(MEAN, {"one": state(0)}, settings={"power": 2})


@pytest.mark.parametrize("name", ["mean", "task_arithmetic", "ties", "dare", "slerp", "model_stock", "isotropic"])
def test_pieces_and_workers_change_no_bit(name, monkeypatch):
    from transfuse.fusion import weights_lift
    from transfuse.fusion.weights_lift import ArrayReader, carry_out, job

    rng = np.random.default_rng(0)
    make = lambda: {"a": rng.normal(size=(40, 30)), "b": rng.normal(size=7), "c": rng.normal(size=(3, 50, 2))}  # noqa: E731
    readers = {str(k): ArrayReader(make(), str(k)) for k in range(2)}
    base = ArrayReader(make(), "base")
    found = []
    for workers in (1, 4):
        monkeypatch.setattr(weights_lift, "PIECE", 100)
        work = job(method(f"weights/{name}"), readers, base=base)
        rooms = {tensor: np.empty(readers["0"].read(tensor).size) for tensor in readers["0"].names()}
        carry_out(work, rooms.__getitem__, workers=workers)
        found.append(rooms)
    assert all(np.array_equal(found[0][tensor], found[1][tensor]) for tensor in found[0])
    if name != "dare":  # whose draws belong to the pieces
        whole = merge_states(method(f"weights/{name}"), {k: r._state for k, r in readers.items()}, base=base._state)
        assert all(np.allclose(found[0][tensor], whole[tensor].ravel(), atol=1e-14) for tensor in whole)


@pytest.mark.parametrize("scope", ["model", "tensor"])
def test_trimming_in_pieces_is_trimming_at_once(scope, monkeypatch):
    from transfuse.fusion import weights_lift

    rng = np.random.default_rng(3)
    states = {str(k): {"a": np.round(rng.normal(size=300), 1), "b": rng.normal(size=50)} for k in range(3)}
    base = {"a": np.zeros(300), "b": np.zeros(50)}
    given_settings = {"density": 0.3, "trim_scope": scope}
    whole = merge_states(method("weights/ties"), states, base=base, settings=given_settings)
    monkeypatch.setattr(weights_lift, "PIECE", 64)
    pieces = merge_states(method("weights/ties"), states, base=base, settings=given_settings)
    assert all(np.array_equal(whole[name], pieces[name]) for name in whole)
