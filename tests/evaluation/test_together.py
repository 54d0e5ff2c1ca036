from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.errors import UserError
from transfuse.evaluation.material import Material, value
from transfuse.evaluation.probes import lattice, together
from transfuse.evaluation.probes.lattice import logme_of_sets, subsets
from transfuse.evaluation.probes.moments import moments
from transfuse.evaluation.probes.together import Together, planted, worth_it
from transfuse.types import Undefined

ROWS, CLASSES = 60, 3


def blocks_of(widths: list[int], seed: int = 0, rows: int = ROWS) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Sources of which each knows something of the class, with means of their own."""
    rng = np.random.default_rng([seed, *widths])
    targets = rng.integers(0, CLASSES, rows)
    centres = 3.0 * rng.normal(size=(CLASSES, 4))
    blocks = {}
    for number, width in enumerate(widths):
        turn = rng.normal(size=(4, width)) / np.sqrt(number + 1.0)
        blocks[f"s{number}"] = (
            (centres[targets] + rng.normal(size=(rows, 4))) @ turn + rng.normal(size=(rows, width)) + 1
        )
    return blocks, targets


def side_of(blocks: dict[str, np.ndarray], targets: np.ndarray, sets: list[tuple[str, ...]]) -> Together:
    ends = np.cumsum([0, *(block.shape[1] for block in blocks.values())]).tolist()
    runs = {name: slice(*pair) for name, pair in zip(blocks, pairwise(ends), strict=True)}
    return Together(moments(np.concatenate(list(blocks.values()), axis=1), targets, CLASSES), runs, sets, [0, 1, 2])


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets go together however many they are."""
    monkeypatch.setattr(together, "SLOWNESS", 1e9)


@settings(max_examples=25, deadline=None)
@given(widths=st.lists(st.integers(1, 9), min_size=1, max_size=4), place=st.floats(-6, 8), seed=st.integers(0, 99))
def test_every_curve_is_what_a_dense_solve_gives(widths: list[int], place: float, seed: int) -> None:
    """q = yᵀ (I + F Fᵀ / t)⁻¹ y and log |I + F Fᵀ / t| of each set and class, from the rows themselves."""
    blocks, targets = blocks_of(widths, seed)
    sets, t = subsets(blocks), float(np.exp(place))
    q, logdet = side_of(blocks, targets, sets).at(t)
    for number, names in enumerate(sets):
        block = np.concatenate([blocks[name] for name in names], axis=1)
        whole = np.eye(ROWS) + block @ block.T / t
        for kind in range(CLASSES):
            indicator = (targets == kind).astype(float)
            expected = indicator @ np.linalg.solve(whole, indicator)
            assert q[number * CLASSES + kind] == pytest.approx(expected, rel=1e-7, abs=1e-9)
        expected = float(np.linalg.slogdet(whole)[1])
        assert logdet[number * CLASSES : (number + 1) * CLASSES] == pytest.approx(expected, rel=1e-9, abs=1e-8)


@settings(max_examples=15, deadline=None)
@given(widths=st.lists(st.integers(1, 9), min_size=1, max_size=5), seed=st.integers(0, 99), most=st.integers(1, 5))
def test_a_set_scores_what_it_scores_alone(widths: list[int], seed: int, most: int) -> None:
    """Also where only the small sets, and only some of those, are asked for."""
    blocks, targets = blocks_of(widths, seed)
    sets = subsets(blocks, min(most, len(widths)))[:: 1 + seed % 2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "SLOWNESS", 1e9)
        found, exact = logme_of_sets(blocks, targets, CLASSES, sets)
    assert exact and list(found) == sets
    for names in sets:
        block = np.concatenate([blocks[name] for name in names], axis=1)
        assert found[names] == pytest.approx(value("logme", Material(block, targets, CLASSES)), abs=1e-9)


@pytest.mark.usefixtures("always")
def test_the_order_of_the_sources_and_their_scale_change_nothing() -> None:
    blocks, targets = blocks_of([3, 7, 5])
    expected = logme_of_sets(blocks, targets, CLASSES, subsets(blocks))[0]
    names = ["s2", "s0", "s1"]
    turned = {name: blocks[name] for name in names}
    found = logme_of_sets(turned, targets, CLASSES, subsets(names))[0]
    for given_, score in found.items():
        assert score == pytest.approx(expected[tuple(sorted(given_))], abs=1e-10)
    for factor in (1e-30, 1e30):
        scaled = {name: block * factor for name, block in blocks.items()}
        for names_, score in logme_of_sets(scaled, targets, CLASSES, subsets(blocks))[0].items():
            assert score == pytest.approx(expected[names_], abs=1e-9)


