from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from transfuse import store as room
from transfuse.errors import UserError
from transfuse.store import ARRAYS, MANIFEST, META, Store, named_store

KEY = "ab" + "0" * 62
META_VALUE = {"kind": "train", "curve": [{"epoch": 1, "held": 0.5}], "name": "größe"}
ARRAY_VALUES = {
    "scores": np.arange(6, dtype=np.float32).reshape(2, 3),
    "rows": np.array([5, 2], dtype=np.int64),
    "count": np.array(3, dtype=np.int64),
    "none": np.zeros((0, 4), dtype=np.float64),
    "turned": np.arange(6.0).reshape(2, 3).T,
    "mask": np.array([True, False]),
}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def run_python(code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []


def test_what_is_put_is_what_is_got(store: Store) -> None:
    assert not store.has(KEY)
    assert store.get(KEY) is None
    store.put(KEY, META_VALUE, ARRAY_VALUES)
    found = store.get(KEY)
    assert found is not None
    assert store.has(KEY)
    assert found.meta == META_VALUE
    assert set(found.arrays) == set(ARRAY_VALUES)
    for name, array in ARRAY_VALUES.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("arrays", [None, {}])
def test_an_artifact_may_be_a_value_alone(store: Store, arrays: dict[str, np.ndarray] | None) -> None:
    store.put(KEY, [1, "two"], arrays)
    found = store.get(KEY)
    assert found is not None
    assert found.meta == [1, "two"]
    assert dict(found.arrays) == {}


def test_equal_artifacts_have_equal_bytes(tmp_path: Path) -> None:
    one, other = Store(tmp_path / "one"), Store(tmp_path / "other")
    one.put(KEY, {"a": 1, "b": 2}, ARRAY_VALUES)
    other.put(KEY, {"b": 2, "a": 1}, dict(reversed(ARRAY_VALUES.items())))
    for name in (META, ARRAYS, MANIFEST):
        assert (one.folder(KEY) / name).read_bytes() == (other.folder(KEY) / name).read_bytes()


@pytest.mark.parametrize("name", [META, ARRAYS, MANIFEST])
def test_a_flipped_bit_anywhere_makes_an_artifact_absent_and_it_can_be_made_again(store: Store, name: str) -> None:
    store.put(KEY, META_VALUE, ARRAY_VALUES)
    path = store.folder(KEY) / name
    whole = path.read_bytes()
    places = range(0, len(whole), max(1, len(whole) // 20))
    for place in places:
        flipped = bytes([whole[place] ^ (1 << place % 8)])
        path.write_bytes(whole[:place] + flipped + whole[place + 1 :])
        assert store.get(KEY) is None
        assert not store.has(KEY)
        store.put(KEY, META_VALUE, ARRAY_VALUES)
        found = store.get(KEY)
        assert found is not None
        assert found.meta == META_VALUE
    assert len(list((store.root / "damaged").iterdir())) == len(places)


@pytest.mark.parametrize("name", [META, ARRAYS, MANIFEST])
def test_a_lost_file_is_damage_too(store: Store, name: str) -> None:
    store.put(KEY, META_VALUE, ARRAY_VALUES)
    (store.folder(KEY) / name).unlink()
    assert store.get(KEY) is None
    store.put(KEY, META_VALUE, ARRAY_VALUES)
    assert store.get(KEY) is not None


def test_a_truncated_file_is_damage_too(store: Store) -> None:
    store.put(KEY, META_VALUE, ARRAY_VALUES)
    for name in (ARRAYS, MANIFEST):
        os.truncate(store.folder(KEY) / name, 0)
    assert store.get(KEY) is None


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.ENOMEM, errno.EACCES])
@pytest.mark.parametrize("what", ["file_digest", "arrays_of"])
def test_what_the_system_refuses_is_no_damage(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    def refused(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    store.put(KEY, META_VALUE, ARRAY_VALUES)
    with monkeypatch.context() as patched:
        patched.setattr(room, what, refused)
        with pytest.raises(UserError, match="store cannot be read") as caught:
            store.get(KEY)
    assert os.strerror(number) in str(caught.value.got)
    assert not (store.root / "damaged").exists()
    found = store.get(KEY)
    assert found is not None and found.meta == META_VALUE


def test_the_second_writer_of_a_key_changes_nothing(store: Store) -> None:
    store.put(KEY, "first")
    store.put(KEY, "second")
    found = store.get(KEY)
    assert found is not None
    assert found.meta == "first"
    assert files_under(store.root / "scratch") == []


def test_writers_of_one_key_at_once_all_finish_and_one_is_kept(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.put(KEY, number, {"x": np.full(1000, number)}), range(16)))
    found = store.get(KEY)
    assert found is not None
    assert found["x"].tolist() == [found.meta] * 1000
    assert list((store.root / "scratch").iterdir()) == []


def test_a_value_that_cannot_be_kept_leaves_nothing(store: Store) -> None:
    with pytest.raises(ValueError, match="undefined"):
        store.put(KEY, float("nan"))
    assert files_under(store.root) == []


KILLED = """
import os, sys
import numpy as np
from pathlib import Path
from transfuse import store
moment, calls = int(sys.argv[2]), 0
def die(real):
    def instead(*given):
        global calls
        calls += 1
        if calls == moment:
            if real is store.os.fsync:
                os.write(given[0], b"half")
            os._exit(9)
        return real(*given)
    return instead
store.os.fsync, store.os.rename = die(os.fsync), die(os.rename)
store.Store(Path(sys.argv[1])).put("ab" + "0" * 62, {"a": 1}, {"x": np.arange(9)})
"""


@pytest.mark.parametrize("moment", [1, 2, 3, 4])
def test_a_killed_writer_leaves_nothing_that_can_be_read(store: Store, moment: int) -> None:
    # Moments: while writing each of the three files, then between the last one and the rename.
    assert run_python(KILLED, store.root, str(moment)).returncode == 9
    assert files_under(store.root) != []
    assert not store.has(KEY)
    assert store.get(KEY) is None
    store.put(KEY, "whole")
    assert store.get(KEY) is not None


def test_sweeping_takes_old_scratch_and_leaves_young(store: Store) -> None:
    store.sweep()
    old, young = store.root / "scratch" / "old", store.root / "scratch" / "young"
    for folder in (old, young):
        folder.mkdir(parents=True)
        (folder / META).write_text("{}")
    day_ago = time.time() - 25 * 3600
    os.utime(old, (day_ago, day_ago))
    store.put(KEY, 1)
    store.sweep()
    assert not old.exists()
    assert young.exists()
    assert store.get(KEY) is not None


def test_the_store_lies_where_it_is_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRANSFUSE_STORE", str(tmp_path / "mine"))
    assert named_store() == Store(tmp_path / "mine")
    monkeypatch.delenv("TRANSFUSE_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert named_store() == Store(tmp_path / "cache" / "transfuse")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named_store() == Store(tmp_path / ".cache" / "transfuse")


@pytest.mark.parametrize(
    ("named", "wanted"), [("a/b", "/r/a/b"), ("/a", "/a"), ("file:///a/b", "/a/b"), ("C:/a", "/r/C:/a")]
)
def test_a_store_may_be_named_by_a_path_or_the_url_of_one(named: str, wanted: str) -> None:
    assert named_store(named, Path("/r")) == Store(Path(wanted))


def test_the_manifest_names_the_hash_of_every_other_file(store: Store) -> None:
    store.put(KEY, META_VALUE, ARRAY_VALUES)
    manifest = json.loads((store.folder(KEY) / MANIFEST).read_text())
    assert set(manifest) == {META, ARRAYS}
    assert all(len(value) == 64 for value in manifest.values())


def test_a_manifest_that_names_other_files_is_damage(store: Store) -> None:
    store.put(KEY, META_VALUE)
    outside = store.root / "secret"
    outside.write_bytes(b"x")
    manifest = {META: room.file_digest(store.folder(KEY) / META), "../../../secret": room.file_digest(outside)}
    (store.folder(KEY) / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    assert store.get(KEY) is None


def test_what_another_process_swept_by_a_wrong_clock_is_written_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, swept = room.write_bytes, []

    def write(path: Path, data: bytes) -> None:
        if path.name == MANIFEST and not swept:
            swept.append(path.parent)
            room.shutil.rmtree(path.parent)
        real(path, data)

    monkeypatch.setattr(room, "write_bytes", write)
    store.put(KEY, META_VALUE)
    found = store.get(KEY)
    assert swept
    assert found is not None
    assert found.meta == META_VALUE
