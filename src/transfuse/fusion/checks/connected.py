"""The laws of fusing blocks inside a network: without them, a body could look at its batch, or forget a source.

Features and structure share them; a structure also takes maps of any grid, and what it runs of sources stays theirs.

Bodies are tried inside the crown they will live in, because joints, seeds and heads are part of the promise. Blocks are
drawn, except where a method reads its sources in ways of its own: then small example sources are opened and read.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from transfuse.fusion.checks import examples
from transfuse.fusion.checks.crowns import (
    CLASSES,
    ROUNDING,
    ROWS,
    TARGETS,
    WIDTHS,
    cases,
    fused,
    new_blocks,
    new_crown,
    several,
    stirred,
    takes_maps,
)
from transfuse.fusion.checks.law import Family, distance, quiet, require, require_same, variants
from transfuse.fusion.connect import connect
from transfuse.fusion.fused import Crown
from transfuse.registry import Entry


def declared_width(entry: Entry) -> None:
    """The body returns [N, width] with the width it declares, for one source and for several."""
    for top, blocks in cases(entry, 1, 2, 3):
        found = tuple(fused(top, blocks).shape)
        require(found == (ROWS, top.width), f"{len(blocks)} sources: got {found}, declared [{ROWS}, {top.width}]")


def rows_permute(entry: Entry) -> None:
    """Rows in another order give the same rows in that order."""
    for top, blocks in cases(entry):
        order = torch.arange(ROWS - 1, -1, -1)
        require_same(fused(top, [block[order] for block in blocks]), fused(top, blocks)[order], "reversed", ROUNDING)


def rows_alone(entry: Entry) -> None:
    """One row alone gives what it gives within a batch."""
    for top, blocks in cases(entry):
        alone = torch.cat([fused(top, [block[row : row + 1] for block in blocks]) for row in range(3)])
        require_same(alone, fused(top, blocks)[:3], "one row at a time", ROUNDING)


def steady(entry: Entry) -> None:
    """In evaluation the same blocks give the same result twice, and change no statistic and no random state."""
    for top, blocks in cases(entry):
        state = copy.deepcopy(top.state_dict())
        with quiet("a pass"):
            once, again = fused(top, blocks), fused(top, blocks)
        require(torch.equal(once, again), "the second pass differs")
        moved = [name for name, value in top.state_dict().items() if not torch.equal(value, state[name])]
        require(not moved, f"a pass changed {', '.join(moved)}")


def blocks_stay(entry: Entry) -> None:
    """The blocks are never changed in place."""
    for top, blocks in cases(entry):
        before = [block.clone() for block in blocks]
        with torch.no_grad():
            top.body(blocks)
        require(all(torch.equal(old, new) for old, new in zip(before, blocks, strict=True)), "a block was changed")


def gradients(entry: Entry) -> None:
    """Finite gradients reach every block and parameter; with one source, or one that selects, at least one block."""
    for top, blocks in cases(entry, 1, 3):
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
        bodies = [new_crown(entry, several(entry), entry.settings({}), seed).body for seed in (0, 0, 1)]
    first, again, other = (body.state_dict() for body in bodies)
    require(all(torch.equal(first[name], again[name]) for name in first), "the same seed gave another start")
    # What is fitted in closed form lies in buffers and is not drawn.
    begun = {name: value for name, value in bodies[0].named_parameters() if value.numel() > 1}
    drawn = [name for name, value in begun.items() if bool((value != value.flatten()[0]).any())]
    require(not drawn or any(not torch.equal(first[name], other[name]) for name in drawn), "two seeds gave one start")


def state_is_whole(entry: Entry) -> None:
    """All that was drawn or learned is in the state dict: loaded into another start, it gives the same result."""
    for top, blocks in cases(entry):
        other = new_crown(entry, several(entry), top.settings, seed=1)
        other.load_state_dict(top.state_dict())
        require_same(fused(other, blocks), fused(top, blocks), "loaded into another start", ROUNDING)


def flat_blocks(entry: Entry) -> None:
    """Blocks of zeros and constant blocks survive: outputs and gradients stay finite."""
    for value in (0.0, 2.5):
        for top, blocks in cases(entry):
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
        if not hasattr(new_crown(entry, several(entry), settings).body, "fit"):
            return
        blocks, order = new_blocks(entry, several(entry)), torch.arange(ROWS - 1, -1, -1)
        tops = [new_crown(entry, several(entry), settings) for _ in range(2)]
        with quiet("fitting"):
            tops[0].settle(blocks, TARGETS)
            tops[1].settle([block[order] for block in blocks], TARGETS[order])
        require_same(fused(tops[1], blocks), fused(tops[0], blocks), "fitted to the rows reversed", ROUNDING)
        start = new_crown(entry, several(entry), settings)
        for (name, fitted), (_, before) in zip(tops[0].named_parameters(), start.named_parameters(), strict=True):
            require(torch.equal(fitted, before), f"fitting changed the trained parameter '{name}'")


def shares_on_simplex(entry: Entry) -> None:
    """Shares, if the body reports them, are [N, K], not negative, and sum to one in each row."""
    for top, blocks in cases(entry, 1, 3):
        if hasattr(top.body, "shares"):
            with torch.no_grad():
                shares = top.body.shares(blocks)  # pyright: ignore[reportCallIssue]
            require(tuple(shares.shape) == (ROWS, len(blocks)), f"shape {tuple(shares.shape)}")
            require(bool((shares >= 0).all()), f"the smallest is {float(shares.min()):.3g}")
            require_same(shares.sum(dim=1), torch.ones(ROWS), "sums of rows", 1e-5)


def source_order(entry: Entry) -> None:
    """The order of sources of equal width changes nothing."""
    count = several(entry)
    blocks = new_blocks(entry, count, alike=True)
    taken = [(one["of"], one["at"]) for one in entry.reads if one.get("use", "block") == "block"]
    each = not taken or (len(taken) == 1 and taken[0][0] == "each" and taken[0][1] in ("cut", "entry", "features"))
    require(each and len(blocks) >= len(WIDTHS), "it does not take one block of each source")
    blocks = blocks[: len(WIDTHS)]
    top = stirred(new_crown(entry, count, entry.settings({}), alike=True))
    for order in ((2, 1, 0), (1, 2, 0)):
        require_same(fused(top, [blocks[index] for index in order]), fused(top, blocks), f"order {order}", ROUNDING)


def only_the_head_learns(entry: Entry) -> None:
    """With default settings the body has nothing to train, so training the head is a convex problem."""
    body = new_crown(entry, several(entry), entry.settings({})).body
    learned = [name for name, parameter in body.named_parameters() if parameter.requires_grad]
    require(not learned, f"the body trains {', '.join(learned[:5])}")


def any_grid(entry: Entry) -> None:
    """Maps of other grids than the cards state are fused too, down to 1 x 1: canvases differ in size."""
    for grids in (((9, 9), (5, 5), (2, 2)), ((2, 2), (1, 1), (2, 2)), ((1, 1), (1, 1), (1, 1))):
        for top, _ in cases(entry):
            found = fused(top, new_blocks(entry, several(entry), grids=grids))
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
    members = examples.sources(several(entry), fresh=True)
    for member in members.values():
        member.freeze(None)
    before = {name: copy.deepcopy(member.state_dict()) for name, member in members.items()}
    model = connect(entry, members, None, CLASSES, settings=entry.settings({}))
    canvas = torch.rand(ROWS, 3, examples.SIDE, examples.SIDE, generator=torch.Generator().manual_seed(0))
    model.settle(canvas)
    stirred(model.crown)
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
    return new_crown(entry, several(entry), settings)


def any_grid_of_maps(entry: Entry) -> None:
    """A fuser that reads maps takes any grid, down to 1 x 1."""
    if takes_maps(entry):
        any_grid(entry)


FEATURES = Family((*COMMON, any_grid_of_maps), BY_TRAIT, frozenset(BY_TRAIT), _use, maker="Fuser", given=1)
STRUCTURE = Family(
    (*COMMON, any_grid, reads_maps, sources_stay), BY_TRAIT, frozenset(BY_TRAIT), _use, maker="build", given=1
)
