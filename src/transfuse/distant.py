"""A store's entries behind a URL: without it machines that share no disk could not share what they compute.

    URL/objects/aa/KEY/manifest.json     put there last: an entry without it is not there yet
    URL/ledger/ROWS.PLAN.opening.json    openings of judged rows, united with those of every machine that reads here

An object store has neither renames nor locks nor mapped files. So every machine keeps a folder of its own, works there,
sends what it made and fetches what it lacks; entries are named by content, so whoever comes second changes nothing.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from transfuse.errors import UserError
from transfuse.files.remote import Remote, fetched, place
from transfuse.ledger import Write

MANIFEST = "manifest.json"
# A network that fails for a moment shall not end a run of hours.
TRIES, PAUSE_SECONDS = 4, 0.5
Found = TypeVar("Found")


@dataclass(frozen=True)
class Distant:
    """What lies behind `url`. Every method raises UserError where the URL cannot be read or written."""

    url: str

    @classmethod
    def at(cls, url: str) -> Distant:
        """Raises UserError at once for an address that can only be read, and where a driver is missing."""
        _root(url)
        return cls(url)

    def has(self, key: str) -> bool:
        """Whether the entry is there whole."""
        if key not in _known(self.url) and _tried((self._entry(key) / MANIFEST).is_file):
            _known(self.url).add(key)
        return key in _known(self.url)

    def send(self, key: str, folder: Path) -> None:
        """The files of a whole entry, the manifest last."""
        entry = self._entry(key)
        for path in sorted(folder.iterdir(), key=lambda each: (each.name == MANIFEST, each.name)):
            _tried(lambda path=path: (entry / path.name).put(path))
        _known(self.url).add(key)

    def fetch(self, key: str, folder: Path) -> bool:
        """The files of an entry into an empty folder; whether it is there. What they hold is for readers to check."""
        if not self.has(key):
            return False
        for found in _tried(lambda: self._entry(key).glob("*")):
            _tried(lambda found=found: fetched(found, folder / found.name))
        return (folder / MANIFEST).is_file()

    def remove(self, key: str) -> None:
        """Take a damaged entry for absent, so that it is made and sent again."""
        _known(self.url).discard(key)
        _tried((self._entry(key) / MANIFEST).remove)

    def openings(self, fingerprint: str, ledger: Path, write: Write) -> None:
        """Openings of these judged rows by other machines, beside this one's."""
        ledger.mkdir(parents=True, exist_ok=True)
        for found in _tried(lambda: self._place("ledger").glob(f"{fingerprint}.*")):
            if not (ledger / found.name).exists():
                write(ledger / found.name, _tried(lambda found=found: b"".join(found.blocks())))

    def send_openings(self, fingerprint: str, plan: str, ledger: Path) -> None:
        """This plan's opening, for the others; the first that is there stays."""
        there = {found.name for found in _tried(lambda: self._place("ledger").glob(f"{fingerprint}.{plan}.*"))}
        for path in sorted(ledger.glob(f"{fingerprint}.{plan}.*")):
            if path.name not in there:
                _tried(lambda path=path: (self._place("ledger") / path.name).put(path))

    def _entry(self, key: str) -> Remote:
        return self._place("objects") / key[:2] / key

    def _place(self, name: str) -> Remote:
        root = _root(self.url)
        # A driver may remember what a folder held before others wrote there.
        root.system.invalidate_cache()
        return root / name


@functools.cache
def _root(url: str) -> Remote:
    found = place(url)
    if not isinstance(found, Remote) or found.web:
        raise UserError(
            "a store must be written to, and this address can only be read",
            where=url,
            expected="s3://, gs://, abfs:// …",
        )
    return found


@functools.cache
def _known(url: str) -> set[str]:
    """Keys that have been seen there by this process: an entry, once whole, stays."""
    return set()


def _tried(act: Callable[[], Found]) -> Found:
    for left in reversed(range(TRIES)):
        try:
            return act()
        except UserError:
            if not left:
                raise
            time.sleep(PAUSE_SECONDS * 2 ** (TRIES - 1 - left))
    raise AssertionError
