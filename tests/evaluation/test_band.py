from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.evaluation.probes import band as forms
from transfuse.evaluation.probes.band import Band, band, reduced, tridiagonal

SIZES = (1, 2, 3, 63, 64, 65, 127, 128, 129, 191, 192, 193, 257)


def made(size: int, rank: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A Gram matrix of this rank, and three right-hand sides."""
    rng = np.random.default_rng([seed, size, rank])
    root = rng.normal(size=(size, rank))
    return root @ root.T, rng.normal(size=(size, 3))


def dense(form: Band) -> tuple[np.ndarray, np.ndarray]:
    """B [D, D] and Qᵀ b [D, q], put together from their blocks."""
    size = sum(len(lead) for lead, _, _ in form.blocks)
    whole, start = np.zeros((size, size)), 0
    for lead, right, _ in form.blocks:
        stop = start + len(lead)
        whole[start:stop, start:stop] = lead
        whole[stop : stop + len(right), start:stop] = right
        whole[start:stop, stop : stop + len(right)] = right.T
        start = stop
    return whole, np.concatenate([sides.T for _, _, sides in form.blocks])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [band, tridiagonal])
def test_both_forms_solve_the_matrix_at_any_shift_and_leave_it_as_it_was(size: int, kind: object) -> None:
    gram, sides = made(size, size)
    before = gram.copy(), sides.copy()
    form = kind(gram, sides)  # pyright: ignore[reportCallIssue]
    for shift in (0.3, 50.0):
        whole = gram + shift * np.eye(size)
        expected = sides.T @ np.linalg.solve(whole, sides)
        found = form.at(shift)
        np.testing.assert_allclose(found.own, np.diag(expected), rtol=1e-9)
        np.testing.assert_allclose(found.last, expected[-1], rtol=1e-9, atol=1e-9 * expected.max())
        assert found.logdet == pytest.approx(np.linalg.slogdet(whole)[1], rel=1e-12, abs=1e-9)
    assert np.array_equal(gram, before[0]) and np.array_equal(sides, before[1])


@pytest.mark.parametrize("kind", [band, tridiagonal])
@pytest.mark.parametrize("order", ["C", "F"])
def test_how_the_numbers_lie_changes_nothing(kind: object, order: str) -> None:
    gram, sides = made(300, 300)
    wide = np.zeros((300, 9))
    wide[:, ::3] = sides
    expected = kind(gram, sides).at(1.0)  # pyright: ignore[reportCallIssue]
    for lying in (sides, np.asfortranarray(sides), wide[:, ::3]):
        found = kind(np.array(gram, order=order), lying).at(1.0)  # pyright: ignore
        np.testing.assert_allclose(found.own, expected.own, rtol=1e-10)
        assert found.logdet == pytest.approx(expected.logdet, rel=1e-12)


@settings(max_examples=12, deadline=None)
@given(size=st.integers(1, 300), missing=st.integers(0, 300), seed=st.integers(0, 99))
def test_the_band_has_the_eigenvalues_of_the_matrix_and_the_lengths_of_the_sides(
    size: int, missing: int, seed: int
) -> None:
    gram, sides = made(size, max(size - missing, 1), seed)
    whole, turned = dense(band(gram, sides))
    values = np.linalg.eigvalsh(gram)
    np.testing.assert_allclose(np.linalg.eigvalsh(whole), values, atol=1e-13 * size * values[-1])
    np.testing.assert_allclose(turned.T @ turned, sides.T @ sides, rtol=1e-10, atol=1e-10 * size)
    np.testing.assert_allclose(turned.T @ whole @ turned, sides.T @ gram @ sides, rtol=1e-9, atol=1e-9 * values[-1])
    rows, columns = np.nonzero(whole)
    assert np.abs(rows - columns).max(initial=0) < 2 * forms.WIDTH


def test_columns_without_anything_need_no_reflector() -> None:
    gram, sides = made(200, 200)
    gram[:, 10:150] = gram[10:150] = 0.0
    expected = sides.T @ np.linalg.solve(gram + np.eye(200), sides)
    np.testing.assert_allclose(band(gram, sides).at(1.0).own, np.diag(expected), rtol=1e-9)  # pyright: ignore
    nothing = band(np.zeros((200, 200)), sides).at(2.0)
    assert nothing is not None
    np.testing.assert_allclose(nothing.own, (sides**2).sum(axis=0) / 2.0)


@pytest.mark.parametrize("kind", [band, tridiagonal])
def test_a_matrix_that_is_not_positive_is_told(kind: object) -> None:
    gram, sides = made(150, 150)
    least = np.linalg.eigvalsh(gram)[0]
    form = kind(gram, sides)  # pyright: ignore[reportCallIssue]
    assert form.at(-0.9 * least) is not None and form.at(-1.1 * least) is None


def test_wide_matrices_become_a_band_and_narrow_ones_a_tridiagonal(monkeypatch: pytest.MonkeyPatch) -> None:
    gram, sides = made(200, 200)
    narrow = reduced(gram, sides)
    monkeypatch.setattr(forms, "LARGE", 199)
    wide = reduced(gram, sides)
    assert isinstance(wide, Band) and not isinstance(narrow, Band)
    one, other = wide.at(3.0), narrow.at(3.0)
    assert one is not None and other is not None
    np.testing.assert_allclose(one.own, other.own, rtol=1e-11)
    assert one.logdet == pytest.approx(other.logdet, rel=1e-13)
