from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluation.full_case import full_case
from evaluation.judged import changed, items
from evaluation.test_ridge import sources
from transfuse.evaluation.material import Material, value
from transfuse.evaluation.probes.lattice import logme_of_sets, subsets
from transfuse.evaluation.probes.ridge import Heads
from transfuse.evaluation.questions import attribution
from transfuse.evaluation.statistics.attribution import interaction_weights, interval_of_means, members, shapley_weights
from transfuse.evaluation.statistics.attribution import permutations as orders
from transfuse.evaluation.statistics.resample import Interval, moments
from transfuse.types import Features, ItemTable, Undefined


def game(sources: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=1 << sources)


def by_orders(v: np.ndarray, sources: int) -> np.ndarray:
    """Shapley values as the mean over all orders in which sources join."""
    found = np.zeros(sources)
    every = list(permutations(range(sources)))
    for order in every:
        held = 0
        for source in order:
            found[source] += v[held | 1 << source] - v[held]
            held |= 1 << source
    return found / len(every)


@settings(max_examples=12, deadline=None)
@given(count=st.integers(1, 5), seed=st.integers(0, 50))
def test_shapley_values_are_means_over_orders_and_share_out_the_whole(count: int, seed: int) -> None:
    v = game(count, seed)
    shares = shapley_weights(count) @ v
    np.testing.assert_allclose(shares, by_orders(v, count), atol=1e-12)
    assert shares.sum() == pytest.approx(v[-1] - v[0], abs=1e-12)


def test_a_dummy_gets_its_own_worth_and_equals_get_equal_shares() -> None:
    """v = worth of a, plus something once b or c (the same source twice) is there, plus d's own worth."""
    v = np.zeros(16)
    for number in range(16):
        v[number] = 2.0 * (number & 1) + 3.0 * bool(number & 6) + 0.5 * bool(number & 8)
    np.testing.assert_allclose(shapley_weights(4) @ v, [2.0, 1.5, 1.5, 0.5], atol=1e-12)
    couples = dict(zip(combinations("abcd", 2), interaction_weights(4) @ v, strict=True))
    assert couples[("b", "c")] == pytest.approx(-3.0)
    assert all(abs(found) < 1e-12 for couple, found in couples.items() if couple != ("b", "c"))
    assert members(0b1010, "abcd") == ("b", "d")


@pytest.mark.parametrize("count", [2, 3, 4])
def test_interactions_are_what_a_source_adds_to_anothers_share(count: int) -> None:
    """Grabisch, Roubens: the share of i in the game where j is always there, less that where j never is."""
    v = game(count, 7)
    found = dict(zip(combinations(range(count), 2), interaction_weights(count) @ v, strict=True))
    for first, second in found:
        rest = [source for source in range(count) if source != second]
        numbers = [
            sum(1 << rest[place] for place in range(count - 1) if low & 1 << place) for low in range(1 << count - 1)
        ]
        without, with_ = v[numbers], v[[number | 1 << second for number in numbers]]
        weights = shapley_weights(count - 1)[rest.index(first)]
        assert found[first, second] == pytest.approx(weights @ with_ - weights @ without, abs=1e-12)


def test_limits_are_close_to_those_of_moments_and_follow_groups() -> None:
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(300, 2)) + [1.0, 2.0]
    groups = [f"g{row // 10}" for row in range(300)]
    shifted = columns + np.repeat(rng.normal(size=30), 10)[:, None]
    for values, known in ((columns, None), (shifted, groups)):
        low, high = interval_of_means(values, known)
        for place in range(2):
            exact = moments(values[None, :, place], known)
            assert isinstance(exact, Interval)
            assert low[place] == pytest.approx(exact.low, abs=0.15 * (exact.high - exact.low))
            assert high[place] == pytest.approx(exact.high, abs=0.15 * (exact.high - exact.low))


def test_logme_of_every_set_is_that_of_its_concatenation() -> None:
    """Sets narrower and wider than they have rows, from one table of inner products."""
    blocks, targets, _ = sources()
    named = subsets(blocks)
    found, exact = logme_of_sets(blocks, targets, 3, named)
    assert exact and len(found) == 7
    for names in named:
        block = np.concatenate([blocks[name] for name in names], axis=1)
        assert found[names] == pytest.approx(value("logme", Material(block, targets, 3)), abs=1e-8)
    assert not logme_of_sets(blocks, targets, 3, named, widest=20)[1]


