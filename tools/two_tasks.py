"""Two fine-tunes of one start, each for half of the digits, merged: accuracy on each half and on all ten at once.

    .venv/bin/python tools/two_tasks.py --rows 12000 --epochs 3 --starts 5

On MNIST, with a 784-W-W-10 network. The start has seen a few rows of all digits; one fine-tune goes on with 0 to 4
alone, the other with 5 to 9 alone, from rows that the start has not seen. Accuracy on a half counts the answer among
all ten digits (joint) and among that half only (own). Scales are chosen on rows apart from the test file. All of it is
done for several starts; intervals are over starts and rows of the test file together.
"""

from __future__ import annotations

import argparse
import copy
import sys
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import transfuse
from transfuse.data.open import open_data
from transfuse.evaluation.statistics.resample import moments
from transfuse.seeds import stream
from transfuse.types import Undefined
from two_starts import mlp, rows_of, trained

Rows = tuple[Tensor, Tensor]
SCALES = (0.3, 0.5, 0.7, 1.0)
HELD = 2000
NAMES = 44
COLUMNS = ("own 0-4", "own 5-9", "joint 0-4", "joint 5-9", "joint", "joint, minus start")


def main() -> None:
    """Train, merge, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--assets", type=Path, default=Path("assets"))
    words.add_argument("--width", type=int, default=256)
    words.add_argument("--rows", type=int, default=12_000, help="training rows of both fine-tunes together")
    words.add_argument("--start", type=int, default=1000, help="rows of all digits that the start is trained on")
    words.add_argument("--epochs", type=int, default=3)
    words.add_argument("--starts", type=int, default=5, help="how many starts, each with rows of its own")
    given = words.parse_args()
    data = open_data({"read": f"idx:{given.assets / 'mnist'}"}, Path.cwd())
    every, test = rows_of(data, 60_000, 10_000)
    answers: dict[str, list[Tensor]] = {}
    chosen: dict[str, list[float]] = {}
    for number in range(given.starts):
        drawn = torch.from_numpy(stream("two tasks rows", number).permutation(60_000))
        rows = every[0][drawn], every[1][drawn]
        for name, network, scale in networks(rows, given, number):
            with torch.no_grad():
                answers.setdefault(name, []).append(network(test[0]))
            chosen.setdefault(name, []).extend([] if scale is None else [scale])
        print(f"start {number + 1} of {given.starts}", file=sys.stderr, flush=True)
    print(" " * NAMES + "".join(f"{column:<20}" for column in COLUMNS))
    for name, scores in answers.items():
        scales = ", ".join(f"{scale:g}" for scale in chosen[name])
        row = cells(torch.stack(scores), torch.stack(answers["start"]), test[1])
        print(f"{name}{f' ({scales})' if scales else ''}".ljust(NAMES) + "".join(f"{cell:<20}" for cell in row))


def networks(rows: Rows, given: argparse.Namespace, number: int) -> Iterator[tuple[str, nn.Module, float | None]]:
    """The start, its fine-tunes and their merges by name; of those with a scale, the one that was chosen."""
    seen, rest = cut(rows, 0, given.start), cut(rows, given.start, given.start + given.rows)
    held = cut(rows, given.start + given.rows, given.start + given.rows + HELD)
    start = trained(lambda: mlp(given.width), seen, 5, 10 * number)
    tuned = [
        trained(lambda: copy.deepcopy(start), half(rest, first), given.epochs, 10 * number + first) for first in (0, 5)
    ]
    yield "start", start, None
    yield "fine-tuned on 0-4", tuned[0], None
    yield "fine-tuned on 5-9", tuned[1], None
    yield "mean", transfuse.merge("weights/mean", tuned), None
    for name in ("task_arithmetic", "ties"):
        tries = [(s, transfuse.merge(f"weights/{name}", tuned, base=start, scale=s)) for s in SCALES]
        scale, best = max(tries, key=lambda one: right(one[1], held))
        yield name, best, scale
    yield "fisher", transfuse.merge("weights/fisher", tuned, data=[rest[0][:512]]), None
    yield "regmean", transfuse.merge("weights/regmean", tuned, data=[rest[0][:512]]), None
    yield "trained on both at once", trained(lambda: copy.deepcopy(start), rest, given.epochs, 10 * number + 2), None


def cut(rows: Rows, first: int, last: int) -> Rows:
    return rows[0][first:last], rows[1][first:last]


def half(rows: Rows, first: int) -> Rows:
    """The rows of five digits."""
    kept = (rows[1] >= first) & (rows[1] < first + 5)
    return rows[0][kept], rows[1][kept]


def right(network: nn.Module, rows: Rows) -> float:
    """Share of right answers."""
    with torch.no_grad():
        return float((network(rows[0]).argmax(dim=1) == rows[1]).float().mean())


def cells(scores: Tensor, start: Tensor, classes: Tensor) -> Iterator[str]:
    """Of scores [S, N, 10] of S starts: right answers in per cent with their 95 % interval over starts and rows.

    Each half among its own five digits, each half among all ten, all rows, and what all rows gain on `start`.
    """
    for first, among in ((0, 5), (5, 5), (0, 10), (5, 10)):
        kept = (classes >= first) & (classes < first + 5)
        low = first if among == 5 else 0
        yield told(scores[:, kept, low : low + among].argmax(dim=2) + low == classes[kept])
    hits, before = (one.argmax(dim=2) == classes for one in (scores, start))
    yield told(hits)
    yield "" if torch.equal(scores, start) else told(hits.double() - before.double(), sign="+")


def told(values: Tensor, sign: str = "") -> str:
    """A mean of values [S, N] in per cent, with its interval."""
    found = moments(values.double().numpy())
    numbers = [100 * float(values.double().mean())]
    numbers += [] if isinstance(found, Undefined) else [100 * found.low, 100 * found.high]
    mean, *ends = (f"{number:{sign}.1f}" for number in numbers)
    return f"{mean} [{', '.join(ends)}]" if ends else mean


if __name__ == "__main__":
    main()
