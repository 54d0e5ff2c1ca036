"""The laws of fusing blocks inside a network: without them, a body could look at its batch, or forget a source.

Features and structure share them; a structure also takes maps of any grid, and what it runs of sources stays theirs.

Bodies are tried inside the crown they will live in, because joints, seeds and heads are part of the promise. Blocks are
drawn, except where a method reads its sources in ways of its own: then small example sources are opened and read.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from transfuse.fusion.checks import examples
from transfuse.fusion.checks.law import Family, distance, quiet, require, require_same, variants
from transfuse.fusion.connect import connect, crown
from transfuse.fusion.fused import Crown
from transfuse.reads import Read, pools, reads_of
from transfuse.registry import Entry
from transfuse.seeds import integer
from transfuse.types import Card, Prepare, Tap

ROWS = 12
WIDTHS = (5, 3, 4)
GRIDS = ((6, 6), (3, 3), (4, 4))
CLASSES = ("a", "b", "c")
TARGETS = torch.arange(ROWS) % len(CLASSES)
# Float32, and batches of other sizes take other paths through the linear algebra.
ROUNDING = 1e-4


def _maps(entry: Entry) -> bool:
    return not pools(entry)


def _counts(entry: Entry, *wanted: int) -> list[int]:
    """The numbers of sources to try, where the method takes so many."""
    least, most = entry.traits.get("least", 1), entry.traits.get("most") or max(wanted)
    return sorted({min(max(count, least), most) for count in wanted})


def _crown(entry: Entry, count: int, settings: Mapping[str, Any], seed: int = 0, *, alike: bool = False) -> Crown:
    if entry.reads:
        parts = examples.parts(count, alike=alike)
        cards = {name: source.card for name, source in parts.members.items()}
        return crown(entry, cards, None, CLASSES, settings=settings, seed=seed, parts=parts).eval()
    kind = "map" if _maps(entry) else "vector"
    widths, grids = ((4,) * 3, ((5, 5),) * 3) if alike else (WIDTHS, GRIDS)
    cards = {
        f"source{index}": Card(
            name=f"source{index}",
            spec="example",
            origin="example",
            sha256="",
            prepare=Prepare(size=32),
            taps={kind: Tap(kind, kind, widths[index], "", size=grids[index] if _maps(entry) else ())},
            class_count=len(CLASSES),
        )
        for index in range(count)
    }
    reads = [Read(member, kind) for member in cards]
    return crown(entry, cards, reads, CLASSES, settings=settings, seed=seed).eval()


def _stirred(top: Crown, draw: int = 0) -> Crown:
    """The crown away from its start, where zeros would hide what it does not listen to."""
    generator = torch.Generator().manual_seed(integer("contract stir", draw))
    with torch.no_grad():
        for parameter in top.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return top


def _blocks(
    entry: Entry, count: int, rows: int = ROWS, *, grids: Sequence[tuple[int, ...]] = GRIDS, alike: bool = False
) -> list[Tensor]:
    """Drawn blocks [rows, ...], or those that example sources give for drawn images of the first grid's size."""
    generator = torch.Generator().manual_seed(integer("contract blocks", rows))
    if entry.reads:
        members = examples.sources(count, alike=alike)
        reads = reads_of(entry, {name: source.card for name, source in members.items()})
        side = examples.SIDE if grids is GRIDS else 4 * grids[0][0]
        canvas = torch.rand(rows, 3, side, side, generator=generator)
        return examples.blocks(members, reads, canvas, pool=pools(entry))
    widths = (4,) * count if alike else WIDTHS[:count]
    grids = ((5, 5),) * count if alike else grids
    sizes = grids if _maps(entry) else ((),) * count
    return [torch.randn(rows, width, *size, generator=generator) for width, size in zip(widths, sizes, strict=False)]


def _cases(entry: Entry, *counts: int) -> Iterator[tuple[Crown, list[Tensor]]]:
    """A fitted and stirred crown and its blocks, at every variant of the settings and for each number of sources."""
    for settings in variants(entry):
        for count in _counts(entry, *(counts or (len(WIDTHS),))):
            top, blocks = _crown(entry, count, settings), _blocks(entry, count)
            if hasattr(top.body, "fit"):
                top.settle(blocks, TARGETS)
            yield _stirred(top), blocks


def _fused(top: Crown, blocks: Sequence[Tensor]) -> Tensor:
    with torch.no_grad():
        return top.fuse(blocks)


def declared_width(entry: Entry) -> None:
    """The body returns [N, width] with the width it declares, for one source and for several."""
    for top, blocks in _cases(entry, 1, 2, 3):
        found = tuple(_fused(top, blocks).shape)
        require(found == (ROWS, top.width), f"{len(blocks)} sources: got {found}, declared [{ROWS}, {top.width}]")


def rows_permute(entry: Entry) -> None:
    """Rows in another order give the same rows in that order."""
    for top, blocks in _cases(entry):
        order = torch.arange(ROWS - 1, -1, -1)
        require_same(_fused(top, [block[order] for block in blocks]), _fused(top, blocks)[order], "reversed", ROUNDING)


