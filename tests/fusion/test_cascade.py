"""A cascade asks no more than it says: accounted cost is that of the calls made, and what leaves early may do so."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from torch import nn

from transfuse.errors import UserError
from transfuse.fusion import outputs_lift
from transfuse.fusion.contract import About
from transfuse.fusion.heat import temperatures
from transfuse.fusion.pooled import Pool
from transfuse.fusion.saved import load, save
from transfuse.registry import method

ENTRY = method("outputs/cascade")


def rows(seed: int, count: int = 400, skill=(1.0, 2.0, 4.0), classes: int = 5):
    """Members of rising skill; some rows are easy for all."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, count)
    easy = rng.random(count) < 0.5
    clear = np.array(skill)[:, None, None] * (1 + 3 * easy[None, :, None]) * np.eye(classes)[targets]
    return softmax(clear + rng.normal(size=(len(skill), count, classes)), axis=2), targets


def about(*cost: float, classes: int = 5) -> About:
    return About(np.ones((len(cost), classes), dtype=bool), np.array(cost))


def loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    return float(-np.log(probabilities[np.arange(len(targets)), targets]).mean())


@pytest.mark.parametrize("sure", ["confidence", "margin", "agreement"])
def test_what_is_accounted_is_exactly_what_was_asked(sure):
    members, targets = rows(0)
    state = outputs_lift.fit(ENTRY, members, targets, {"sure": sure}, about(1, 5, 25))
    asked = np.zeros((3, 400), dtype=int)

    def ask(member, some):
        asked[member, some] += 1
        return members[member][some]

    pooled, used = outputs_lift.lazily(ENTRY, state, (3, 400), ask)
    assert np.array_equal(asked, used.astype(int))
    assert np.array_equal(pooled, outputs_lift.apply(ENTRY, state, members))
    assert 0 < used.mean() < 1


def test_cheap_members_come_first_and_the_loss_given_up_is_within_the_tolerance():
    members, targets = rows(1, count=2000)
    cost = np.array([1.0, 5.0, 25.0])
    fresh, truth = rows(2, count=2000)
    best = min(
        loss(fresh[list(some)].mean(axis=0), truth) for n in (1, 2, 3) for some in itertools.combinations(range(3), n)
    )
    spent = []
    for tolerance in (0.0, 0.05, 0.5):
        state = outputs_lift.fit(ENTRY, members, targets, {"tolerance": tolerance}, about(*cost))
        pooled, used = outputs_lift.run(ENTRY, state, fresh)
        spent.append(float((cost @ used).mean()))
        assert loss(pooled, truth) < (1 + tolerance) * best + 0.02
    assert spent[0] >= spent[1] > spent[2]
    assert spent[1] < 0.8 * cost.sum()


def test_where_all_cost_the_same_and_only_one_knows_that_one_is_asked_alone():
    rng = np.random.default_rng(3)
    members, targets = rows(3)
    members[0] = members[1] = rng.dirichlet(np.ones(5), 400)
    state = outputs_lift.fit(ENTRY, members, targets, {}, about(1, 1, 1))
    assert state["order"].tolist() == [2]
    assert outputs_lift.run(ENTRY, state, members)[1].sum(axis=1).tolist() == [0, 0, 400]


def test_backward_thresholds_of_two_members_are_those_of_trying_all():
    members, targets = rows(4, count=120, skill=(1.0, 3.0))
    cost = np.array([0.25, 0.75])
    heats = temperatures(members, targets)
    soft = np.stack([softmax(np.log(one) / heat, axis=1) for one, heat in zip(members, heats, strict=True)])
    first, second = soft[0], soft.mean(axis=0)
    true = np.arange(120), targets
    module = ENTRY.load()
    path = module._Ground(members, heats, targets, cost, "confidence").path((0, 1), mean=True)
    for price in (0.0, 0.01, 0.3):
        found = [each[0] for each in path.priced(np.array([price]))]
        tried = []
        for threshold in [0.0, *np.unique(first.max(axis=1)), 2.0]:
            leave = first.max(axis=1) >= threshold
            losses = -np.log(np.where(leave, first[true], second[true]))
            tried.append(losses.mean() + price * np.where(leave, 0.25, 1.0).mean())
        assert found[0] + price * found[1] == pytest.approx(min(tried), abs=1e-12)


def test_many_members_are_searched_by_a_beam_that_is_never_worse_than_the_best_alone():
    members, targets = rows(5, skill=(1.0, 0.5, 2.0, 1.5, 3.0, 0.1))
    state = outputs_lift.fit(ENTRY, members, targets, {"tolerance": 0.0}, about(*range(1, 7)))
    heats = temperatures(members, targets)
    alone = min(
        -log_softmax(np.log(one) / heat, axis=1)[np.arange(400), targets].mean()
        for one, heat in zip(members, heats, strict=True)
    )
    assert loss(outputs_lift.apply(ENTRY, state, members), targets) <= alone + 1e-12


