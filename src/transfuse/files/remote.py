"""Files behind a URL, read by ranges and put as a whole; without it a checkpoint in an object store had to be copied.

`fsspec` knows the protocols: `memory://` comes with it, `http://` and `https://` with the extra `remote`, others with a
driver of their own (`s3fs`, `gcsfs`, `adlfs`), which also finds the user's keys. `file://` is the path that it names.
A range is believed only when it is as long as was asked for.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from transfuse.errors import UserError, first_line, missing_extra
from transfuse.jsonio import file_digest

BLOCK_BYTES = 8 << 20
TRIES = 3
WEB = ("http", "https")


@dataclass(frozen=True)
class Remote:
    """A file or folder behind a URL. Two are the same when their URLs are."""

    url: str
    system: Any = field(compare=False, repr=False)
    path: str = field(compare=False, repr=False)

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part, without what a web address asks after it."""
        return PurePosixPath(self.url.partition("?")[0]).name

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix

    @property
    def web(self) -> bool:
        """Whether it can be read only, and its folders not be listed."""
        return self.url.partition("://")[0] in WEB

    def __truediv__(self, name: str) -> Remote:
        return Remote(_below(self.url, name), self.system, _below(self.path, name))

    def is_file(self) -> bool:
        found = self._info()
        return found is not None and found["type"] == "file"

    def is_dir(self) -> bool:
        """Whether something lies below; never of a web address, where nothing can be listed."""
        with _told(self.url):
            return not self.web and bool(self.system.isdir(self.path))

    def glob(self, pattern: str) -> list[Remote]:
        """The files directly in this folder whose names match, sorted; none of a web address."""
        if not self.is_dir():
            return []
        with _told(self.url):
            held = [each for each in self.system.ls(self.path, detail=True) if each["type"] == "file"]
        names = {PurePosixPath(str(each["name"])).name for each in held}
        return [self / name for name in sorted(names) if fnmatch.fnmatchcase(name, pattern)]

    def size(self) -> int:
        """Bytes. Raises UserError for what is no file, and where the server does not say."""
        found = self._info()
        if found is None or found["type"] != "file":
            raise UserError(
                "there is no such weight file", where=self.url, got="a folder" if found else "nothing there"
            )
        size = found.get("size")
        if not isinstance(size, int) or size < 0:
            raise UserError("this server does not tell how large the file is", where=self.url, hint="download it first")
        return size

    def read(self, begin: int, end: int) -> bytes:
        """The bytes `[begin, end)`, asked for thrice at most. Raises UserError for more or fewer than these."""
        if begin == end:
            return b""
        found = b""
        for left in reversed(range(TRIES)):
            try:
                with _told(self.url):
                    found = self._range(begin, end)
            except UserError:
                if not left:
                    raise
            if len(found) == end - begin:
                return found
        raise UserError(
            "this server does not give the part of the file that it is asked for", where=self.url,
            expected=f"{end - begin:,} bytes from {begin:,} on", got=f"{len(found):,} bytes", hint="download it first",
        )  # fmt: skip

    def blocks(self) -> Iterator[bytes]:
        """All bytes, a part at a time."""
        size = self.size()
        for begin in range(0, size, BLOCK_BYTES):
            yield self.read(begin, min(begin + BLOCK_BYTES, size))

    def put(self, source: Path) -> None:
        """A file of this machine under this URL: stores of objects show it once it is whole."""
        with _told(self.url):
            self.system.put_file(str(source), self.path)

    def write(self, content: bytes) -> None:
        with _told(self.url):
            self.system.pipe_file(self.path, content)

    def remove(self) -> None:
        """Take it away, if it is there."""
        with _told(self.url), contextlib.suppress(FileNotFoundError):
            self.system.rm_file(self.path)

    def _info(self) -> dict[str, Any] | None:
        with _told(self.url):
            try:
                return self.system.info(self.path)
            except FileNotFoundError:
                return None

    def _range(self, begin: int, end: int) -> bytes:
        if not self.web:
            # By name: drivers differ in what comes second (of S3 it is a version).
            return self.system.cat_file(self.path, start=begin, end=end)
        # A server that knows no ranges would send all of the file; this way it is noticed.
        with self.system.open(self.path, "rb", cache_type="none", block_size=BLOCK_BYTES) as handle:
            if not handle.seekable():
                raise UserError("this server gives files as a whole only", where=self.url, hint="download it first")
            handle.seek(begin)
            return handle.read(end - begin)


Place = Path | Remote


def place(text: str) -> Place:
    """What a path or a URL names. Raises UserError for an unknown protocol, and with the command that installs a
    missing driver."""
    protocol, separator, rest = text.partition("://")
    if not separator or not protocol.replace("+", "").isalnum():
        return Path(text)
    if protocol in ("file", "local"):
        return Path("/" + rest.lstrip("/"))
    try:
        import fsspec
        from fsspec.registry import known_implementations
    except ImportError as error:
        raise missing_extra("fsspec", "remote", f"{protocol}://") from error
    try:
        system, path = fsspec.core.url_to_fs(text)
    except ImportError as error:
        if protocol in WEB:
            raise missing_extra("aiohttp", "remote", f"{protocol}://") from error
        driver = str(known_implementations.get(protocol, {}).get("class", protocol)).partition(".")[0]
        what = f"{protocol}:// needs the package '{driver}', which is not installed"
        raise UserError(what, where=text, hint=f"pip install {driver}") from error
    except (ValueError, TypeError, OSError) as error:
        what = "this URL cannot be opened"
        raise UserError(
            what, where=text, got=first_line(error), expected="s3://, gs://, https://, file:// …"
        ) from error
    return Remote(text, system, str(path))


def same(one: Place, other: Place) -> bool:
    """Whether two places are one."""
    if isinstance(one, Path) and isinstance(other, Path):
        return one.resolve() == other.resolve()
    return one == other


def size_of(place: Place) -> int:
    """Bytes of a file, wherever it lies."""
    return place.size() if isinstance(place, Remote) else place.stat().st_size


def digest_of(place: Place) -> str:
    """SHA-256 of a file, wherever it lies; one behind a URL is read for it."""
    if not isinstance(place, Remote):
        return file_digest(place)
    total = hashlib.sha256()
    for block in place.blocks():
        total.update(block)
    return total.hexdigest()


def fetched(place: Place, target: Path) -> None:
    """The bytes of a small file, copied to this machine."""
    with target.open("wb") as handle:
        for block in blocks_of(place):
            handle.write(block)


def blocks_of(place: Place) -> Iterable[bytes]:
    """The bytes of a file, wherever it lies."""
    return place.blocks() if isinstance(place, Remote) else [place.read_bytes()]


@contextlib.contextmanager
def _told(url: str) -> Iterator[None]:
    """What a driver raises, as one message."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # noqa: BLE001 - each driver raises errors of its own
        raise UserError("this URL cannot be read or written", where=url, got=first_line(error)) from error


def _below(folder: str, name: str) -> str:
    """What a web address asks after a question mark stays behind the name."""
    path, mark, asked = folder.partition("?")
    return f"{path.rstrip('/')}/{name}{mark}{asked}"
