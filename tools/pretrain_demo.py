"""Without this script nobody could make the demo's three networks again, or check what they were trained on.

`python tools/pretrain_demo.py` reads Fashion-MNIST from assets/fashion-mnist (fetched by `make assets`), trains each
network of `transfuse.demo.networks` on the first 20,000 training images and writes its weights and `provenance.json`
into src/transfuse/demo. One thread and named seeds: the same machine and versions give the same bytes again.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import nn

from transfuse import demo, seeds
from transfuse.demo import networks
from transfuse.errors import UserError
from transfuse.files.arrays import read_idx
from transfuse.jsonio import canonical, file_digest, pretty
from transfuse.store import write_bytes, write_text
from transfuse.types import Prepare

ROOT = Path(__file__).parents[1]
CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
# Mean and deviation of the training pixels in [0, 1], rounded; any fixed numbers near them would do.
PREPARE = Prepare(size=28, mean=(0.286,), std=(0.353,), channels=1)
PARTS = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


@dataclass(frozen=True)
class Images:
    """Pixels as bytes [N, 28, 28] and class numbers [N]."""

    pixels: np.ndarray
    targets: np.ndarray

    def inputs(self, rows: np.ndarray | slice) -> torch.Tensor:
        """Normalised as the card says: float32 [n, 1, 28, 28]."""
        scaled = (self.pixels[rows].astype(np.float32) / np.float32(255) - PREPARE.mean[0]) / PREPARE.std[0]
        return torch.from_numpy(scaled.astype(np.float32)[:, None])


@dataclass(frozen=True)
class Settings:
    """All that decides the outcome besides data and code."""

    seed: int = 0
    rows: int = 20_000
    epochs: int = 5
    batch_size: int = 64
    peak_rate: float = 0.003
    weight_decay: float = 0.01


def read_images(folder: Path) -> tuple[Images, Images]:
    """The training and the test images of a folder with the four IDX files; raises `UserError` where one is missing."""
    if not folder.is_dir():
        raise UserError("Fashion-MNIST is not there", where=str(folder), hint="make assets")
    parts = [read_idx(folder / f"{part}-ubyte.gz") for part in PARTS]
    return Images(parts[0], parts[1]), Images(parts[2], parts[3])


def train(name: str, images: Images, settings: Settings) -> nn.Module:
    """One network trained with cross-entropy, AdamW and a one-cycle rate (Smith, 2018); in evaluation mode.

    Initial weights and order are drawn from streams of their own, so the three networks do not depend on each other.
    Raises `UserError` when there are fewer images than the settings say.
    """
    rows = settings.rows
    if rows > len(images.targets):
        raise UserError("too few training images", expected=f"{rows}", got=f"{len(images.targets)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.integer(settings.seed, "init", name))
        network = networks.build(name)
    step_count = math.ceil(rows / settings.batch_size) * settings.epochs
    optimizer = torch.optim.AdamW(network.parameters(), settings.peak_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.peak_rate, total_steps=step_count)
    loss_of = nn.CrossEntropyLoss()
    for epoch in range(settings.epochs):
        order = seeds.stream(settings.seed, "order", name, epoch).permutation(rows)
        losses = []
        for start in range(0, rows, settings.batch_size):
            chosen = order[start : start + settings.batch_size]
            targets = torch.from_numpy(images.targets[chosen].astype(np.int64))
            loss = loss_of(network(images.inputs(chosen)), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"{name}: epoch {epoch + 1} of {settings.epochs}, mean training loss {np.mean(losses):.4f}", flush=True)
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, images: Images, batch_size: int = 1000) -> float:
    """The share of images whose highest logit is the right class."""
    starts = range(0, len(images.targets), batch_size)
    guesses = [network(images.inputs(slice(start, start + batch_size))).argmax(1).numpy() for start in starts]
    return float(np.mean(np.concatenate(guesses) == images.targets))


def card(rows: int) -> dict[str, Any]:
    """What the door must know: how to prepare the canvas, the classes, where the weights come from."""
    return {
        **dataclasses.asdict(PREPARE),
        "classes": CLASSES,
        "origin": "pretrained by tools/pretrain_demo.py on Fashion-MNIST (Xiao et al., 2017)",
        "licence": "MIT",
        "seen": f"fashion-mnist train, {rows} rows",
    }


def packed(network: nn.Module, rows: int) -> bytes:
    """The safetensors file. One metadata key only: several would be written in no fixed order."""
    return save(network.state_dict(), {"transfuse.card": canonical(card(rows))})


def provenance(settings: Settings, data: Path, made: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How the files were made, without clock or machine name."""
    return {
        "schema": "transfuse/demo/1",
        "script": {"tools/pretrain_demo.py": file_digest(Path(__file__))},
        "architecture": {"src/transfuse/demo/networks.py": file_digest(Path(networks.__file__))},
        "data": {
            "name": "Fashion-MNIST",
            "licence": "MIT",
            "rows": f"the first {settings.rows} of train",
            "sha256": {f"{part}-ubyte.gz": file_digest(data / f"{part}-ubyte.gz") for part in PARTS},
        },
        "settings": dataclasses.asdict(settings),
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("numpy", "safetensors", "torch")},
        },
        "networks": made,
    }


def make(data: Path, out: Path, settings: Settings) -> None:
    """Train all three networks on the images in `data` and write their files and provenance.json into `out`."""
    training, testing = read_images(data)
    out.mkdir(parents=True, exist_ok=True)
    made: dict[str, dict[str, Any]] = {}
    for name in demo.NAMES:
        network = train(name, training, settings)
        path = out / f"{name}.safetensors"
        write_bytes(path, packed(network, settings.rows))
        made[name] = {
            "parameters": sum(parameter.numel() for parameter in network.parameters()),
            "test_accuracy": accuracy(network, testing),
            "sha256": file_digest(path),
        }
        print(f"{name}: {made[name]['test_accuracy']:.2%} of the test images", flush=True)
    write_text(out / "provenance.json", pretty(provenance(settings, data, made)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Train all three and write them; 0, or 2 when the data is not there or too small."""
    parser = argparse.ArgumentParser(description="Pretrain the demo's three networks on Fashion-MNIST.")
    parser.add_argument("--data", type=Path, default=ROOT / "assets" / "fashion-mnist", help="folder of the IDX files")
    parser.add_argument("--out", type=Path, default=demo.FOLDER, help="where the weights and provenance.json go")
    parser.add_argument("--epochs", type=int, default=Settings.epochs)
    parser.add_argument("--seed", type=int, default=Settings.seed)
    chosen = parser.parse_args(arguments)
    settings = Settings(seed=chosen.seed, epochs=chosen.epochs)
    torch.set_num_threads(1)
    try:
        make(chosen.data, chosen.out, settings)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