class Counting(nn.Module):
    """A member that counts the images it is given."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seen = network, 0

    def forward(self, images):
        self.seen += len(images)
        return self.network(images)


def test_the_shipped_cascade_runs_later_members_only_for_the_rows_that_need_them(members, canvas, tmp_path):
    sources = list(members.values())
    state = {
        "order": np.array([1, 0]),
        "temperatures": np.ones(2),
        "sure": np.array(0),
        "mean": np.array(True),
        "thresholds": np.array([0.0]),
    }
    with torch.no_grad():
        first = torch.softmax(sources[1](canvas), dim=1).max(dim=1).values
    state["thresholds"] = np.array([float(first.sort().values[len(canvas) // 2])])
    staying = int((first < state["thresholds"][0]).sum())
    pool = Pool("cascade", sources, "outputs/cascade", state).eval()
    counters = [Counting(source.network) for source in sources]
    for source, counter in zip(sources, counters, strict=True):
        source.network = counter
    answers = pool(canvas)
    assert 0 < staying < len(canvas)
    assert [counter.seen for counter in counters] == [staying, len(canvas)]
    singly = torch.cat([pool(canvas[row : row + 1]) for row in range(len(canvas))])
    assert torch.allclose(answers, singly, atol=1e-5)
    for source, counter in zip(sources, counters, strict=True):
        source.network = counter.network
    save(pool, tmp_path / "model")
    modules = {source.card.name: source.network for source in sources}
    assert torch.allclose(load(tmp_path / "model", modules=modules)(canvas), answers, atol=1e-5)


def test_a_pool_fitted_out_of_fold_never_saw_its_own_row():
    """Each row's target is moved in turn: its own out-of-fold answer must stay, that of other folds may move."""
    members, targets = rows(6, count=60, skill=(1.0, 1.5))
    fold = outputs_lift.folds([f"item {row}" for row in range(60)])
    entry = method("outputs/convex")
    before, _ = outputs_lift.crossfitted(entry, members, targets, {}, fold)
    for row in range(0, 60, 7):
        moved = targets.copy()
        moved[row] = (moved[row] + 1) % 5
        after, _ = outputs_lift.crossfitted(entry, members, moved, {}, fold)
        assert np.array_equal(after[fold == fold[row]], before[fold == fold[row]])
        assert not np.array_equal(after, before)


def test_mutant_in_fold_answers_are_caught(monkeypatch):
    def leaking(entry, members, targets, settings, fold, about=None):
        return outputs_lift.run(entry, outputs_lift.fit(entry, members, targets, settings, about), members)

    monkeypatch.setattr(outputs_lift, "crossfitted", leaking)
    with pytest.raises(AssertionError):
        test_a_pool_fitted_out_of_fold_never_saw_its_own_row()


@pytest.mark.parametrize("name", ["convex", "greedy", "vote", "temperature_mean", "stacking", "route", "cascade"])
def test_a_class_that_stands_in_one_fold_only_is_answered_without_having_been_seen(name):
    """All rows of one class lie in the fold that is held out: nothing was fitted to it, and nothing is impossible."""
    members, targets = rows(8, count=60)
    fold = np.arange(60) % 4 + 1
    fold[targets == 2] = 0
    pooled, _ = outputs_lift.crossfitted(method(f"outputs/{name}"), members, targets, {}, fold)
    assert np.allclose(pooled.sum(axis=1), 1.0)
    assert np.isfinite(np.log(pooled[targets == 2, 2])).all()


def test_one_fold_leaves_nothing_apart_and_gives_the_plain_mean():
    members, targets = rows(7, count=20)
    pooled, _ = outputs_lift.crossfitted(method("outputs/convex"), members, targets, {}, np.zeros(20, dtype=int))
    assert np.allclose(pooled, members.mean(axis=0))


def test_no_rows_to_fit_on_is_said():
    with pytest.raises(UserError, match="no rows to fit outputs/convex on"):
        outputs_lift.fit(method("outputs/convex"), np.empty((2, 0, 3)), np.empty(0, dtype=int), {})


@pytest.mark.parametrize(
    ("given", "text"),
    [([3, 1, 1], "stands twice.*\n.*fusion.*\n.*rows 1"), ([3, 2, 9], "no scores for some rows.*\n.*\n.*rows 1")],
)
def test_rows_that_are_missing_or_stand_twice_are_named(given, text):
    with pytest.raises(UserError, match=text):
        outputs_lift.joined(np.array([1, 2, 3]), np.array(given), np.zeros((3, 2)), "fusion")


def test_rows_in_another_order_are_joined():
    scores = np.arange(8.0).reshape(4, 2)
    found = outputs_lift.joined(np.array([1, 2, 3]), np.array([3, 9, 1, 2]), scores, "fusion")
    assert found.tolist() == [[4, 5], [6, 7], [0, 1]]
