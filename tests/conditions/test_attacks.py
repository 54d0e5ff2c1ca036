"""Attacks are right where the answer is known: linear arms, balls, a planted defence that only hides its gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from transfuse.conditions import apgd, square, under
from transfuse.conditions._attack import Ball, cross_entropy, gradient, lengths, margin
from transfuse.conditions._ways import Guided
from transfuse.errors import UserError
from transfuse.registry import shelf

SIDE, CLASSES = 6, 4
ATTACKS = {name: entry for name, entry in shelf("conditions").items() if entry.traits["kind"] == "attack"}
GRADIENT = [name for name, entry in ATTACKS.items() if entry.traits["gradient"]]
RADIUS = {"linf": 0.05, "l2": 0.5}


@pytest.fixture(scope="module")
def weights() -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).standard_normal((CLASSES, 3 * SIDE * SIDE)).astype(np.float32))


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Far enough from 0 and 1 that no ball of these tests meets the edge of the canvas."""
    return np.random.default_rng(2).uniform(0.3, 0.7, (8, 3, SIDE, SIDE)).astype(np.float32)


def linear(weights: Tensor):
    return lambda x: 0.2 * x.flatten(1) @ weights.T


def network():
    """A smooth two-layer arm."""
    rng = np.random.default_rng(3)
    first = torch.from_numpy(rng.standard_normal((16, 3 * SIDE * SIDE)).astype(np.float32) / 4)
    second = torch.from_numpy(rng.standard_normal((CLASSES, 16)).astype(np.float32))
    return lambda x: torch.tanh((x.flatten(1) - 0.5) @ first.T) @ second.T


