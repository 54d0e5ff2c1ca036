"""What weights behind a URL are, by their headers alone; without it `inspect` would download all that it looks at."""

from __future__ import annotations

from typing import Any

from transfuse.errors import UserError
from transfuse.files.remote import Remote
from transfuse.files.weights import told
from transfuse.source.ranged import reader_at, weight_files

NOT_READ = "not told: only headers were read"


def remote_facts(place: Remote) -> dict[str, Any]:
    """The record of a safetensors file or a folder of them, of the keys of `files.weights.describe`.

    No tensor is read: there is no hash, and nothing is said of the numbers. A header that lies makes it unsafe. Raises
    UserError for what is not there, and for other files.
    """
    one = place.suffix == ".safetensors"
    files = [place] if one else weight_files(place)
    record: dict[str, Any] = {
        "kind": "safetensors behind a URL" if one else f"{len(files)} safetensors files behind a URL",
        "bytes": sum(file.size() for file in files),
        "sha256": NOT_READ,
        "imports": [],
    }
    tensors: dict[str, list[Any]] = {}
    metadata: dict[str, str] = {}
    safe, why = True, "headers and plain numbers; nothing in them can run"
    try:
        reader = reader_at(place)
        tensors = {name: [dtype, list(shape)] for name in reader.names() for shape, dtype in [reader.meta(name)]}
        metadata = getattr(reader, "metadata", {})
    except UserError as error:
        safe, why = False, f"{error.what}: {error.got}" if error.got else error.what
    return record | told(safe, why, tensors, metadata)
