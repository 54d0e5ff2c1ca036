"""Drawings are small, self-contained, follow the page's colours, fit their width, and survive any name."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfuse.report.charts import NARROW, WIDE, arrivals, chart, curves, forest, trade
from transfuse.report.charts.axes import Scale, even_ticks, log_reach, log_ticks, reach, tick_words
from transfuse.report.charts.pen import LONGEST_NAME, Sheet, figure, label, width_of

MARKS = [
    forest.Mark("frozen/lite0", -0.05, -0.07, -0.03, "better", "−0.05"),
    forest.Mark("ensemble", 0.01, None, None, "not shown", "+0.01"),
]
POINTS = [
    trade.Point(name, cost, value, value - 1, value + 1, role, front, name == "concat")
    for name, cost, value, role, front in [
        ("frozen/a", 61e6, 79.8, "baseline", True),
        ("ensemble", 211e6, 85.2, "baseline", True),
        ("copies", 300e6, 84.4, "control", False),
        ("concat", 212e6, 86.4, "candidate", True),
    ]
]
LINES = [
    curves.Line(name, (10.0, 100.0), (1.0, y), (0.9, y - 0.1), (1.1, y + 0.1)) for name, y in (("a", 0.4), ("b", 0.41))
]
ROWS = [arrivals.Arrival("a", (2.0, 3.0), (9.0,), 4.7, "2 of 3"), arrivals.Arrival("b", (), (9.0, 9.0), None, "0 of 2")]


FAR = forest.Mark("grafted", 9.0, -20.0, 40.0, "not shown", "+9 [−20, +40]")


def forests(width: float, name: str = "ensemble") -> str:
    marks = [MARKS[0], forest.Mark(name, 0.01, None, None, "not shown", "+0.01 [−0.112, +0.132]")]
    return forest.draw(width, marks, forest.Look("difference", 0.02, lower_is_better=True))


def trades(width: float, name: str = "copies") -> str:
    points = [*POINTS, trade.Point(name, 90e6, 82.0, None, None, "baseline", True, False)]
    return trade.draw(
        width, points, trade.Axes("compute", "accuracy, %", lower_is_better=False, links=(("frozen/a", name),))
    )


def lines(width: float, name: str = "c") -> str:
    drawn = [*LINES, curves.Line(name, (10.0, 100.0), (2.0, 1.5), weights=(1.0, 9.0))]
    return curves.draw(width, drawn, curves.Plane("rows", "loss", log=True, level=(0.5, "target")))


def times(width: float, name: str = "c") -> str:
    return arrivals.draw(width, [*ROWS, arrivals.Arrival(name, (1.0,), (), 1.0, "1 of 1")], "items")


DRAWINGS: list[Callable[..., str]] = [forests, trades, lines, times]


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_drawing_stands_alone_and_wears_the_pages_colours(draw: Callable[..., str], width: float) -> None:
    svg = draw(width)
    assert svg.startswith(f'<svg viewBox="0 0 {figure(width)} ')
    for foreign in ("http", "href", "<style", "<script", "<!--", "url(", "id="):
        assert foreign not in svg
    assert "var(--muted)" in svg
    assert not re.findall(r"#[0-9a-f]{3,6}|rgb", svg)
    assert svg == draw(width)


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_no_text_runs_out_of_the_sheet(draw: Callable[..., str], width: float) -> None:
    for x, size, more, words in re.findall(
        r'<text x="([\d.-]+)" y="[^"]*" fill="[^"]*" font-size="([\d.]+)"([^>]*)>([^<]*)', draw(width)
    ):
        side = re.search(r'text-anchor="(\w+)"', more)
        share = {"middle": 0.5, "end": 1.0}.get(side[1] if side else "start", 0.0)
        start = float(x) - share * width_of(words, float(size))
        assert start > -6, words
        assert start + width_of(words, float(size)) < width + 6, words


@pytest.mark.parametrize("draw", [forests, times])
@pytest.mark.parametrize("name", ["b", "against random/some-source", "a name so long that no number fits beside it"])
def test_on_a_phone_no_name_runs_into_its_number(draw: Callable[..., str], name: str) -> None:
    """Texts at one height leave room between them, whatever the names."""
    heights: dict[str, list[tuple[float, float]]] = {}
    for x, y, size, more, words in re.findall(
        r'<text x="([\d.-]+)" y="([^"]*)" fill="[^"]*" font-size="([\d.]+)"([^>]*)>([^<]*)', draw(NARROW, name)
    ):
        side = re.search(r'text-anchor="(\w+)"', more)
        start = float(x) - {"middle": 0.5, "end": 1.0}.get(side[1] if side else "", 0.0) * width_of(words, float(size))
        heights.setdefault(y, []).append((start, start + width_of(words, float(size))))
    for spans in heights.values():
        spans.sort()
        assert all(end < start for (_, end), (start, _) in itertools.pairwise(spans)), spans


@pytest.mark.parametrize("draw", DRAWINGS)
@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><x', "a & b", "名前", "x" * 300, "two\nlines"])
def test_any_name_is_drawn_as_plain_text(draw: Callable[..., str], name: str) -> None:
    class Tags(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: set[str] = set()

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found.add(tag)

    tags = Tags()
    tags.feed(draw(WIDE, name) + draw(NARROW, name))
    assert tags.found == {"svg", "path", "text"} | (tags.found & {"circle", "rect"})
    assert len(label(name)) <= LONGEST_NAME


def test_right_is_better_for_losses_too() -> None:
    def ends(lower: bool) -> list[float]:
        svg = forest.draw(WIDE, MARKS, forest.Look("difference", None, lower_is_better=lower))
        first = float(re.findall(r'<path d="M([\d.]+) [^"]*Z" fill="var\(--better\)"', svg)[0])
        return [first, float(re.findall(r'<circle cx="([\d.]+)"', svg)[0])]

    better, other = ends(lower=True)
    assert better > other
    better, other = ends(lower=False)
    assert better < other


def test_one_interval_far_out_does_not_press_the_others_into_a_point():
    near = [forest.Mark(f"arm{place}", -0.05, -0.07, -0.03, "better", "−0.05") for place in range(4)]
    look = forest.Look("difference", 0.02, lower_is_better=True)
    alone, beside = forest.draw(WIDE, near, look), forest.draw(WIDE, [*near, FAR], look)
    assert not forest.cut(near, look)
    assert forest.cut([*near, FAR], look)
    level = r'<path d="M([\d.]+) ([\d.]+)L([\d.]+) \2" stroke="var\(--better\)"'
    lengths = [
        abs(float(end) - float(start)) for start, _, end in (re.findall(level, svg)[0] for svg in (alone, beside))
    ]
    assert lengths[1] > 0.5 * lengths[0]
    assert FAR.words in beside
    # An arrow is two slanting strokes; a mere end would say that the interval stops there.
    slanting = r'<path d="M([\d.]+) ([\d.]+)L(?!\1 )[\d.]+ (?!\2")[\d.]+" stroke="var\(--not-shown\)"'
    assert len(re.findall(slanting, beside)) == 4


def test_few_lines_are_drawn_whole_however_far_they_reach():
    look = forest.Look("difference", 0.02)
    assert not forest.cut([MARKS[0], FAR], look)
    assert not forest.cut([], look)


def test_a_comparison_that_is_not_shown_is_hollow() -> None:
    svg = forests(WIDE)
    assert 'fill="var(--paper)" stroke="var(--not-shown)"' in svg
    assert 'fill="var(--better)" stroke="var(--better)"' in svg


def test_what_is_dominated_is_grey_and_what_ships_is_ringed() -> None:
    svg = trade.draw(WIDE, POINTS, trade.Axes("compute", "accuracy", lower_is_better=False))
    assert svg.count('fill="var(--paper)" stroke="var(--faded)"') == 1
    assert len(re.findall(r'<circle [^>]*fill="none" stroke="var\(--accent\)"', svg)) == 1


def test_the_front_never_steps_down() -> None:
    weak = [*POINTS, trade.Point("same cost, lower", 61e6, 70.0, None, None, "baseline", True, False)]
    path = re.search(
        r'<path d="M([^"]*)" fill="none" stroke="var\(--accent\)"', trade.draw(WIDE, weak, trade.Axes("c", "a", False))
    )
    assert path
    heights = [float(corner.split()[1]) for corner in path[1].split("L")]
    assert heights == sorted(heights, reverse=True)


def test_equal_costs_and_equal_values_are_drawn() -> None:
    twins = [trade.Point(name, 5e6, 50.0, None, None, "baseline", True, False) for name in ("a", "b", "c")]
    svg = trade.draw(WIDE, twins, trade.Axes("c", "a", lower_is_better=False))
    assert all(f">{name}</text>" in svg for name in "abc")


def test_runs_that_never_arrived_are_open_arrows() -> None:
    svg = arrivals.draw(WIDE, ROWS, "items")
    assert svg.count('fill="var(--paper)" stroke="var(--muted)"') == 3
    assert svg.count("<circle") == 2


def test_lines_differ_in_more_than_colour() -> None:
    svg = curves.draw(WIDE, LINES, curves.Plane("rows", "loss"))
    assert "stroke-dasharray" in svg
    assert svg.count("<circle") == 2


def test_both_widths_are_drawn() -> None:
    made = chart(forests, finding="found", caption="how", summary="all of it")
    assert (made.wide, made.narrow) == (forests(WIDE), forests(NARROW))


finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(finite, finite, st.integers(2, 8))
def test_even_ticks_lie_inside_and_are_few(one: float, other: float, most: int) -> None:
    low, high = min(one, other), max(one, other)
    found = even_ticks(low, high, most)
    assert len(found) <= most + 2
    span = high - low
    assert all(low - 1e-6 * (1 + span) <= tick <= high + 1e-6 * (1 + span) for tick in found)


@given(st.floats(1e-3, 1e12), st.floats(1.0, 1e9), st.integers(3, 8))
def test_log_ticks_lie_inside_and_are_few(low: float, factor: float, most: int) -> None:
    found = log_ticks(low, low * factor, most)
    assert len(found) <= most
    assert all(low * 0.99 <= tick <= low * factor * 1.01 for tick in found)


@given(st.lists(finite, min_size=1, max_size=5), finite)
def test_a_scale_never_leaves_its_pixels(numbers: list[float], other: float) -> None:
    low, high = reach(numbers)
    scale = Scale(low, high, 10.0, 90.0)
    assert 10.0 <= scale.at(other) <= 90.0
    assert 10.0 < scale.at(numbers[0]) < 90.0


def test_a_log_scale_has_room_even_for_one_number() -> None:
    low, high = log_reach([5.0])
    assert low < 5.0 < high
    assert Scale(low, high, 0.0, 100.0, log=True).at(5.0) == pytest.approx(50.0)


def test_ticks_in_words_tell_each_other_apart() -> None:
    assert tick_words([0.0, 0.05, 0.1]) == ["0.00", "0.05", "0.10"]
    assert tick_words([-1.0, 0.0, 1.0]) == ["−1", "0", "1"]
    assert tick_words([1e6, 2e6, 1e9], counted=True) == ["1 M", "2 M", "1 G"]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6))
def test_names_at_line_ends_do_not_touch(wanted: list[float]) -> None:
    found = curves.spread(sorted(wanted), 15.0, 0.0, 100.0)
    assert all(after - before >= 15.0 - 1e-9 for before, after in zip(found, found[1:], strict=False))
    assert max(found) <= 100.0 + 1e-9


def test_a_sheet_escapes_what_is_written() -> None:
    sheet = Sheet(10, 10)
    sheet.write((1, 1), "<b> & co")
    assert "&lt;b&gt; &amp; co" in sheet.svg()


def test_a_plane_from_zero_shows_a_flat_line_as_flat() -> None:
    line = curves.Line("way", (0.0, 1.0), (0.11, 0.14))
    heights = []
    for zero in (False, True):
        svg = curves.draw(WIDE, [line], curves.Plane("share", "loss", marks=False, zero=zero))
        (first, last) = re.findall(r'<path d="M[\d.]+ ([\d.]+)L[\d.]+ ([\d.]+)" fill="none"[^>]*series-1', svg)[0]
        heights.append(float(first) - float(last))
    assert 0 < heights[1] < heights[0] / 3
