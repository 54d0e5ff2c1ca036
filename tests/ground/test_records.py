from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from transfuse.errors import UserError
from transfuse.jsonio import canonical, plain
from transfuse.types import Card, Evidence, ItemTable, Prepare, Tap, Undefined, checked

CARD = Card(
    name="lite",
    spec="timm:lite",
    origin="timm",
    sha256="ab",
    prepare=Prepare(size=96, mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0), scale=255.0, order="bgr"),
    taps={
        "stem": Tap("stem", "map", 4, "stem", size=(6, 6)),
        "map": Tap("map", "map", 8, "body", volatile=True, size=(3, 3)),
        "vector": Tap("vector", "vector", 8, "head"),
    },
    class_count=2,
    classes=("cat", "dog"),
    notes=("a note",),
)


def evidence(**changes: Any) -> Evidence:
    return replace(Evidence("e1", "gate", "accuracy", 0.5, "share", "higher"), **changes)


def test_a_card_comes_back_from_its_record_with_its_taps_in_order() -> None:
    again = Card.from_record(json.loads(canonical(CARD.record())))
    assert again == CARD
    assert list(again.taps) == list(CARD.taps) != sorted(CARD.taps)


def test_an_unknown_tap_names_the_source_and_the_nearest() -> None:
    assert CARD.tap("map").width == 8
    with pytest.raises(UserError, match="unknown tap 'mapp'") as caught:
        CARD.tap("mapp")
    assert caught.value.hint == "map"
    assert "timm:lite" in str(caught.value)


def test_no_number_is_undefined_with_a_reason() -> None:
    assert checked(0.0, "why") == 0.0
    assert [checked(bad, "why") for bad in (math.nan, math.inf, -math.inf)] == [Undefined("why")] * 3


def test_undefined_never_becomes_a_value_in_the_record() -> None:
    record = evidence(value=Undefined("one class")).record()
    assert record["undefined"] == "one class"
    assert "value" not in record


def test_a_value_stands_in_the_record_beside_all_other_fields() -> None:
    record = evidence(value=0.25, low=0.1, provenance={"rows": (1, 2)}).record()
    assert record["value"] == 0.25
    assert record["low"] == 0.1
    assert record["provenance"] == {"rows": [1, 2]}
    assert "undefined" not in record


@pytest.mark.parametrize(
    ("ids", "targets", "groups", "said"),
    [
        (("a", "a"), [0, 1], None, "unique"),
        (("a", "b"), [0], None, "targets and ids"),
        (("a", "b"), [0, 1], ("g",), "groups and ids"),
    ],
)
def test_an_item_table_that_does_not_fit_itself_is_refused(ids: Any, targets: Any, groups: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        ItemTable(ids, np.array(targets), groups)


def test_an_item_table_knows_its_length() -> None:
    assert len(ItemTable(("a", "b"), np.array([0, 1]), ("g", "g"))) == 2


def test_records_are_plain_json() -> None:
    assert json.loads(json.dumps(plain(CARD)))["taps"]["map"]["size"] == [3, 3]