# -- the question ------------------------------------------------------------------------------------------------------


def many(count: int, rows: int = 60) -> Features:
    """Sources of which the first alone tells the class, the second repeats it, and the others are noise."""
    known = items(rows, seed=3)
    rng = np.random.default_rng(1)
    hint = 2.0 * np.eye(4)[known.targets] + rng.normal(size=(rows, 4))
    blocks = {f"s{number:02}": rng.normal(size=(rows, 3)) for number in range(2, count)}
    return Features({"s00": hint, "s01": hint, **blocks}, known, np.arange(rows) % 5)


def test_the_question_shares_out_the_gain_of_the_ridge_head() -> None:
    case = changed(full_case(1, 80), features=many(3))
    rows = {row.id: row for row in attribution.ask(case)}
    shares = {row.arm: row for row in rows.values() if row.quantity == "shapley"}
    (whole,) = [row for row in rows.values() if row.quantity == "ridge_gain"]
    assert sum(row.value for row in shares.values()) == pytest.approx(whole.value, abs=1e-10)
    assert shares["s00"].value == pytest.approx(shares["s01"].value, abs=1e-9)
    assert shares["s00"].low > 0 > shares["s02"].low
    assert all(row.low <= row.value <= row.high and "ridge head" in row.method for row in rows.values())
    pair = rows["shapley_interaction:s00-vs-s01:selection:clean"]
    assert pair.value < 0 and pair.direction == "higher"
    sets = {tuple(each["of"]): each for each in whole.provenance["sets"]}
    assert set(sets) == {(), *subsets(["s00", "s01", "s02"])}
    assert sets[()]["log_loss"] - sets["s00", "s01", "s02"]["log_loss"] == pytest.approx(whole.value, abs=1e-5)
    heads = Heads(many(3).blocks, many(3).items.targets, 4, many(3).folds)
    alone = heads.answers([("s00",)])[("s00",)].losses.mean()
    assert sets[("s00",)]["log_loss"] == pytest.approx(alone, abs=1e-5)


def test_the_order_of_rows_and_sources_changes_nothing() -> None:
    features = many(3)
    order = np.random.default_rng(5).permutation(60)
    table = ItemTable(tuple(features.items.ids[row] for row in order), features.items.targets[order])
    blocks = {name: features.blocks[name][order] for name in reversed(list(features.blocks))}
    case = full_case(1, 80)
    first, second = (
        {row.id: (row.value, row.low) for row in attribution.ask(changed(case, features=each))}
        for each in (features, Features(blocks, table, features.folds[order]))
    )
    assert first == second


def test_above_ten_sources_shares_come_from_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "PAIRS", 4)
    case = changed(full_case(1, 80), features=many(11, rows=40))
    rows = {row.id: row for row in attribution.ask(case)}
    shares = {row.arm: row for row in rows.values() if row.quantity == "shapley"}
    (whole,) = [row for row in rows.values() if row.quantity == "ridge_gain"]
    assert len(shares) == 11 and len(rows) == 12
    assert sum(row.value for row in shares.values()) == pytest.approx(whole.value, abs=1e-9)
    assert shares["s00"].low > max(shares[f"s{number:02}"].value for number in range(2, 11))
    assert "8 sampled orders" in shares["s00"].method
    drawn = orders(11, 16)
    assert drawn[1] == drawn[0][::-1] and len(drawn) == 32 and orders(11, 16) == drawn


def test_silence_and_undefined() -> None:
    case = full_case(1, 80)
    one = Features({"a": case.features.blocks["a"]}, case.features.items, case.features.folds)
    assert attribution.ask(changed(case, features=None)) == [] == attribution.ask(changed(case, features=one))
    (row,) = attribution.ask(changed(case, features=Features(case.features.blocks, case.features.items, np.zeros(120))))
    assert isinstance(row.value, Undefined) and "three folds" in row.value.reason
