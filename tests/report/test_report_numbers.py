"""Numbers read the same everywhere: units, signs, digits and zero."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.evaluation.words import number
from transfuse.figures import plural
from transfuse.report.charts.axes import even_ticks, tick_words
from transfuse.report.numbers import bounds, decimals, fixed, probability, quantity, scaled, spell, unit
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
    assert places >= 1 and (places <= 6 or max(abs(low), abs(high)) < 1e-5)
    for bound in (low, high):
        assert abs(bound) < 1e-6 or float(fixed(bound, places).replace("−", "-")) != 0


def test_zero_has_no_sign_and_minus_is_a_minus() -> None:
    assert [fixed(-0.0001, 2), fixed(0.0, 1, signed=True), fixed(-1234.5, 1)] == ["0.00", "0.0", "−1,234.5"]


def test_plurals() -> None:
    words = [plural(1, "run"), plural(2, "run"), plural(10, "class"), plural(2, "copy")]
    assert words == ["1 run", "2 runs", "10 classes", "2 copies"]


def test_what_is_not_zero_is_not_written_as_zero() -> None:
    """A margin of a millionth, and arms that differ by less: only what rounding makes reads as 0."""
    loss = Evidence("e", "a", "log_loss", 3e-6, "nats", "lower")
    assert spell(loss) == "3.0e−6 nats"
    gap = dataclasses.replace(loss, versus="b", value=-3.14e-10, low=-4e-10, high=-2e-10)
    assert spell(gap) == "−3.1e−10 nats [−4.0e−10, −2.0e−10]"
    assert [spell(dataclasses.replace(loss, value=value)) for value in (1e-17, 0.0)] == ["0.000 nats"] * 2


def test_numbers_in_a_large_or_small_unit_have_the_figures_of_their_interval() -> None:
    """Prices in euros squared are no eleven digits, and distances in metres squared no zeros."""
    error = Evidence("e", "a", "squared_error", 1059245821.33, "units²", "lower", low=829876531.2, high=1288615111.4)
    assert spell(error) == "1.059e9 units² [8.30e8, 1.289e9]"
    assert spell(dataclasses.replace(error, low=None, high=None)) == "1.059e9 units²"
    assert spell(dataclasses.replace(error, low=1059245820.1, high=1059245822.9)).startswith("1,059,245,821.3 units²")
    small = dataclasses.replace(error, value=4.6e-13, low=3.9e-13, high=5.4e-13)
    assert spell(small) == "4.60e−13 units² [3.90e−13, 5.40e−13]"
    assert spell(dataclasses.replace(small, value=1.07e-6, low=None, high=None)) == "1.1e−6 units²"
    assert spell(dataclasses.replace(error, value=18342.7, low=None, high=None)) == "18,343 units²"
    assert number(52962291.0666, "units²") == "5.2962e7 units²"
    assert number(4.2e-13, "units²", signed=True) == "+4.2e−13 units²"
    assert [number(value, "nats") for value in (4.2e-13, 0.04, -0.3)] == ["0.0000 nats", "0.0400 nats", "−0.3000 nats"]


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1.0, 1e9])
def test_ticks_of_any_unit_are_told_apart(unit: float) -> None:
    words = tick_words(even_ticks(-0.3 * unit, 1.2 * unit, 8))
    assert len(set(words)) == len(words) > 6 and "0" in {word.rstrip("0").rstrip(".") or "0" for word in words}
