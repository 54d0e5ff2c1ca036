"""The law that readers of foreign bytes keep: a value or one clean message, within a cap, and nothing is run.

Cases are read in a forked child with a limit on its memory and its time. What Python would do beyond reading (start a
process, write a file, call out) is seen by an audit hook and counts as executed code.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz.mutations import changed_tree, mutated
from transfuse.errors import UserError

SECONDS = 20.0
CAP_BYTES = 1 << 30
RUNS = frozenset(
    {
        *("os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "pty.spawn", "os.kill"),
        *("subprocess.Popen", "ctypes.dlopen", "os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.symlink"),
        *("os.link", "os.chmod", "os.chown", "os.truncate", "os.putenv", "shutil.rmtree", "shutil.move"),
        *("socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request"),
    }
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Form:
    """Sound contents to change, and how a changed one becomes a file (a checksum made right, an archive around it).

    A `tree` is JSON whose values are changed instead of its bytes, so that what reads them is reached.
    """

    seeds: Sequence[bytes]
    pack: Callable[[bytes], bytes] = bytes
    tree: bool = False


@dataclass(frozen=True)
class Target:
    """One reader: its file's name, the forms of what it reads, words of its format, and the call itself.

    `beside` are the sound files around it; `moves` says that this reader is meant to move and write files,
    `cases` how many are tried where there is time; a `slow` one is only tried there.
    """

    name: str
    file: str
    forms: Sequence[Form]
    read: Callable[[Path], Any]
    words: Sequence[bytes] = ()
    cap_bytes: int = CAP_BYTES
    beside: Mapping[str, bytes] = field(default_factory=dict)
    moves: bool = False
    cases: int = 4800
    slow: bool = False

    def case(self, number: int) -> bytes:
        """The file of this number."""
        form = self.forms[number % len(self.forms)]
        if form.tree:
            return form.pack(changed_tree(form.seeds, self.name, number))
        return form.pack(mutated(form.seeds, self.words, self.name, number))


def broken(target: Target, numbers: Sequence[int], folder: Path) -> list[str]:
    """The cases that break the law, one line each; empty where it holds."""
    return lawless([(f"{target.name} {number}", number) for number in numbers], target, folder)


def lawless(cases: Sequence[tuple[str, Any]], target: Target, folder: Path) -> list[str]:
    """`broken` of named cases: a number, or the bytes of a file, or a callable that lays the file out in a folder."""
    said, found, begun = folder / "said.jsonl", [], 0
    while begun < len(cases):
        said.write_bytes(b"")
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _read_all(cases[begun:], target, folder / "cases", said)
        status = os.waitpid(child, 0)[1]
        lines = [json.loads(line) for line in said.read_text(encoding="utf-8").splitlines()]
        found += [line["broke"] for line in lines if "broke" in line]
        if lines and "done" in lines[-1]:
            return found
        tried = [line["at"] for line in lines if "at" in line]
        if not tried:
            return [*found, f"{target.name}: the child ended before its first case, status {status}"]
        how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {status >> 8}"
        how = f"no end within {SECONDS:g} s" if how == "SIGALRM" else f"ended the process ({how})"
        begun += tried[-1] + 1
        found.append(f"{cases[begun - 1][0]}: {how}")
    return found


def _read_all(cases: Sequence[tuple[str, Any]], target: Target, folder: Path, said: Path) -> None:
    """Read every case, note each before it is tried and what broke, and end this process."""
    code = 1
    try:
        folder.mkdir(exist_ok=True, parents=True)
        for form in target.forms[:1]:
            # What is imported late is imported before the limits and the hook.
            _laid(target, folder, form.pack(form.seeds[0]))
            with contextlib.suppress(UserError):
                target.read(folder / target.file)
        note = os.open(said, os.O_WRONLY | os.O_APPEND)
        seen = _watched()
        _limited(target.cap_bytes)
        for place, (name, given) in enumerate(cases):
            path = _laid(target, folder, target.case(given) if isinstance(given, int) else given)
            os.write(note, json.dumps({"at": place}).encode() + b"\n")
            if problem := _tried(target, path, seen):
                os.write(note, json.dumps({"broke": f"{name}: {problem}"}).encode() + b"\n")
        os.write(note, b'{"done": true}\n')
        code = 0
    except BaseException:  # noqa: BLE001 - told of, and the process ends
        traceback.print_exc()
    finally:
        os._exit(code)


def _laid(target: Target, folder: Path, given: Any) -> Path:
    path = folder / target.file
    if target.moves or not path.parent.is_dir():
        for name, content in {**target.beside, target.file: b""}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    elif not path.exists():
        for name, content in target.beside.items():
            (folder / name).write_bytes(content)
    if callable(given):
        given(path)
    else:
        path.write_bytes(given)
    return path


def _tried(target: Target, path: Path, seen: list[str]) -> str | None:
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        seen += [] if target.moves else ["armed"]
        target.read(path)
    except UserError as error:
        return None if error.what and len(seen) <= 1 else f"does {', '.join(seen[1:])}"
    except BaseException as error:  # noqa: BLE001 - whatever a reader raises is what is looked for
        place = traceback.extract_tb(error.__traceback__)[-1]
        ours = [each for each in traceback.extract_tb(error.__traceback__) if "/transfuse/" in each.filename]
        told = f"{Path(ours[-1].filename).name}:{ours[-1].lineno} " if ours else ""
        return f"{type(error).__name__}: {str(error)[:160]!r} at {told}{Path(place.filename).name}:{place.lineno}"
    else:
        return f"does {', '.join(seen[1:])}" if len(seen) > 1 else None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        seen.clear()


def _watched() -> list[str]:
    """A list that holds `armed` while a case is read; what is done meanwhile that no reader does is added to it."""
    seen: list[str] = []

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if not seen:
            return
        writes = event == "open" and isinstance(given[2], int) and given[2] & WRITES
        if writes or event in RUNS:
            seen.append(f"{event} {given[0]!r}"[:200])

    sys.addaudithook(hook)
    return seen


def _limited(cap_bytes: int) -> None:
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + cap_bytes, used + cap_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    sys.dont_write_bytecode = True
    warnings.simplefilter("error")
