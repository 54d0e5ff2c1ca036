from __future__ import annotations

import pytest

from transfuse.figures import scaled


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
