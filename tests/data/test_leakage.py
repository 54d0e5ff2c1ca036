"""Copies across the border and rows that a source has seen."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from transfuse.data import leakage
from transfuse.data.items import content_digest, table
from transfuse.data.leakage import Duplicates, duplicates, look_alikes, overlap
from transfuse.data.split import partition
from transfuse.errors import UserError

SPLITS = ["train"] * 20 + ["val"] * 8 + ["test"] * 10


def built(make_items, copies: dict[int, int]):
    return make_items(
        ["a", "b"] * 19, splits=SPLITS, digests=[f"d{copies.get(row, row)}" for row in range(len(SPLITS))]
    )


def test_a_copy_in_the_validation_is_found_in_every_run(make_items):
    items = built(make_items, {30: 22})
    found = duplicates(items, partition(items, seeds=3))
    assert found == tuple(Duplicates(f"s{seed}", 1, 0.1, (("i30", "i22"),)) for seed in range(3))


def test_a_copy_in_train_counts_only_for_the_seeds_that_draw_it(make_items):
    items = built(make_items, {30: 4})
    made = partition(items, splits={"train": 6}, seeds=8)
    for run, found in zip(made.runs, duplicates(items, made), strict=True):
        assert found.count == int(4 in run.train)
    assert {found.count for found in duplicates(items, made)} == {0, 1}


def test_a_copy_among_the_rows_of_choices_counts(make_items):
    splits = ["train"] * 20 + ["val"] * 4 + ["cal"] * 4 + ["test"] * 10
    for copied in (20, 24):
        digests = [f"d{copied if row == 30 else row}" for row in range(len(splits))]
        items = make_items(["a", "b"] * 19, splits=splits, digests=digests)
        assert [found.pairs for found in duplicates(items, partition(items, seeds=1))] == [(("i30", f"i{copied}"),)]


def test_copies_inside_one_side_are_no_leak(make_items):
    items = built(make_items, {1: 0, 30: 31, 32: 31})
    assert [found.count for found in duplicates(items, partition(items))] == [0] * 5


def test_examples_are_few_and_the_count_is_whole(make_items):
    items = built(make_items, dict.fromkeys(range(28, 38), 20))
    found = duplicates(items, partition(items, seeds=1))[0]
    assert (found.count, found.share, len(found.pairs)) == (10, 1.0, 5)


def test_crossfit_finds_a_pair_from_both_sides():
    ids = [f"i{row}" for row in range(40)]
    items = table(ids, ["a", "b"] * 20, ["same" if row < 2 else f"d{row}" for row in range(40)])
    made = partition(items)
    together = any({0, 1} <= set(run.judge.tolist()) for run in made.runs)
    assert sum(found.count for found in duplicates(items, made)) == (0 if together else 2)


def pixels(copies: dict[int, int]):
    """Noise by row; of a copied row the other's picture, one shade darker, with other bytes."""

    def raw(row: int) -> np.ndarray:
        noise = np.random.default_rng(copies.get(row, row)).integers(1, 256, (16, 16), dtype=np.uint8)
        return noise - 1 if row in copies else noise

    return raw


def test_look_alikes_across_the_split_are_paired_once(make_items):
    items = built(make_items, {})
    made = partition(items, seeds=3)
    assert look_alikes(items, made, pixels({30: 22, 33: 22, 31: 32, 1: 0})) == [("i30", "i22"), ("i33", "i22")]
    assert look_alikes(items, made, pixels({})) == []


def test_exact_copies_are_left_to_the_digests(make_items):
    items = built(make_items, {30: 22})
    assert look_alikes(items, partition(items), pixels({30: 22, 31: 23})) == [("i31", "i23")]


def test_crossfit_finds_look_alikes_that_its_folds_part():
    ids = [f"i{row}" for row in range(40)]
    items = table(ids, ["a", "b"] * 20, ids)
    together = any({0, 1} <= set(run.judge.tolist()) for run in partition(items).runs)
    found = look_alikes(items, partition(items), pixels({1: 0}))
    assert found == ([] if together else [("i0", "i1"), ("i1", "i0")])
    grouped = table(ids, ["a", "b"] * 20, ids, groups=["same", "same", *ids[2:]])
    assert look_alikes(grouped, partition(grouped), pixels({1: 0})) == []


def test_blocks_change_nothing_and_too_many_pairs_are_not_looked_at(make_items, monkeypatch):
    items = built(make_items, {})
    made, raw = partition(items), pixels({30: 22, 36: 3})
    whole = look_alikes(items, made, raw)
    monkeypatch.setattr(leakage, "BLOCK", 3)
    monkeypatch.setattr(leakage, "OTHERS", 2)
    assert look_alikes(items, made, raw) == whole
    monkeypatch.setattr(leakage, "MOST_PAIRS", 100)
    assert look_alikes(items, made, lambda row: pytest.fail("opened")) is None


def test_seen_rows_are_listed_by_id_or_digest(make_items):
    items = make_items(["a", "b"] * 3)
    assert overlap(items, [5, 4, 0], ["i0", "d4", "i1", "else"]) == ["i4", "i0"]
    assert overlap(items, np.array([1, 2]), ["i0"]) == []


def test_seen_may_be_a_file_with_whole_hashes(make_items, tmp_path: Path):
    items = make_items(["a", "b"], digests=[content_digest(b"one"), content_digest(b"two")])
    seen = tmp_path / "seen.txt"
    seen.write_text(f"\n{hashlib.sha256(b'two').hexdigest().upper()}  \r\nelse\n", encoding="utf-8")
    assert overlap(items, [0, 1], seen) == ["i1"]
    assert overlap(items, [0, 1], str(seen)) == ["i1"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_list_may_be_a_table_as_spreadsheets_save_it(make_items, tmp_path: Path, encoding: str):
    seen = tmp_path / "seen.csv"
    seen.write_text("note;item\nfirst;i1\nlast;i3\n", encoding=encoding)
    assert overlap(make_items(["a", "b"] * 3), range(6), seen) == ["i1", "i3"]


@pytest.mark.parametrize("word", ["none", "unknown"])
def test_nothing_is_listed_by_a_word(make_items, word):
    assert overlap(make_items(["a", "b"]), [0, 1], word) == []


def test_a_missing_list_is_an_error_and_no_clean_bill(make_items, tmp_path: Path):
    with pytest.raises(UserError, match="cannot be read"):
        overlap(make_items(["a", "b"]), [0], tmp_path / "absent.txt")
