from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfuse.figures import roughly, scaled


@pytest.mark.parametrize(
    ("number", "name", "text"),
    [
        (411_000_000, "FLOP", "411 MFLOP"),
        (5_905_444, "", "5.91 M"),
        (999_600, "", "1.00 M"),
        (9_999, "", "9,999"),
        (-12_345, "", "−12.3 k"),
        (0.25, "", "0.25"),
        (0, "FLOP", "0 FLOP"),
        (3.2e16, "FLOP", "32.0 PFLOP"),
    ],
)
def test_three_figures_and_a_prefix(number: float, name: str, text: str) -> None:
    assert scaled(number, name) == text


@pytest.mark.parametrize(("count", "told"), [(1, 1), (99, 99), (100, 100), (101, 110), (1_001, 1_100)])
def test_forecasts_have_two_figures_and_are_rounded_up(count: int, told: int) -> None:
    assert roughly(count) == told


@given(st.integers(1, 10**12))
def test_a_forecast_is_never_too_small_nor_a_tenth_too_large(count: int) -> None:
    assert count <= roughly(count) <= 1.1 * count and len(str(roughly(count)).rstrip("0")) <= 2
