"""Foreign arrays: what is whole comes back exactly, what is not is refused before it costs anything."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from transfuse.errors import UnsafeFileError, UserError
from transfuse.files.arrays import read_idx, read_npz


def idx_bytes(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return path


class Opens:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.mkdir, (self.path,))


@settings(deadline=None, max_examples=15)
@given(array=hnp.arrays(np.uint8, hnp.array_shapes(max_dims=4, max_side=5)))
def test_idx_comes_back_exactly(tmp_path_factory, array):
    folder = tmp_path_factory.mktemp("idx")
    (folder / "a").write_bytes(idx_bytes(array))
    (folder / "a.gz").write_bytes(gzip.compress(idx_bytes(array)))
    np.testing.assert_array_equal(read_idx(folder / "a"), array)
    np.testing.assert_array_equal(read_idx(folder / "a.gz"), array)


WHOLE = idx_bytes(np.arange(24, dtype=np.uint8).reshape(2, 3, 4))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an IDX file"),
        (b"PK\x03\x04", "not an IDX file"),
        (b"\0\0\x08\0", "not an IDX file"),
        (b"\0\0\x0d\x01" + bytes(8), "type is not supported"),
        (b"\0\0\x08\x03\0\0", "damaged"),
        (WHOLE[:-1], "header and length disagree"),
        (WHOLE + b"\0", "header and length disagree"),
    ],
)
@pytest.mark.parametrize("name", ["a", "a.gz"])
def test_idx_that_is_not_whole_is_refused(tmp_path: Path, name, data, message):
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    with pytest.raises(UserError, match=message):
        read_idx(path)


@pytest.mark.parametrize("data", [b"no gzip", gzip.compress(WHOLE * 50, mtime=0)[:-9]], ids=["no gzip", "cut short"])
def test_damaged_gzip_is_one_clean_message(tmp_path: Path, data):
    (tmp_path / "a.gz").write_bytes(data)
    with pytest.raises(UserError, match="IDX"):
        read_idx(tmp_path / "a.gz")


def test_idx_of_an_impossible_size_is_refused_before_reading(tmp_path: Path):
    (tmp_path / "a").write_bytes(struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**31, 2**31))
    with pytest.raises(UnsafeFileError, match="too large"):
        read_idx(tmp_path / "a")


@settings(deadline=None, max_examples=15)
@given(array=hnp.arrays(hnp.floating_dtypes(endianness="<"), hnp.array_shapes(min_dims=0, max_side=4)))
def test_npz_comes_back_exactly(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    np.savez_compressed(path, x=array, names=np.array(["a", "bc"]))
    read = read_npz(path)
    assert list(read) == ["names", "x"]
    np.testing.assert_array_equal(read["x"], array)
    assert read["x"].dtype == array.dtype


def test_python_objects_are_refused_and_never_run(tmp_path: Path):
    trace = tmp_path / "ran"
    header = npy_bytes(np.array([], dtype="f8")).replace(b"'<f8'", b"'|O' ").replace(b"(0,)", b"(1,)")
    path = zipped(tmp_path / "a.npz", x=header + pickle.dumps(Opens(trace)))
    with pytest.raises(UnsafeFileError, match="could run code"):
        read_npz(path)
    assert not trace.exists()


def test_a_header_larger_than_its_data_is_refused(tmp_path: Path):
    lying = npy_bytes(np.zeros(10, np.uint8)).replace(b"(10,)", b"(99,)")
    with pytest.raises(UserError, match="header and length disagree"):
        read_npz(zipped(tmp_path / "a.npz", x=lying))


def test_the_total_size_is_checked_before_unpacking(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("transfuse.files.arrays.MAX_BYTES", 1_000)
    path = zipped(tmp_path / "a.npz", x=npy_bytes(np.zeros(100)), y=npy_bytes(np.zeros(100)))
    with pytest.raises(UnsafeFileError, match="too large"):
        read_npz(path)


@pytest.mark.parametrize("content", [b"", b"no zip", npy_bytes(np.zeros(3))])
def test_what_is_no_npz_is_refused_by_name(tmp_path: Path, content):
    (tmp_path / "odd.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"odd\.npz"):
        read_npz(tmp_path / "odd.npz")


def test_a_zip_with_other_files_is_refused(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(UserError, match="arrays only"):
        read_npz(tmp_path / "a.npz")


@pytest.mark.parametrize("reader", [read_idx, read_npz])
def test_an_absent_file_is_one_clean_message(tmp_path: Path, reader):
    with pytest.raises(UserError, match="not found"):
        reader(tmp_path / "absent")
