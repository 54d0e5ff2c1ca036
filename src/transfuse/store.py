"""The store: artifacts by key, written whole or not at all, checked by hash whenever they are read.

An artifact is a folder `objects/aa/KEY/` with `meta.json` (any JSON value), `arrays.safetensors` (named numpy arrays,
may be absent; large ones are mapped, not read: `mapped.py`) and `manifest.json` (SHA-256 of the other files). A
folder appears under its name only by a rename, after all of its bytes are on disk, so a reader never sees half of
one. An entry whose hash is wrong is moved aside and is absent.

Traps closed here: two processes that compute the same key (both finish, the second finds the first's folder and drops
its own); a kill between writing and renaming (the temporary folder is left and later swept, never read).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from transfuse.distant import MANIFEST, Distant
from transfuse.errors import BusyError, TransfuseError, UserError, first_line
from transfuse.jsonio import canonical, digest, file_digest
from transfuse.ledger import open_rows
from transfuse.mapped import arrays_of, packed

# What the system refuses (too many open files, a failing disk, a right) says nothing about an entry.
MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, RecursionError, *MISSING)
# Whoever sets the clock forward by a day lets another process sweep what this one is writing; it is written again.
WRITES = 3
# What `half_of` gives.
HALF = re.compile(r"\..+\.\d+-\d+\.tmp")
META, ARRAYS = "meta.json", "arrays.safetensors"
STALE_SECONDS = 24 * 3600.0


def cache() -> Path:
    """The user's cache folder. Raises UserError for a user without a home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or _at_home("~/.cache")) / "transfuse"


def _at_home(named: str) -> Path:
    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        hint = "set TRANSFUSE_STORE to a folder that may be written to"
        raise UserError("this user has no home folder to keep results in", got=str(error), hint=hint) from error


def named_store(named: str = "default", root: Path | None = None) -> Store:
    """The store at a path (below `root`), a `file://` URL, or any other URL: a folder in the cache, and what lies there
    (`distant.py`). `default` is `$TRANSFUSE_STORE`, else the cache folder itself."""
    if named == "default":
        given = os.environ.get("TRANSFUSE_STORE")
        return named_store(given) if given else Store(cache())
    scheme, separator, rest = named.partition("://")
    if not separator or len(scheme) < 2:
        return Store((root or Path()) / _at_home(named))
    if scheme == "file":
        return Store(Path("/" + rest.lstrip("/")))
    return Store(cache() / "distant" / digest(named)[:16], Distant.at(named))


class LostArtifactError(TransfuseError):
    """An artifact that had been made is gone or damaged; making it again is all that is needed."""


@dataclass(frozen=True)
class Artifact:
    """What a step made: a JSON value and named arrays; `key` is what it was read by, if it was."""

    meta: Any
    arrays: Mapping[str, np.ndarray]
    key: str = ""

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]


