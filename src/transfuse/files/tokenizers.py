"""A stranger's tokenizer, read with care; without it a file of gigabytes would be parsed before anyone looks at it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transfuse.errors import UserError, first_line, missing_extra
from transfuse.files.texts import json_object

NAME = "tokenizer.json"
LARGEST_BYTES = 64 << 20


def read_tokenizer(path: Path, where: str) -> Any:
    """The tokenizer of a `tokenizer.json`, without truncation and padding of its own.

    Size and JSON are checked before its library sees it; the file holds data only. Raises UserError for anything else
    than a tokenizer, MissingExtraError where the library is not installed.
    """
    what = f"{path.name} of '{where}' cannot be read"
    found = json_object(
        path, what, hint="save the tokenizer in its fast form, as one tokenizer.json", largest=LARGEST_BYTES
    )
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing_extra("tokenizers", "huggingface", f"'{where}'") from error
    try:
        made = Tokenizer.from_str(json.dumps(found))
    except BaseException as error:
        # The library is written in Rust, and what it did not expect comes as a panic, which is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise UserError(what, where=str(path), expected="a tokenizer", got=first_line(error)) from error
    made.no_truncation()
    made.no_padding()
    return made
