"""`wds:DIR` or `wds:FILE.tar` are WebDataset archives; without this reader millions of files would have to be unpacked.

What stands side by side under one name up to the first dot is an item: an image (`0001.jpg`), its class as text
(`0001.cls`) or as `label` in `0001.json`, where `group` may stand too; others are passed over. Items are named
ARCHIVE/NAME. Archives called `train-…`, `val-…`, `test-…`, or in folders so named, are these parts of the data.
Images are read in place, one by one: no archive is unpacked, and none has to fit in memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from transfuse.data.items import ALIASES, SPLITS, Items, content_digest, table
from transfuse.errors import UserError, first_line, many_problems
from transfuse.files.images import SUFFIXES, check_header, decode
from transfuse.files.tars import Member, content, members

TRAITS = {"form": "wds:DIR_OR_TAR"}
SCHEME, CLASS, RECORD = "wds:", ".cls", ".json"
PART = re.compile(r"([A-Za-z]+)(?=[-_.\d]|$)")
LONGEST_TEXT = 1 << 20


@dataclass
class Sample:
    """One item's members by suffix, and the archive they lie in."""

    name: str
    archive: Path
    parts: dict[str, Member] = field(default_factory=dict)

    @property
    def image(self) -> Member | None:
        return next((member for suffix, member in self.parts.items() if suffix in SUFFIXES), None)


def matches(spec: Any) -> bool:
    """Strings that begin with `wds:`."""
    return isinstance(spec, str) and spec.startswith(SCHEME)


def files(spec: str, root: Path) -> list[Path]:
    """The archive, or all below the folder, sorted by path."""
    place = root / Path(spec.removeprefix(SCHEME)).expanduser()
    if place.is_file():
        return [place]
    found = sorted(place.rglob("*.tar")) if place.is_dir() else []
    if not found:
        what = "there is no archive in this folder" if place.is_dir() else "there is no such folder or archive"
        raise UserError(what, where=str(place), expected="files called *.tar")
    return found


def index(spec: str, root: Path) -> Items:
    """The item table; every image is read once. Errors: items without an image or with two, torn images, bad labels."""
    ids, labels, groups, digests, splits, problems = [], [], [], [], [], []
    folder = _folder(spec, root)
    for sample in _samples(files(spec, root), folder):
        try:
            image = sample.image
            if image is None:
                raise UserError("no image", got=", ".join(sample.parts))
            data = content(sample.archive, image)
            check_header(data, sample.name)
            label, group = _told(sample)
        except UserError as error:
            problems.append(f"{sample.name}: {error.what}" + (f" ({error.got})" if error.got else ""))
            continue
        ids.append(sample.name)
        labels.append(label)
        groups.append(group)
        digests.append(content_digest(data))
        splits.append(_part(sample.archive.relative_to(folder)))
    if problems:
        raise many_problems("some items cannot be used", problems, where=str(folder), hint="repair or remove them")
    if any(groups) and not all(groups):
        raise UserError("every item needs a group, or none has one", where=str(folder))
    named = groups if all(groups) and groups else None
    return table(ids, labels, digests, groups=named, splits=splits, where=str(folder))


def reader(spec: str, root: Path, items: Items) -> Callable[[int], np.ndarray]:
    """Pixels by row, read where they lie."""
    archives = files(spec, root)
    numbers = {path: number for number, path in enumerate(archives)}
    places = np.empty((len(items), 3), dtype=np.int64)
    row = {name: place for place, name in enumerate(items.ids)}
    found = 0
    for sample in _samples(archives, _folder(spec, root)):
        image = sample.image
        if image is None or sample.name not in row:
            raise UserError("data have changed since they were indexed", where=sample.name)
        places[row[sample.name]] = numbers[sample.archive], image.offset, image.size
        found += 1
    if found != len(items):
        raise UserError("data have changed since they were indexed", got=f"{found} items, not {len(items)}")

    def pixels(row: int) -> np.ndarray:
        archive, offset, size = (int(value) for value in places[row])
        return decode(content(archives[archive], Member(items.ids[row], offset, size)), items.ids[row])

    return pixels


def _folder(spec: str, root: Path) -> Path:
    place = root / Path(spec.removeprefix(SCHEME)).expanduser()
    return place.parent if place.is_file() else place


def _samples(archives: list[Path], folder: Path) -> Iterator[Sample]:
    """All items in order. Raises UserError for members of one name and suffix, and for items that stand apart."""
    for archive in archives:
        begin = archive.relative_to(folder).with_suffix("").as_posix()
        seen: set[str] = set()
        sample: Sample | None = None
        for member in members(archive):
            before, _, last = member.name.rpartition("/")
            stem, _, suffix = last.partition(".")
            if not stem:
                continue
            name = "/".join(part for part in (begin, before.lstrip("./"), stem) if part)
            if sample is None or sample.name != name:
                if sample is not None:
                    yield sample
                if name in seen:
                    raise UserError("an item's files do not stand side by side", where=f"{archive}, '{member.name}'")
                seen.add(name)
                sample = Sample(name, archive)
            kind = "." + suffix.lower()
            twice = kind in SUFFIXES and sample.image is not None
            if kind in sample.parts or twice:
                raise UserError("an item has two images or labels", where=f"{archive}, '{member.name}'")
            sample.parts[kind] = member
        if sample is not None:
            yield sample


def _told(sample: Sample) -> tuple[str | None, str | None]:
    """Label and group, where the item has them."""
    label = group = None
    if RECORD in sample.parts:
        try:
            record = json.loads(_text(sample, RECORD))
        except (ValueError, RecursionError) as error:
            raise UserError("its .json cannot be read", got=first_line(error, 80)) from error
        values = (record.get(name) for name in ("label", "group")) if isinstance(record, dict) else (None, None)
        label, group = (None if value is None else str(value) for value in values)
    if CLASS in sample.parts:
        label = _text(sample, CLASS).strip() or None
    return label, group


def _text(sample: Sample, suffix: str) -> str:
    member = sample.parts[suffix]
    if member.size > LONGEST_TEXT:
        raise UserError(f"its {suffix} is too long", got=f"{member.size} bytes")
    try:
        return content(sample.archive, member).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"its {suffix} is no text", got=first_line(error, 80)) from error


def _part(place: Path) -> str | None:
    """The part of the data that an archive's name, or the nearest folder's, says it is."""
    for name in (place.stem, *reversed(place.parts[:-1])):
        word = PART.match(name)
        if word and ALIASES.get(word[1].lower(), word[1].lower()) in SPLITS:
            return word[1]
    return None
