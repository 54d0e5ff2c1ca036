"""Source-free adaptation: losses and centres on paper, the classifier still, labels unheard, collapse given up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch import Tensor, nn

from transfuse.registry import find
from transfuse.train.batches import Stream
from transfuse.train.feed import BlockFeed
from transfuse.train.learner import OnBlocks
from transfuse.train.loop import DivergedError, fit
from transfuse.train.objectives import SHELF, shot

ROWS, COLUMNS, CLASSES = 240, 8, 3
RNG = np.random.default_rng(0)


class Body(nn.Module):
    """A layer that learns, or none."""

    def __init__(self, learns: bool) -> None:
        super().__init__()
        self.inner = nn.Linear(COLUMNS, COLUMNS) if learns else nn.Identity()

    def forward(self, blocks: list[Tensor]) -> Tensor:
        return self.inner(blocks[0])


class Crown(nn.Module):
    """Blocks, a body and a head, as a fusion has them."""

    def __init__(self, learns: bool = True) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.joints, self.body, self.head = nn.ModuleList(), Body(learns), nn.Linear(COLUMNS, CLASSES)

    def joined(self, blocks: list[Tensor]) -> list[Tensor]:
        return blocks

    def dropping(self, blocks: list[Tensor]) -> list[Tensor]:
        return blocks

    def forward(self, blocks: list[Tensor]) -> Tensor:
        return self.head(self.body(blocks))


def places() -> tuple[np.ndarray, np.ndarray]:
    """Three clouds; in the second place they are turned by 54 degrees in the plane that tells them apart."""
    rng = np.random.default_rng(1)
    targets = np.arange(2 * ROWS) % CLASSES
    angle = 2 * np.pi * targets / CLASSES
    angle[ROWS:] += np.deg2rad(54)
    x = 0.35 * rng.normal(size=(2 * ROWS, COLUMNS))
    x[:, :2] += 2.0 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return x.astype(np.float32), targets


def trained(lesson: Any, name: str, *, learns: bool = True, there: np.ndarray | None = None, **settings: Any):
    x, targets = places()
    if there is not None:
        x[ROWS:] = there
    goal = ((name, find(SHELF, name).settings(settings)),)
    given = lesson(x, targets, epochs=10, batch=32, weight_decay=0.0, objective=goal)
    rows = np.arange(ROWS, 2 * ROWS)
    pool = {"pool": Stream(BlockFeed(rows, [x[ROWS:]], torch.device("cpu")), rows)} if name == "shot" else {}
    crown = Crown(learns)
    fitted = fit(replace(given, forward=OnBlocks, streams=pool), crown, np.arange(ROWS), held=None, rate=0.02)
    with torch.no_grad():
        right = (crown.eval()([torch.from_numpy(x[ROWS:])]).argmax(dim=1).numpy() == targets[ROWS:]).mean()
    return crown, fitted, float(right)


def test_information_is_mean_entropy_less_that_of_the_mean() -> None:
    scores = RNG.normal(size=(7, 4))
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    wanted = entropy(shares, axis=1).mean() - entropy(shares.mean(axis=0))
    assert float(shot.information(torch.tensor(scores))) == pytest.approx(wanted, abs=1e-6)
    sure = torch.tensor([[50.0, 0, 0, 0], [0, 50, 0, 0], [0, 0, 50, 0], [0, 0, 0, 50]])
    assert float(shot.information(sure)) == pytest.approx(-np.log(4), abs=1e-6)


def test_labels_are_those_of_the_nearest_centres_by_hand_and_no_class_that_nobody_answers() -> None:
    fused = RNG.normal(size=(9, 2)).astype(np.float32) + np.repeat([[4, 0], [0, 4], [-4, 0]], 3, axis=0)
    shares = np.repeat(np.array([[0.8, 0.1, 0.1, 0.0], [0.1, 0.7, 0.2, 0.0], [0.4, 0.1, 0.5, 0.0]]), 3, axis=0)
    wide = np.concatenate([fused, np.ones((9, 1))], axis=1)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    weights = shares
    for _ in range(2):
        centres = weights.T @ wide
        centres /= np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)
        near = (wide @ centres.T)[:, :3].argmax(axis=1)
        weights = np.eye(4)[near]
    parts = [torch.tensor(fused[:5], dtype=torch.float64), torch.tensor(fused[5:], dtype=torch.float64)]
    found = shot.nearest(parts, [torch.tensor(shares[:5]), torch.tensor(shares[5:])])
    assert [len(each) for each in found] == [5, 4]
    np.testing.assert_array_equal(torch.cat(found).numpy(), near)


def test_what_a_turn_of_the_features_costs_is_won_back_without_a_label_and_the_classifier_stays(lesson: Any) -> None:
    plain, first, lost = trained(lesson, "supervised")
    adapted, fitted, right = trained(lesson, "shot", rate=0.01)
    assert lost < 0.93
    assert right > lost + 0.04
    for mine, other in zip(adapted.head.parameters(), plain.head.parameters(), strict=True):
        assert torch.equal(mine, other)
    assert not torch.equal(adapted.body.inner.weight, plain.body.inner.weight)  # pyright: ignore
    assert fitted.items == first.items + 15 * ROWS


def test_it_is_the_same_again_whatever_the_global_random_state(lesson: Any) -> None:
    one, _, _ = trained(lesson, "shot", rounds=2)
    torch.rand(3)
    other, _, _ = trained(lesson, "shot", rounds=2)
    for mine, again in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(mine, again)


def test_an_adaptation_that_ends_in_few_classes_is_given_up_and_says_so(lesson: Any) -> None:
    """All items alike: being sure of one class is all that is left to learn."""
    alike = np.tile(RNG.normal(size=(1, COLUMNS)).astype(np.float32), (ROWS, 1)) * 0.1
    with pytest.raises(DivergedError, match=r"fell to 1\.\d classes"):
        trained(lesson, "shot", there=alike, rate=0.05, pull=3.0, least=0.95)
    trained(lesson, "shot", there=alike, rate=0.05, pull=3.0, least=0.0)


def test_where_nothing_below_the_classifier_learns_or_numbers_end_the_arm_is_given_up(lesson: Any) -> None:
    with pytest.raises(DivergedError, match="nothing there learns"):
        trained(lesson, "shot", learns=False)
    with pytest.raises(DivergedError, match="no number"):
        trained(lesson, "shot", there=np.full((ROWS, COLUMNS), np.inf, dtype=np.float32))
