"""Drawings are small, self-contained, follow the page's colours, and survive any name."""

from __future__ import annotations

import re

import pytest

from transfuse.report.charts import LABEL_LENGTH, Mark, Point, forest, label, trade

MARKS = [Mark("frozen/lite0", -0.05, -0.07, -0.03, "better"), Mark("ensemble", 0.01, None, None, "not shown")]
POINTS = [
    Point(name, cost, value, value - 1, value + 1, role, front, name == "concat")
    for name, cost, value, role, front in [
        ("frozen/a", 61e6, 79.8, "baseline", True),
        ("ensemble", 211e6, 85.2, "baseline", True),
        ("copies", 300e6, 84.4, "control", False),
        ("concat", 212e6, 86.4, "candidate", True),
    ]
]


def draw(name: str = "one") -> str:
    return forest(MARKS, name=name, axis="difference", margin=0.02, lower_is_better=True)


def drawn(name: str = "two") -> str:
    return trade(POINTS, name=name, axis="accuracy, %", lower_is_better=False)


@pytest.mark.parametrize("svg", [draw(), drawn()])
def test_a_drawing_stands_alone(svg: str) -> None:
    assert svg.startswith("<svg viewBox=")
    for foreign in ("http", "xlink", "<style", "<script", "<metadata", "<!--", "@import"):
        assert foreign not in svg
    assert not re.search(r"url\((?!#)", svg)


@pytest.mark.parametrize("svg", [draw(), drawn()])
def test_every_colour_is_a_variable_of_the_page(svg: str) -> None:
    tags = "".join(re.findall(r"<[^>]+>", svg))
    assert "var(--ink)" in tags
    assert not re.findall(r"(?:fill|stroke): #[0-9a-f]{6}", tags)


def test_ids_of_two_drawings_do_not_meet_and_all_references_resolve() -> None:
    one, two = draw(), drawn()
    ids = [set(re.findall(r'\bid="([^"]+)"', svg)) for svg in (one, two)]
    assert not ids[0] & ids[1]
    for svg, known in zip((one, two), ids, strict=True):
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)) <= {(n, "") for n in known} | {
            ("", n) for n in known
        }


def test_the_same_values_give_the_same_bytes() -> None:
    assert draw() == draw()
    assert drawn() == drawn()


def test_right_is_better_for_losses_too() -> None:
    def places(svg: str) -> list[float]:
        return [float(x) for x in re.findall(r'<use href="#\S+" x="([\d.]+)"', svg)]

    lower = draw()
    higher = forest(MARKS, name="one", axis="difference", margin=0.02, lower_is_better=False)
    assert places(lower) != places(higher)
    # The first mark is 0.06 below the second: to its right where lower is better.
    shapes = [
        re.findall(r'<use [^>]*x="([\d.]+)"[^>]*style="fill: var\(--(?:better|not-shown)', svg)
        for svg in (lower, higher)
    ]
    first, second = ([float(x) for x in found[:2]] for found in shapes)
    assert first[0] > first[1]
    assert second[0] < second[1]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "--><x", "$\\frac{1$", "a & b", "名前", "x" * 300, "two\nlines"]
)
def test_any_name_is_drawn_as_plain_text(name: str) -> None:
    svg = forest([Mark(name, 0.1, 0.0, 0.2, "better")], name="f", axis="x", margin=None, lower_is_better=False)
    svg += trade(
        [*POINTS, Point(name, 90e6, 82.0, None, None, "baseline", False, False)],
        name="t",
        axis="y",
        lower_is_better=True,
    )
    tags = {tag.lower() for tag in re.findall(r"<([a-zA-Z]+)", svg)}
    assert tags <= {"svg", "g", "path", "defs", "use", "text", "clippath", "rect"}
    assert len(label(name)) <= LABEL_LENGTH


def test_equal_costs_and_equal_values_are_drawn() -> None:
    twins = [Point(name, 5e6, 50.0, None, None, "baseline", True, False) for name in ("a", "b", "c")]
    svg = trade(twins, name="t", axis="y", lower_is_better=False)
    assert all(f">{name}</text>" in svg for name in "abc")
