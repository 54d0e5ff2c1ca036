"""What something has seen of the judged rows is told, and a list of it that is not there is no clean bill."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transfuse.data.items import Items
from transfuse.data.split import partition
from transfuse.errors import UserError
from transfuse.plan.recipe import validated
from transfuse.run.leaks import leaks

ROWS = 40


def told(seen: object, root: Path) -> list[str]:
    ids = tuple(f"i{row}" for row in range(ROWS))
    splits = ("train",) * 20 + ("val",) * 8 + ("test",) * 12
    items = Items(ids, ("a", "b") * (ROWS // 2), None, splits, tuple(f"d{row}" for row in range(ROWS)), ("a", "b"))
    recipe = validated({"sources": {"x": {"spec": "demo:vgg", "seen": seen}}, "data": "set"}, where="test")
    return leaks(items, partition(items, seeds=1), recipe, root)


@pytest.mark.parametrize("seen", ["none", "unknown", [], ["i0", "j30"]])
def test_nothing_is_told_where_no_judged_row_is_listed(seen: object, tmp_path: Path) -> None:
    assert told(seen, tmp_path) == []


def test_a_list_and_a_file_beside_the_recipe_tell_the_same(tmp_path: Path) -> None:
    listed = [f"i{row}" for row in np.arange(27, 31)]
    (tmp_path / "seen.txt").write_text("\n".join(listed), encoding="utf-8")
    (sentence,) = told(listed, tmp_path)
    assert sentence == "source 'x' has seen 3 of 12 judged items, e.g. i28, i29, i30"
    assert told("seen.txt", tmp_path) == [sentence]


@pytest.mark.parametrize("seen", ["sene.txt", "nothing", "imagenet"])
def test_a_list_that_is_not_there_is_refused_by_its_name(seen: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"cannot be read(.|\n)*{seen}(.|\n)*none, unknown, or a text file"):
        told(seen, tmp_path)


def test_a_table_lists_its_items_whatever_else_it_holds(tmp_path: Path) -> None:
    rows = "".join(f"a,i{row},0.5\n" for row in range(27, 31))
    (tmp_path / "seen.csv").write_text(f"label,item,p\n{rows}", encoding="utf-8")
    assert told("seen.csv", tmp_path) == ["source 'x' has seen 3 of 12 judged items, e.g. i28, i29, i30"]
    (tmp_path / "bare.csv").write_text("i28\ni29\n", encoding="utf-8")
    assert told("bare.csv", tmp_path) == ["source 'x' has seen 2 of 12 judged items, e.g. i28, i29"]
    (tmp_path / "odd.csv").write_text("name,p\ni28,1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"does not say which rows(.|\n)*item or path or digest"):
        told("odd.csv", tmp_path)


def test_a_list_that_names_no_item_is_no_clean_bill(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"listed as seen is an item(.|\n)*ids such as i0, i1, i2(.|\n)*photos/i28\.png"
    ):
        told(["photos/i28.png"], tmp_path)
    assert told(["0" * 64], tmp_path) == []
