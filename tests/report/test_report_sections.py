"""Sections say what the evidence says, no more, and every number names its rows."""

from __future__ import annotations

import pytest

from report import example
from transfuse.report.blocks import Callout, Callouts, Chart, Facts, Heading, Items, Table, Text
from transfuse.report.document import listed, marked, notes, shelved
from transfuse.report.sections import choices, claims, cost, differences, flips, ladder, not_measured, verdict
from transfuse.report.view import View


@pytest.fixture
def view() -> View:
    return View(example.evidence(), example.measurements())


def only(blocks: list, kind: type) -> list:
    return [block for block in blocks if isinstance(block, kind)]


def test_sections_stand_in_order_and_begin_with_their_heading(view: View) -> None:
    found = shelved(view)
    assert [heading.anchor for heading, _ in found][:3] == ["verdict", "differences", "ladder"]
    assert {"claims", "cost", "flips", "not-measured"} <= {heading.anchor for heading, _ in found}
    assert not any(isinstance(block, Heading) for _, blocks in found for block in blocks)


def test_every_number_of_verdict_and_ladder_names_its_evidence(view: View) -> None:
    blocks = [*verdict.blocks(view), *ladder.blocks(view)]
    boxes = [*only(blocks, Callout), *(box for group in only(blocks, Callouts) for box in group.callouts)]
    facts = [fact.value for group in only(blocks, Facts) for fact in group.facts]
    cells = [
        cell
        for table in only(blocks, Table)
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if column.numeric and any(character.isdigit() for character in cell.text)
    ]
    assert len(cells) >= 20
    assert len(facts) == 4
    for named in [*boxes, *facts, *cells]:
        assert named.evidence
        assert set(named.evidence) <= set(view.rows)


def test_numbers_are_those_of_the_rows(view: View) -> None:
    (table,) = only(ladder.blocks(view), Table)
    concat = next(row for row in table.rows if row.cells[0].text == "concat")
    assert [cell.text for cell in concat.cells[2:6]] == ["0.398", "86.4", "−0.054", "+2.3"]
    assert concat.marked
    assert [row.marked for row in table.rows].count(True) == 1


def test_a_pair_has_one_box_whose_colour_is_the_deciding_metrics(view: View) -> None:
    (boxes,) = only(claims.blocks(view), Callouts)
    assert [box.tone for box in boxes.callouts] == ["better", "not shown", "better", "better", "worse"]
    label, words = boxes.callouts[0].body[1]
    assert (label.text, label.tone) == ("Accuracy: ", "not shown")
    assert "2,900 items" in words


def test_a_sentence_does_not_repeat_the_names_above_it() -> None:
    record = example.evidence()
    record["verdict"]["claims"][0]["sentence"] = "concat against frozen/lite0, log-loss: shown better: by 0.05 nats."
    (boxes,) = only(claims.blocks(View(record)), Callouts)
    assert boxes.callouts[0].body[0] == ("Shown better: by 0.05 nats.",)


def test_a_claim_without_a_sentence_is_told_from_its_row() -> None:
    record = example.evidence()
    for claim in record["verdict"]["claims"]:
        claim["sentence"] = ""
    (boxes,) = only(claims.blocks(View(record)), Callouts)
    assert boxes.callouts[0].body[0][1].text == "−0.054 nats [−0.071, −0.036]"


def test_the_forest_draws_each_defined_claim(view: View) -> None:
    loss, accuracy = only(differences.blocks(view), Chart)
    assert loss.summary.count("against") == 5
    assert accuracy.summary.count("against") == 1
    assert "margin" in loss.caption


def test_the_front_holds_what_nothing_cheaper_surpasses() -> None:
    levels = {"cheap": (1.0, 0.5), "good": (2.0, 0.9), "bad": (2.0, 0.8), "dear": (3.0, 0.9), "twin": (1.0, 0.5)}
    assert cost.pareto(levels, lower_is_better=False) == {"cheap", "good", "twin"}
    assert cost.pareto({"a": (1.0, 0.5), "b": (2.0, 0.9)}, lower_is_better=True) == {"a"}


def test_an_arm_far_behind_is_named_and_not_drawn_but_never_the_recommended_one() -> None:
    record = example.evidence()
    (chart,) = only(cost.blocks(View(record)), Chart)
    assert "as_is/vgg" in chart.caption
    record["verdict"]["recommendation"]["arm"] = "as_is/vgg"
    (chart,) = only(cost.blocks(View(record)), Chart)
    assert "as_is/vgg" not in chart.caption


def test_mcnemar_is_given_run_by_run(view: View) -> None:
    (table,) = only(flips.blocks(view), Table)
    cell = table.rows[0].cells[3]
    assert cell.text == "< 0.001 to 0.032 (5 runs)"
    assert len(cell.evidence) == example.RUNS


def test_a_second_opening_of_the_judged_rows_is_said(view: View) -> None:
    (points,) = only(choices.blocks(view), Items)
    assert any("opened by 1 other plan" in item[0] for item in points.items)
    record = example.evidence() | {"ledger": {"ordinal": 1}}
    (points,) = only(choices.blocks(View(record)), Items)
    assert any("for the first time" in item[0] for item in points.items)


def test_everything_not_measured_is_listed_with_its_reason(view: View) -> None:
    (points,) = only(not_measured.blocks(view), Items)
    told = ["".join(part if isinstance(part, str) else part.text for part in item) for item in points.items]
    assert told[0] == "tuned arms: the ladder is quick"
    assert told[-1].startswith("worst class of prior: the prior answers")


def test_nothing_missing_is_said_too() -> None:
    record = example.evidence() | {"not_measured": [], "evidence": []}
    (text,) = only(not_measured.blocks(View(record)), Text)
    assert "lists nothing" in text.prose[0]


def test_marks_count_the_rows_of_their_files_and_notes_their_first_appearance(view: View) -> None:
    found = marked(listed(view))
    assert found[view.evidence[0].id] == "E1"
    assert found[view.measurements[-1].id] == f"M{len(view.measurements)}"
    tables = [block for _, blocks in shelved(view) for block in blocks if isinstance(block, Table)]
    assert max(len(notes(table)) for table in tables) == 2


def test_a_measure_that_nobody_judged_has_no_column() -> None:
    record = example.evidence()
    record["evidence"] = [row for row in record["evidence"] if row["quantity"] != "accuracy"]
    (table,) = only(ladder.blocks(View(record)), Table)
    assert not [column.title for column in table.columns if "accuracy" in column.title]


@pytest.mark.parametrize(
    ("ratio", "said"),
    [(0.5, "0.50 times"), (1.0, "about"), (2.34, "2.3 times"), (99.96, "100.0 times"), (43_417.2, "43,000 times")],
)
def test_a_cost_is_told_in_as_many_digits_as_help(ratio, said):
    assert verdict._times(ratio) == said


def test_what_is_to_be_said_of_a_source_alone_stands_among_the_sources() -> None:
    from transfuse.report.sections import sources

    record = example.evidence()
    alone = next(arm["name"] for arm in record["arms"] if arm["name"].startswith("frozen/"))
    for row in record["evidence"]:
        if (row["arm"], row["quantity"]) == (alone, "train_flops"):
            row["provenance"] = {"notes": ["columns that say nothing: 2 of 9"]}
    assert "columns that say nothing: 2 of 9" in str(sources.blocks(View(record)))
