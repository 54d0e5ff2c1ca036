from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.errors import UserError
from transfuse.train import feed as room
from transfuse.train.feed import BlockFeed, CanvasFeed

CPU = torch.device("cpu")


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 10_000), unique=True, min_size=1, max_size=30), st.data())
def test_a_block_is_found_by_its_row_in_any_order(rows: list[int], data: st.DataObject) -> None:
    lines = np.array(rows, dtype=np.float32)
    feed = BlockFeed(np.array(rows), [lines[:, None] * [1, 2], lines[:, None, None, None]], CPU)
    asked = np.array(data.draw(st.lists(st.sampled_from(rows), min_size=1)))
    first, second = feed.batch(asked)
    np.testing.assert_array_equal(first.numpy(), asked[:, None] * [1.0, 2.0])
    np.testing.assert_array_equal(second.numpy().ravel(), asked)


@pytest.mark.parametrize(("asked", "missing"), [([3], 1), ([0, 99, 5, 7], 2), ([-1], 1), ([5, 9, 6], 1)])
def test_a_row_without_features_is_never_another_rows(asked: list[int], missing: int) -> None:
    feed = BlockFeed(np.array([9, 5, 0]), [np.arange(3.0)[:, None]], CPU)
    with pytest.raises(UserError, match="features are missing") as caught:
        feed.batch(np.array(asked))
    assert caught.value.got == f"{missing} rows without features"


def test_a_feed_does_not_change_what_it_was_given() -> None:
    rows, array = np.array([2, 0, 1]), np.arange(6.0).reshape(2, 3).T
    BlockFeed(rows, [array], CPU).batch(np.array([1]))
    assert rows.tolist() == [2, 0, 1]
    assert array.tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]


class Album:
    """Reads canvases [N, 3, 2, 2] and notes which."""

    def __init__(self) -> None:
        self.asked: list[list[int]] = []

    def read(self, rows: Sequence[int]) -> np.ndarray:
        self.asked.append(list(rows))
        return np.stack([np.random.default_rng(row).random((3, 2, 2), dtype=np.float32) for row in rows])


BATCHES = [np.array(rows) for rows in ([0, 1, 2], [2, 3, 3, 0], [4, 0, 1, 5], [3, 3, 4])]


@pytest.mark.parametrize("room_for", [0, 1, 2, 4, 100])
def test_canvases_are_the_same_whether_or_not_they_are_kept(monkeypatch: pytest.MonkeyPatch, room_for: int) -> None:
    monkeypatch.setattr(room, "CANVAS_CACHE_BYTES", room_for * 3 * 2 * 2 * 4 + 5)
    feed = CanvasFeed(Album().read, CPU)
    for rows in BATCHES:
        (canvas,) = feed.batch(rows)
        np.testing.assert_array_equal(canvas.numpy(), Album().read(rows.tolist()))
    assert len(feed.kept) == min(room_for, 6)


def test_a_kept_canvas_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    album = Album()
    feed = CanvasFeed(album.read, CPU)
    for rows in BATCHES:
        feed.batch(rows)
    assert album.asked == [[0, 1, 2], [3], [4, 5]]
    monkeypatch.setattr(room, "CANVAS_CACHE_BYTES", 0)
    album = Album()
    feed = CanvasFeed(album.read, CPU)
    feed.batch(BATCHES[1])
    feed.batch(BATCHES[1])
    assert album.asked == [[2, 3, 0]] * 2
