"""Merges of weights against published definitions, worked values and independent oracles."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.errors import UserError
from transfuse.fusion.weights_lift import merge_states
from transfuse.registry import method

TAUS = np.array(
    [[4, 1, 0.5, -2, 3, 0, 1, 1], [-4, 2, 0.5, 1, -1, 0, -3, 1], [0, 3, -0.5, -1, -1, 0, 3, 1]], dtype=float
)
ZERO = {"t": np.zeros(8)}


def merged(name: str, rows, *, base=None, weights=None, seed: int = 0, **given_settings) -> np.ndarray:
    states = {f"s{index}": {"t": np.asarray(row, dtype=np.float64)} for index, row in enumerate(rows)}
    start = None if base is None else {"t": np.asarray(base, dtype=np.float64)}
    entry = method(f"weights/{name}")
    return merge_states(entry, states, weights=weights, base=start, settings=given_settings, seed=seed)["t"]


# -- TIES: the same input, three definitions --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("density", "weights", "expected"),
    [
        (1.0, None, [4, 2, 0.5, -1.5, 3, 0, 2, 1]),
        (1.0, [1, 2, 0.5], [4, 2.1667, 0.75, -1.25, 3, 0, 1.25, 1.1667]),
        (0.25, None, [4, 3, 0, 0, 3, 0, 3, 0]),
        (0.1, None, [0] * 8),
    ],
)
def test_ties_gives_the_peers_values_by_mass(density, weights, expected):
    found = merged("ties", TAUS, base=np.zeros(8), weights=weights, density=density)
    assert np.allclose(found, expected, atol=1e-4)


def test_ties_with_weights_in_the_election_and_the_divisor_is_the_other_peer():
    found = merged(
        "ties", TAUS, base=np.zeros(8), weights=[1, 2, 0.5], density=1.0, election_weights=True, divisor="weights"
    )
    assert np.allclose(found, [-4, 1.8571, 0.5, -1.6667, 3, 0, -3, 1], atol=1e-4)


@pytest.mark.parametrize("weight", [1.0, 2.0, 0.3])
def test_equal_weights_cancel_where_the_sum_is_divided_by_them(weight):
    how = {"density": 1.0, "election_weights": True, "divisor": "weights"}
    found = merged("ties", TAUS, base=np.zeros(8), weights=[weight] * 3, **how)
    assert np.allclose(found, [4, 2, 0.5, -1.5, 3, 0, 2, 1])


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        (0.5, [4, 2, 0, -1.5, 3, 0, 2, 1]),
        (0.25, [4, 2.5, 0, -1.5, 3, 0, 3, 1]),
        (0.1, [4, 3, 0, 0, 0, 0, 3, 0]),
        (1.0, [4, 2, 0.5, -1.5, 3, 0, 2, 1]),  # where the authors' code itself stops
    ],
)
def test_ties_as_the_authors_code_has_it(density, expected):
    found = merged("ties", TAUS, base=np.zeros(8), density=density, kept="threshold", undecided="majority")
    assert np.allclose(found, expected)


def test_an_undecided_entry_takes_the_majoritys_sign_and_else_the_positive():
    taus = -np.array([[5.0, 1, 1, 0], [-5.0, 1, 1, 0]])
    how = {"density": 1.0, "kept": "threshold"}
    assert merged("ties", taus, base=np.zeros(4), **how).tolist() == [5, -1, -1, 0]
    assert merged("ties", taus, base=np.zeros(4), undecided="majority", **how).tolist() == [-5, -1, -1, 0]


def test_the_majority_is_the_whole_models_not_a_tensors():
    states = {
        "a": {"x": np.array([2.0, 1]), "y": np.full(5, -1.0)},
        "b": {"x": np.array([-2.0, 1]), "y": np.full(5, -1.0)},
    }
    base = {"x": np.zeros(2), "y": np.zeros(5)}
    how = {"density": 1.0, "undecided": "majority", "trim_scope": "tensor"}
    assert merge_states(method("weights/ties"), states, base=base, settings=how)["x"].tolist() == [-2.0, 1.0]


def test_one_entry_stays_at_least_where_it_is_asked_for():
    found = merged("ties", TAUS[:1], base=np.zeros(8), density=0.1, kept="one")
    assert found.tolist() == [4, 0, 0, 0, 0, 0, 0, 0]


def test_without_a_divisor_agreeing_changes_add_up():
    found = merged("ties", TAUS, base=np.zeros(8), density=1.0, divisor="none")
    assert found.tolist() == [4, 6, 1, -3, 3, 0, 4, 3]


def test_three_hundred_sources_are_counted():
    assert merged("ties", np.ones((300, 4)), base=np.zeros(4), density=1.0).tolist() == [1.0] * 4


def test_ties_by_frequency_differs_from_mass_in_one_entry_only():
    mass, frequency = (
        merged("ties", TAUS, base=np.zeros(8), density=1.0, election=how) for how in ("mass", "frequency")
    )
    assert np.flatnonzero(mass != frequency).tolist() == [4]
    assert frequency[4] == -1.0


def test_ties_trims_over_the_whole_model_unless_told_otherwise():
    states = {"a": {"loud": np.array([9.0, 8.0]), "quiet": np.array([0.1, 0.2])}}
    base = {"loud": np.zeros(2), "quiet": np.zeros(2)}
    whole = merge_states(method("weights/ties"), states, base=base, settings={"density": 0.5})
    each = merge_states(method("weights/ties"), states, base=base, settings={"density": 0.5, "trim_scope": "tensor"})
    assert whole["loud"].tolist() == [9.0, 8.0] and whole["quiet"].tolist() == [0.0, 0.0]
    assert each["loud"].tolist() == [9.0, 0.0] and each["quiet"].tolist() == [0.0, 0.2]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0), st.booleans())
def test_ties_keeps_exactly_the_largest_of_the_whole_model(seed, density, tied):
    rng = np.random.default_rng(seed)
    parts = {name: rng.normal(size=size) for name, size in (("a", 7), ("b", 1), ("c", 12))}
    if tied:
        parts = {name: np.round(values) for name, values in parts.items()}
    base = {name: np.zeros_like(values) for name, values in parts.items()}
    found = merge_states(method("weights/ties"), {"only": parts}, base=base, settings={"density": density})
    flat, kept = np.concatenate(list(parts.values())), np.concatenate(list(found.values()))
    order = sorted(range(20), key=lambda place: (-abs(flat[place]), place))[: int(density * 20)]
    expected = np.zeros(20)
    expected[order] = flat[order]
    assert np.array_equal(kept, expected)


# -- the others -------------------------------------------------------------------------------------------------------


def test_task_arithmetic_adds_and_takes_away():
    assert merged("task_arithmetic", [[3, 1], [1, 5]], base=[1, 1]).tolist() == [3.0, 5.0]
    assert merged("task_arithmetic", [[3, 1]], base=[1, 1], weights=[-1.0]).tolist() == [-1.0, 1.0]
    assert merged("task_arithmetic", [[3, 1], [1, 5]], base=[1, 1], weights=[1, -1]).tolist() == [3.0, -3.0]
    assert merged("task_arithmetic", [[3, 1]], base=[1, 1], scale=0.5).tolist() == [2.0, 1.0]


def test_slerp_of_unit_vectors_stays_on_the_circle():
    found = merged("slerp", [[1, 0], [0, 1]])
    assert np.allclose(found, [2**-0.5, 2**-0.5])
    assert np.allclose(merged("slerp", [[1, 0], [0, 1]], weights=[2, 1]), [np.cos(np.pi / 6), np.sin(np.pi / 6)])


def test_slerp_keeps_lengths_in_proportion_and_ends_exactly():
    first, second = [[3.0, 0, 0], [0, 5.0, 0]]
    assert merged("slerp", [first, second], weights=[1, 0]).tolist() == first
    assert merged("slerp", [first, second], weights=[0, 1]).tolist() == second


def test_slerp_with_a_zero_tensor_is_the_straight_line():
    assert merged("slerp", [[2, 4], [0, 0]]).tolist() == [1.0, 2.0]


def test_slerp_refuses_opposite_directions_and_more_than_two_sources():
    with pytest.raises(UserError, match="opposite directions"):
        merged("slerp", [[1, 2], [-1, -2]])
    with pytest.raises(UserError, match="exactly 2 sources"):
        merged("slerp", TAUS)


def test_slerp_has_mergekits_edges_where_they_are_asked_for():
    theirs = {"edges": "mergekit"}
    assert merged("slerp", [[1, 2], [-1, -2]], **theirs).tolist() == [0.0, 0.0]
    assert np.allclose(merged("slerp", [[2, 4], [0, 0]], **theirs), [2**0.5, 2 * 2**0.5])
    assert np.allclose(merged("slerp", [[1, 0], [0, 1]], **theirs), [2**-0.5, 2**-0.5])


def test_model_stock_is_its_formula_where_it_is_not_held():
    found = merged("model_stock", [[1, 0], [-0.5, 0.75**0.5]], base=[0, 0], hold=False)
    assert np.allclose(found, [-0.5, -(0.75**0.5)])
    assert merged("model_stock", [[3, 2], [1, 2]], base=[2, 2], hold=False).tolist() == [2.0, 2.0]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[1, 0], [1, 0]], [1, 0]),
        ([[1, 0], [0, 1]], [0, 0]),
        ([[1, 0], [-0.5, 0.866]], [0, 0]),
        ([[1, 0], [0.5, 0.75**0.5]], [0.5, 0.2886751]),
    ],
)
def test_model_stock_pulls_back_by_the_angle_and_never_the_wrong_way(rows, expected):
    assert np.allclose(merged("model_stock", rows, base=[0, 0]), expected, atol=1e-6)


def test_model_stock_survives_a_source_that_never_left_its_base():
    assert np.isfinite(merged("model_stock", [[1, 1], [1, 1]], base=[1, 1])).all()
    assert merged("model_stock", [[1, 1], [3, 1]], base=[1, 1]).tolist() == [1.0, 1.0]


def test_dare_is_unbiased_and_keeps_the_asked_share():
    tau = np.linspace(1, 2, 40_000)
    found = merged("dare", [tau], base=np.zeros(40_000), density=0.25)
    assert (found != 0).mean() == pytest.approx(0.25, abs=0.01)
    assert np.allclose(found[found != 0], 4 * tau[found != 0])
    draws = np.mean(
        [merged("dare", [tau[:50]], base=np.zeros(50), density=0.5, seed=seed) for seed in range(400)], axis=0
    )
    assert np.abs(draws / tau[:50] - 1).max() < 0.25


def test_dare_that_drops_nothing_is_task_arithmetic():
    dense = merged("dare", TAUS, base=np.zeros(8), density=1.0)
    assert np.allclose(dense, merged("task_arithmetic", TAUS, base=np.zeros(8)))


def test_dare_can_keep_each_tensors_sum_of_magnitudes_or_rescale_nothing():
    rng = np.random.default_rng(4)
    taus = rng.normal(size=(2, 200_000))  # several pieces
    plain, kept, same = (
        merged("dare", taus, base=np.zeros(200_000), weights=[1, 0], density=0.25, rescale=how)
        for how in ("none", "l1", "density")
    )
    assert np.abs(kept).sum() == pytest.approx(np.abs(taus[0]).sum(), rel=1e-9)
    stays = plain != 0
    assert np.array_equal(plain[stays], taus[0][stays]) and np.array_equal(stays, kept != 0)
    assert np.allclose(same, 4 * plain)
    assert merged("dare", [[0.0, 0.0]], base=[0, 0], rescale="l1").tolist() == [0.0, 0.0]


def test_dare_draws_by_tensor_name_so_their_order_does_not_matter():
    rng = np.random.default_rng(0)
    state = {"a": rng.normal(size=50), "b": rng.normal(size=50)}
    base = {name: np.zeros(50) for name in state}
    entry = method("weights/dare")
    there = merge_states(entry, {"s": state}, base=base)
    back = merge_states(entry, {"s": dict(reversed(state.items()))}, base=dict(reversed(base.items())))
    assert all(np.array_equal(there[name], back[name]) for name in state)
    assert not np.array_equal(there["a"] != 0, there["b"] != 0)


def test_isotropic_strengths_are_equal_and_directions_stay():
    rng = np.random.default_rng(1)
    tau = rng.normal(size=(5, 3))
    found = merged("isotropic", [tau], base=np.zeros((5, 3)))
    u, s, vt = np.linalg.svd(tau, full_matrices=False)
    assert np.allclose(found, s.mean() * u @ vt)
    assert np.allclose(np.linalg.svd(found, compute_uv=False), s.mean())


def test_isotropic_takes_kernels_as_matrices_and_averages_vectors():
    rng = np.random.default_rng(2)
    kernel = rng.normal(size=(4, 3, 2, 2))
    found = merged("isotropic", [kernel], base=np.zeros_like(kernel))
    strengths = np.linalg.svd(found.reshape(4, -1), compute_uv=False)
    assert np.allclose(strengths, strengths[0])
    assert merged("isotropic", [[2.0, 4.0], [4.0, 8.0]], base=[0, 0]).tolist() == [3.0, 6.0]


@pytest.mark.parametrize("name", ["task_arithmetic", "ties", "dare", "isotropic"])
def test_opposite_weights_are_no_zero_sum_where_weights_scale(name):
    assert np.isfinite(merged(name, TAUS[:2].reshape(2, 2, 4), base=np.zeros((2, 4)), weights=[1, -1])).all()


@pytest.mark.parametrize("name", ["task_arithmetic", "slerp", "model_stock", "dare", "ties", "isotropic"])
def test_coefficients_can_be_learned_through_every_merge(name):
    from transfuse.fusion.contract import Unit

    entry = method(f"weights/{name}")
    w = torch.tensor([0.6, 0.4], dtype=torch.float64, requires_grad=True)
    x = torch.from_numpy(np.abs(TAUS[:2]).reshape(2, 2, 4) + 0.1)
    unit = Unit(
        "t", x, w, np.random.default_rng(0), base=torch.zeros(2, 4, dtype=torch.float64), settings=entry.settings({})
    )
    (entry.load().merge(unit) * torch.arange(1, 9).reshape(2, 4)).sum().backward()
    assert w.grad is not None and bool(w.grad.isfinite().all()) and bool((w.grad != 0).any())


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [2.0, -1.0, 0.5], [0.5, 0.5, 0.5]])
@pytest.mark.parametrize("divisor", ["count", "none", "weights"])
def test_ties_in_one_pass_over_blocks_is_ties_step_by_step(weights, divisor, monkeypatch):
    from transfuse.fusion import agreed
    from transfuse.fusion.weights import ties

    monkeypatch.setattr(agreed, "BLOCK", 700)
    rng = np.random.default_rng(5)
    base = rng.normal(size=3000)
    rows = [base + 0.1 * rng.normal(size=3000) for _ in weights]
    asked = {"density": 0.3, "election_weights": True, "divisor": divisor, "scale": 0.7}
    calls, once = [], ties.agreed
    monkeypatch.setattr(ties, "agreed", lambda *given, **named: calls.append(1) or once(*given, **named))
    # Of three pieces those that hold an entry at a threshold go step by step in either case.
    monkeypatch.setattr("transfuse.fusion.weights_lift.PIECE", 1000)
    fast = merged("ties", rows, base=base, weights=weights, **asked)
    monkeypatch.setattr(ties, "_plain", lambda unit: False)
    slow = merged("ties", rows, base=base, weights=weights, **asked)
    assert np.allclose(fast, slow, rtol=0, atol=1e-14) and not np.array_equal(fast, base)
    assert calls or (divisor == "weights" and len(set(weights)) > 1)
