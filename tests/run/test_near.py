"""What the report is told of near-duplicates: clusters kept together, else what the split has parted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfuse.data.open import settings
from transfuse.events import silent
from transfuse.plan.recipe import validated
from transfuse.run import near
from transfuse.run.prepare import Prepared, prepare
from transfuse.store import Store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twenty noise pictures a class, and a darker copy of three of them."""
    for label in ("even", "odd"):
        (tmp_path / "set" / label).mkdir(parents=True)
        for number in range(20):
            noise = np.random.default_rng([number, label == "odd"]).integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / "set" / label / f"{number:02d}.png")
            if label == "odd" and number < 3:
                Image.fromarray(noise // 2).save(tmp_path / "set" / label / f"{number:02d}-dark.png")
    return tmp_path


def prepared(folder: Path, **data: object) -> Prepared:
    recipe = validated({"sources": ["demo:vgg"], "data": {"read": "set", "canvas": 28, **data}}, where="test")
    return prepare(recipe, root=folder, store=Store(folder / "store"))


def test_clusters_are_told_and_kept_together(folder):
    found = prepared(folder, groups="near_duplicates")
    assert (
        "3 clusters of near-duplicates cover 6 images (the largest 2); they stay on one side" in found.partition.notes
    )
    assert len(set(found.items.groups)) == 40


def test_what_the_folds_part_is_told_with_the_way_out(folder):
    (note,) = prepared(folder).hints
    assert "judged images" in note and "look almost like a training image" in note
    assert "`groups: near_duplicates`" in note and "odd/00-dark.png" in note


def test_pixels_are_looked_at_once(folder, monkeypatch):
    first = prepared(folder)
    monkeypatch.setattr(near, "look_alikes", lambda *given: pytest.fail("looked at again"))
    again = prepared(folder)
    assert again.hints == first.hints != ()
    assert again.plan.key == first.plan.key


def test_grouping_is_another_plan_and_an_index_of_its_own(folder):
    plain, grouped = prepared(folder), prepared(folder, groups="near_duplicates")
    assert plain.setting.items_key != grouped.setting.items_key
    assert plain.plan.key != grouped.plan.key


def test_nothing_found_says_nothing_and_nothing_looked_for_says_so(folder, monkeypatch):
    found = prepared(folder)

    def noted(answer: object) -> tuple[str, ...]:
        monkeypatch.setattr(near, "look_alikes", lambda *given: answer)
        store = Store(folder / f"store of {answer}")
        return near.looked(settings("set"), found.items, found.partition, lambda: lambda row: None, store, silent).hints

    assert noted([]) == ()
    assert "were not looked for" in noted(None)[0]
