"""The laws of getting and reading archives: nothing unchecked is opened, nothing leaves its folder."""

import os
from pathlib import Path

import pytest

import asset_archives
from asset_archives import Archive, members, obtain, read_member, unpack
from tools.example_archives import MAKERS, make_deb, make_tar, pinned
from transfuse.errors import UnsafeFileError, UserError


@pytest.mark.parametrize("name", MAKERS)
def test_every_kind_of_archive_gives_its_regular_files_and_no_link(name: str, tmp_path: Path) -> None:
    path = MAKERS[name](
        tmp_path / name, {"./data/one.txt": b"1", "data/two.txt": b"22"}, {"data/three.txt": "/etc/passwd"}
    )
    assert {member: read() for member, read in members(path)} == {"data/one.txt": b"1", "data/two.txt": b"22"}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("evil", ["../out.txt", "data/../../out.txt", "/out.txt", "data\\..\\out.txt", "C:/out.txt"])
def test_a_member_that_leaves_the_archive_is_refused(name: str, evil: str, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "inside"
    folder.mkdir(parents=True)
    path = MAKERS[name](tmp_path / name, {evil: b"evil"})
    with pytest.raises(UnsafeFileError, match="outside"):
        unpack(path, folder, "data", "*")
    assert not list(tmp_path.rglob("*out.txt"))
    assert not Path("/out.txt").exists()


def test_unpack_keeps_what_follows_the_prefix_and_fits_the_pattern(tmp_path: Path) -> None:
    path = make_tar(
        tmp_path / "a.tgz", {"p/data/x/1.txt": b"1", "p/data/2.png": b"2", "p/database/3.txt": b"3", "4.txt": b"4"}
    )
    assert unpack(path, tmp_path / "to", "p/data", "*.txt") == 1
    assert [file.relative_to(tmp_path / "to").as_posix() for file in (tmp_path / "to").rglob("*.txt")] == ["x/1.txt"]


def test_absent_members_are_named(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "a.tgz", {"data/1.txt": b"1"})
    with pytest.raises(UserError, match="data/2.txt"):
        read_member(path, "data/2.txt")
    with pytest.raises(UserError, match=r"other/\*"):
        unpack(path, tmp_path / "to", "other", "*")


def test_a_file_that_is_no_debian_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.deb").write_bytes(b"PK something")
    with pytest.raises(UserError, match="not a Debian package"):
        list(members(tmp_path / "a.deb"))


@pytest.mark.parametrize("place", ["", "archives"])
@pytest.mark.usefixtures("no_tools")
def test_an_own_copy_needs_no_tool(place: str, tmp_path: Path) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    own = make_tar(tmp_path / place / "a.tgz", {"data/1.txt": b"1"})
    assert obtain(pinned(own), tmp_path) == own


@pytest.mark.parametrize(("registry", "tool"), [("npm", "npm"), ("Debian", "apt-get"), ("PyPI", "pip3")])
@pytest.mark.usefixtures("no_tools")
def test_a_missing_tool_is_named_with_the_own_copy_as_way_out(registry: str, tool: str, tmp_path: Path) -> None:
    archive = Archive(registry, "thing", "1", "thing.tgz", "ab" * 32, 1)
    with pytest.raises(UserError, match=f"thing comes from {registry} and lacks the tool {tool}") as caught:
        obtain(archive, tmp_path)
    assert "thing.tgz" in str(caught.value.hint)
    assert "ab" * 32 in str(caught.value.hint)


def fake_tool(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch, name: str = "npm") -> None:
    folder.mkdir()
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_a_download_is_kept_only_when_its_checksum_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = make_tar(tmp_path / "a.tgz", {"data/1.txt": b"1"})
    fake_tool(tmp_path / "bin", f'echo "$@" >{tmp_path}/called; cp {served} .', monkeypatch)
    folder = tmp_path / "assets"
    with pytest.raises(UserError, match="wrong checksum"):
        obtain(pinned(served, sha256="0" * 64), folder)
    assert list((folder / "archives").iterdir()) == []
    assert obtain(pinned(served), folder).read_bytes() == served.read_bytes()
    assert (tmp_path / "called").read_text().split() == ["pack", "--ignore-scripts", "a@1"]


def test_a_failing_tool_is_quoted_and_another_file_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive("npm", "a", "1", "a.tgz", "0" * 64, 1)
    fake_tool(tmp_path / "one", "echo no such package >&2; exit 1", monkeypatch)
    with pytest.raises(UserError, match="no such package"):
        obtain(archive, tmp_path / "assets")
    fake_tool(tmp_path / "two", "touch b.tgz", monkeypatch)
    with pytest.raises(UserError, match="another file"):
        obtain(archive, tmp_path / "assets")


def test_debian_lists_are_fetched_only_when_a_download_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served = make_deb(tmp_path / "a.deb", {"data/1.txt": b"1"})
    lists, log = tmp_path / "lists", tmp_path / "log"
    script = f'echo "$1" >>{log}; if [ "$1" = update ]; then touch {lists}; else test -e {lists} && cp {served} .; fi'
    fake_tool(tmp_path / "bin", script, monkeypatch, "apt-get")
    archive = pinned(served, registry="Debian")
    assert obtain(archive, tmp_path / "one").is_file()
    assert log.read_text().split() == ["download", "update", "download"]
    assert obtain(archive, tmp_path / "two").is_file()
    assert log.read_text().split()[3:] == ["download"]


def test_pip_is_given_the_hash_so_that_it_runs_nothing_unchecked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    monkeypatch.setattr(asset_archives, "_call", lambda command, archive, folder: calls.append(command))
    asset_archives._pip_fetch(Archive("PyPI", "thing", "1", "thing-1.tar.gz", "ab" * 32, 1), tmp_path)
    assert {"--require-hashes", "--no-deps", "--no-binary=:all:"} <= set(calls[0])
    assert Path(calls[0][-1]).read_text() == f"thing==1 --hash=sha256:{'ab' * 32}\n"
