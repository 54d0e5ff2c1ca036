from __future__ import annotations

import numpy as np
import pytest

from evaluation.full_case import features, full_case
from evaluation.judged import changed
from transfuse.errors import UserError
from transfuse.evaluation.questions import similarity as question
from transfuse.evaluation.statistics.similarity import debiased_cka, hsic, prepare
from transfuse.types import Features, Undefined


def gaussians(rows: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width))


def naive_hsic(first: np.ndarray, second: np.ndarray) -> float:
    """By the sum over quadruples of distinct rows, as the estimator is defined."""
    kernels = [block @ block.T for block in (first, second)]
    rows = len(first)
    total, count = 0.0, 0
    k, m = kernels
    for a in range(rows):
        for b in range(rows):
            for c in range(rows):
                for d in range(rows):
                    if len({a, b, c, d}) == 4:
                        total += k[a, b] * (m[a, b] + m[c, d] - 2 * m[a, c])
                        count += 1
    return total / count


@pytest.mark.parametrize("widths", [(3, 5), (20, 30)])
def test_unbiased_hsic_is_the_sum_over_quadruples(widths: tuple[int, int]) -> None:
    """Both where the widths are the smaller side, and where the rows are."""
    first, second = (gaussians(8, width, seed) for seed, width in enumerate(widths))
    assert hsic(prepare(first), prepare(second)) == pytest.approx(naive_hsic(first, second), abs=1e-10)


@pytest.mark.parametrize(("rows", "biased", "spread"), [(100, 0.837, 0.03), (1000, 0.340, 0.01)])
def test_wide_independent_blocks_look_alike_only_to_the_biased_form(rows: int, biased: float, spread: float) -> None:
    first, second = (prepare(gaussians(rows, 512, seed)) for seed in (0, 1))
    one, other = first.block @ first.block.T, second.block @ second.block.T
    assert (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum()) == pytest.approx(biased, abs=0.005)
    found = debiased_cka(first, second)
    assert isinstance(found, float) and abs(found) < spread


def test_invariances() -> None:
    block, other = gaussians(60, 9, 0), gaussians(60, 7, 1)
    turn = np.linalg.qr(gaussians(9, 9, 2))[0]
    assert debiased_cka(prepare(block), prepare(block)) == pytest.approx(1.0)
    assert debiased_cka(prepare(block), prepare(3.0 * block @ turn + 5.0)) == pytest.approx(1.0)
    order = np.random.default_rng(3).permutation(60)
    expected = debiased_cka(prepare(block), prepare(other))
    assert debiased_cka(prepare(block[order]), prepare(other[order])) == pytest.approx(expected)
    assert debiased_cka(prepare(other), prepare(block)) == pytest.approx(expected)


def test_degenerate_blocks_are_undefined_and_broken_ones_refused() -> None:
    constant, good = prepare(np.ones((10, 3))), prepare(gaussians(10, 3, 0))
    found = debiased_cka(constant, good)
    assert isinstance(found, Undefined) and "does not vary" in found.reason
    few = prepare(gaussians(3, 2, 0))
    assert isinstance(debiased_cka(few, few), Undefined)
    with pytest.raises(UserError, match="same rows"):
        debiased_cka(good, few)
    with pytest.raises(UserError, match="finite"):
        prepare(np.array([[np.nan, 1.0]]))


def test_the_question_describes_and_never_decides() -> None:
    rows = question.ask(full_case())
    assert [(row.arm, row.versus, row.split, row.n) for row in rows] == [("a", "b", "selection", 120)]
    assert isinstance(rows[0].value, float) and 0.05 < rows[0].value < 0.9
    assert "never a decision input" in rows[0].method
    assert question.ask(changed(full_case(), features=None)) == []


def test_many_rows_are_drawn_by_their_ids_whatever_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question, "MOST_ROWS", 50)
    known = features()
    order = np.random.default_rng(0).permutation(120)
    turned = Features(
        {name: block[order] for name, block in known.blocks.items()},
        type(known.items)(tuple(known.items.ids[row] for row in order), known.items.targets[order]),
        known.folds[order],
    )
    first, second = (question.ask(changed(full_case(), features=each))[0] for each in (known, turned))
    assert first.n == 50 and first.value == pytest.approx(second.value)
