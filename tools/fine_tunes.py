"""Several fine-tunes of one SqueezeNet on Fashion-MNIST, for recipes/soups.yaml: what a soup is made of.

    .venv/bin/python tools/fine_tunes.py --rows 4000 --epochs 2 --out assets/fine-tunes

Each starts from the same ImageNet weights and the same new head, and differs by learning rate, order and rows drawn.
The start, with that head, is written as `start.safetensors`. Rows come from the training file only, its last 20,000;
the test file is never read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from transfuse.data.canvas import batch
from transfuse.data.open import open_data
from transfuse.seeds import integer, stream

RATES = (3e-4, 1e-3, 5e-4, 2e-3)
PREPARE = {"order": "bgr", "scale": 255, "mean": [103.939, 116.779, 123.68], "std": [1, 1, 1]}
FIRST_ROW = 40_000


def main() -> None:
    """Write start and fine-tunes."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--assets", type=Path, default=Path("assets"))
    words.add_argument("--out", type=Path, default=Path("assets/fine-tunes"))
    words.add_argument("--rows", type=int, default=4000, help="training rows of each fine-tune")
    words.add_argument("--epochs", type=int, default=2)
    words.add_argument("--canvas", type=int, default=96)
    words.add_argument("--count", type=int, default=4, help="how many fine-tunes")
    words.add_argument(
        "--rates", type=float, nargs="+", default=list(RATES), help="learning rates, one after the other"
    )
    words.add_argument("--data", default="fashion-mnist", help="fashion-mnist or mnist")
    given = words.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = open_data(f"idx:{given.assets / given.data}", Path.cwd())
    classes = list(data.items.classes)
    given.out.mkdir(parents=True, exist_ok=True)
    start = started(given.assets / "squeezenet.safetensors", len(classes))
    save(start, classes, given.canvas, given.out / "start.safetensors")
    for number in range(given.count):
        torch.manual_seed(integer("fine-tune", number))
        rows = stream("fine-tune rows", number).choice(np.arange(FIRST_ROW, 60_000), given.rows, replace=False)
        network = started(given.assets / "squeezenet.safetensors", len(classes)).to(device)
        network.load_state_dict(start.state_dict())
        rate = given.rates[number % len(given.rates)]
        loss = tuned(network, data, rows, rate, given.epochs, given.canvas)
        path = given.out / f"{given.data}-{number}.safetensors"
        save(network.cpu(), classes, given.canvas, path)
        print(f"{path}: rate {rate:g}, last mean loss {loss:.3f}", flush=True)


def started(path: Path, classes: int) -> nn.Module:
    """The ImageNet network with a new head, the same for all."""
    import torchvision

    network = torchvision.models.squeezenet1_1()
    network.load_state_dict(load_file(path))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer("fine-tune head"))
        head = nn.Conv2d(512, classes, 1)
        nn.init.normal_(head.weight, std=0.01)
        nn.init.zeros_(head.bias)  # pyright: ignore[reportArgumentType] - it has one
    network.classifier[1] = head
    return network


def tuned(
    network: nn.Module,
    data: Any,
    rows: np.ndarray,
    rate: float,
    epochs: int,
    canvas: int,
    among: Sequence[int] | None = None,
) -> float:
    """Train in place with AdamW along a half cosine; returns the last epoch's mean loss.

    With `among` rows are of these classes alone, and the loss is that of an answer among these: the head's other
    columns learn nothing.
    """
    device = next(network.parameters()).device
    targets = data.items.targets()
    mean = torch.tensor(PREPARE["mean"], device=device).view(1, 3, 1, 1)
    steps = epochs * (len(rows) // 32)
    optimiser = torch.optim.AdamW(network.parameters(), rate, weight_decay=0.05)
    planner = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    network.train()
    total = 0.0
    for epoch in range(epochs):
        total = 0.0
        order = stream("fine-tune order", epoch, int(rows[0])).permutation(rows)
        for begin in range(0, len(order) - 31, 32):
            chosen = order[begin : begin + 32]
            images = torch.from_numpy(batch(data, chosen, canvas)).to(device)
            logits, wanted = network(255.0 * images.flip(1) - mean), targets[chosen]
            if among is not None:
                logits, wanted = logits[:, list(among)], np.searchsorted(among, wanted)
            loss = functional.cross_entropy(logits, torch.from_numpy(wanted).to(device))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            planner.step()
            total += float(loss.detach())
    return total / max(len(rows) // 32, 1)


def save(network: nn.Module, classes: list[str], canvas: int, path: Path) -> None:
    """The weights, with what a source states of itself: it is asked at the size it was trained at."""
    card = {**PREPARE, "size": canvas, "classes": classes}
    state = {name: value.detach().contiguous() for name, value in network.state_dict().items()}
    save_file(state, path, metadata={"transfuse.card": json.dumps(card)})


if __name__ == "__main__":
    main()
