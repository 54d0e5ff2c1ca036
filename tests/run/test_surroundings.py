"""What surrounds the data is made ready before any work: who answers what, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from plan.example_plan import card, setting
from transfuse.data.extra import extras
from transfuse.data.items import Items, table
from transfuse.data.split import Fit, Partition, Run
from transfuse.errors import UserError
from transfuse.jsonio import digest
from transfuse.run.surroundings import Surroundings, check_own, surroundings
from transfuse.run.worker import Place
from transfuse.store import Store


def items(count: int, first: int = 0, label: str = "x") -> Items:
    names = [f"item{number}" for number in range(first, first + count)]
    return table(names, [label] * count, [f"{number:032d}" for number in range(first, first + count)])


KNOWN = items(30)


def parts(protocol: Any, *judged: np.ndarray) -> Partition:
    fit = (Fit(np.arange(2), np.arange(2)),)
    runs = [Run(f"r{number}", fit, np.arange(2), np.arange(2), rows) for number, rows in enumerate(judged)]
    return Partition(protocol, tuple(runs))


LOCKED = parts("locked", np.arange(10), np.arange(10))
FOLDS = parts("crossfit", np.arange(10), np.arange(10, 20), np.arange(20, 30))


def around(given: Mapping[str, Any], partition: Partition = LOCKED, **tables: Items) -> Surroundings:
    """The surroundings of a recipe, and the rows by key in `around.rows`."""
    around.rows = {}  # pyright: ignore[reportFunctionMemberAccess]

    def keep(arrays: Mapping[str, np.ndarray]) -> str:
        key = digest({name: rows.tolist() for name, rows in arrays.items()})
        around.rows[key] = arrays  # pyright: ignore[reportFunctionMemberAccess]
        return key

    recipe = setting().recipe
    return surroundings(
        recipe, extras(given), KNOWN, partition, table=lambda read: (f"key-{read}", tables[read]), keep=keep
    )


def answered(found: Surroundings) -> dict[str, list[int]]:
    (exposure,) = found.exposures
    return {
        run: around.rows[block.key]["judge"].tolist()  # pyright: ignore[reportFunctionMemberAccess]
        for run, block in exposure.rows.items()
    }


def test_nothing_asked_is_nothing_made():
    found = around({})
    assert found == Surroundings() and found.identity == []


def test_under_a_locked_split_every_seed_answers_all_outside_items():
    found = answered(around({"ood:x": "x"}, x=items(7, 100)))
    assert found == {"r0": list(range(7)), "r1": list(range(7))}


def test_under_cross_fitting_every_outside_item_is_answered_by_one_fold():
    found = answered(around({"ood:x": "x"}, FOLDS, x=items(10, 100)))
    assert sorted(row for rows in found.values() for row in rows) == list(range(10))
    assert sorted(len(rows) for rows in found.values()) == [3, 3, 4]


def test_repeated_folds_answer_all_outside_items_once_a_repeat():
    runs = parts("crossfit", *(np.arange(5),) * 4).runs
    halves = Partition("crossfit", tuple(replace(run, repeat=number // 2) for number, run in enumerate(runs)))
    found = answered(around({"ood:x": "x"}, halves, x=items(40, 100)))
    for pair in (("r0", "r1"), ("r2", "r3")):
        assert sorted(row for run in pair for row in found[run]) == list(range(40))
    assert found["r0"] not in (found["r2"], found["r3"])


def test_all_features_of_a_set_are_one_block():
    (exposure,) = around({"ood:x": {"read": "x", "take": 4}}, x=items(9, 100)).exposures
    (block,) = exposure.covers
    assert block.count == 4 and exposure.items_key == "key-x"


def test_items_that_stand_in_the_data_are_left_out_with_a_note():
    found = around({"ood:x": "x"}, x=items(10, 25))
    assert found.notes == ("5 items of ood:x also stand in the data and were left out",)


def test_fewer_outside_items_than_folds_are_refused():
    with pytest.raises(UserError, match="fewer items than folds"):
        around({"ood:x": "x"}, FOLDS, x=items(2, 100))


def test_a_sources_own_task_needs_the_source_and_its_class_names():
    with pytest.raises(UserError, match="unknown source 'c'"):
        around({"own:c": "x"}, x=items(4))
    found = around({"own:a": "x"}, x=items(4, label="cat"))
    assert set(found.own) == {"a"} and found.exposures == ()
    check_own(found.own, found.items, {"a": card("a", classes=("cat", "dog"))})
    with pytest.raises(UserError, match="source's own classes"):
        check_own(found.own, found.items, {"a": card("a", classes=("dog", "cow"))})
    with pytest.raises(UserError, match="no labels"):
        unlabelled = {"own:a": replace(found.items["own:a"], labels=(None,) * 4)}
        check_own(found.own, unlabelled, {"a": card("a", classes=("cat", "dog"))})


def test_another_content_is_another_plan():
    one, other = around({"ood:x": "x"}, x=items(4, 100)), around({"ood:x": "x"}, x=items(4, 200))
    assert one.identity != other.identity


def test_workers_need_sets_that_can_be_read_again(tmp_path):
    place = Place(Store(tmp_path), tmp_path, "idx:x", "cpu", 1, None, {"ood:x": "idx:y"})
    assert not place.in_memory
    assert replace(place, extra={"ood:x": (np.zeros(1), np.zeros(1))}).in_memory
    assert replace(place, data=object()).in_memory
