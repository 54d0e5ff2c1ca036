"""A table of images with columns beside them, for `columns.yaml`: scikit-learn's digits, and what was measured of them.

`python recipes/columns.py DIR` writes DIR/digits.csv and DIR/images/. Beside each image stand how much ink it has, how
wide its ink is and how many closed loops; one cell in ten is left empty, as in tables that people keep.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.ndimage import label
from sklearn.datasets import load_digits

LOOPS = ("none", "one", "two")
INKED = 4
EMPTY = 0.1
SIDE = 28


def measured(digit: np.ndarray) -> list[str]:
    """Ink (mean grey value), columns from the first inked to the last, and closed loops of a digit [8, 8]."""
    inked = digit > INKED
    across = np.flatnonzero(inked.any(axis=0))
    # What is not inked falls into the outside and the inside of loops.
    found: Any = label(np.pad(~inked, 1, constant_values=True))
    parts = int(found[1])
    return [f"{digit.mean():.3f}", str(int(across[-1] - across[0] + 1)), LOOPS[min(parts - 1, 2)]]


def main(folder: Path) -> None:
    """Write the images and the table."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    digits: Any = load_digits()
    rng = np.random.default_rng(0)
    with (folder / "digits.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["path", "label", "ink", "wide", "loops"])
        for number, (digit, name) in enumerate(zip(digits.images, digits.target, strict=True)):
            place = f"images/{number:04d}.png"
            grey = Image.fromarray(np.rint(digit * (255 / 16)).astype(np.uint8))
            grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(folder / place)
            cells = ["" if rng.random() < EMPTY else cell for cell in measured(digit)]
            writer.writerow([place, str(name), *cells])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
