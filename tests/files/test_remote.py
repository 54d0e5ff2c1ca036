"""Files behind URLs: what is asked for is given to the byte, or the reason is one message."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import fsspec
import pytest

from files.loopback import served
from transfuse.errors import MissingExtraError, UserError
from transfuse.files import remote
from transfuse.files.remote import Remote, digest_of, place, same, size_of

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def memory() -> Remote:
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    system.pipe_file("/folder/one.bin", CONTENT)
    system.pipe_file("/folder/two.txt", b"two")
    system.pipe_file("/folder/below/three.txt", b"three")
    found = place("memory://folder")
    assert isinstance(found, Remote)
    return found


def test_paths_and_file_urls_are_paths_and_others_are_remote() -> None:
    assert place("a/b.safetensors") == Path("a/b.safetensors")
    assert place("file:///a/b") == Path("/a/b") == place("local:///a/b")
    assert isinstance(place("memory://a/b"), Remote)


def test_a_folder_tells_its_files_and_a_file_its_bytes(memory: Remote) -> None:
    assert memory.is_dir() and not memory.is_file()
    assert [each.name for each in memory.glob("*.txt")] == ["two.txt"]
    one = memory / "one.bin"
    assert (one.url, one.suffix, one.size(), one.is_file()) == ("memory://folder/one.bin", ".bin", len(CONTENT), True)
    assert one.read(3, 300) == CONTENT[3:300] and one.read(5, 5) == b""
    assert not (memory / "none").is_file() and (memory / "none").glob("*") == []


def test_bytes_are_hashed_a_block_at_a_time(memory: Remote, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(remote, "BLOCK_BYTES", 1000)
    one = memory / "one.bin"
    (tmp_path / "one.bin").write_bytes(CONTENT)
    assert [len(block) for block in one.blocks()] == [1000] * 10 + [240]
    assert digest_of(one) == digest_of(tmp_path / "one.bin") == hashlib.sha256(CONTENT).hexdigest()
    assert size_of(one) == size_of(tmp_path / "one.bin")


def test_the_same_place_is_told_by_its_url_or_resolved_path(memory: Remote, tmp_path: Path) -> None:
    assert same(memory / "one.bin", place("memory://folder/one.bin")) and not same(memory, memory / "one.bin")
    assert same(tmp_path / "a", tmp_path / "b" / ".." / "a") and not same(tmp_path, memory)


def test_what_is_put_is_there_and_what_is_removed_is_not(memory: Remote, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    target = memory / "new"
    target.put(tmp_path / "new")
    assert target.read(0, 3) == b"new"
    target.remove()
    target.remove()
    assert not target.is_file()
    with pytest.raises(UserError, match="cannot be read or written"):
        target.read(0, 3)


def test_a_server_is_asked_for_no_more_than_the_range() -> None:
    with served({"one.bin": CONTENT}) as (address, asked):
        one = place(f"{address}/one.bin")
        assert isinstance(one, Remote) and one.web and one.size() == len(CONTENT)
        assert one.read(7, 1007) == CONTENT[7:1007]
        assert asked == ["one.bin bytes=7-1006"]
        assert not place(f"{address}/none.bin").is_file()


def test_what_a_web_address_asks_after_its_name_stays_behind_it() -> None:
    found = place("http://127.0.0.1:1/folder?key=1")
    assert isinstance(found, Remote)
    assert (found / "a.bin").url == "http://127.0.0.1:1/folder/a.bin?key=1" and (found / "a.bin").name == "a.bin"


@pytest.mark.parametrize(
    ("manner", "message"),
    [("whole", "cannot be read or written|as a whole"), ("short", "does not give the part"), ("silent", "how large")],
)
def test_a_server_that_knows_no_ranges_or_lies_is_one_message(manner: str, message: str) -> None:
    with served({"one.bin": CONTENT}, manner) as (address, _):
        one = place(f"{address}/one.bin")
        with pytest.raises(UserError, match=message) as caught:
            one.read(7, 1000 if one.size() else 0)  # pyright: ignore[reportAttributeAccessIssue]
    assert caught.value.where == f"{address}/one.bin"


def test_a_server_that_fails_once_is_asked_again() -> None:
    with served({"one.bin": CONTENT}, "fails") as (address, asked):
        assert place(f"{address}/one.bin").read(7, 1000) == CONTENT[7:1000]  # pyright: ignore[reportAttributeAccessIssue]
        assert len(asked) == 2


def test_a_missing_driver_and_an_unknown_protocol_are_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UserError, match="needs the package 's3fs'") as caught:
        place("s3://bucket/a.safetensors")
    assert caught.value.hint == "pip install s3fs"
    with pytest.raises(UserError, match="cannot be opened"):
        place("nonsense://a")

    def without(*_: object) -> None:
        raise ImportError("aiohttp")

    monkeypatch.setattr(fsspec.core, "url_to_fs", without)
    with pytest.raises(MissingExtraError, match="https:// needs the package 'aiohttp'") as caught:
        place("https://host/a.safetensors")
    assert caught.value.hint == "pip install 'transfuse[remote]'"
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(MissingExtraError, match="fsspec") as caught:
        place("memory://a")
    assert caught.value.hint == "pip install 'transfuse[remote]'"
