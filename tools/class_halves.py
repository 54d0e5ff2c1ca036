"""Two experts for half of the classes of Fashion-MNIST each, from one start, for recipes/halves.yaml.

    .venv/bin/python tools/class_halves.py --rows 2000 --epochs 3 --out assets/halves

Both start from the same ImageNet weights (SqueezeNet 1.1) and the same new head of ten columns, which is written as
`start.safetensors`. One is trained on rows of classes 0 to 4 and answers among these, the other on 5 to 9. Rows come
from the last 20,000 of the training file; the test file is never read.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from fine_tunes import FIRST_ROW, save, started, tuned
from transfuse.data.open import open_data
from transfuse.seeds import integer, stream

HALVES = {"first": range(5), "second": range(5, 10)}


def main() -> None:
    """Write start and experts."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--assets", type=Path, default=Path("assets"))
    words.add_argument("--out", type=Path, default=Path("assets/halves"))
    words.add_argument("--rows", type=int, default=2000, help="training rows of each expert")
    words.add_argument("--epochs", type=int, default=3)
    words.add_argument("--rate", type=float, default=5e-4)
    words.add_argument("--canvas", type=int, default=64)
    given = words.parse_args()
    data = open_data(f"idx:{given.assets / 'fashion-mnist'}", Path.cwd())
    classes, targets = list(data.items.classes), data.items.targets()
    given.out.mkdir(parents=True, exist_ok=True)
    start = started(given.assets / "squeezenet.safetensors", len(classes))
    save(start, classes, given.canvas, given.out / "start.safetensors")
    for name, among in HALVES.items():
        torch.manual_seed(integer("class halves", name))
        own = [row for row in range(FIRST_ROW, 60_000) if targets[row] in among]
        rows = stream("class halves rows", name).choice(np.array(own), given.rows, replace=False)
        network = started(given.assets / "squeezenet.safetensors", len(classes))
        network.load_state_dict(start.state_dict())
        loss = tuned(network, data, rows, given.rate, given.epochs, given.canvas, among)
        path = given.out / f"{name}.safetensors"
        save(network, classes, given.canvas, path)
        print(f"{path}: classes {', '.join(classes[each] for each in among)}, last mean loss {loss:.3f}", flush=True)


if __name__ == "__main__":
    main()
