"""Weights by ranges: the tensors that a local file has, and nothing believed that its header only claims."""

from __future__ import annotations

import json
import re

import fsspec
import numpy as np
import pytest
from safetensors.numpy import save

from files.loopback import served
from transfuse.errors import UserError
from transfuse.files.remote import Remote, place
from transfuse.source import ranged
from transfuse.source.ranged import UNFINISHED, RangedReader, reader_at
from transfuse.source.weights import INDEX, FileReader, open_reader

STATE = {
    "big": np.random.default_rng(0).normal(size=(60, 50)).astype(np.float32),
    "half": np.arange(12, dtype=np.float16).reshape(3, 4),
    "count": np.array(7, np.int64),
    "empty": np.zeros((0, 4), np.float32),
}


@pytest.fixture
def folder() -> Remote:
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    found = place("memory://weights")
    assert isinstance(found, Remote)
    return found


def put(folder: Remote, name: str, content: bytes) -> Remote:
    (folder / name).write(content)
    return folder / name


@pytest.mark.parametrize("block", [1 << 20, 1024])
def test_tensors_are_those_of_the_file_in_memory_or_in_a_file(folder, tmp_path, monkeypatch, block):
    monkeypatch.setattr(ranged, "BLOCK_BYTES", block)
    path = tmp_path / "a.safetensors"
    path.write_bytes(save(STATE, {"said": "by its maker"}))
    near, far = FileReader(path), RangedReader(put(folder, "a.safetensors", path.read_bytes()))
    assert far.names() == near.names() and far.metadata == {"said": "by its maker"}
    for name in near.names():
        assert far.meta(name) == near.meta(name)
        found = far.read(name)
        assert found.dtype == near.read(name).dtype and np.array_equal(found, near.read(name))


def test_a_range_is_asked_for_by_name_since_drivers_order_words_in_their_own_way(folder, monkeypatch):
    class Versioned(type(folder.system)):
        """As the driver of S3 has it: what comes after the path is a version."""

        cachable = False

        def cat_file(self, path, version_id=None, start=None, end=None):
            assert version_id is None
            return super().cat_file(path, start=start, end=end)

    put(folder, "a", b"0123456789")
    assert Remote("memory://weights/a", Versioned(), "/weights/a").read(2, 5) == b"234"


def test_bfloat16_is_widened_as_from_a_file(folder, tmp_path):
    import torch
    from safetensors.torch import save_file

    save_file({"w": torch.randn(40).bfloat16()}, tmp_path / "a.safetensors")
    far = reader_at(put(folder, "a.safetensors", (tmp_path / "a.safetensors").read_bytes()))
    assert np.array_equal(far.read("w"), open_reader(tmp_path / "a.safetensors").read("w"))


def test_of_a_large_file_the_header_alone_is_asked_for_until_a_tensor_is():
    content = save(STATE)
    length = int.from_bytes(content[:8], "little")
    with served({"a.safetensors": content}) as (address, asked):
        reader = reader_at(place(f"{address}/a.safetensors"))
        assert asked == ["a.safetensors bytes=0-7", f"a.safetensors bytes=8-{7 + length}"]
        assert np.array_equal(reader.read("half"), STATE["half"])
        assert len(asked) == 3


def test_a_folder_is_read_by_its_index_or_else_by_its_files(folder):
    put(folder, "one.safetensors", save({"big": STATE["big"]}))
    put(folder, "two.safetensors", save({"half": STATE["half"]}))
    assert reader_at(folder).names() == ["big", "half"]
    put(folder, INDEX, json.dumps({"weight_map": {"half": "two.safetensors"}}).encode())
    assert reader_at(folder).names() == ["half"]


def test_a_web_folder_needs_its_index_since_it_cannot_be_listed():
    files = {"m/one.safetensors": save(STATE)}
    with served(files) as (address, _):
        with pytest.raises(UserError, match="no safetensors file") as caught:
            reader_at(place(f"{address}/m"))
        assert INDEX in str(caught.value.expected)
    files[f"m/{INDEX}"] = json.dumps({"weight_map": dict.fromkeys(STATE, "one.safetensors")}).encode()
    with served(files) as (address, _):
        assert reader_at(place(f"{address}/m")).names() == sorted(STATE)


def header(**entries: object) -> bytes:
    text = json.dumps(entries).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((1 << 60).to_bytes(8, "little") + b"{}", "claims"),
        (b"short", "too few"),
        (
            header(w={"dtype": "F32", "shape": [1 << 40, 1 << 20], "data_offsets": [0, 16]}) + b"\0" * 16,
            "does not take",
        ),
        (header(w={"dtype": "F32", "shape": [1 << 30], "data_offsets": [0, 1 << 32]}) + b"\0" * 16, "overlap"),
        (header(w={"dtype": "F32", "shape": [0, 1 << 62, 9], "data_offsets": [0, 0]}), "larger than any memory"),
        (save(STATE)[:-1], "overlap|gap"),
    ],
)
def test_a_header_that_lies_is_refused_before_anything_is_made(folder, monkeypatch, content, message):
    monkeypatch.setattr(ranged, "room", lambda *_, **__: pytest.fail("room was made for what a header claims"))
    with pytest.raises(UserError, match="no sound safetensors file") as caught:
        reader_at(put(folder, "a.safetensors", content))
    assert re.search(message, str(caught.value.got)) and caught.value.where == "memory://weights/a.safetensors"


def test_what_is_not_whole_or_not_by_ranges_is_refused(folder):
    with pytest.raises(UserError, match="no safetensors file"):
        reader_at(folder)
    with pytest.raises(UserError, match="no such weight file"):
        reader_at(folder / "none.safetensors")
    with pytest.raises(UserError, match="only safetensors are read by ranges"):
        reader_at(folder / "a.pt")
    put(folder, "one.safetensors", save(STATE))
    put(folder, INDEX, b'{"weight_map": {"w": "two.safetensors"}}')
    with pytest.raises(UserError, match="no such weight file"):
        reader_at(folder)
    for wrong in (b"[]", b"{", b'{"weight_map": [1]}'):
        put(folder, INDEX, wrong)
        with pytest.raises(UserError, match="index"):
            reader_at(folder)
    put(folder, UNFINISHED, b"")
    with pytest.raises(UserError, match="has not ended"):
        reader_at(folder)


def test_a_disk_without_room_is_one_message(folder, monkeypatch):
    reader = reader_at(put(folder, "a.safetensors", save(STATE)))

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(ranged, "room", full)
    with pytest.raises(UserError, match="tensor 'big' does not fit here") as caught:
        reader.read("big")
    assert "TMPDIR" in str(caught.value.hint)
