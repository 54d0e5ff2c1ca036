"""Damaged and lying files from sound ones, each reproducible by the name of its stream and its number."""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

DIGITS = re.compile(rb"\d+")
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
LITERALS = (b"-1", b"0", b"1e999", b"NaN", b"-Infinity", b"null", b"true", b"[]", b"{}", b'""', b"9" * 25, b"9" * 5000)
MARKS = (b"\0", b"\xff", b"\x1b[31m", b"\n", b'"', b"\\", b"<script>", "\u202e".encode(), b"../", b"/dev/zero", b"\r")
STRANGE_NAMES = ("", "__class__", "../x", "\0", "<script>", "a" * 3000, "\u202e", "null", "name")
STRANGE = (
    None,
    True,
    -1,
    0,
    2**63,
    10**30,
    1e308,
    -1e-308,
    float("nan"),
    "",
    "x",
    "../../etc/passwd",
    "/dev/zero",
    "\0\x1b[2J\n",
    "\ud800",
    "<script>alert(1)</script>",
    "9" * 400,
    [],
    {},
    [[]],
    [1, "a", None],
    {"a": {"b": []}},
    [0] * 300,
    ["x"] * 50,
)
MOST_CHANGES = 4
Change = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def mutated(seeds: Sequence[bytes], words: Sequence[bytes], stream: str, number: int) -> bytes:
    """The case of this number: one of the seeds after one to four changes, or two of them spliced."""
    rng = random.Random(f"{stream}/{number}")
    content = bytearray(rng.choice(seeds))
    if len(seeds) > 1 and rng.random() < 0.1:
        other = rng.choice(seeds)
        content = content[: rng.randrange(len(content) + 1)] + other[rng.randrange(len(other) + 1) :]
    for _ in range(rng.randint(1, MOST_CHANGES)):
        rng.choice(CHANGES)(rng, content, words)
    return bytes(content)


def changed_tree(seeds: Sequence[bytes], stream: str, number: int) -> bytes:
    """The JSON case of this number: sound text, but one to four of its values are others, gone, or told twice."""
    rng = random.Random(f"{stream}/tree/{number}")
    tree = json.loads(rng.choice(seeds))
    for _ in range(rng.randint(1, MOST_CHANGES)):
        places = [
            (holder, key)
            for holder in _holders(tree)
            for key in (holder if isinstance(holder, dict) else range(len(holder)))
        ]
        if not places:
            break
        holder, key = rng.choice(places)
        how = rng.random()
        if how < 0.15:
            del holder[key]
        elif how < 0.3:
            holder[key] = copy.deepcopy(rng.choice(places)[0])
        elif how < 0.4 and isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        elif how < 0.5 and isinstance(holder, dict):
            holder[rng.choice(STRANGE_NAMES)] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(rng.choice(STRANGE))
    return json.dumps(tree, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _holders(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict | list):
        yield tree
        for item in tree.values() if isinstance(tree, dict) else tree:
            yield from _holders(item)


def _place(rng: random.Random, content: bytearray) -> int:
    # Half of all changes fall into the head, where lengths, shapes and kinds stand.
    end = len(content) if rng.random() < 0.5 else min(len(content), 64)
    return rng.randrange(end) if end else 0


def _flip(rng: random.Random, content: bytearray, words: Sequence[bytes]) -> None:
    if content:
        content[_place(rng, content)] ^= 1 << rng.randrange(8)


def _byte(rng: random.Random, content: bytearray, words: Sequence[bytes]) -> None:
    if content:
        content[_place(rng, content)] = rng.randrange(256)


def _truncate(rng: random.Random, content: bytearray, words: Sequence[bytes]) -> None:
    del content[_place(rng, content) :]


def _remove(rng: random.Random, content: bytearray, words: Sequence[bytes]) -> None:
    start = _place(rng, content)
    del content[start : start + rng.randint(1, 16)]


def _repeat(rng: random.Random, content: bytearray, words: Sequence[bytes]) -> None:
    start = _place(rng, content)
    piece = content[start : start + rng.randint(1, 32)]
    content[start:start] = piece * rng.choice((1, 2, 50, 500))


def _length(rng: random.Random, content: bytearray, words: Sequence[bytes]) -> None:
    """A binary field of 1, 2, 4 or 8 bytes tells another number."""
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice((*NUMBERS, len(content), len(content) + 1)) & (2 ** (8 * size) - 1)
    start = _place(rng, content)
    content[start : start + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _digits(rng: random.Random, content: bytearray, words: Sequence[bytes]) -> None:
    """A number written in digits becomes another, or something that is none."""
    found = list(DIGITS.finditer(bytes(content[:4096])))
    if found:
        one = rng.choice(found)
        content[one.start() : one.end()] = rng.choice((*LITERALS, *(str(value).encode() for value in NUMBERS)))


def _word(rng: random.Random, content: bytearray, words: Sequence[bytes]) -> None:
    """A word of the format, or a mark that is trouble elsewhere, is put in or written over what stands there."""
    word = rng.choice((*words, *words, *MARKS, *LITERALS))
    start = _place(rng, content)
    content[start : start + (len(word) if rng.random() < 0.5 else 0)] = word


def _swap(rng: random.Random, content: bytearray, words: Sequence[bytes]) -> None:
    first, second = sorted((_place(rng, content), _place(rng, content)))
    size = min(rng.randint(1, 32), second - first)
    here, there = content[first : first + size], content[second : second + size]
    if len(here) == len(there):
        content[first : first + size], content[second : second + size] = there, here


CHANGES: tuple[Change, ...] = (
    _flip,
    _byte,
    _truncate,
    _remove,
    _repeat,
    _length,
    _length,
    _digits,
    _digits,
    _word,
    _word,
    _swap,
)
