"""The page is one safe file in which every number leads to its evidence."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from report import example
from transfuse.report.html import FOLDER, render_html

VOID = {"meta", "br", "hr", "img", "link"}
HOSTILE = "<script>alert(1)</script>\"' onload=x {{ 7*7 }} -->]]> | **b** \x1b[31m $\\frac{"


class Page(HTMLParser):
    """What a browser would see: tags, attributes, text (any space as a plain one), and whether tags close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text.replace("\N{NO-BREAK SPACE}", " "))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


@pytest.fixture(scope="module")
def text() -> str:
    return render_html(example.evidence(), example.measurements())


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def test_a_percentage_stays_on_one_line(text: str) -> None:
    assert "86.4\N{NO-BREAK SPACE}%" in text and not re.search(r"\d %", text)


def renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {renamed(key, old, new): renamed(item, old, new) for key, item in value.items()}
    return [renamed(item, old, new) for item in value] if isinstance(value, list) else value


def safe(page: Page) -> None:
    """No script, nothing that loads, nothing that runs, every tag closed."""
    assert not page.open
    assert not {"script", "iframe", "object", "embed", "link", "form", "base", "foreignobject"} & set(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name in ("srcdoc", "action")]
    assert all(re.fullmatch(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/=]+", source) for source in page.values("src"))
    assert all(target.startswith("#") for target in page.values("href"))


def test_the_page_loads_nothing_and_runs_nothing(text: str, page: Page) -> None:
    safe(page)
    assert "http://" not in text
    assert "https://" not in text
    assert not re.search(r"url\((?!#)|@import", text)
    assert "default-src 'none'" in text


def test_hostile_names_stay_text() -> None:
    for old in ("concat", "frozen/lite0", "fashion-mnist", "nine classes", "squeeze", "log_loss"):
        found = Page(render_html(renamed(example.evidence(), old, HOSTILE), example.measurements()))
        safe(found)
        assert "alert(1)" in found.text
        assert "49 -->" not in found.text


def test_the_verdict_comes_first_and_in_words(page: Page) -> None:
    start = page.text.index("Recommendation")
    assert page.text.index("Ship concat: one network fused from lite0 and squeeze.") - start < 40
    assert start < page.text.index("Shown better") < page.text.index("How large the differences are")
    singles = example.evidence()["evidence"]
    (single,) = [
        row["value"]
        for row in singles
        if (row["arm"], row["quantity"]) == ("frozen/lite0", "accuracy") and not row["versus"]
    ]
    assert f"best single {100 * single:.1f} %" in page.text
    for words in ("Shown better", "Not shown", "Shown worse", "One data set", "no claim beyond it", "lower is better"):
        assert words in page.text


def test_every_link_and_every_evidence_id_resolves(page: Page) -> None:
    places = page.values("id")
    assert len(places) == len(set(places))
    assert {target[1:] for target in page.values("href")} <= set(places)
    rows = example.evidence()["evidence"] + example.measurements()["measurements"]
    known = {row["id"] for row in rows}
    used = {name for value in page.values("data-evidence") for name in value.split(" | ")}
    assert used
    assert used <= known


def test_every_row_of_evidence_is_listed(text: str) -> None:
    rows = len(example.evidence()["evidence"])
    assert f'id="E{rows}"' in text
    assert f'id="E{rows + 1}"' not in text
    assert f'id="M{len(example.measurements()["measurements"])}"' in text


def test_undefined_shows_its_reason_in_the_text(page: Page) -> None:
    assert page.text.count("the prior answers one class only") >= 2


def test_a_value_without_interval_says_why(page: Page) -> None:
    assert "no interval: fewer than 5 runs" in page.text


def test_charts_are_told_in_words_and_tables_have_scopes(page: Page) -> None:
    labels = page.values("aria-label")
    assert page.values("lang") == ["en"]
    assert any("concat against ensemble: −0.032 nats [−0.050, −0.015], not shown" in label for label in labels)
    assert any("concat: 86.4 % at 212 MFLOP" in label for label in labels)
    assert page.values("role").count("img") == page.tags.count("svg") / 2 == 3
    assert page.tags.count("th") == len(page.values("scope"))


def test_the_page_is_small(text: str) -> None:
    assert len(text.encode()) < 400_000


def test_same_evidence_same_bytes_in_another_process(text: str, tmp_path: Path) -> None:
    code = (
        "import sys; from report import example; from transfuse.report.html import render_html; "
        "sys.stdout.buffer.write(render_html(example.evidence(), example.measurements()).encode())"
    )
    path = os.pathsep.join(str(folder) for folder in (Path(__file__).parents[1], FOLDER.parents[1]))
    settings = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": path}
    made = subprocess.run([sys.executable, "-c", code], env=settings, cwd=tmp_path, capture_output=True, check=True)
    assert made.stdout.decode() == text


def without(*keys: str) -> dict[str, Any]:
    return {name: item for name, item in example.evidence().items() if name not in keys}


@pytest.mark.parametrize(
    "record",
    [
        without("setup"),
        without("setup", "ledger", "not_measured", "arms"),
        without("evidence"),
        without("evidence", "arms", "setup"),
    ],
)
def test_missing_parts_are_fine(record: dict[str, Any]) -> None:
    found = Page(render_html(record, None))
    safe(found)
    assert "Ship concat" in found.text
    assert {target[1:] for target in found.values("href")} <= set(found.values("id"))


def test_without_measurements_the_page_says_so() -> None:
    assert "No time or memory was measured" in Page(render_html(example.evidence())).text


def test_no_claims_and_no_flags() -> None:
    record = example.evidence()
    record["verdict"] |= {"claims": [], "flags": []}
    found = Page(render_html(record))
    assert "No comparison was judged" in found.text
    assert "No flag was raised" in found.text


def test_one_candidate_alone() -> None:
    record = copy.deepcopy(example.evidence())
    record["arms"] = [arm for arm in record["arms"] if arm["name"] == "concat"]
    record["evidence"] = [row for row in record["evidence"] if row["arm"] == "concat" and not row["versus"]]
    record["verdict"] |= {"claims": [], "flags": []}
    record["setup"]["choices"] = []
    found = Page(render_html(record))
    safe(found)
    assert "It answers 86.4 % of 1,000 judged items right." in found.text


def test_an_invalid_comparison_is_said_before_the_recommendation() -> None:
    record = example.evidence()
    record["verdict"]["flags"] = [{"flag": "invalid", "why": "12 test rows were seen.", "evidence": []}]
    found = Page(render_html(record))
    assert found.text.index("not valid") < found.text.index("Ship concat")
    assert "12 test rows were seen." in found.text


def luminance(colour: str) -> float:
    full = colour if len(colour) == 7 else "#" + "".join(digit * 2 for digit in colour[1:])
    parts = [int(full[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def mixed(tint: str, paper: str, share: float) -> str:
    """What the style's `color-mix` makes of two colours."""
    pairs = [(int(tint[place : place + 2], 16), int(paper[place : place + 2], 16)) for place in (1, 3, 5)]
    return "#" + "".join(f"{round(share * one + (1 - share) * other):02x}" for one, other in pairs)


def palettes() -> list[dict[str, str]]:
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    found = [
        dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]+)", each))
        for each in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    assert len(found) == 3
    return [
        {
            name: colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
            for name, colour in each.items()
        }
        for each in found
    ]


@pytest.mark.parametrize("colours", palettes(), ids=["light", "dark", "print"])
def test_contrasts_hold(colours: dict[str, str]) -> None:
    """4.5 for text (also on the strongest shade of a heat map), 3 for marks of drawings."""
    series = [f"series-{number}" for number in range(1, 7)]
    for ink in ("ink", "muted", "accent", "better", "worse", "equivalent", "not-shown", *series):
        assert contrast(colours[ink], colours["paper"]) >= 4.5, ink
    for ink in ("ink", "muted", "accent", "better", "worse", "equivalent", "not-shown"):
        assert contrast(colours[ink], colours["sheet"]) >= 4.5, ink
    for tint in ("better", "worse", "accent"):
        assert contrast(colours["ink"], mixed(colours[tint], colours["paper"], 0.45)) >= 4.5, tint
    assert contrast(colours["faded"], colours["paper"]) >= 3.0


def test_the_shades_of_the_style_are_those_that_were_computed() -> None:
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    assert "color-mix(in srgb, var(--tint) calc(var(--heat) * .45), var(--paper))" in style
    assert ".shade small { color: inherit; }" in style


def test_the_style_serves_phones_paper_and_those_who_want_no_motion() -> None:
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    for asked in (
        "max-width: 36rem",
        "@media print",
        "prefers-color-scheme: dark",
        "prefers-reduced-motion",
        "focus-visible",
    ):
        assert asked in style


def test_only_numbers_in_tables_are_kept_on_one_line() -> None:
    style = (FOLDER / "style.css").read_text(encoding="utf-8")
    kept = [rule.split("{")[0].strip() for rule in style.splitlines() if "white-space: nowrap" in rule]
    assert kept == ["td a.figure, dd a.figure", ".number"]
