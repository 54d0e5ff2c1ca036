"""Text files as items: without it every reader of texts would check, hash and decode them in its own way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from transfuse import texts
from transfuse.data.class_folders import files_in
from transfuse.data.file_digests import file_digests
from transfuse.errors import UserError

SUFFIXES = (".txt", ".text", ".md", ".eml")
LARGEST_BYTES = 16 << 20


def text_of(path: Path) -> str:
    """The text of a file. Raises UserError for one that is missing, larger than 16 MiB, or no UTF-8."""
    try:
        if path.stat().st_size > LARGEST_BYTES:
            got = f"{path.stat().st_size:,} bytes"
            raise UserError("this text is too large", where=str(path), expected="at most 16 MiB", got=got)
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        expected = "UTF-8 (iconv -f LATIN1 -t UTF-8 FILE converts)"
        raise UserError("this text cannot be read", where=str(path), expected=expected, got=error.reason) from error
    except OSError as error:
        raise UserError("this text cannot be read", where=str(path), got=str(error.strerror)) from error


def digests(paths: Sequence[Path], where: str) -> list[str]:
    """The content hash of every text; all that cannot be read are named in one error."""
    hint = "texts are UTF-8, up to 16 MiB each"
    return file_digests(paths, lambda path: text_of(path).encode(), "some texts cannot be used", where=where, hint=hint)


def bytes_of(paths: Sequence[Path]) -> Callable[[int], np.ndarray]:
    """Bytes by row, read when asked for."""
    return lambda row: texts.content(text_of(paths[row]))


def texts_in(folder: Path, *, deep: bool) -> list[Path]:
    """The text files of a folder, and of those below it where `deep`; hidden files and folders are passed over."""
    return files_in(folder, SUFFIXES, deep=deep)
