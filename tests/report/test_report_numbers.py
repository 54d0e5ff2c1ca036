"""Numbers read the same everywhere: units, signs, digits and zero."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.report.numbers import bounds, decimals, fixed, plural, probability, quantity, scaled, spell, unit
from transfuse.types import Evidence, Undefined

LEVEL = Evidence("e", "concat", "accuracy", 0.8642, "share", "higher", low=0.8428, high=0.8856)


def test_shares_are_percent_and_their_differences_points() -> None:
    assert spell(LEVEL) == "86.4 % [84.3, 88.6]"
    difference = dataclasses.replace(LEVEL, versus="ensemble", value=0.0118, low=-0.0093, high=0.0329)
    assert spell(difference) == "+1.2 points [−0.9, +3.3]"
    assert spell(difference, interval=False, with_unit=False) == "+1.2"


def test_a_row_already_in_percent_is_not_scaled_twice() -> None:
    assert spell(dataclasses.replace(LEVEL, value=86.4, low=None, high=None, unit="%")) == "86.4 %"


def test_other_quantities_keep_their_unit() -> None:
    loss = Evidence("e", "a", "log_loss", 0.39841, "nats", "lower", low=0.3671, high=0.4297)
    assert spell(loss) == "0.398 nats [0.367, 0.430]"
    assert spell(Evidence("e", "a", "my_score", 2.5, "", "higher")) == "2.500"
    assert quantity("my_score").title == "my score"
    assert unit(Evidence("e", "a", "latency_p50_ms", 2.5, "ms", "lower")) == "ms"


def test_undefined_stays_undefined() -> None:
    row = dataclasses.replace(LEVEL, value=Undefined("no item"), low=None, high=None)
    assert spell(row) == "undefined"
    assert bounds(row) == ()


def test_a_flip_rate_is_a_share_and_not_a_difference() -> None:
    row = Evidence("e", "a", "negative_flips", 0.038, "share", "lower", versus="b")
    assert spell(row) == "3.8 %"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (1020, "1,020"),
        (12.5, "12.5"),
        (41.2e6, "41.2 M"),
        (117_000, "117 k"),
        (3_390_000, "3.39 M"),
        (999_999, "1.00 M"),
        (12, "12"),
    ],
)
def test_large_counts_have_three_figures_and_a_prefix(number: float, text: str) -> None:
    assert scaled(number) == text


def test_compute_has_its_unit() -> None:
    assert spell(Evidence("e", "a", "inference_flops", 211.7e6, "FLOP", "lower")) == "212 MFLOP"


def test_p_values_never_read_as_zero() -> None:
    assert [probability(p) for p in (0.0, 0.0004, 0.0113, 0.8027)] == ["< 0.001", "< 0.001", "0.011", "0.80"]


@given(st.floats(-1, 1), st.floats(1e-6, 0.5))
@settings(max_examples=60, deadline=None)
def test_a_bound_that_is_not_zero_does_not_read_as_zero(value: float, half: float) -> None:
    low, high = value - half, value + half
    places = decimals([value, low, high], 1)
    assert 1 <= places <= 6
    for bound in (low, high):
        assert abs(bound) < 1e-6 or float(f"{bound:.{places}f}") != 0


def test_zero_has_no_sign_and_minus_is_a_minus() -> None:
    assert [fixed(-0.0001, 2), fixed(0.0, 1, signed=True), fixed(-1234.5, 1)] == ["0.00", "0.0", "−1,234.5"]


def test_plurals() -> None:
    words = [plural(1, "run"), plural(2, "run"), plural(10, "class"), plural(2, "copy")]
    assert words == ["1 run", "2 runs", "10 classes", "2 copies"]


def test_what_is_not_zero_is_not_written_as_zero() -> None:
    """A margin of a millionth, and arms that differ by less: only what rounding makes reads as 0."""
    loss = Evidence("e", "a", "log_loss", 3e-6, "nats", "lower")
    assert spell(loss) == "0.000003 nats"
    gap = dataclasses.replace(loss, versus="b", value=-3.14e-10, low=-4e-10, high=-2e-10)
    assert spell(gap) == "−3.1e−10 nats [−4.0e−10, −2.0e−10]"
    assert [spell(dataclasses.replace(loss, value=value)) for value in (1e-17, 0.0)] == ["0.000 nats"] * 2
