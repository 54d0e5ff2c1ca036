"""Two fine-tunes of one start, each for half of the digits, merged: accuracy on each half and on all ten at once.

    .venv/bin/python tools/two_tasks.py --rows 12000 --epochs 3

On MNIST, with a 784-W-W-10 network. The start has seen a few rows of all digits; one fine-tune goes on with 0 to 4
alone, the other with 5 to 9 alone, from rows that the start has not seen. Accuracy on a half counts the answer among
all ten digits (joint) and among that half only (own). Scales are chosen on rows apart from the test file.
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import torch
from torch import Tensor, nn

import transfuse
from transfuse.data.open import open_data
from two_starts import mlp, rows_of, trained

Rows = tuple[Tensor, Tensor]
SCALES = (0.3, 0.5, 0.7, 1.0)
HELD = 2000


def main() -> None:
    """Train, merge, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--assets", type=Path, default=Path("assets"))
    words.add_argument("--width", type=int, default=256)
    words.add_argument("--rows", type=int, default=12_000, help="training rows of both fine-tunes together")
    words.add_argument("--start", type=int, default=1000, help="rows of all digits that the start is trained on")
    words.add_argument("--epochs", type=int, default=3)
    given = words.parse_args()
    data = open_data({"read": f"idx:{given.assets / 'mnist'}"}, Path.cwd())
    rows, test = rows_of(data, given.start + given.rows + HELD, 10_000)
    seen, rest = cut(rows, 0, given.start), cut(rows, given.start, given.start + given.rows)
    held = cut(rows, given.start + given.rows, len(rows[1]))
    start = trained(lambda: mlp(given.width), seen, 5, 0)
    tuned = [trained(lambda: copy.deepcopy(start), half(rest, first), given.epochs, first) for first in (0, 5)]
    print(f"{'':<34} own 0-4  own 5-9  joint 0-4  joint 5-9  joint")
    told("start", start, test)
    told("fine-tuned on 0-4", tuned[0], test)
    told("fine-tuned on 5-9", tuned[1], test)
    told("mean", transfuse.merge("weights/mean", tuned), test)
    for name in ("task_arithmetic", "ties"):
        tries = [(s, transfuse.merge(f"weights/{name}", tuned, base=start, scale=s)) for s in SCALES]
        scale, best = max(tries, key=lambda one: right(one[1], held))
        told(f"{name}, scale {scale:g} of {len(SCALES)}", best, test)
    told("fisher", transfuse.merge("weights/fisher", tuned, data=[rest[0][:512]]), test)
    told("regmean", transfuse.merge("weights/regmean", tuned, data=[rest[0][:512]]), test)
    told("trained on both at once", trained(lambda: copy.deepcopy(start), rest, given.epochs, 2), test)


def cut(rows: Rows, first: int, last: int) -> Rows:
    return rows[0][first:last], rows[1][first:last]


def half(rows: Rows, first: int) -> Rows:
    """The rows of five digits."""
    kept = (rows[1] >= first) & (rows[1] < first + 5)
    return rows[0][kept], rows[1][kept]


def right(network: nn.Module, rows: Rows, among: slice = slice(0, 10)) -> float:
    """Share of right answers among these digits."""
    with torch.no_grad():
        answers = network(rows[0])[:, among].argmax(dim=1) + among.start
    return float((answers == rows[1]).float().mean())


def told(name: str, network: nn.Module, test: Rows) -> None:
    halves = [half(test, first) for first in (0, 5)]
    own = [right(network, rows, slice(first, first + 5)) for rows, first in zip(halves, (0, 5), strict=True)]
    joint = [right(network, rows) for rows in (*halves, test)]
    print(f"{name:<34}" + "".join(f"{100 * found:8.1f} " for found in (*own, *joint)), flush=True)


if __name__ == "__main__":
    main()
