"""Image files as items: without it every reader of files would check, hash and decode them in its own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from transfuse.data.class_folders import files_in
from transfuse.data.file_digests import file_digests
from transfuse.files.images import SUFFIXES, check_header, read_bytes, read_image


def digests(paths: Sequence[Path], where: str) -> list[str]:
    """The content hash of every image file; all that are missing, no images or too large are named in one error."""
    return file_digests(paths, _checked, "some images cannot be used", where=where, hint="repair or remove them")


def _checked(path: Path) -> bytes:
    data = read_bytes(path)
    check_header(data, str(path))
    return data


def pixels_of(paths: Sequence[Path]) -> Callable[[int], np.ndarray]:
    """Pixels by row, decoded when asked for; a torn file is an error that names its path."""
    return lambda row: read_image(paths[row])


def images_in(folder: Path, *, deep: bool) -> list[Path]:
    """The image files of a folder, and of those below it where `deep`; hidden files and folders are passed over."""
    return files_in(folder, SUFFIXES, deep=deep)
