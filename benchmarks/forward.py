"""What a source costs beside the bare network, and what the fused wrapper and the training loop add."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.pairs import line, ratio
from transfuse.fusion.connect import connect
from transfuse.reads import Read
from transfuse.run.worker import set_threads
from transfuse.schedules import Schedule
from transfuse.source.open import make_card, open_source
from transfuse.train.loop import Lesson, fit

SPEC = "timm:tf_efficientnet_lite0@random"
SIDE, BATCH = 96, 32


def table() -> list[str]:
    """All rows."""
    set_threads(1)
    card = make_card("lite0", SPEC, root=Path(), canvas=SIDE)
    source = open_source(card, root=Path())
    canvas = torch.rand(BATCH, 3, SIDE, SIDE)
    return [_layout(source, canvas), _wrapper(source, canvas), _loop()]


def _layout(source: nn.Module, canvas: torch.Tensor) -> str:
    plain = open_source(source.card, root=Path())  # pyright: ignore[reportArgumentType]
    last = open_source(source.card, root=Path()).to(memory_format=torch.channels_last)  # pyright: ignore

    def run(network: nn.Module) -> None:
        with torch.no_grad():
            network(canvas)

    found = ratio(lambda: run(last), lambda: run(plain))
    return line("channels last / as built, Lite0 at 96 px, batch 32", found, "lower is better")


def _wrapper(source: nn.Module, canvas: torch.Tensor) -> str:
    """A fused network of two sources against the same layers called by hand, forward and backward."""
    members = {name: open_source(source.card, root=Path()) for name in ("a", "b")}  # pyright: ignore[reportArgumentType]
    fused = connect("features/concat", members, [Read("a", "vector"), Read("b", "vector")], ["x", "y"])
    head = nn.Linear(2560, 2)
    networks = [member.network for member in members.values()]

    def ours() -> None:
        fused(canvas).sum().backward()

    def by_hand() -> None:
        prepared = (canvas - 0.5) / 0.5
        blocks = [network.forward_head(network.forward_features(prepared), pre_logits=True) for network in networks]
        head(torch.cat(blocks, 1)).sum().backward()

    return line("fused network / by hand, forward and backward", ratio(ours, by_hand), "≤ 1.03 wanted")


def _loop() -> str:
    """Our training loop against the shortest plain one, on a small convolutional network."""
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.standard_normal((256, 3, 32, 32)).astype(np.float32))
    targets = rng.integers(0, 10, 256)

    def network() -> nn.Module:
        layers = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))

    class Images:
        def batch(self, rows: np.ndarray) -> list[torch.Tensor]:
            return [images[torch.from_numpy(rows)]]

    lesson = Lesson(lambda model: lambda batch: model(batch[0]), Images(), targets, Schedule(epochs=1, batch=32), 0)
    rows = np.arange(256)

    def ours() -> None:
        fit(lesson, network(), rows, held=None, rate=1e-3)

    def by_hand() -> None:
        model = network().train()
        optimiser = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
        wanted = torch.from_numpy(targets)
        for chosen in torch.randperm(256).split(32):
            loss = functional.cross_entropy(model(images[chosen]), wanted[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    return line("training loop / by hand, one epoch", ratio(ours, by_hand), "≤ 1.05 wanted")
