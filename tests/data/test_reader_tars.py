from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from transfuse.data.open import open_data, signature
from transfuse.data.readers import tars
from transfuse.errors import UnsafeFileError, UserError

RNG = np.random.default_rng(0)


def picture(value: int = 0, side: int = 3) -> tuple[np.ndarray, bytes]:
    pixels = RNG.integers(0, 256, (side, side, 3), dtype=np.uint8)
    pixels[0, 0] = value
    held = io.BytesIO()
    Image.fromarray(pixels).save(held, "PNG")
    return pixels, held.getvalue()


def archive(path: Path, entries: Mapping[str, bytes], **of_each: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as made:
        for name, data in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for key, value in of_each.items():
                setattr(info, key, value)
            made.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def shards(tmp_path: Path) -> tuple[Path, dict[str, np.ndarray]]:
    wanted: dict[str, np.ndarray] = {}
    for part, label in (("train-000", "cat"), ("train-001", "dog"), ("val-000", "cat")):
        entries: dict[str, bytes] = {}
        for number in range(3):
            pixels, data = picture(number)
            entries |= {f"./in/{number:04d}.png": data, f"./in/{number:04d}.cls": f"{label}\n".encode()}
            wanted[f"{part}/in/{number:04d}"] = pixels
        archive(tmp_path / "shards" / f"{part}.tar", entries)
    return tmp_path, wanted


def test_items_are_what_stands_side_by_side_and_pixels_are_read_in_place(shards: tuple[Path, dict]) -> None:
    root, wanted = shards
    data = open_data("wds:shards", root)
    assert list(data.items.ids) == list(wanted)
    assert data.items.labels == ("cat",) * 3 + ("dog",) * 3 + ("cat",) * 3
    assert data.items.splits == ("train",) * 6 + ("val",) * 3
    assert data.items.classes == ("cat", "dog")
    for row in reversed(range(len(wanted))):
        np.testing.assert_array_equal(data.raw(row), wanted[data.items.ids[row]])
    again = open_data("wds:shards", root, items=data.items)
    np.testing.assert_array_equal(again.raw(4), data.raw(4))


def test_one_archive_alone_is_data_too_and_its_signature_is_its_files(shards: tuple[Path, dict]) -> None:
    root, _ = shards
    assert len(open_data("wds:shards/train-001.tar", root).items) == 3
    before = signature("wds:shards", root)
    archive(root / "shards" / "test-000.tar", {"a.png": picture()[1], "a.cls": b"cat"})
    assert signature("wds:shards", root) != before


def test_labels_and_groups_may_stand_in_a_record(tmp_path: Path) -> None:
    record = b'{"label": 7, "group": "camera", "more": [1]}'
    archive(tmp_path / "a.tar", {"x.jpg": picture()[1], "x.json": record, "x.txt": b"a caption"})
    items = open_data("wds:a.tar", tmp_path).items
    assert (items.labels, items.groups, items.splits) == (("7",), ("camera",), (None,))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"x.cls": b"a"}, "no image"),
        ({"x.png": b"no picture", "x.cls": b"a"}, "x: "),
        ({"x.png": picture()[1], "x.jpg": picture()[1]}, "two images"),
        ({"x.png": picture()[1], "x.PNG": picture()[1]}, "two images"),
        ({"x.png": picture()[1], "y.png": picture()[1], "x.cls": b"a"}, "side by side"),
        ({"x.png": picture()[1], "x.cls": b"\xff\xfe"}, "no text"),
        ({"x.png": picture()[1], "x.json": b"{"}, "cannot be read"),
        ({"x.png": picture()[1], "x.cls": b"a" * (tars.LONGEST_TEXT + 1)}, "too long"),
        ({"x.png": picture()[1], "x.json": b'{"group": "g"}', "y.png": picture(1)[1]}, "every item needs a group"),
    ],
)
def test_what_is_wrong_with_an_item_is_told(tmp_path: Path, entries: dict[str, bytes], said: str) -> None:
    archive(tmp_path / "a.tar", entries)
    with pytest.raises(UserError) as caught:
        tars.index("wds:a.tar", tmp_path)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "said"),
    [(tarfile.SYMTYPE, "a link"), (tarfile.LNKTYPE, "a link"), (tarfile.CHRTYPE, "a device"), (tarfile.FIFOTYPE, "a")],
)
def test_members_that_are_no_files_are_refused(tmp_path: Path, kind: bytes, said: str) -> None:
    archive(tmp_path / "a.tar", {"x.png": b""}, type=kind, linkname="/etc/passwd")
    with pytest.raises(UnsafeFileError, match="no plain file") as caught:
        tars.index("wds:a.tar", tmp_path)
    assert said in str(caught.value.got)


def test_names_that_lead_outside_are_names_only(tmp_path: Path) -> None:
    inside = archive(tmp_path / "a.tar", {"../../x.png": picture()[1], "/etc/y.png": picture(1)[1]})
    assert tars.index("wds:a.tar", tmp_path).ids == ("a/x", "a/etc/y")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [inside]


def test_a_size_that_the_archive_cannot_hold_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", {"x.png": picture()[1]})
    data = bytearray(path.read_bytes())
    data[124:136] = b"%011o\0" % (1 << 32)
    data[148:156] = b"%06o\0 " % (256 + sum(data[:148]) + sum(data[156:512]))
    path.write_bytes(data)
    with pytest.raises(UnsafeFileError, match="too large"):
        tars.index("wds:a.tar", tmp_path)


@pytest.mark.parametrize("left", [0, 100, 512, 600, 700])
def test_an_archive_that_is_cut_is_one_message(tmp_path: Path, left: int) -> None:
    path = archive(tmp_path / "a.tar", {"x.png": picture(side=20)[1], "y.png": picture(1, 20)[1]})
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(UserError):
        tars.index("wds:a.tar", tmp_path)


def test_a_packed_archive_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz"):
        pass
    with pytest.raises(UserError, match="packed") as caught:
        tars.index("wds:a.tar.gz", tmp_path)
    assert "gzip -d" in str(caught.value.hint)


def test_data_that_changed_since_they_were_indexed_are_refused(shards: tuple[Path, dict]) -> None:
    root, _ = shards
    items = tars.index("wds:shards", root)
    archive(root / "shards" / "train-001.tar", {"z.png": picture()[1]})
    with pytest.raises(UserError, match="changed"):
        tars.reader("wds:shards", root, items)
    (root / "shards" / "train-001.tar").unlink()
    with pytest.raises(UserError, match="changed"):
        tars.reader("wds:shards", root, items)


def test_without_archives_the_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for spec in ("wds:empty", "wds:nowhere"):
        with pytest.raises(UserError, match="there is no"):
            tars.files(spec, tmp_path)


def test_a_large_archive_is_not_held_in_memory(tmp_path: Path) -> None:
    """Of every member its place is kept, nothing else."""
    entries: dict[str, bytes] = {}
    for number in range(300):
        entries |= {f"{number}.png": picture(number % 256)[1], f"{number}.cls": b"a"}
    path = archive(tmp_path / "a.tar", entries)
    found = list(tars.members(path))
    assert len(found) == 600
    assert [tars.content(path, member) for member in found[:4]] == list(entries.values())[:4]
