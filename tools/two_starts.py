"""Two networks trained from different starts, merged: as they are, aligned, repaired; beside parents and ensemble.

    .venv/bin/python tools/two_starts.py --network mlp --rows 20000 --epochs 5
    .venv/bin/python tools/two_starts.py --network residual --rows 20000 --epochs 3

    .venv/bin/python tools/two_starts.py --rows 12000 --out assets/two-starts       as sources of recipes/two-mlps.yaml

On MNIST. Prints accuracy on the test file, what the lineage says before and after alignment, and the barrier on the
straight way between both. Images for matching and for statistics are training rows.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

import transfuse
from transfuse.data.canvas import batch
from transfuse.data.open import open_data
from transfuse.demo.networks import build
from transfuse.evaluation import temperature
from transfuse.fusion.lineage import lineage
from transfuse.fusion.path import walk
from transfuse.fusion.repair import repair
from transfuse.seeds import integer, stream
from transfuse.source.weights import StateReader

LENSES = ("weight_matching", "activation_matching")


def main() -> None:
    """Train both, merge, print."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--assets", type=Path, default=Path("assets"))
    words.add_argument("--network", choices=("mlp", "residual"), default="mlp")
    words.add_argument("--width", type=int, default=512, help="of the MLP's hidden layers")
    words.add_argument("--depth", type=int, default=2, help="how many hidden layers the MLP has")
    words.add_argument("--rows", type=int, default=20_000)
    words.add_argument("--test", type=int, default=10_000)
    words.add_argument("--epochs", type=int, default=5)
    words.add_argument("--held", type=int, default=2000, help="test rows that the way between both is walked on")
    words.add_argument("--out", type=Path, help="write both networks here, as sources of a recipe, and end")
    given = words.parse_args()
    data = open_data({"read": f"idx:{given.assets / 'mnist'}"}, Path.cwd())
    train, test = rows_of(data, given.rows, given.test)
    make: Callable[[], nn.Module] = (
        (lambda: mlp(given.width, given.depth)) if given.network == "mlp" else (lambda: build("residual"))
    )
    parents = [trained(make, train, given.epochs, seed) for seed in (1, 2)]
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        for number, parent in enumerate(parents, start=1):
            save(parent, given.out / f"{given.network}-{number}.safetensors", given.rows)
        return
    for name, found in compared(parents, train[0], test):
        print(f"{name:<44} {100 * found:6.2f} %", flush=True)
    print(f"lineage: {told(parents)}")
    for lens in LENSES:
        print(f"after {lens}: {told([parents[0], turned(parents, train[0], lens)])}", flush=True)
    for name, other in [("as they are", parents[1]), *((lens, turned(parents, train[0], lens)) for lens in LENSES)]:
        held = (test[0][: given.held], test[1][: given.held].numpy())
        found = walk(copy.deepcopy(parents[0]), parents[0], other, held, [train[0][:512]], fit_temperature=heat)
        print(f"way, {name}: " + "; ".join(f"{which} {barrier:.3f}" for which, barrier in found.barriers().items()))


def save(network: nn.Module, path: Path, rows: int) -> None:
    """The weights, with what a source states of itself."""
    card = {"size": 28, "channels": 1, "mean": [0.0], "std": [1.0], "classes": [str(digit) for digit in range(10)]}
    card |= {"seen": f"mnist train, its first {rows} rows"}
    state = {name: value.detach().contiguous() for name, value in network.state_dict().items()}
    save_file(state, path, metadata={"transfuse.card": json.dumps(card)})
    print(f"written: {path}", flush=True)


def heat(scores: np.ndarray, targets: np.ndarray) -> float:
    """The temperature of these logits."""
    return temperature.fit(scores, targets, "logit")


def mlp(width: int, depth: int = 2) -> nn.Module:
    """784 numbers, hidden layers, ten classes."""
    layers: list[nn.Module] = [nn.Linear(784, width), nn.ReLU()]
    for _ in range(depth - 1):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, 10))


def rows_of(data: object, train: int, test: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Images [N, 1, 28, 28] and classes of the first rows of the training and of the test file."""
    targets = data.items.targets()  # pyright: ignore[reportAttributeAccessIssue]

    def taken(first: int, count: int) -> tuple[Tensor, Tensor]:
        rows = np.arange(first, first + count)
        images = torch.from_numpy(batch(data, rows, 28))[:, :1].contiguous()  # pyright: ignore[reportArgumentType]
        return images, torch.from_numpy(targets[rows])

    return taken(0, train), taken(60_000, test)


def trained(make: Callable[[], nn.Module], train: tuple[Tensor, Tensor], epochs: int, seed: int) -> nn.Module:
    """A network from its own start and order, trained with AdamW along a half cosine."""
    images, classes = train
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(integer("two starts", seed))
        network = make().train()
    steps = epochs * (len(images) // 128)
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=0.01)
    planner = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(steps, 1))
    for epoch in range(epochs):
        order = torch.from_numpy(stream("two starts order", seed, epoch).permutation(len(images)))
        for chosen in order.split(128):
            if len(chosen) == 128:
                loss = functional.cross_entropy(network(images[chosen]), classes[chosen])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                planner.step()
    return network.eval()


def compared(parents: list[nn.Module], images: Tensor, test: tuple[Tensor, Tensor]) -> Iterator[tuple[str, float]]:
    """Accuracy of parents, ensemble and merges."""
    seen = [images[:512]]
    yield from ((f"parent {number + 1}", accuracy([parent], test)) for number, parent in enumerate(parents))
    yield "ensemble of both", accuracy(parents, test)
    yield "mean of weights", accuracy([transfuse.merge("weights/mean", parents)], test)
    yield "mean, statistics estimated anew", accuracy([transfuse.merge("weights/mean", parents, data=seen)], test)
    for lens in LENSES:
        merged = transfuse.merge("weights/mean", parents, align=lens, data=seen)
        yield f"{lens}, then mean", accuracy([merged], test)
        pair = [parents[0], turned(parents, images, lens)]
        states = [{name: value.numpy() for name, value in one.state_dict().items()} for one in pair]
        mended = copy.deepcopy(merged)
        repair(mended, states, (1.0, 1.0), seen)
        yield f"{lens}, mean, REPAIR", accuracy([mended], test)


def accuracy(networks: list[nn.Module], test: tuple[Tensor, Tensor]) -> float:
    """Share of right answers of the mean probability."""
    with torch.no_grad():
        answers = sum(torch.softmax(network(test[0]), dim=1) for network in networks)
    return float((torch.as_tensor(answers).argmax(dim=1) == test[1]).float().mean())


def turned(parents: list[nn.Module], images: Tensor, lens: str) -> nn.Module:
    """The second parent in the first one's order: their merge with all weight on the second."""
    return transfuse.merge("weights/mean", parents, weights=[0.0, 1.0], align=lens, data=[images[:512]])


def told(networks: list[nn.Module]) -> str:
    """What the weights say."""
    readers = {name: StateReader(one.state_dict(), name) for name, one in zip("ab", networks, strict=True)}
    found = lineage(readers)
    return f"{found.verdict} (median cosine {found.pairs[0].cosine:.3f})"


if __name__ == "__main__":
    main()
