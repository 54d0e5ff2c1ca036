"""Planted faults of near-identical rows: each check passes on our function and must fail on the mutant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evaluation.judged import case, changed
from transfuse.evaluation import nearest as law
from transfuse.evaluation.case import Case
from transfuse.evaluation.nearest import Limit, Near, Nearest
from transfuse.evaluation.questions import nearest as question

TRAIN = 400


def world(copied: int, seed: int = 0) -> np.ndarray:
    """Training rows, then judged rows; the first judged ones, and as many training rows, are nearly training rows."""
    rng = np.random.default_rng(seed)
    block = rng.normal(size=(600, 10))
    near = block[:copied] + 0.02 * rng.normal(size=(copied, 10))
    block[TRAIN : TRAIN + copied], block[copied : 2 * copied] = (
        near,
        block[:copied] + 0.02 * rng.normal(size=near.shape),
    )
    return block


def called(asked: Callable[..., Any], block: np.ndarray) -> np.ndarray:
    rows = np.arange(len(block))
    found = asked(lambda these: block[these], rows[:TRAIN], rows[TRAIN:], rows)
    return found.ratio <= found.limit.ratio


def check_copies_are_found_among_copies(asked: Callable[..., Any]) -> None:
    """Copies on both sides are found, though training rows have copies among themselves."""
    assert called(asked, world(80))[:80].mean() > 0.95


def check_independent_rows_are_not_found(asked: Callable[..., Any]) -> None:
    assert called(asked, world(0)).mean() < 0.02


def check_units_mean_nothing(asked: Callable[..., Any]) -> None:
    """Features in other units are the same features."""
    block, units = world(80), np.geomspace(1, 1000, 10)
    assert (called(asked, block) == called(asked, block * units)).mean() > 0.98


def check_the_rest_is_the_rest(asked: Callable[[Case], list[Any]]) -> None:
    made = case()
    close = np.arange(len(made.items)) < 30
    rows = asked(changed(made, nearest={"a": Near(close, made.items.ids)}))
    assert {row.n for row in rows if row.quantity.startswith("apart_")} == {170}


def ranked(lines: Any, train: np.ndarray, judged: np.ndarray, apart: np.ndarray) -> Any:
    """The limit is the lowest permille of the training rows' own ratios, copies and all."""
    found = law.nearest(lines, train, judged, apart)
    own = law.ratios(law.neighbours(lines, train, train, law.scaled(lines, train), apart)[0])
    return replace(found, limit=Limit(float(np.quantile(own, law.RATE)), 1.0))


def fixed(lines: Any, train: np.ndarray, judged: np.ndarray, apart: np.ndarray) -> Any:
    """A distance in the features' own units."""
    gaps = np.linalg.norm(lines(judged)[:, None] - lines(train), axis=2)
    return Nearest(train[gaps.argmin(axis=1)], gaps.min(axis=1), Limit(0.5, 1.0), 0.0)


def half(lines: Any, train: np.ndarray, judged: np.ndarray, apart: np.ndarray) -> Any:
    """Nearer than most training rows are to each other."""
    found = law.nearest(lines, train, judged, apart)
    own = law.ratios(law.neighbours(lines, train, train, law.scaled(lines, train), apart)[0])
    return replace(found, limit=Limit(float(np.median(own)), 1.0))


def turned_round(made: Case) -> list[Any]:
    """The near-identical rows are kept and the others left out."""
    found = made.nearest["a"]
    assert isinstance(found, Near)
    return question.ask(changed(made, nearest={"a": replace(found, close=~found.close)}))


@pytest.mark.parametrize(
    ("check", "sound", "mutant"),
    [
        (check_copies_are_found_among_copies, law.nearest, ranked),
        (check_independent_rows_are_not_found, law.nearest, half),
        (check_units_mean_nothing, law.nearest, fixed),
        (check_the_rest_is_the_rest, question.ask, turned_round),
    ],
)
def test_the_check_holds_for_us_and_catches_the_fault(check, sound, mutant):
    check(sound)
    with pytest.raises(AssertionError):
        check(mutant)


def test_rows_that_are_their_own_neighbours_are_caught(monkeypatch):
    """Without the rule that a row of the same group is no neighbour, every training row lies upon itself."""
    rows, block = np.arange(600), world(0)
    assert isinstance(law.nearest(lambda these: block[these], rows[:TRAIN], rows[TRAIN:], rows), Nearest)
    plain = law.neighbours
    monkeypatch.setattr(law, "neighbours", lambda *given: plain(*given[:4], _Unlike()))
    with pytest.raises(AssertionError):
        assert isinstance(law.nearest(lambda these: block[these], rows[:TRAIN], rows[TRAIN:], rows), Nearest)


class _Unlike:
    """Group numbers that are never equal."""

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), np.nan)
