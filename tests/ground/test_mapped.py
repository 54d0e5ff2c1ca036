from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from transfuse import mapped as room
from transfuse.mapped import NAMES, arrays_of, packed, picked

RNG = np.random.default_rng(0)
ARRAYS = {
    "größe": RNG.normal(size=(3, 5)).astype(np.float32),
    "turned": np.arange(6.0).reshape(2, 3).T,
    "none": np.zeros((0, 4), np.int16),
    "one": np.array(7, np.int64),
    "mask": np.array([True, False, True]),
}


def written(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    path.write_bytes(b"".join(bytes(piece) for piece in packed(arrays)))
    return path


def same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_what_is_written_is_what_the_formats_own_library_reads(tmp_path: Path) -> None:
    same(load_file(written(tmp_path / "a", ARRAYS)), ARRAYS)


@pytest.mark.parametrize("read_bytes", [0, 1 << 20])
def test_what_the_formats_own_library_writes_is_read_mapped_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_bytes: int
) -> None:
    monkeypatch.setattr(room, "READ_BYTES", read_bytes)
    save_file({name: np.ascontiguousarray(array) for name, array in ARRAYS.items()}, tmp_path / "a", {"by": "others"})
    found = arrays_of(tmp_path / "a")
    assert list(found) == sorted(ARRAYS)
    same(found, ARRAYS)


@pytest.mark.parametrize("kind", NAMES)
def test_every_type_comes_back(tmp_path: Path, kind: str) -> None:
    array = RNG.integers(0, 2, (4, 3)).astype(kind)
    same(arrays_of(written(tmp_path / "a", {"x": array})), {"x": array})


def test_a_type_that_the_format_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match="complex128"):
        list(packed({"x": np.zeros(2, np.complex128)}))


def test_writing_to_what_was_mapped_changes_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "READ_BYTES", 0)
    before = written(tmp_path / "a", ARRAYS).read_bytes()
    found = arrays_of(tmp_path / "a")
    found["größe"][...] = 5
    assert (tmp_path / "a").read_bytes() == before
    same(arrays_of(tmp_path / "a"), ARRAYS)


def test_the_first_array_is_aligned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "READ_BYTES", 0)
    for name in ("x", "longer", "of any length"):
        (array,) = arrays_of(written(tmp_path / name, {name: np.arange(9.0)})).values()
        assert array.ctypes.data % room.ALIGNED == 0


@pytest.mark.parametrize("change", ["cut", "offsets", "shape", "type", "header"])
def test_a_file_that_is_not_what_it_says_is_an_error(tmp_path: Path, change: str) -> None:
    whole = written(tmp_path / "a", {"x": np.arange(4.0)}).read_bytes()
    length = int.from_bytes(whole[:8], "little")
    header, data = json.loads(whole[8 : 8 + length]), whole[8 + length :]
    if change == "offsets":
        header["x"]["data_offsets"] = [-8, 24]
    elif change == "shape":
        header["x"]["shape"] = [5]
    elif change == "type":
        header["x"]["dtype"] = "F99"
    text = json.dumps(header).encode()
    start = (len(whole) if change == "header" else len(text)).to_bytes(8, "little")
    (tmp_path / "a").write_bytes(start + text + (data[:-1] if change == "cut" else data))
    with pytest.raises((ValueError, LookupError)):
        arrays_of(tmp_path / "a")


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(any), st.data())
def test_lines_of_pieces_are_those_of_the_whole(sizes: list[int], data: st.DataObject) -> None:
    whole = RNG.normal(size=(sum(sizes), 2, 3))
    pieces = np.split(whole, np.cumsum(sizes)[:-1])
    places = np.array(data.draw(st.lists(st.integers(0, len(whole) - 1))), dtype=np.int64)
    np.testing.assert_array_equal(picked(pieces, places), whole[places])


def test_what_cannot_be_mapped_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise OSError("no such ability")

    monkeypatch.setattr(room, "READ_BYTES", 0)
    monkeypatch.setattr(room.mmap, "mmap", refuse)
    same(arrays_of(written(tmp_path / "a", ARRAYS)), ARRAYS)


def test_many_files_are_mapped_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(room, "READ_BYTES", 0)
    path = written(tmp_path / "a", ARRAYS)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(few, 256), most))
        kept = [arrays_of(path) for _ in range(300)]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (few, most))
    same(kept[-1], ARRAYS)


def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(room.os, "posix_fallocate"):
        pytest.skip("files cannot be given their room beforehand here")

    def full(*given: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(room, "ROOM_BYTES", 0)
    monkeypatch.setattr(room.os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        room.room((3, 4), np.dtype(np.float32), tmp_path)


def test_room_is_reserved_also_where_the_system_cannot_promise_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(room.os, "posix_fallocate", raising=False)
    with (tmp_path / "file").open("w+b") as handle:
        for size, expected in ((7, 7), (3, 7), (0, 7)):
            room.reserve(handle.fileno(), size)
            assert (tmp_path / "file").stat().st_size == expected


@pytest.mark.parametrize("most", [0, 1 << 20])
def test_room_is_the_same_in_memory_and_in_a_file_and_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(room, "ROOM_BYTES", most)
    folder = tmp_path / "new" / "scratch"
    made = room.room((3, 4), np.dtype(np.float32), folder)
    made[...] = ARRAYS["größe"][:, :4]
    np.testing.assert_array_equal(made, ARRAYS["größe"][:, :4])
    assert list(tmp_path.rglob("*")) == ([folder.parent, folder] if not most else [])
