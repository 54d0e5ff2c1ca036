"""What each pooling of predictions promises beyond the common contract, against independent oracles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax

from transfuse.errors import UserError
from transfuse.fusion import outputs_lift
from transfuse.registry import method

LEARNED = ("convex", "greedy", "stacking", "route", "boosting", "temperature_mean", "vote")


def rows(seed: int, members: int = 3, count: int = 200, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Members of rising skill, of which the last is the most overconfident."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, classes, count)
    skill = np.linspace(0.5, 2.0, members)[:, None, None]
    logits = (skill * np.eye(classes)[targets] + rng.normal(size=(members, count, classes))) * np.linspace(
        1, 3, members
    )[:, None, None]
    return softmax(logits, axis=2), targets


def loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    return float(-np.log(np.maximum(probabilities[np.arange(len(targets)), targets], 1e-15)).mean())


def pooled(name: str, members: np.ndarray, targets: np.ndarray, other: np.ndarray, **given) -> np.ndarray:
    entry = method(f"outputs/{name}")
    return outputs_lift.apply(entry, outputs_lift.fit(entry, members, targets, given), other)


def state_of(name: str, members: np.ndarray, targets: np.ndarray, **given) -> dict[str, np.ndarray]:
    return outputs_lift.fit(method(f"outputs/{name}"), members, targets, given)


def test_geometric_mean_is_the_softmax_of_the_mean_logits():
    members, targets = rows(0)
    logits = np.log(members) + np.random.default_rng(1).normal(size=(3, 200, 1))
    assert np.allclose(pooled("geometric_mean", members, targets, members), softmax(logits.mean(axis=0), axis=1))


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_geometric_mean_gains_exactly_the_normaliser_over_the_members_mean(seed):
    members, targets = rows(seed, count=40)
    mean = np.mean([loss(member, targets) for member in members])
    normaliser = np.exp(np.log(members).mean(axis=0)).sum(axis=1)
    found = loss(pooled("geometric_mean", members, targets, members), targets)
    assert found == pytest.approx(mean + np.log(normaliser).mean(), abs=1e-12)


@pytest.mark.parametrize("name", ["mean_prob", "convex", "greedy", "route"])
def test_no_mixture_loses_less_than_who_would_always_ask_the_right_member(name):
    members, targets = rows(4)
    found = pooled(name, members, targets, members)
    oracle = loss(members.max(axis=0), targets)
    assert oracle < loss(found, targets) <= np.mean([loss(member, targets) for member in members])
    assert (found[np.arange(len(targets)), targets] <= members[:, np.arange(len(targets)), targets].max(axis=0)).all()


def test_a_vote_is_right_at_most_where_a_member_is():
    members, targets = rows(5)
    right = pooled("vote", members, targets, members).argmax(axis=1) == targets
    somebody = (members.argmax(axis=2) == targets).any(axis=0)
    assert right.any()
    assert not (right & ~somebody).any()


def test_votes_are_shares_of_the_members_and_ties_are_split():
    members = np.array([[[0.5, 0.5, 0.0]], [[0.9, 0.1, 0.0]]])
    entry = method("outputs/vote")
    state = {"smoothing": np.array(1e-9), "ranked": np.array(False)}
    assert np.allclose(outputs_lift.apply(entry, state, members), [[0.75, 0.25, 0.0]], atol=1e-6)


def test_borda_gives_points_by_rank():
    members = np.array([[[0.6, 0.3, 0.1]]])
    state = {"smoothing": np.array(1e-9), "ranked": np.array(True)}
    assert np.allclose(outputs_lift.apply(method("outputs/vote"), state, members), [[2 / 3, 1 / 3, 0.0]], atol=1e-6)


def test_equal_probabilities_share_the_points_of_their_places():
    members = np.round(np.random.default_rng(3).dirichlet(np.ones(9), (2, 300)), 1)
    members[:, :, 0] += 1 - members.sum(axis=2)
    state = {"smoothing": np.array(1e-12), "ranked": np.array(True)}
    found = method("outputs/vote").load().apply(state, members)
    above, below = members[..., :, None], members[..., None, :]
    places = (above > below).sum(axis=3) + ((above == below).sum(axis=3) - 1) / 2
    wanted = places.mean(axis=0) / 36
    assert np.allclose(found, wanted, atol=1e-9)


def test_a_vote_is_trusted_as_far_as_it_was_right():
    members, targets = rows(2, count=2000)
    weak = np.roll(targets, 1)
    assert state_of("vote", members, weak)["smoothing"] > 10 * state_of("vote", members, targets)["smoothing"]


def test_each_member_gets_the_temperature_that_fits_it_alone():
    members, targets = rows(3, count=2000)
    found = state_of("temperature_mean", members, targets)["temperatures"]
    for member, heat in zip(members, found, strict=True):
        logs = np.log(member)
        best = minimize_scalar(
            lambda b, logs=logs: -log_softmax(b * logs, axis=1)[np.arange(2000), targets].mean(), bounds=(0.05, 20),
            method="bounded", options={"xatol": 1e-9},
        )  # fmt: skip
        assert 1 / heat == pytest.approx(best.x, rel=1e-5)


def test_convex_weights_are_the_optimum_that_a_general_solver_finds():
    members, targets = rows(4, members=4)
    true = members[:, np.arange(200), targets]
    found = minimize(
        lambda w: -np.log(w @ true).mean(),
        np.full(4, 0.25),
        bounds=[(0, 1)] * 4,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 1000},
    )
    weights = state_of("convex", members, targets)["weights"]
    assert -np.log(weights @ true).mean() <= found.fun + 1e-9
    assert weights.sum() == pytest.approx(1.0) and (weights >= 0).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.integers(1, 5))
def test_convex_and_one_bag_of_greedy_are_never_below_the_best_member_on_their_rows(seed, members):
    given_rows, targets = rows(seed, members=members, count=60)
    best = min(loss(member, targets) for member in given_rows)
    assert loss(pooled("convex", given_rows, targets, given_rows), targets) <= best + 1e-9
    assert loss(pooled("greedy", given_rows, targets, given_rows, bags=1), targets) <= best + 1e-12


def test_greedy_leaves_a_useless_member_out_and_counts_with_replacement():
    members, targets = rows(5)
    members[0] = np.roll(members[0], 1, axis=1)
    weights = state_of("greedy", members, targets, bags=1, rounds=20)["weights"]
    assert weights[0] == 0.0 and weights.sum() == pytest.approx(1.0)
    shares = np.array([w * size for size in range(1, 21) for w in [weights]])
    assert any(np.allclose(row, np.round(row)) for row in shares)


def test_stacking_with_a_heavy_penalty_is_the_geometric_mean():
    members, targets = rows(6)
    heavy = pooled("stacking", members, targets, members, penalty=1e8)
    assert np.allclose(heavy, pooled("geometric_mean", members, targets, members), atol=1e-5)


def test_stacking_finds_a_member_that_is_wrong_about_one_class_only():
    members, targets = rows(7, members=2, count=3000)
    members[1] = np.random.default_rng(0).dirichlet(np.ones(4), 3000)
    found = state_of("stacking", members, targets)["weights"]
    assert (found[0] > found[1] + 0.2).all()


def test_stacking_refuses_what_would_not_fit_into_memory():
    big = np.lib.stride_tricks.as_strided(np.full(1, 0.001), (10, 30_000, 1000), (0, 0, 0))
    with pytest.raises(UserError, match="too many to stack"):
        state_of("stacking", big, np.zeros(30_000, dtype=int), penalty=1.0)


def test_a_router_learns_whom_to_trust_where():
    rng = np.random.default_rng(8)
    targets = rng.integers(0, 3, 3000)
    knows = rng.random(3000) < 0.5
    sure, unsure = 0.9 * np.eye(3)[targets] + 0.1 / 3, np.full((3000, 3), 1 / 3) + 0.0
    wrong = rng.dirichlet([5, 5, 5], 3000)
    members = np.stack([np.where(knows[:, None], sure, wrong), np.where(knows[:, None], unsure, sure)])
    routed = loss(pooled("route", members, targets, members), targets)
    assert routed < loss(members.mean(axis=0), targets) - 0.05
    assert routed < loss(pooled("convex", members, targets, members), targets) - 0.05


def test_a_router_under_a_heavy_penalty_is_the_plain_mean():
    members, targets = rows(9)
    assert np.allclose(pooled("route", members, targets, members, penalty=1e6), members.mean(axis=0), atol=1e-4)


def test_boosting_learns_that_a_member_means_the_opposite():
    rng = np.random.default_rng(10)
    targets = rng.integers(0, 3, 1500)
    against = (1 - 0.8 * np.eye(3)[targets]) / 2.2
    noise = rng.dirichlet([2, 2, 2], 1500)
    members = np.stack([against, noise])
    assert loss(pooled("boosting", members, targets, members), targets) < 0.5
    assert loss(members.mean(axis=0), targets) > np.log(3)


def test_boosting_reads_its_trees_as_scikit_learn_does():
    from sklearn.ensemble import GradientBoostingClassifier

    from transfuse.fusion.outputs import boosting

    members, targets = rows(11, count=120)
    seen = boosting._seen(members)
    right = np.arange(4) == targets[:, None]
    model = GradientBoostingClassifier(n_estimators=60, max_depth=3, learning_rate=0.1, random_state=0)
    model.fit(seen.reshape(-1, 5), right.ravel())
    state = boosting._grown(
        seen, members.mean(axis=0), right, {"n_estimators": 60, "max_depth": 3, "learning_rate": 0.1}
    )
    ours = boosting._scores(state, seen).ravel()
    theirs = model.decision_function(seen.reshape(-1, 5))
    assert np.allclose(ours - ours.mean(), theirs - theirs.mean(), atol=1e-9)


@pytest.mark.parametrize("name", LEARNED)
def test_ten_rows_are_enough_to_fit_and_the_pool_is_no_worse_than_guessing_by_much(name):
    members, targets = rows(12, count=10)
    fresh, truth = rows(13)
    assert loss(pooled(name, members, targets, fresh), truth) < np.log(4) + 1.0


@pytest.mark.parametrize("name", LEARNED)
def test_on_many_rows_what_is_learned_beats_the_plain_mean(name):
    members, targets = rows(14, count=1500)
    members[0] = np.roll(members[0], 1, axis=1)
    fresh, truth = rows(15, count=1500)
    fresh[0] = np.roll(fresh[0], 1, axis=1)
    # Votes know no probabilities, and a mean of calibrated members is too timid: these need not beat the plain mean.
    bound = np.log(4) if name in ("vote", "temperature_mean") else loss(fresh.mean(axis=0), truth)
    assert loss(pooled(name, members, targets, fresh), truth) < bound
