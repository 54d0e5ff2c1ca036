"""What a folder holds, file by file; without it a signature could cover one file and say nothing of those beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from transfuse.errors import UserError, many_problems
from transfuse.jsonio import file_digest

SIGNATURE = "signature.json"
# These grow or come and go with every run that computes nothing; they are no results.
UNSIGNED = (SIGNATURE, "journal.jsonl", ".lock", ".holder")

Manifest = dict[str, dict[str, str | int]]


@dataclass(frozen=True)
class Difference:
    """How a folder differs from a manifest: names, sorted."""

    changed: tuple[str, ...]
    missing: tuple[str, ...]
    added: tuple[str, ...]

    @property
    def problems(self) -> list[str]:
        """One line a file."""
        kinds = {"changed": self.changed, "missing": self.missing, "not signed": self.added}
        return [f"{name}: {kind}" for kind, names in kinds.items() for name in names]


def manifest(path: Path) -> Manifest:
    """{name: {sha256, bytes}} of a file, or of every file below a folder, by its path inside.

    The signature itself, the journal and locks at the top of a run's folder are left out. Raises `UserError` for a link
    (its target may change while the link stays) and where there is nothing.
    """
    if path.is_symlink():
        raise UserError("a link is not signed, since its target may change", where=str(path))
    if path.is_file():
        return {path.name: _facts(path)}
    if not path.is_dir():
        raise UserError("there is nothing to sign or verify here", where=str(path))
    found, links = {}, []
    for place, folders, names in os.walk(path):
        folders.sort()
        for name in sorted([*names, *folders]):
            each = Path(place, name)
            inside = each.relative_to(path).as_posix()
            if each.is_symlink():
                links.append(f"{inside}: a link")
            elif name in names and inside not in UNSIGNED:
                found[inside] = _facts(each)
    if links:
        raise many_problems("links are not signed, since their targets may change", links, where=str(path))
    if not found:
        raise UserError("there is nothing to sign or verify here", where=str(path), got="an empty folder")
    return dict(sorted(found.items()))


def compare(
    expected: Mapping[str, Mapping[str, str | int]], found: Mapping[str, Mapping[str, str | int]]
) -> Difference:
    """What is not as the manifest says."""
    return Difference(
        changed=tuple(sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name])),
        missing=tuple(sorted(expected.keys() - found.keys())),
        added=tuple(sorted(found.keys() - expected.keys())),
    )


def _facts(path: Path) -> dict[str, str | int]:
    return {"sha256": file_digest(path), "bytes": path.stat().st_size}