def right(forward, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return forward(torch.from_numpy(images)).argmax(dim=1).numpy()


def attacked(name: str, level: float, images: np.ndarray, targets: np.ndarray, forward, ids=None) -> np.ndarray:
    names = ids or [f"item {row}" for row in range(len(images))]
    return under(name, level, images, targets=targets, ids=names, forward=forward)


def margins(forward, images: np.ndarray, targets: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return margin(forward(torch.from_numpy(images)), torch.from_numpy(targets)).numpy()


def radius(name: str) -> float:
    return RADIUS[ATTACKS[name].traits["norm"]]


def test_the_shelf_has_gradient_attacks_in_two_norms_and_one_that_needs_no_gradient():
    assert set(ATTACKS) >= {"fgsm", "pgd", "pgd_l2", "apgd", "square"}
    assert {entry.traits["norm"] for entry in ATTACKS.values()} == {"linf", "l2"} and "square" not in GRADIENT


@pytest.mark.parametrize("name", GRADIENT)
def test_on_two_classes_a_linear_arm_is_hit_as_hard_as_its_closed_form(name, weights, images):
    """margin(x') = margin(x) + ε ‖w_other − w_true‖ in the dual norm, exactly."""
    forward = linear(weights[:2])
    targets = right(forward, images)
    gap = 0.2 * (weights[1] - weights[0])
    dual = float(gap.abs().sum() if ATTACKS[name].traits["norm"] == "linf" else gap.norm())
    found = margins(forward, attacked(name, radius(name), images, targets, forward), targets)
    np.testing.assert_allclose(found, margins(forward, images, targets) + radius(name) * dual, atol=2e-5)


@pytest.mark.parametrize("name", ATTACKS)
def test_points_stay_in_the_ball_and_on_the_canvas(name, weights):
    edge = np.random.default_rng(4).choice(np.float32([0.0, 0.02, 0.98, 1.0]), (4, 3, SIDE, SIDE))
    found = attacked(name, radius(name), edge, right(linear(weights), edge), linear(weights))
    delta = torch.from_numpy(found - edge)
    size = delta.abs().max() if ATTACKS[name].traits["norm"] == "linf" else lengths(delta).max()
    assert 0 < float(size) <= radius(name) + 1e-6
    assert found.min() >= 0 and found.max() <= 1


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_is_done_with_radius_zero_and_everything_falls_in_the_end(name, images):
    forward = network()
    targets = right(forward, images)
    np.testing.assert_array_equal(attacked(name, 0.0, images, targets, forward), images)
    levels = [0.01, 0.05, 0.2, 1.0] if ATTACKS[name].traits["norm"] == "linf" else [0.05, 0.3, 1.0, 8.0]
    kept = [
        (margins(forward, attacked(name, level, images, targets, forward), targets) <= 0).mean() for level in levels
    ]
    assert kept[-1] == 0 and np.all(np.diff(kept) <= 0), kept


@pytest.mark.parametrize("name", ["pgd", "apgd"])
def test_iterated_attacks_are_not_weaker_than_one_step(name, images):
    forward = network()
    targets = right(forward, images)
    for level in (0.02, 0.06, 0.12):
        once = margins(forward, attacked("fgsm", level, images, targets, forward), targets) > 0
        often = margins(forward, attacked(name, level, images, targets, forward), targets) > 0
        assert np.all(often >= once)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_item_is_attacked_alone_and_by_its_id(name, images):
    forward, order = network(), [5, 0, 3]
    targets = right(forward, images)
    whole = attacked(name, radius(name), images, targets, forward)
    ids = [f"item {row}" for row in order]
    some = attacked(name, radius(name), images[order], targets[order], forward, ids)
    np.testing.assert_allclose(some, whole[order], atol=2e-6)
    np.testing.assert_array_equal(whole, attacked(name, radius(name), images, targets, forward))


@pytest.mark.parametrize("name", ATTACKS)
def test_global_random_state_and_the_given_images_stay_as_they_are(name, images, weights):
    state, before = torch.get_rng_state(), images.copy()
    attacked(name, radius(name), images, right(linear(weights), images), linear(weights))
    assert torch.equal(state, torch.get_rng_state())
    np.testing.assert_array_equal(images, before)


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):  # noqa: ANN205
        return (x * 10).round() / 10

    @staticmethod
    def backward(ctx, grad):  # noqa: ANN205
        return torch.zeros_like(grad)


def test_a_defence_that_only_hides_its_gradient_falls_to_answers_alone_and_to_a_guide(images):
    """Rounding the canvas leaves no gradient: gradient attacks stand still, squares do not; climbing what is rounded,
    and asking what rounds, breaks as much as the undefended arm loses."""
    smooth = network()

    def forward(x: Tensor) -> Tensor:
        return smooth(Rounded.apply(x))

    targets = right(forward, images)

    def wrong(name: str, against) -> float:
        return float((margins(forward, attacked(name, 0.12, images, targets, against), targets) > 0).mean())

    assert wrong("square", forward) > wrong("fgsm", forward) + 0.2
    for name in GRADIENT:
        if ATTACKS[name].traits["norm"] == "linf":
            assert wrong(name, Guided(forward, smooth)) > wrong("fgsm", forward) + 0.2, name


@pytest.mark.parametrize("name", GRADIENT)
def test_an_arm_without_a_gradient_and_no_arm_at_all_are_one_message_each(name, images):
    targets = np.zeros(len(images), dtype=np.int64)
    with pytest.raises(UserError, match="no gradient"):
        attacked(name, radius(name), images, targets, lambda x: network()(x).detach())
    weight = torch.ones(1, CLASSES, requires_grad=True)
    with pytest.raises(UserError, match="no gradient"):
        attacked(name, radius(name), images, targets, lambda x: x.detach().sum((1, 2, 3))[:, None] * weight)
    with pytest.raises(UserError, match="none was given"):
        attacked(name, radius(name), images, targets, None)
    with pytest.raises(UserError, match="NaN"):
        attacked(name, radius(name), images, targets, lambda x: network()(x) * float("nan"))


def test_the_l2_ball_projects_to_the_nearest_length_and_the_gradient_is_that_of_each_item():
    x, ball = torch.full((2, 3, 4, 4), 0.5), Ball("l2", 0.3)
    near, far = x + 0.01, x + 0.4
    torch.testing.assert_close(ball.project(near, x), near)
    assert float(lengths(ball.project(far, x) - x).max()) == pytest.approx(0.3, abs=1e-6)
    found, losses, _ = gradient(network(), torch.rand(3, 3, SIDE, SIDE), torch.tensor([0, 1, 2]), cross_entropy)
    assert found.shape == (3, 3, SIDE, SIDE) and losses.shape == (3,)


def test_step_and_square_schedules_are_those_of_the_papers():
    assert apgd.checkpoints(100)[:5] == [22, 41, 57, 70, 80]
    shares = [square.share(query) for query in range(square.QUERIES)]
    assert shares[0] == 0.3 and shares == sorted(shares, reverse=True)
    assert shares[-1] == pytest.approx(0.3 / 2 ** len(square.HALVINGS))
