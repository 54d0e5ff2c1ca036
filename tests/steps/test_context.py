"""What a process read once for one step it does not read again for the next; what could differ is read anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from transfuse import steps
from transfuse.data import open as opening
from transfuse.data.open import index
from transfuse.errors import UserError
from transfuse.steps import Context, table
from transfuse.store import Artifact, Store


@pytest.fixture
def place(tmp_path: Path) -> tuple[Context, Store]:
    images = np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4)
    np.savez(tmp_path / "six.npz", images=images, labels=np.array([0, 1, 0, 1, 0, 1]))
    store = Store(tmp_path / "store")
    store.put("a" * 64, index("npz:six.npz", tmp_path).to_json())
    return Context(store, tmp_path, "npz:six.npz"), store


def test_the_same_artifact_is_opened_once_in_a_process(place: tuple[Context, Store], monkeypatch) -> None:
    context, store = place
    first = context.open(store.need("a" * 64))
    monkeypatch.setattr(opening, "open_data", lambda *_, **__: pytest.fail("read again"))
    again = Context(store, context.root, context.data).open(store.need("a" * 64))
    assert again is first
    assert table(store.need("a" * 64)) is first.items


def test_another_spec_another_folder_and_data_in_memory_are_opened_for_themselves(place) -> None:
    context, store = place
    first, items = context.open(store.need("a" * 64)), store.need("a" * 64)
    assert Context(store, context.root, {"read": "npz:six.npz"}).open(items) is not first
    unkeyed = Artifact(items.meta, {})
    assert context.open(unkeyed) is not context.open(unkeyed)
    assert table(unkeyed) is not table(unkeyed)
    with pytest.raises(Exception, match=r"six\.npz"):
        Context(store, context.root / "elsewhere", context.data).open(items)


def test_arrays_by_name_have_no_spelling_and_are_opened_all_the_same(place) -> None:
    context, store = place
    pixels = np.arange(6 * 16, dtype=np.uint8).reshape(6, 4, 4)
    for data in ({"x": pixels, "y": np.array([0, 1] * 3)}, {"read": (pixels, [0, 1] * 3), "splits": {"test": 2}}):
        found = Context(store, context.root, data).open(store.need("a" * 64))
        assert np.array_equal(found.raw(5), pixels[5])


def test_only_the_last_few_are_kept(place) -> None:
    context, store = place
    first = table(store.need("a" * 64))
    for number in range(steps._MOST_REMEMBERED):
        key = f"{number:064x}"
        store.put(key, index("npz:six.npz", context.root).to_json())
        table(store.need(key))
    assert table(store.need("a" * 64)) is not first
    assert len(steps._memory) == steps._MOST_REMEMBERED


def test_a_word_that_is_no_device_is_told_with_those_that_are(tmp_path):
    with pytest.raises(UserError) as found:
        Context(Store(tmp_path), tmp_path, device="gpu").torch_device()
    assert (found.value.expected, found.value.hint) == ("auto, cpu, cuda, cuda:1 or mps", "device: cuda")