@pytest.mark.usefixtures("always")
def test_sources_four_orders_apart_keep_their_peaks() -> None:
    blocks, targets = blocks_of([4, 4, 4])
    blocks["s1"] *= 1e-4
    found = logme_of_sets(blocks, targets, CLASSES, subsets(blocks))[0]
    for names, score in found.items():
        block = np.concatenate([blocks[name] for name in names], axis=1)
        assert score == pytest.approx(value("logme", Material(block, targets, CLASSES)), abs=1e-9)


@pytest.mark.usefixtures("always")
def test_repeated_sources_and_told_classes_are_as_they_are_alone() -> None:
    """A source twice leaves the matrix without full rank; one that holds the class itself has no bound."""
    blocks, targets = blocks_of([5, 5])
    blocks["twin"], blocks["told"] = blocks["s0"].copy(), np.eye(CLASSES)[targets]
    found = logme_of_sets(blocks, targets, CLASSES, subsets(blocks))[0]
    for names, score in found.items():
        alone = value("logme", Material(np.concatenate([blocks[name] for name in names], axis=1), targets, CLASSES))
        if "told" in names:
            assert isinstance(score, Undefined) and isinstance(alone, Undefined) and "tell" in score.reason
        else:
            assert score == pytest.approx(alone, abs=1e-8)


def test_constant_sources_and_too_many_curves_are_left_to_each_set(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks, targets = blocks_of([2] * 4)
    whole = moments(np.concatenate(list(blocks.values()), axis=1), targets, CLASSES)
    runs = {name: slice(2 * number, 2 * number + 2) for number, name in enumerate(blocks)}
    monkeypatch.setattr(together, "SLOWNESS", 1e9)
    sets = subsets(blocks)
    assert worth_it(whole, runs, sets, CLASSES + 1) and not worth_it(whole, runs, [], CLASSES + 1)
    monkeypatch.setattr(together, "MOST_CURVES", len(sets) * 4 - 1)
    assert not worth_it(whole, runs, sets, CLASSES + 1)
    monkeypatch.undo()
    monkeypatch.setattr(together, "SLOWNESS", 1e9)
    blocks["s1"] = np.zeros((ROWS, 2))
    found = logme_of_sets(blocks, targets, CLASSES, sets)[0]
    assert found["s1",] == value("logme", Material(blocks["s1"], targets, CLASSES))
    assert found["s0", "s1"] == pytest.approx(found["s0",], abs=1e-9)


@pytest.mark.parametrize(("count", "width", "expected"), [(8, 128, True), (3, 640, False), (1, 64, False)])
def test_many_narrow_sources_go_together_and_few_wide_ones_do_not(count: int, width: int, expected: bool) -> None:
    runs = {f"s{number}": slice(number * width, (number + 1) * width) for number in range(count)}
    rng = np.random.default_rng(0)
    whole = moments(rng.normal(size=(30, count * width)), np.arange(30) % 3, 3)
    assert worth_it(whole, runs, subsets(runs), 101) is expected


def test_the_path_that_was_taken_shows_in_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wider sets than rows stay apart, the others go together, in one call."""
    monkeypatch.setattr(together, "SLOWNESS", 1e9)
    seen: list[int] = []

    class Counted(Together):
        def __init__(self, *given: object) -> None:
            super().__init__(*given)  # pyright: ignore[reportArgumentType]
            seen.append(self.count)

    monkeypatch.setattr(lattice, "Together", Counted)
    blocks, targets = blocks_of([30, 30, 20])
    found = logme_of_sets(blocks, targets, CLASSES, subsets(blocks))[0]
    assert seen == [5] and len(found) == 7
    block = np.concatenate(list(blocks.values()), axis=1)
    assert found["s0", "s1", "s2"] == pytest.approx(value("logme", Material(block, targets, CLASSES)), abs=1e-9)


def test_features_beyond_numbers_are_refused() -> None:
    blocks, targets = blocks_of([2, 2])
    blocks["s1"] *= 1e160
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(UserError, match="cannot be scored"):
        logme_of_sets(blocks, targets, CLASSES, subsets(blocks))


def test_sets_that_begin_alike_share_their_nodes() -> None:
    root = planted(["b", "a", "c"], [("a", "b"), ("b",), ("c",), ("a", "b", "c")])
    assert sorted(root.more) == [0, 2] and root.more[0].place == 1 and root.more[2].place == 2
    both = root.more[0].more[1]
    assert both.place == 0 and both.more[2].place == 3 and not root.more[0].more.get(2)
