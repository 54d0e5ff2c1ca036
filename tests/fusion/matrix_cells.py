"""Cells of the matrix: a fusing method and two architectures; which are always tried, and what each must hold."""

from __future__ import annotations

import functools
from itertools import combinations

import torch
from torch.nn.utils import get_total_norm

from fusion.networks_of_all_kinds import ARCHITECTURES, CLASSES, SIDE, source, twin
from transfuse.fusion import saved
from transfuse.fusion.connect import connect
from transfuse.fusion.fused import Fused
from transfuse.fusion.joints import pooled
from transfuse.reads import Read, pools
from transfuse.registry import Entry, shelf
from transfuse.source.base import Source

METHODS = {
    entry.full_name: entry for family in ("features", "structure") for entry in shelf(f"fusion/{family}").values()
}
PAIRS = tuple(combinations(ARCHITECTURES, 2))
NAMES = [str(index) for index in range(CLASSES)]
# Settings that a method needs to be tried on networks that name no classes, or that make it quick.
QUICK = {"structure/head": {"keep": "none"}, "structure/stitch": {"steps": 1}}
ROUNDING = 1e-3


def rounds() -> list[list[tuple[str, str]]]:
    """Nine rounds of a tournament: in each, four pairs and a bye; together every pair once."""
    count = len(ARCHITECTURES)
    found = []
    for turn in range(count):
        order = [ARCHITECTURES[(turn + step) % count] for step in range(count)]
        found.append([(order[step], order[count - step]) for step in range(1, count // 2 + 1)] + [(order[0], order[1])])
    return found


def covering() -> list[tuple[str, str, str]]:
    """Every method with every architecture, and every pair of architectures at least once."""
    table = rounds()
    return [(name, *pair) for index, name in enumerate(METHODS) for pair in table[index % len(table)]]


@functools.cache
def canvas(rows: int, side: int) -> torch.Tensor:
    return torch.rand(rows, 3, side, side, generator=torch.Generator().manual_seed(rows * side))


@functools.cache
def _block(read: Read, pool: bool) -> torch.Tensor:
    """What a source gives for a few images, kept, since many cells settle on it."""
    if read.of_canvas:
        return canvas(6, SIDE)
    with torch.no_grad():
        block = source(read.member).blocks(canvas(6, SIDE), [read.tap])[read.tap]
    return pooled(block) if pool else block


def build(entry: Entry, pair: tuple[str, str]) -> Fused:
    """The fusion with a head that has learned something, so that gradients pass it."""
    model = connect(entry, {name: source(name) for name in pair}, None, NAMES, settings=QUICK.get(entry.full_name, {}))
    kept = [_block(read, pools(entry)) for read in model.reads if read.use != "place"]
    with torch.no_grad():
        model.crown.settle(kept, torch.arange(6) % CLASSES)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        for name, parameter in model.crown.named_parameters():
            # Also what starts at zero, such as the scale of a graft.
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator) * (1 if "head" in name else 0.5)
    return model.eval()


def hold(method: str, *pair: str) -> None:
    """Builds, runs, learns in every branch, is saved and loaded, and takes one image and images of another size."""
    entry = METHODS[method]
    model = build(entry, pair)  # pyright: ignore[reportArgumentType]
    images = canvas(2, SIDE)
    logits = model(images)
    assert logits.shape == (2, CLASSES)
    logits.square().sum().backward()
    # A control that leaves a source out reads nothing of it, and sends nothing back.
    listened = [model.member(name) for name in model.names if model.reads_of(name)]
    for part in (*listened, model.crown):
        length = get_total_norm([one.grad for one in part.parameters() if one.grad is not None])
        where = part.card.name if isinstance(part, Source) else "what is new"
        assert 0 < float(length) < float("inf"), f"gradient of {where}: {length}"
    model.zero_grad(set_to_none=True)
    with torch.no_grad():
        alone = model(images[:1])
        scale = float(logits.abs().max()) + 1
        assert float((alone - logits[:1]).abs().max()) <= ROUNDING * scale, "one image alone differs"
        again = saved.build(saved.describe(model), None, {name: twin(name) for name in pair})  # pyright: ignore
        again.load_state_dict(model.state_dict())
        assert torch.equal(again.eval()(images[:1]), alone), "what was loaded differs"
        other = model(canvas(1, SIDE - 16))
        assert other.shape == (1, CLASSES)
        assert bool(other.isfinite().all())
