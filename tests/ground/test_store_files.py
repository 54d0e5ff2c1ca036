from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from transfuse import store as room
from transfuse.errors import BusyError, UserError
from transfuse.store import Store, exclusive, require_free, write_bytes, write_text


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file takes three more bytes and then the disk is full."""
    real = Path.open

    def opened(self: Path, *given: Any, **named: Any) -> Any:
        handle = real(self, *given, **named)

        class Full:
            def __enter__(self) -> Any:
                return self

            def __exit__(self, *_: object) -> None:
                handle.close()

            def write(self, data: bytes) -> int:
                handle.write(data[:3])
                raise OSError(errno.ENOSPC, "No space left on device")

        return Full()

    monkeypatch.setattr(Path, "open", opened)


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "evidence.json"
    write_bytes(path, b"the old content")
    with monkeypatch.context() as patch:
        full_disk(patch)
        with pytest.raises(OSError, match="No space left") as caught:
            write_bytes(path, b"the new content")
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"the old content"
    assert [item.name for item in tmp_path.iterdir()] == ["evidence.json"]


def test_a_name_is_free_for_what_stands_there_already_and_taken_for_anything_else(tmp_path: Path) -> None:
    path, same = tmp_path / "card.md", hashlib.sha256(b"as it was").hexdigest()
    require_free(path, same)
    path.write_bytes(b"as it was")
    require_free(path, same)
    path.write_bytes(b"as it was, and a line of mine")
    for taken, what in ((path, "another file"), (tmp_path, "a folder")):
        with pytest.raises(UserError, match=f"there is {what} of that name already"):
            require_free(taken, same)


def test_a_file_is_replaced_in_one_move_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "evidence.json"
    write_bytes(path, b"the old content")
    seen: list[bytes] = []

    def refuse(source: Path, target: Path) -> None:
        seen.extend([source.read_bytes(), target.read_bytes()])
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(room.os, "replace", refuse)
    with pytest.raises(OSError, match="Input/output"):
        write_bytes(path, b"the new content")
    assert seen == [b"the new content", b"the old content"]
    assert path.read_bytes() == b"the old content"
    assert [item.name for item in tmp_path.iterdir()] == ["evidence.json"]


def test_a_full_disk_leaves_nothing_of_an_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        full_disk(patch)
        with pytest.raises(OSError, match="No space left"):
            Store(tmp_path).put("ab" + "0" * 62, 1)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_files_are_replaced_and_text_makes_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.md"
    write_text(path, "größe")
    write_text(path, "kleiner\n")
    assert path.read_bytes() == b"kleiner\n"
    assert [item.name for item in path.parent.iterdir()] == ["report.md"]


def test_a_folder_is_held_by_one_and_the_second_is_told_by_whom(tmp_path: Path) -> None:
    with exclusive(tmp_path / "run", "the run folder"):
        with (
            pytest.raises(BusyError, match="the run folder is in use") as caught,
            exclusive(tmp_path / "run", "the run folder"),
        ):
            pytest.fail("two hold one folder")
        assert caught.value.got == f"process {os.getpid()}"
        assert caught.value.where == str(tmp_path / "run")
    with exclusive(tmp_path / "run", "the run folder"):
        pass


@pytest.mark.parametrize("written", [None, ""])
def test_a_holder_that_goes_while_it_is_asked_for_is_told_as_busy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str | None
) -> None:
    def read_text(path: Path, **_: str) -> str:
        if written is None:
            raise FileNotFoundError(path)
        return written

    with exclusive(tmp_path, "the run folder"):
        monkeypatch.setattr(Path, "read_text", read_text)
        with pytest.raises(BusyError, match="in use by another run") as caught, exclusive(tmp_path, "the run folder"):
            pass
    assert caught.value.got == "process that begins or ends just now"


def test_a_failure_inside_lets_the_folder_go(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), exclusive(tmp_path, "it"):
        raise ZeroDivisionError
    with exclusive(tmp_path, "it"):
        pass


HOLDING = """
import sys, time
from pathlib import Path
from transfuse.store import exclusive
with exclusive(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_holder_lets_the_folder_go(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDING, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError) as caught, exclusive(tmp_path, "it"):
            pytest.fail("two processes hold one folder")
        holder.kill()
    assert caught.value.got == f"process {holder.pid}"
    with exclusive(tmp_path, "it"):
        assert (tmp_path / ".holder").read_text() == str(os.getpid())


def test_halves_that_a_kill_left_are_removed_and_nothing_of_anybody_elses(tmp_path: Path) -> None:
    models, kept = tmp_path / "models", ["evidence.json", ".backup.tmp", ".m.safetensors.vm.7.tmp", "deep/.a.9-1.tmp"]
    for name in [*kept, "models/.model.json.7-1.tmp", ".evidence.json.12-140.tmp"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("half")
    room.remove_halves(tmp_path, models, tmp_path / "absent")
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(kept)
