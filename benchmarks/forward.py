"""What a source costs beside the bare network, and what the fused wrapper and the training loop add."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional

from benchmarks.pairs import line, ratio
from transfuse.fusion.connect import connect
from transfuse.fusion.fused import Fused
from transfuse.reads import Read
from transfuse.run.worker import keep_memory
from transfuse.schedules import Schedule
from transfuse.source.open import make_card, open_source
from transfuse.train.loop import Lesson, fit

SPEC = "timm:tf_efficientnet_lite0@random"
SIDE, BATCH = 96, 32


def table() -> list[str]:
    """All rows."""
    torch.set_num_threads(1)
    keep_memory()
    card = make_card("lite0", SPEC, root=Path(), canvas=SIDE)
    source = open_source(card, root=Path())
    canvas = torch.rand(BATCH, 3, SIDE, SIDE)
    return [
        _layout(source, canvas),
        _wrapper(canvas),
        _fused_layout(canvas),
        _fused_compiled(canvas),
        _loop(),
    ]


def _layout(source: nn.Module, canvas: torch.Tensor) -> str:
    plain = open_source(source.card, root=Path())  # pyright: ignore[reportArgumentType]
    last = open_source(source.card, root=Path()).to(memory_format=torch.channels_last)  # pyright: ignore

    def run(network: nn.Module) -> None:
        with torch.no_grad():
            network(canvas)

    found = ratio(lambda: run(last), lambda: run(plain))
    return line("channels last / as built, Lite0 at 96 px, batch 32", found, "lower is better")


def _pair() -> tuple[Fused, list[nn.Module]]:
    """A fusion of Lite0 and ResNet-18 and, in the same order, the very networks it holds."""
    specs = {"lite0": SPEC, "resnet": "torchvision:resnet18@random"}
    cards = {name: make_card(name, spec, root=Path(), canvas=SIDE) for name, spec in specs.items()}
    members = {name: open_source(card, root=Path()) for name, card in cards.items()}
    fused = connect("features/concat", members, [Read("lite0", "vector"), Read("resnet", "vector")], ["x", "y"])
    return fused, [member.network for member in members.values()]


def _wrapper(canvas: torch.Tensor) -> str:
    """A fused network of two architectures against the same layers called by hand, forward and backward."""
    fused, (lite0, resnet) = _pair()
    head = nn.Linear(1280 + 512, 2)
    mean, std = (torch.tensor(values).reshape(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    trunk = nn.Sequential(*list(resnet.children())[:-1], nn.Flatten())

    def ours() -> None:
        fused(canvas).sum().backward()

    def by_hand() -> None:
        first = lite0.forward_head(lite0.forward_features((canvas - 0.5) / 0.5), pre_logits=True)  # pyright: ignore
        head(torch.cat([first, trunk((canvas - mean) / std)], 1)).sum().backward()

    return line("fused Lite0 + ResNet-18 / by hand, forward and backward", ratio(ours, by_hand), "≤ 1.03 wanted")


def _fused_layout(canvas: torch.Tensor) -> str:
    """The same fused network in both layouts, forward."""
    plain, _ = _pair()
    last = copy.deepcopy(plain).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def run(network: nn.Module) -> None:
        with torch.no_grad():
            network.eval()(canvas)

    found = ratio(lambda: run(last), lambda: run(plain))
    return line("fused network, channels last / as built, forward", found, "lower is better")


def _fused_compiled(canvas: torch.Tensor) -> str:
    """The same fused network compiled, forward; where there is no compiler the row says so."""
    plain, _ = _pair()
    plain.eval()
    try:
        compiled = torch.compile(plain)
        with torch.no_grad():
            compiled(canvas)
    except (RuntimeError, OSError) as error:
        return f"{'fused network, torch.compile / eager, forward':<58} not here: {str(error).splitlines()[0][:60]}"

    def run(network: Callable[[torch.Tensor], object]) -> None:
        with torch.no_grad():
            network(canvas)

    found = ratio(lambda: run(compiled), lambda: run(plain), pairs=15, warm_up=3)
    return line("fused network, torch.compile / eager, forward", found, "lower is better")


def _loop() -> str:
    """Our training loop against the shortest plain one: ResNet-18, batches of 32 images of 96 pixels."""
    rng = np.random.default_rng(0)
    count = 3 * BATCH
    images = torch.from_numpy(rng.standard_normal((count, 3, SIDE, SIDE)).astype(np.float32))
    targets = rng.integers(0, 10, count)

    def network() -> nn.Module:
        return torchvision.models.resnet18(num_classes=10)

    class Images:
        def batch(self, rows: np.ndarray) -> list[torch.Tensor]:
            return [images[torch.from_numpy(rows)]]

    lesson = Lesson(lambda model: lambda batch: model(batch[0]), Images(), targets, Schedule(epochs=1, batch=BATCH), 0)
    rows = np.arange(count)

    def ours() -> None:
        fit(lesson, network(), rows, held=None, rate=1e-3)

    def by_hand() -> None:
        model = network().train()
        optimiser = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
        wanted = torch.from_numpy(targets)
        for chosen in torch.randperm(count).split(BATCH):
            loss = functional.cross_entropy(model(images[chosen]), wanted[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()

    return line("training loop / by hand, ResNet-18 at 96 px, batch 32", ratio(ours, by_hand), "≤ 1.05 wanted")
