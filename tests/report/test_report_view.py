"""The view finds rows, keeps reasons, turns mirrored rows, and refuses what it cannot read."""

from __future__ import annotations

import copy

import pytest

from report import example
from transfuse.errors import UserError
from transfuse.report.record import clean, mirrored, readings
from transfuse.report.view import View
from transfuse.types import Undefined


@pytest.fixture
def view() -> View:
    return View(example.evidence(), example.measurements())


def test_arms_stand_in_ladder_order_whatever_the_record_says() -> None:
    record = example.evidence()
    expected = [arm["name"] for arm in View(record).arms]
    record["arms"] = record["arms"][::-1]
    found = [arm["name"] for arm in View(record).arms]
    assert found[:2] == ["prior", "as_is/vgg"]
    assert set(found[-2:]) == {"concat", "gate"}
    assert sorted(found) == sorted(expected)


def test_levels_and_pairs_are_found(view: View) -> None:
    level, pair = view.level("concat", "accuracy"), view.paired("concat", "ensemble", "log_loss")
    assert level is not None
    assert pair is not None
    assert level.value == 0.8642
    assert pair.value == pytest.approx(0.3984 - 0.4307)


def test_missing_rows_are_none(view: View) -> None:
    assert view.level("concat", "no_such_quantity") is None
    assert view.paired("gate", "prior", "log_loss") is None
    assert view.cell(None).text == "–"


def test_the_other_side_of_a_pair_is_its_mirror(view: View) -> None:
    forth, back = view.paired("concat", "copies", "accuracy"), view.paired("copies", "concat", "accuracy")
    assert forth is not None
    assert back is not None
    assert back.value == -forth.value  # pyright: ignore[reportOperatorIssue]
    assert (back.low, back.high) == (-forth.high, -forth.low)  # pyright: ignore[reportOptionalOperand]
    assert mirrored(back) == forth


def test_selection_rows_and_conditions_do_not_pass_for_the_judged_ones() -> None:
    record = example.evidence()
    shadow = [example.row("concat", "accuracy", 0.99, "share", "higher", tail=f":{n}") for n in range(2)]
    shadow[0]["split"], shadow[1]["condition"] = "val", "noise@3"
    record["evidence"] = shadow + record["evidence"]
    level = View(record).level("concat", "accuracy")
    assert level is not None
    assert level.value == 0.8642


def test_undefined_keeps_its_reason(view: View) -> None:
    row = view.level("prior", "worst_class")
    assert row is not None
    assert isinstance(row.value, Undefined)
    assert "nine classes" in view.cell(row).note


def test_the_best_single_is_what_was_chosen(view: View) -> None:
    assert view.best_single == "frozen/lite0"
    record = example.evidence()
    del record["setup"]
    assert View(record).best_single is None


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "0.5", True])
def test_no_finite_value_is_undefined_and_never_a_number(value: object) -> None:
    record = example.row("a", "accuracy", 0.5, "share", "higher") | {"value": value}
    (row,) = readings([record])
    assert isinstance(row.value, Undefined)


def test_unreadable_rows_are_named_together() -> None:
    good = example.row("a", "accuracy", 0.5, "share", "higher")
    broken = {name: item for name, item in good.items() if name != "unit"}
    with pytest.raises(UserError, match=r"(?s)lacks unit.*lacks id.*several rows"):
        readings([good, good, broken, {}])


@pytest.mark.parametrize("record", [{}, {"schema": "other/1"}, {"schema": "transfuse/evidence/1", "verdict": None}])
def test_records_without_schema_or_verdict_are_refused(record: dict) -> None:
    with pytest.raises(UserError):
        View(record)


def test_control_characters_are_taken_out() -> None:
    assert clean({"a\x1b": ["b\x00\n", 3, None, "\ud800"]}) == {"a�": ["b�\n", 3, None, "�"]}


def test_the_record_is_not_changed() -> None:
    record = example.evidence()
    before = copy.deepcopy(record)
    View(record, example.measurements())
    assert record == before