def rows_alone(entry: Entry) -> None:
    """One row alone gives what it gives within a batch."""
    for top, blocks in _cases(entry):
        alone = torch.cat([_fused(top, [block[row : row + 1] for block in blocks]) for row in range(3)])
        require_same(alone, _fused(top, blocks)[:3], "one row at a time", ROUNDING)


def steady(entry: Entry) -> None:
    """In evaluation the same blocks give the same result twice, and change no statistic and no random state."""
    for top, blocks in _cases(entry):
        state = copy.deepcopy(top.state_dict())
        with quiet("a pass"):
            once, again = _fused(top, blocks), _fused(top, blocks)
        require(torch.equal(once, again), "the second pass differs")
        moved = [name for name, value in top.state_dict().items() if not torch.equal(value, state[name])]
        require(not moved, f"a pass changed {', '.join(moved)}")


def blocks_stay(entry: Entry) -> None:
    """The blocks are never changed in place."""
    for top, blocks in _cases(entry):
        before = [block.clone() for block in blocks]
        with torch.no_grad():
            top.body(blocks)
        require(all(torch.equal(old, new) for old, new in zip(before, blocks, strict=True)), "a block was changed")


def gradients(entry: Entry) -> None:
    """Finite gradients reach every block and parameter; with one source, or one that selects, at least one block."""
    for top, blocks in _cases(entry, 1, 3):
        for block in blocks:
            block.requires_grad_(True)
        logits = top(blocks)
        (logits * torch.linspace(-1, 1, logits.numel()).reshape(logits.shape)).sum().backward()
        received = {f"block {index}": block.grad for index, block in enumerate(blocks[: len(top.joints)])}
        # What weighs sources against each other has nothing to learn from a single one.
        parameters = top.named_parameters() if len(blocks) > 1 or entry.reads else []
        received |= {f"parameter '{name}'": parameter.grad for name, parameter in parameters}
        reached = [gradient is not None and bool((gradient != 0).any()) for gradient in received.values()]
        require(any(reached[: len(top.joints)]) or not len(top.joints), "none reaches any block")
        for name, gradient, arrived in zip(received, received.values(), reached, strict=True):
            # What selects among blocks owes the others nothing.
            require(arrived or bool(entry.traits.get("selects") and name.startswith("block")), f"none reaches {name}")
            require(gradient is not None and bool(gradient.isfinite().all()), f"NaN or infinity at {name}")


def seeded(entry: Entry) -> None:
    """A seed fixes the start, another seed gives another start, and no global random state moves."""
    with quiet("building"):
        bodies = [_crown(entry, _several(entry), entry.settings({}), seed).body for seed in (0, 0, 1)]
    first, again, other = (body.state_dict() for body in bodies)
    require(all(torch.equal(first[name], again[name]) for name in first), "the same seed gave another start")
    # What is fitted in closed form lies in buffers and is not drawn.
    begun = {name: value for name, value in bodies[0].named_parameters() if value.numel() > 1}
    drawn = [name for name, value in begun.items() if bool((value != value.flatten()[0]).any())]
    require(not drawn or any(not torch.equal(first[name], other[name]) for name in drawn), "two seeds gave one start")


def state_is_whole(entry: Entry) -> None:
    """All that was drawn or learned is in the state dict: loaded into another start, it gives the same result."""
    for top, blocks in _cases(entry):
        other = _crown(entry, _several(entry), top.settings, seed=1)
        other.load_state_dict(top.state_dict())
        require_same(_fused(other, blocks), _fused(top, blocks), "loaded into another start", ROUNDING)


def flat_blocks(entry: Entry) -> None:
    """Blocks of zeros and constant blocks survive: outputs and gradients stay finite."""
    for value in (0.0, 2.5):
        for top, blocks in _cases(entry):
            # Images are numbers from 0 to 1.
            flat = [torch.full_like(block, value / 5) for block in blocks]
            top.settle(flat, TARGETS)
            top(flat).sum().backward()
            found = [top(flat).detach(), *(parameter.grad for parameter in top.parameters())]
            sound = all(tensor is not None and bool(tensor.isfinite().all()) for tensor in found)
            require(sound, f"blocks of {value}: NaN or infinity")


def fitted_once(entry: Entry) -> None:
    """What a closed form computes from training rows is the same for any order of them, and learns nothing else."""
    for settings in variants(entry):
        if not hasattr(_crown(entry, _several(entry), settings).body, "fit"):
            return
        blocks, order = _blocks(entry, _several(entry)), torch.arange(ROWS - 1, -1, -1)
        tops = [_crown(entry, _several(entry), settings) for _ in range(2)]
        with quiet("fitting"):
            tops[0].settle(blocks, TARGETS)
            tops[1].settle([block[order] for block in blocks], TARGETS[order])
        require_same(_fused(tops[1], blocks), _fused(tops[0], blocks), "fitted to the rows reversed", ROUNDING)
        start = _crown(entry, _several(entry), settings)
        for (name, fitted), (_, before) in zip(tops[0].named_parameters(), start.named_parameters(), strict=True):
            require(torch.equal(fitted, before), f"fitting changed the trained parameter '{name}'")