@dataclass(frozen=True)
class Store:
    """A folder of artifacts by key, which may stand for one behind a URL; safe with several processes."""

    root: Path
    beyond: Distant | None = None

    def of_this_machine(self) -> Store:
        """The same store where the process is another machine's: behind a URL each keeps a folder of its own."""
        return self if self.beyond is None else named_store(self.beyond.url)

    def folder(self, key: str) -> Path:
        return self.root / "objects" / key[:2] / key

    @property
    def scratch(self) -> Path:
        """Where what is not whole yet lies; what is left there is swept."""
        return self.root / "scratch"

    def has(self, key: str) -> bool:
        """Whether the key is there; hashes are checked on reading. What only this machine has is sent beyond first."""
        here = (self.folder(key) / MANIFEST).is_file()
        if self.beyond is None or self.beyond.has(key):
            return here or self.beyond is not None
        if here:
            self.beyond.send(key, self.folder(key))
        return here

    def put(self, key: str, meta: Any, arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Write one artifact whole; a second writer of the same key changes nothing."""
        for left in reversed(range(WRITES)):
            try:
                self._put(key, meta, arrays)
                break
            except FileNotFoundError:
                if not left:
                    raise
        if self.beyond is not None and not self.beyond.has(key):
            self.beyond.send(key, self.folder(key))

    def _put(self, key: str, meta: Any, arrays: Mapping[str, np.ndarray] | None) -> None:
        self.scratch.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{key[:12]}-", dir=self.scratch))
        try:
            write_bytes(scratch / META, canonical(meta).encode())
            if arrays:
                write_bytes(scratch / ARRAYS, packed(arrays))
            files = sorted(path.name for path in scratch.iterdir())
            write_bytes(scratch / MANIFEST, canonical({name: file_digest(scratch / name) for name in files}).encode())
            self._place(scratch, key)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _place(self, scratch: Path, key: str) -> None:
        target = self.folder(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(scratch, target)
        except OSError:
            if not (target / MANIFEST).is_file():
                raise

    def get(self, key: str) -> Artifact | None:
        """Read one artifact; None when it is absent or damaged (a damaged one is moved aside, to be made again).
        Raises UserError where the system does not let it be read."""
        found = self._read(key)
        if found is None and self.beyond is not None and self._fetch(key, self.beyond):
            found = self._read(key)
            if found is None:
                self.beyond.remove(key)
        return found

    def _fetch(self, key: str, beyond: Distant) -> bool:
        """Bring an entry from there; whether it was there."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{key[:12]}-", dir=self.scratch))
        try:
            there = beyond.fetch(key, scratch)
            if there:
                self._place(scratch, key)
            return there
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _read(self, key: str) -> Artifact | None:
        folder = self.folder(key)
        try:
            manifest = json.loads((folder / MANIFEST).read_bytes())
            if set(manifest) | {ARRAYS} != {META, ARRAYS}:
                raise ValueError("the manifest names other files than an artifact has")
            if any(file_digest(folder / name) != expected for name, expected in manifest.items()):
                raise ValueError("a file's hash differs from the manifest")
            meta = json.loads((folder / META).read_bytes())
            return Artifact(meta, arrays_of(folder / ARRAYS) if ARRAYS in manifest else {}, key)
        except DAMAGE:
            # An entry that lost a file is as damaged as one with a wrong hash; left in place it would block `put`.
            if folder.is_dir():
                self.discard(key)
            return None
        except OSError as error:
            hint = "mend it and run again; what is done is kept"
            raise UserError("the store cannot be read", where=str(folder), got=first_line(error), hint=hint) from error

    def need(self, key: str) -> Artifact:
        """Read one artifact that was there a moment ago; a lost or damaged one is an error that starts the run anew."""
        found = self.get(key)
        if found is None:
            raise LostArtifactError(f"the store lost {key}; run again to make it anew")
        return found

    def discard(self, key: str) -> None:
        """Move a damaged entry out of the way; it is kept for whoever wants to look."""
        aside = self.root / "damaged" / f"{key}-{time.time_ns()}"
        aside.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.folder(key), aside)

    def sweep(self) -> None:
        """Remove what killed processes left behind more than a day ago: temporary folders, and halves of the ledger."""
        for path in [*_inside(self.scratch), *filter(_is_half, _inside(self.root / "ledger"))]:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > STALE_SECONDS:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()

    def open_test(self, fingerprint: str, plan: str) -> int:
        """Note in the ledger that a plan opened these test rows; returns the plan's ordinal at its first opening."""
        ledger = self.root / "ledger"
        if self.beyond is not None:
            self.beyond.openings(fingerprint, ledger, write_bytes)
        ordinal = open_rows(ledger, fingerprint, plan, write_bytes)
        if self.beyond is not None:
            self.beyond.send_openings(fingerprint, plan, ledger)
        return ordinal


def remove_halves(*folders: Path) -> None:
    """Remove the halves of writes that a killed process left directly in these folders, which this process holds
    alone. What is called otherwise is somebody else's."""
    for path in (path for folder in folders for path in _inside(folder)):
        if _is_half(path):
            path.unlink(missing_ok=True)


def half_of(path: Path) -> Path:
    """Where a file lies until it is whole: two threads of one process may write one file."""
    return path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")


def _is_half(path: Path) -> bool:
    return HALF.fullmatch(path.name) is not None and path.is_file()


def _inside(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def write_bytes(path: Path, data: bytes | Iterable[bytes | memoryview]) -> None:
    """The one place that writes files whole: to a neighbour, flushed to disk, then renamed into place. What is large
    comes in pieces, so that it need not be in memory twice."""
    neighbour = half_of(path)
    try:
        with neighbour.open("wb") as handle:
            for piece in [data] if isinstance(data, bytes) else data:
                handle.write(piece)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(neighbour, path)
    except OSError as error:
        # A disk is found to be full by a write, which does not say of what.
        error.filename = error.filename or str(path)
        raise
    finally:
        neighbour.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, text.encode())


def require_free(path: Path, wanted: str) -> None:
    """Raises UserError where a file of this name has other bytes than those of the wanted SHA-256: what somebody wrote
    or went on writing is not replaced unasked."""
    if path.exists() and not (path.is_file() and file_digest(path) == wanted):
        what = "there is a folder" if path.is_dir() else "there is another file"
        raise UserError(f"{what} of that name already", where=str(path), hint="give another name, or move this away")


@contextlib.contextmanager
def exclusive(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder for this process; a second one is told who has it. The lock is the operating system's, so it
    vanishes with its process, however that ends."""
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = FileLock(folder / ".lock"), folder / ".holder"
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = "that begins or ends just now"
        with contextlib.suppress(OSError):
            who = holder.read_text(encoding="utf-8") or who
        hint = "wait for it, or choose another folder"
        raise BusyError(
            f"{what} is in use by another run", where=str(folder), got=f"process {who}", hint=hint
        ) from error
    try:
        holder.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
