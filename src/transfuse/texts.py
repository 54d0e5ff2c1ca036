"""Texts as arrays of bytes: without it texts could not lie on a canvas, and caches, feeds and views would know of them.

The canvas of a text is its UTF-8 bytes, [L] uint8, with zeros after its end; of a batch [N, L]. What does not fit is
cut off between two characters. Tokenising happens inside a source's door, as resizing does for images. Torch-free.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

# Deterministic other looks at a text for copies of one source, as turning is for images: half of the words each way,
# and all of them backwards.
VIEWS = ("plain", "odd", "even", "backwards")
# How many bytes of a text are kept where an image lies beside it, whose canvas is in pixels.
BESIDE = 2048
WORDS = ("plain", "words", "of", "no", "meaning", "fill", "the", "whole", "canvas", "with", "short", "tokens")


def content(text: str) -> np.ndarray:
    """The bytes of a text [n] uint8; a zero, which would end it, becomes a blank, as does half of a character pair."""
    return np.frombuffer(text.replace("\0", " ").encode("utf-8", errors="replace"), dtype=np.uint8)


def cut(raw: np.ndarray, length: int) -> np.ndarray:
    """The first bytes of a text, at most `length`, without a character that would be torn."""
    if len(raw) <= length:
        return raw
    end = length
    while end and raw[end] & 0xC0 == 0x80:
        end -= 1
    return raw[:end]


def laid(raws: Sequence[np.ndarray], length: int) -> np.ndarray:
    """Texts on canvases of this length, [N, L] uint8; each is the same whatever the others are."""
    canvas = np.zeros((len(raws), length), dtype=np.uint8)
    for row, raw in zip(canvas, raws, strict=True):
        kept = cut(raw, length)
        row[: len(kept)] = kept
    return canvas


def read(canvas: np.ndarray) -> list[str]:
    """The texts of canvases [N, L]; bytes that are no UTF-8 become the sign for that."""
    return [row.tobytes().split(b"\0", 1)[0].decode("utf-8", errors="replace") for row in canvas]


def seen(canvas: np.ndarray, view: str) -> np.ndarray:
    """A view of canvases [N, L]: as they are, every other word from the first or from the second on, or all words in
    reverse order."""
    if view == "plain":
        return canvas
    pick = _PICKED[view]
    return laid([content(" ".join(pick(text.split()))) for text in read(canvas)], canvas.shape[1])


_PICKED: dict[str, Callable[[list[str]], list[str]]] = {
    "odd": lambda words: words[::2],
    "even": lambda words: words[1::2],
    "backwards": lambda words: words[::-1],
}


def example(rows: int, length: int) -> np.ndarray:
    """Canvases [N, L] that common words fill to their end, each row from another word on: what costs are counted on."""
    whole = " ".join(WORDS[place % len(WORDS)] for place in range(length // 2 + len(WORDS)))
    starts = np.arange(rows) % len(WORDS)
    return laid([content(whole[start:]) for start in starts.tolist()], length)
