"""Safe reading of strangers' tar archives: without it a member could be a link, a hole or a lie about its size.

Nothing is ever unpacked: members are found by their headers and read in place, so no name of a member is ever a path of
this machine. Only plain files are taken; packed archives are refused, since nothing in them can be found by its place.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from transfuse.errors import UnsafeFileError, UserError, first_line

MAX_MEMBER_BYTES = 1 << 30
MAX_NAME = 4096
# What the standard library raises on damaged headers; there is no common parent.
DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, OverflowError, IndexError, KeyError, UnicodeError)


class Member(NamedTuple):
    """A plain file in an archive: its name there, where its bytes begin, and how many they are."""

    name: str
    offset: int
    size: int


def members(path: Path) -> Iterator[Member]:
    """The files of an archive in their order; folders are passed over.

    Errors: absent, packed or no archive, cut short, members that are links or devices or have holes, too large.
    """
    if not path.is_file():
        raise UserError("file not found", where=str(path))
    whole = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as archive:
            least = 0
            while (found := archive.next()) is not None:
                # The library would keep every header of the archive.
                archive.members = []  # pyright: ignore[reportAttributeAccessIssue]
                if found.offset < least:
                    raise ValueError("a header leads back")
                least = found.offset + 1
                if not found.isdir():
                    yield _checked(found, whole, path)
    except DAMAGE as error:
        raise UserError(
            "tar archive is damaged, packed, or no tar archive",
            where=str(path),
            got=first_line(error),
            hint="unpack .tar.gz first: gzip -d FILE" if path.suffix != ".tar" else None,
        ) from error


def content(path: Path, member: Member) -> bytes:
    """The bytes of a member. Raises UserError where the archive has become shorter since it was looked at."""
    try:
        with path.open("rb") as handle:
            handle.seek(member.offset)
            found = handle.read(member.size)
    except OSError as error:
        raise UserError("tar archive cannot be read", where=str(path), got=str(error)) from error
    if len(found) != member.size:
        raise UserError("tar archive is cut short", where=f"{path}, '{member.name}'")
    return found


def _checked(found: tarfile.TarInfo, whole: int, path: Path) -> Member:
    where = f"{path}, '{found.name[:200]}'"
    if not found.isreg() or found.issparse():
        kind = "a link" if found.issym() or found.islnk() else "a file with holes" if found.isreg() else "a device"
        raise UnsafeFileError("member of a tar archive refused: it is no plain file", where=where, got=kind)
    if not 0 <= found.size <= MAX_MEMBER_BYTES or len(found.name) > MAX_NAME:
        raise UnsafeFileError(
            "member of a tar archive refused: too large",
            where=where,
            expected=f"at most {MAX_MEMBER_BYTES} bytes",
            got=f"{found.size} bytes, a name of {len(found.name)} characters",
        )
    if found.offset_data + found.size > whole:
        raise UserError("tar archive is cut short", where=where)
    return Member(found.name, found.offset_data, found.size)
