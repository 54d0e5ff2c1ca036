"""Without this file `make assets` would have to trust what it downloads: get an archive, check it, read it safely.

An archive is used only after its SHA-256 is the pinned one. Reading never follows a path or a link of the archive:
members are read by name, and files are written under names below a folder that the caller chose.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import io
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from transfuse.errors import UnsafeFileError, UserError
from transfuse.jsonio import file_digest

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Archive:
    """One pinned package of a registry: `package` and `version` as its client spells them, `file` as it is served."""

    registry: Literal["PyPI", "npm", "Debian"]
    package: str
    version: str
    file: str
    sha256: str
    megabytes: int


def obtain(archive: Archive, folder: Path) -> Path:
    """The checked archive file: the user's own copy in `folder` or `folder/archives`, else fetched into the latter.

    Raises `UserError` when a copy or the download has another checksum, or the registry's tool is missing or fails.
    """
    kept = folder / "archives" / archive.file
    for copy in (folder / archive.file, kept):
        if copy.is_file():
            return verified(copy, archive)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetching-", dir=kept.parent) as scratch:
        FETCHERS[archive.registry](archive, Path(scratch))
        arrived = Path(scratch) / archive.file
        if not arrived.is_file():
            found = ", ".join(sorted(path.name for path in Path(scratch).iterdir())) or "nothing"
            raise UserError(
                f"{archive.registry} served another file", expected=archive.file, got=found, hint=_own_copy(archive)
            )
        os.replace(verified(arrived, archive), kept)
    return kept


def verified(path: Path, archive: Archive) -> Path:
    """The path itself if its SHA-256 is the pinned one; else a `UserError` before anything of the file is read."""
    found = file_digest(path)
    if found != archive.sha256:
        raise UserError(
            f"{archive.file} has the wrong checksum and was not opened",
            where=str(path),
            expected=f"sha256 {archive.sha256}",
            got=f"sha256 {found}",
            hint="delete the file, and run again",
        )
    return path


def _own_copy(archive: Archive) -> str:
    return f"put your own copy of {archive.file} (sha256 {archive.sha256}) into assets/"


def _pip_fetch(archive: Archive, scratch: Path) -> None:
    # With a required hash pip itself refuses a changed archive before it looks inside; reading the metadata of a
    # source archive means running its setup.py.
    wanted = scratch / "wanted.txt"
    wanted.write_text(f"{archive.package}=={archive.version} --hash=sha256:{archive.sha256}\n", encoding="utf-8")
    kind = "--only-binary=:all:" if archive.file.endswith(".whl") else "--no-binary=:all:"
    options = ["--no-deps", kind, "--require-hashes", "--disable-pip-version-check", "--dest", str(scratch)]
    _call([*_pip(archive), "download", *options, "--requirement", str(wanted)], archive, scratch)


def _pip(archive: Archive) -> list[str]:
    """How pip is called here: an environment made by uv has none of its own, the one that uv came from has."""
    beside_uv = ROOT / ".uv" / "bin" / "pip"
    if beside_uv.is_file():
        return [str(beside_uv)]
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    return [_tool("pip3", archive)]


def _npm_fetch(archive: Archive, scratch: Path) -> None:
    _call([_tool("npm", archive), "pack", "--ignore-scripts", f"{archive.package}@{archive.version}"], archive, scratch)


def _debian_fetch(archive: Archive, scratch: Path) -> None:
    apt = _tool("apt-get", archive)
    command = [apt, "download", f"{archive.package}={archive.version}"]
    try:
        _call(command, archive, scratch)
    except UserError:
        # A machine that never listed its packages knows none of them.
        _call([apt, "update"], archive, scratch)
        _call(command, archive, scratch)


FETCHERS: dict[str, Callable[[Archive, Path], None]] = {"PyPI": _pip_fetch, "npm": _npm_fetch, "Debian": _debian_fetch}


def _tool(name: str, archive: Archive) -> str:
    found = shutil.which(name)
    if found is None:
        raise UserError(
            f"{archive.package} comes from {archive.registry} and lacks the tool {name}", hint=_own_copy(archive)
        )
    return found


def _call(command: Sequence[str], archive: Archive, folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace"
    )
    if done.returncode != 0:
        last_words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise UserError(
            f"{Path(command[0]).name} could not fetch {archive.package} {archive.version} from {archive.registry}",
            got=" / ".join(last_words) or f"exit code {done.returncode}",
            hint=_own_copy(archive),
        )


Member = tuple[str, Callable[[], bytes]]


def members(path: Path) -> Iterator[Member]:
    """The regular files of a wheel, zip, tar or deb as (name, read); links and devices are passed over.

    Raises `UnsafeFileError` at the first name that leaves the archive's own folder.
    """
    if path.suffix == ".deb":
        yield from _tar_members(io.BytesIO(_deb_data(path)), path)
    elif path.suffix in (".whl", ".zip"):
        yield from _zip_members(path)
    else:
        yield from _tar_members(io.BytesIO(path.read_bytes()), path)


def _zip_members(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            mode = info.external_attr >> 16
            name = _inside(info.filename, path)
            # Zips made without Unix modes say 0.
            if not info.is_dir() and stat.S_IFMT(mode) in (0, stat.S_IFREG):
                yield name, lambda info=info: archive.read(info)


def _tar_members(content: io.BytesIO, path: Path) -> Iterator[Member]:
    with tarfile.open(fileobj=content) as archive:
        for info in archive:
            name = _inside(info.name, path)
            if info.isreg():
                yield name, lambda info=info: _tar_read(archive, info)


def _tar_read(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    handle = archive.extractfile(info)
    return handle.read() if handle else b""


def _inside(name: str, path: Path) -> str:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\\" in name or ":" in name.split("/")[0]:
        raise UnsafeFileError(
            "an archive member points outside the archive; nothing more was read", where=str(path), got=name
        )
    return str(parts)


def _deb_data(path: Path) -> bytes:
    """The data.tar of a Debian package: a deb is an `ar` file, 60-byte headers before members padded to even length."""
    with path.open("rb") as handle:
        if handle.read(8) != b"!<arch>\n":
            raise UserError("this is not a Debian package", where=str(path))
        while len(header := handle.read(60)) == 60:
            name, size = header[:16].decode("ascii").strip().rstrip("/"), int(header[48:58])
            if name.startswith("data.tar"):
                return handle.read(size)
            handle.seek(size + size % 2, os.SEEK_CUR)
    raise UserError("this Debian package has no data", where=str(path))


def read_member(path: Path, wanted: str) -> bytes:
    """The bytes of one regular file of an archive; an absent one is a `UserError`."""
    for name, read in members(path):
        if name == wanted:
            return read()
    raise UserError("the archive lacks a file", where=str(path), expected=wanted)


def unpack(path: Path, folder: Path, prefix: str, pattern: str) -> int:
    """Write the files below `prefix/` whose base name fits `pattern` into `folder`, keeping what follows the prefix.

    Gives their number; none at all is a `UserError`.
    """
    count = 0
    for name, read in members(path):
        if name.startswith(prefix + "/") and fnmatch.fnmatchcase(PurePosixPath(name).name, pattern):
            target = folder / name.removeprefix(prefix + "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read())
            count += 1
    if not count:
        raise UserError("the archive lacks the expected files", where=str(path), expected=f"{prefix}/{pattern}")
    return count