def shares_on_simplex(entry: Entry) -> None:
    """Shares, if the body reports them, are [N, K], not negative, and sum to one in each row."""
    for top, blocks in _cases(entry, 1, 3):
        if hasattr(top.body, "shares"):
            with torch.no_grad():
                shares = top.body.shares(blocks)  # pyright: ignore[reportCallIssue]
            require(tuple(shares.shape) == (ROWS, len(blocks)), f"shape {tuple(shares.shape)}")
            require(bool((shares >= 0).all()), f"the smallest is {float(shares.min()):.3g}")
            require_same(shares.sum(dim=1), torch.ones(ROWS), "sums of rows", 1e-5)


def source_order(entry: Entry) -> None:
    """The order of sources of equal width changes nothing."""
    count = _several(entry)
    blocks = _blocks(entry, count, alike=True)
    taken = [(one["of"], one["at"]) for one in entry.reads if one.get("use", "block") == "block"]
    each = not taken or (len(taken) == 1 and taken[0][0] == "each" and taken[0][1] in ("cut", "entry", "features"))
    require(each and len(blocks) >= len(WIDTHS), "it does not take one block of each source")
    blocks = blocks[: len(WIDTHS)]
    top = _stirred(_crown(entry, count, entry.settings({}), alike=True))
    for order in ((2, 1, 0), (1, 2, 0)):
        require_same(_fused(top, [blocks[index] for index in order]), _fused(top, blocks), f"order {order}", ROUNDING)


def only_the_head_learns(entry: Entry) -> None:
    """With default settings the body has nothing to train, so training the head is a convex problem."""
    body = _crown(entry, _several(entry), entry.settings({})).body
    learned = [name for name, parameter in body.named_parameters() if parameter.requires_grad]
    require(not learned, f"the body trains {', '.join(learned[:5])}")


def any_grid(entry: Entry) -> None:
    """Maps of other grids than the cards state are fused too, down to 1 x 1: canvases differ in size."""
    for grids in (((9, 9), (5, 5), (2, 2)), ((2, 2), (1, 1), (2, 2)), ((1, 1), (1, 1), (1, 1))):
        for top, _ in _cases(entry):
            found = _fused(top, _blocks(entry, _several(entry), grids=grids))
            require(tuple(found.shape) == (ROWS, top.width), f"grids {grids}: got {tuple(found.shape)}")
            require(bool(found.isfinite().all()), f"grids {grids}: NaN or infinity")
            require(distance(found[0], found[1]) > ROUNDING, f"grids {grids}: two different rows became one")


def reads_maps(entry: Entry) -> None:
    """Unless `READS` ask for features alone, `accepts` is `map` or `any`: else maps were averaged before they come."""
    alone = bool(entry.reads) and all(one["at"] == "features" for one in entry.reads)
    require(
        alone or entry.traits.get("accepts") in ("map", "any"), f"TRAITS['accepts'] is {entry.traits.get('accepts')!r}"
    )


def sources_stay(entry: Entry) -> None:
    """A step of training, and settling before it, leave every number of the sources as it was; they are not owned."""
    if not entry.reads:
        return
    members = examples.sources(_several(entry), fresh=True)
    for member in members.values():
        member.freeze(None)
    before = {name: copy.deepcopy(member.state_dict()) for name, member in members.items()}
    model = connect(entry, members, None, CLASSES, settings=entry.settings({}))
    canvas = torch.rand(ROWS, 3, examples.SIDE, examples.SIDE, generator=torch.Generator().manual_seed(0))
    model.settle(canvas)
    _stirred(model.crown)
    owned = {id(parameter) for parameter in model.crown.parameters()}
    model.train()(canvas).square().sum().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
    for name, member in members.items():
        require(not any(id(parameter) in owned for parameter in member.parameters()), f"the new part owns {name}")
        moved = [key for key, value in member.state_dict().items() if not torch.equal(value, before[name][key])]
        require(not moved, f"'{name}' moved: {', '.join(moved[:3])}")


def _several(entry: Entry) -> int:
    return _counts(entry, len(WIDTHS))[-1]


COMMON = (
    declared_width,
    rows_permute,
    rows_alone,
    steady,
    blocks_stay,
    gradients,
    seeded,
    state_is_whole,
    flat_blocks,
    fitted_once,
    shares_on_simplex,
)
BY_TRAIT = {"symmetric": (source_order,), "convex_head": (only_the_head_learns,)}


def _use(entry: Entry, settings: Mapping[str, Any]) -> Crown:
    return _crown(entry, _several(entry), settings)


def any_grid_of_maps(entry: Entry) -> None:
    """A fuser that reads maps takes any grid, down to 1 x 1."""
    if _maps(entry):
        any_grid(entry)


FEATURES = Family((*COMMON, any_grid_of_maps), BY_TRAIT, frozenset(BY_TRAIT), _use, maker="Fuser", given=1)
STRUCTURE = Family(
    (*COMMON, any_grid, reads_maps, sources_stay), BY_TRAIT, frozenset(BY_TRAIT), _use, maker="build", given=1
)
