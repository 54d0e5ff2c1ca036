"""Without this file, telling a harmless pickle from a harmful one would mean running it.

A pickle is a program. Its opcodes are listed here with `pickletools` and never executed; from them follows every name
it would import. A state dict imports a handful of known names; anything else is a refusal. This is the first gate;
the restricted unpickler of PyTorch is the second, and it is never skipped.
"""

from __future__ import annotations

import io
import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from transfuse.files.stacks import GETS, PUTS, Stack

PICKLE_LIMIT_BYTES = 64_000_000
# About thirty a tensor: thirty thousand tensors stay below.
MOST_OPCODES = 1_000_000
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
# A legacy file is five pickles in a row (magic, protocol, system, content, storage keys), then raw bytes.
LEGACY_PICKLES = 5
HARMLESS = re.compile(
    r"collections\.OrderedDict"
    r"|torch\._utils\._rebuild_(tensor|tensor_v2|tensor_v3|parameter|parameter_with_state)"
    r"|torch\._tensor\._rebuild_from_type_v2"
    r"|torch\.(cuda\.)?[A-Za-z0-9]+Storage|torch\.storage\.(Typed|Untyped)Storage"
    r"|torch\.(Size|Tensor|device|nn\.parameter\.Parameter|serialization\._get_layout)"
    r"|torch\.(bool|(u?int|float|bfloat|complex)\d+(_\w+)?)"
)


@dataclass(frozen=True)
class Judgement:
    """What a file with pickles in it is, every name it would import, and why it is refused (None: it is not)."""

    kind: str
    imports: tuple[str, ...]
    refusal: str | None


def judge(path: Path) -> Judgement:
    """Judge a file without running anything in it; damaged files are refused, not raised."""
    with path.open("rb") as handle:
        start = handle.read(2)
        handle.seek(0)
        if start == b"PK":
            return _judge_zip(handle)
        return _judge_stream(handle)


def _judge_zip(handle: BinaryIO) -> Judgement:
    kind = "pytorch zip"
    try:
        with zipfile.ZipFile(handle) as archive:
            entries = archive.infolist()
            names = [entry.filename for entry in entries]
            if len(set(names)) != len(names):
                return Judgement(kind, (), "two members of the archive have one name")
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                return Judgement(kind, (), "a member is compressed, which PyTorch never writes")
            if any(name.split("/", 1)[-1] == "constants.pkl" for name in names):
                return Judgement("torchscript", (), "a TorchScript archive is a program, not weights")
            pickles = [entry for entry in entries if entry.filename.endswith(".pkl")]
            if [entry.filename.split("/", 1)[-1] for entry in pickles] != ["data.pkl"]:
                return Judgement("zip", (), "not exactly one data.pkl in the archive")
            if pickles[0].file_size > PICKLE_LIMIT_BYTES:
                return Judgement(kind, (), f"a pickle of {pickles[0].file_size} bytes is no state dict")
            content = archive.read(pickles[0])
            follow = Stack()
            found = _imports(io.BytesIO(content), follow)
            for key, claimed in follow.claims.items():
                held = archive.getinfo(f"{pickles[0].filename.removesuffix('data.pkl')}data/{key}").file_size
                if claimed > held:
                    raise ValueError(f"a storage of {claimed} bytes in a record of {held}")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, ValueError, LookupError) as error:
        return Judgement(kind, (), f"the archive or its pickle is damaged: {error}"[:200])
    return Judgement(kind, found, _refusal(found))


def _judge_stream(handle: BinaryIO) -> Judgement:
    content = io.BytesIO(handle.read(PICKLE_LIMIT_BYTES))
    held = handle.seek(0, io.SEEK_END)
    try:
        legacy = any(argument == LEGACY_MAGIC for _, argument, _ in _opcodes(content))
        content.seek(0)
        found: tuple[str, ...] = ()
        for _ in range(LEGACY_PICKLES if legacy else 1):
            follow = Stack()
            found = tuple(sorted({*found, *_imports(content, follow)}))
            if sum(follow.claims.values()) > held:
                raise ValueError(f"storages of {sum(follow.claims.values())} bytes in a file of {held}")
    except (ValueError, OSError, OverflowError, MemoryError) as error:
        return Judgement("unknown", (), f"neither a PyTorch file nor a sound pickle: {error}"[:200])
    if legacy:
        return Judgement("pytorch legacy", found, _refusal(found))
    return Judgement("pickle", found, _refusal(found) or "a bare pickle, not a file that torch.save wrote")


def _refusal(found: tuple[str, ...]) -> str | None:
    foreign = [name for name in found if not HARMLESS.fullmatch(name)]
    return f"its pickle would import {', '.join(foreign[:10])}" if foreign else None


def _imports(stream: BinaryIO, follow: Stack) -> tuple[str, ...]:
    """Every `module.name` that one pickle would import; `?` stands for a part that is computed. Raises ValueError."""
    found: set[str] = set()
    # STACK_GLOBAL takes two strings from the stack. Only strings pushed directly before it count: between a push and
    # its use an opcode could swap them, and no pickler writes that.
    strings: list[str] = []
    memo: dict[int, str] = {}
    for opcode, argument, _ in _opcodes(stream):
        follow.take(opcode, argument)
        if opcode.name in ("GLOBAL", "INST"):
            found.add(str(argument).replace(" ", ".", 1))
        elif opcode.name == "STACK_GLOBAL":
            found.add(".".join(strings[-2:]) if len(strings) >= 2 else "?")
        elif opcode.name in ("EXT1", "EXT2", "EXT4"):
            found.add(f"copyreg.extension_{argument}")
        elif opcode.name == "MEMOIZE":
            memo[len(memo)] = strings[-1] if strings else "?"
        elif opcode.name in PUTS:
            memo[int(argument or 0)] = strings[-1] if strings else "?"
        elif opcode.name in GETS:
            strings.append(memo.get(int(argument or 0), "?"))
        elif isinstance(argument, str):
            strings.append(argument)
        elif opcode.name != "FRAME":
            strings.clear()
    return tuple(sorted(found))


def _opcodes(stream: BinaryIO) -> Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]]:
    """The opcodes of one pickle, up to `MOST_OPCODES`. Raises ValueError beyond, and for what is no pickle."""
    with warnings.catch_warnings():
        # Old text opcodes are decoded as Python spells strings, which warns of odd escapes.
        warnings.simplefilter("ignore")
        for count, each in enumerate(pickletools.genops(stream)):
            if count >= MOST_OPCODES:
                raise ValueError(f"more than {MOST_OPCODES:,} opcodes")
            yield each
