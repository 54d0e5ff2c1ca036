"""Every question's answer has its place in the report, says its finding, and leads to its rows."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from report.full import full_record
from report.test_report_html import Page, safe
from transfuse.evaluation.questions import lone
from transfuse.report.blocks import Callout, Callouts, Chart, Facts, Gallery, Items, Span, Table, Text
from transfuse.report.compose import report
from transfuse.report.document import Document
from transfuse.report.html import page
from transfuse.report.sections import calibration
from transfuse.report.text import markdown
from transfuse.report.view import View

ANCHORS = [
    "verdict", "differences", "ladder", "claims", "nearest", "cost", "sources", "attribution", "harm", "flips",
    "calibration", "selective", "outside", "conditions", "diversity", "similarity", "learning", "training", "retention",
    "choices", "not-measured", "reproduce",
]  # fmt: skip
OPEN = {"verdict", "differences", "ladder"}


@pytest.fixture(scope="module")
def document() -> Document:
    return report(View(full_record()))


@pytest.fixture(scope="module")
def whole(document: Document) -> str:
    return page(document)


def spans_of(blocks: Any) -> list[Span]:
    """Every span anywhere in some blocks."""
    if isinstance(blocks, Span):
        return [blocks]
    if isinstance(blocks, list | tuple):
        return [span for block in blocks for span in spans_of(block)]
    return [span for value in getattr(blocks, "__dict__", {}).values() for span in spans_of(value)]


def section(document: Document, anchor: str) -> tuple[Any, list[Any]]:
    return next((heading, blocks) for heading, blocks in document.sections if heading.anchor == anchor)


def table(document: Document, anchor: str, caption: str) -> Table:
    return next(
        block for block in section(document, anchor)[1] if isinstance(block, Table) and caption in block.caption
    )


def anchors(document: Document) -> list[str]:
    """The sections that are looked at here; other questions may have their own."""
    return [heading.anchor for heading, _ in document.sections if heading.anchor in ANCHORS]


def test_everything_that_was_asked_has_its_section_in_order(document: Document) -> None:
    assert anchors(document) == ANCHORS


def test_the_top_stands_open_and_the_rest_says_its_finding_before_it_is_opened(document: Document) -> None:
    for heading, _ in document.sections:
        assert heading.folded == (heading.anchor not in OPEN)
        if heading.folded:
            assert re.search(r"[.!?)]$", heading.finding), heading
            assert len(heading.finding) < 260


def test_sections_are_absent_where_nothing_was_asked() -> None:
    record = full_record()
    kept = {"log_loss", "accuracy"}
    record["evidence"] = [row for row in record["evidence"] if row["quantity"] in kept and row["condition"] == "clean"]
    found = [heading.anchor for heading, _ in report(View(record)).sections]
    assert not {"harm", "flips", "selective", "outside", "conditions", "diversity", "learning", "training"} & set(found)
    assert found[:3] == ["verdict", "differences", "ladder"]


def test_the_page_is_safe_and_every_link_lands(whole: str, document: Document) -> None:
    found = Page(whole)
    safe(found)
    places = found.values("id")
    assert len(places) == len(set(places))
    assert {target[1:] for target in found.values("href")} <= set(places)
    rows = {row["id"] for row in full_record()["evidence"]}
    assert {name for value in found.values("data-evidence") for name in value.split(" | ")} <= rows
    assert {heading.anchor for heading, _ in document.sections} <= set(places)


def test_headings_follow_each_other_without_gaps(whole: str) -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])[ >]", whole)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))


def test_every_number_in_a_table_leads_to_its_row(document: Document) -> None:
    plain = {"Items", "Score", "Next best", "Most that may be lost"}
    for heading, blocks in document.sections:
        for block in (each for each in blocks if isinstance(each, Table)):
            for row in block.rows:
                for column, cell in zip(block.columns, row.cells, strict=True):
                    if column.numeric and column.title not in plain and re.search(r"\d", cell.text):
                        assert cell.evidence, (heading.anchor, block.caption, cell.text)


def test_every_chart_tells_its_finding_and_all_its_numbers_in_words(document: Document, whole: str) -> None:
    charts = [block for _, blocks in document.sections for block in blocks if isinstance(block, Chart)]
    assert len(charts) >= 10
    labels = Page(whole).values("aria-label")
    for drawing in charts:
        assert drawing.finding.endswith(".")
        assert re.search(r"\d", drawing.summary)
        assert drawing.evidence
        assert f"{drawing.finding} {drawing.summary}" in labels
        assert drawing.finding in whole.replace("&#39;", "'").replace("\N{NO-BREAK SPACE}", " ")


def test_shades_are_drawn_and_their_numbers_stand_in_them(document: Document) -> None:
    for anchor in ("harm", "outside", "conditions"):
        cells = [span for span in spans_of(section(document, anchor)[1]) if span.shade]
        assert cells, anchor
        assert all(re.search(r"\d", cell.text) and 0.0 <= cell.shade[1] <= 1.0 for cell in cells if cell.shade)


def test_classes_stand_worst_first_and_losses_are_red() -> None:
    record = full_record()
    for place, row in enumerate(row for row in record["evidence"] if row["quantity"] == "class_difference"):
        row |= {"value": [4.0, -1.0, 1.0, -2.0][place], "low": -9.0, "high": 9.0}
    found = table(report(View(record)), "harm", "by class")
    cells = [row.cells[2] for row in found.rows]
    assert [cell.text for cell in cells] == ["+4.000", "+1.000", "−1.000", "−2.000"]
    assert [cell.shade[0] for cell in cells if cell.shade] == ["worse", "worse", "better", "better"]
    assert [cell.shade[1] for cell in cells if cell.shade] == [1.0, 0.25, 0.25, 0.5]


def test_a_class_shown_worse_is_named_before_the_section_is_opened() -> None:
    record = full_record()
    row = next(row for row in record["evidence"] if row["quantity"] == "class_difference")
    row["provenance"]["worse_beyond_margin"] = True
    heading, _ = section(report(View(record)), "harm")
    assert heading.finding.startswith("1 of 4 classes shown worse by more than the margin (")
    assert row["provenance"]["class"] in heading.finding


def test_numbers_near_each_other_have_no_label_to_differ_in() -> None:
    record = full_record()
    for row in (row for row in record["evidence"] if row["quantity"] == "near_identical"):
        row["provenance"] = {key: value for key, value in row["provenance"].items() if not key.startswith("differ")}
        row["provenance"]["pairs"] = [["one", "two", None, None, 0.1]]
    named = markdown(report(View(record)))
    found = named.split("Who finds how many")[1].split("## ")[0]
    assert "label" not in found and "| Judged item | Training item | Distance |" in found


def test_a_guard_that_does_not_hold_is_named_for_what_it_is() -> None:
    record = full_record()
    guard = next(row for row in record["evidence"] if row["quantity"] == "guard_worst_class")
    for standing, title in (("shown", "has become worse"), ("not excluded", "is not excluded")):
        guard["provenance"]["guard"] = standing
        record["verdict"]["flags"] = [{"flag": "harm", "why": "it says so.", "evidence": [guard["id"]]}]
        assert f"something you guard {title}" in str(section(report(View(record)), "verdict")[1][0]).lower()


def test_corruptions_are_shaded_by_what_they_cost(document: Document) -> None:
    found = table(document, "conditions", "concat: accuracy")
    assert [column.title for column in found.columns] == ["Corruption", "severity 1", "severity 5"]
    for row in found.rows:
        mild, strong = (cell.shade[1] if cell.shade else 0.0 for cell in row.cells[1:])
        assert mild < strong
    assert section(document, "conditions")[0].finding.startswith("The worst of them: concat errs on")


def test_runs_that_never_arrive_are_told(document: Document) -> None:
    heading, blocks = section(document, "training")
    assert "3 of 9 runs never get there" in heading.finding
    over = [block.finding for block in blocks if isinstance(block, Chart)]
    assert any(finding.startswith("Over items, concat comes furthest") for finding in over)
    assert any(finding.startswith("Over compute, ") for finding in over)


def test_the_target_is_told_with_the_rows_it_saves(document: Document) -> None:
    assert section(document, "learning")[0].finding.endswith("to reach the target of 0.5, fixed beforehand.")


def test_sources_that_are_not_shown_to_help_are_told_apart() -> None:
    record = full_record()
    record["evidence"] = [row for row in record["evidence"] if row["quantity"] != "shapley"]
    rows = [row for row in record["evidence"] if row["quantity"] == "negative_transfer"]
    rows[0] |= {"value": -0.1, "low": -0.2, "high": -0.01}
    rows[1] |= {"value": 0.1, "low": -0.1, "high": 0.3}
    assert (
        section(report(View(record)), "attribution")[0].finding == "Shown to help: a. Not shown to help or to harm: b."
    )
    rows[1] |= {"low": 0.05}
    assert "Shown to do harm: b." in section(report(View(record)), "attribution")[0].finding


def test_the_front_is_what_the_evidence_judged() -> None:
    record = full_record()
    for row in record["evidence"]:
        if row["quantity"] == "pareto":
            row |= {"value": float(row["arm"] == "ensemble")}
            row["provenance"]["by"] = [] if row["arm"] == "ensemble" else ["ensemble"]
    finding = section(report(View(record)), "cost")[0].finding
    assert finding == "Worth their cost: ensemble. What ships, concat, is dominated by ensemble."


def test_an_open_comparison_says_what_would_settle_it() -> None:
    record = full_record()
    record["verdict"]["claims"][0]["status"] = "not shown"
    row = {
        "id": "next", "arm": "concat", "versus": "frozen/a", "quantity": "next_experiment", "value": 4.0,
        "unit": "runs",
        "direction": "lower", "provenance": {"sentence": "Train 4 more seeds of both arms."},
    }  # fmt: skip
    record["evidence"].append(row)
    text = markdown(report(View(record)))
    assert "What would settle it:** Train 4 more seeds of both arms." in text
    assert "No gain beyond the margin is shown for that: where cost matters, ship **frozen/a**." in text


def test_without_a_next_experiment_the_claims_own_numbers_say_what_would_settle_it() -> None:
    record = full_record()
    claim = record["verdict"]["claims"][0]
    claim["status"] = "not shown"
    row = next(row for row in record["evidence"] if row["id"] == claim["evidence"][0])
    row["provenance"] |= {"settling_items": 4100, "settling_runs": 9}
    assert "settle it:** about 4,100 judged items or 9 runs in all, if the difference" in markdown(report(View(record)))


def test_arms_that_arrive_at_the_same_time_are_drawn() -> None:
    record = full_record()
    for row in record["evidence"]:
        if row["quantity"].startswith("time_to_target") and "value" in row:
            row["value"] = 1000.0
    assert "concat reaches 0.5 first" in section(report(View(record)), "training")[0].finding


def test_flipped_items_are_pictures_where_there_are_any_and_names_elsewhere() -> None:
    record = full_record()
    flips = [row for row in record["evidence"] if row["quantity"] == "positive_flips"]
    name = flips[0]["provenance"]["items"][0][0]
    pictures = {name: "data:image/png;base64,iVBORw0KGgo=", "other": "data:image/svg+xml;base64,AAAA", name + "x": "x"}
    view = View(record, None, pictures)
    assert set(view.pictures) == {name}
    text = page(report(view))
    assert text.count("<img ") == 1
    assert f'<img src="data:image/png;base64,iVBORw0KGgo=" alt="item {name}">' in text
    galleries = [block for block in section(report(view), "flips")[1] if isinstance(block, Gallery)]
    assert [picture.data for gallery in galleries for picture in gallery.pictures].count("") > 1


@pytest.mark.parametrize(
    ("seeds", "share", "said"),
    [
        (1, 0.2, "6 of 80 items"),
        (3, 0.2, "6 of 80 a run on average, those that changed in most runs first"),
        (1, 0.0, "6 items"),
    ],
)
def test_a_gallery_says_of_how_many_it_shows_some(seeds: int, share: float, said: str) -> None:
    record = full_record()
    for row in record["evidence"]:
        if row["quantity"] == "positive_flips":
            row |= {"seeds": seeds, "value": share, "n": 400}
            row["provenance"]["items"] = (row["provenance"].get("items") or [])[:1] * 6
    found = section(report(View(record)), "flips")[1]
    (right,) = [block for block in found if isinstance(block, Gallery) and block.caption.startswith("Became right")]
    assert right.caption.endswith(f": {said}")


def test_undefined_rows_keep_the_report_whole() -> None:
    record = full_record()
    for row in record["evidence"]:
        if row["quantity"] not in ("log_loss", "accuracy"):
            row.pop("value", None)
            row |= {"undefined": "made so by the test", "low": None, "high": None}
    text = page(report(View(record)))
    safe(Page(text))
    assert text.count("made so by the test") > 20


def test_rows_without_their_provenance_keep_the_report_whole() -> None:
    record = full_record()
    for row in record["evidence"]:
        row["provenance"] = {}
    safe(Page(page(report(View(record)))))


@pytest.mark.parametrize("runs", [1, 5])
def test_one_run_and_five_are_shown(runs: int) -> None:
    found = report(View(full_record(runs)))
    assert anchors(found) == ANCHORS


def test_markdown_says_what_the_page_says(document: Document) -> None:
    text = markdown(document)
    for heading, _ in document.sections:
        assert f"## {heading.text}" in text
    for block in (block for _, blocks in document.sections for block in blocks):
        words = {
            Chart: lambda one: one.finding, Table: lambda one: one.caption, Gallery: lambda one: one.caption,
            Callout: lambda one: one.title, Text: lambda one: "", Items: lambda one: "",
            Facts: lambda one: one.facts[0].label, Callouts: lambda one: one.callouts[0].title,
        }[type(block)](block)  # fmt: skip
        assert words in text.replace("\\", ""), words


def test_the_same_record_gives_the_same_bytes_and_stays_as_it_was(whole: str) -> None:
    record = full_record()
    before = copy.deepcopy(record)
    assert page(report(View(record))) == whole
    assert record == before


def test_arms_that_reach_the_target_at_the_same_time_are_told_by_name() -> None:
    record = full_record()
    times = [row for row in record["evidence"] if row["quantity"] == "time_to_target_items" and "value" in row]
    assert len(times) > 1
    for row in times:
        row |= {"value": 1000.0}
    first = min(row["arm"] for row in times)
    assert f"{first} reaches" in section(report(View(record)), "training")[0].finding


def test_who_stands_alone_among_three_sources_is_told_with_its_limits() -> None:
    record = full_record()
    row = next(row for row in record["evidence"] if row["quantity"] == "disagreement")
    about = {"limits": lone.LIMITS, "right": 0.25, "others_right": 0.75, "confidence": 0.9, "surest": ["i7"]}
    more = {"quantity": "lone_disagreement", "versus": None, "value": 0.05, "low": 0.01, "high": 0.09}
    record["evidence"] += [
        {**row, **more, "id": "lone:a", "arm": "frozen/a", "provenance": about},
        {**row, **more, "id": "lone:b", "arm": "frozen/b", "value": 0.0, "provenance": {"limits": lone.LIMITS}},
    ]
    tables = [block for _, blocks in report(View(record)).sections for block in blocks if isinstance(block, Table)]
    (found,) = (table for table in tables if table.caption.startswith("Who stands alone"))
    assert [cell.text for cell in found.rows[0].cells[2:]] == ["25", "75", "90", "i7"]
    assert [cell.text for cell in found.rows[1].cells[2:]] == ["–", "–", "–", ""]
    assert all(cell.evidence for cell in found.rows[0].cells[1:5])
    assert "what answers as the others do on these rows is not found" in markdown(report(View(record)))


def test_near_repeats_say_that_their_claim_is_not_corrected() -> None:
    record = full_record()
    assert "own interval" not in markdown(report(View(record)))
    for row in record["evidence"]:
        if row["versus"] and row["quantity"] == "log_loss":
            row["family"] = "3 pairs in log_loss, Holm"
    said = markdown(report(View(record)))
    assert "either way, by its own interval, not corrected for the other comparisons" in said


def test_confidence_tells_bins_that_cancel_from_bins_that_agree() -> None:
    """Off by ten points up and down, an arm is neither too sure nor too timid, and still not to be believed."""
    made = full_record()
    ship = made["verdict"]["recommendation"]["arm"]
    rows = {row["quantity"]: row for row in made["evidence"] if row["arm"] == ship and row["versus"] is None}
    rows["reliability"]["provenance"]["bins"] = [[0, 0.5, 0.4, 0.5, 100], [0.5, 1, 0.8, 0.7, 100]]
    rows["ece"]["value"], rows["ece_uncalibrated"]["value"] = 0.1, 0.06
    heading, drawing, *_ = calibration.blocks(View(made))
    assert heading.finding.startswith("Bin by bin, what ships misses its stated confidence by 10.0 points one way or")
    assert "was fitted, 6.0. A temperature lowers the loss on rows apart, not always this." in heading.finding
    assert drawing.finding == f"All bins together, {ship} is neither too sure nor too timid: 0.0 points are left."
    rows["reliability"]["provenance"]["bins"][0][2] = 0.7
    rows["ece_uncalibrated"]["value"] = 0.2
    heading, drawing, *_ = calibration.blocks(View(made))
    assert heading.finding.endswith("was fitted, 20.0.")
    assert drawing.finding == f"All bins together, {ship} is too sure by 15.0 points."
