"""Without this file, a source could be halved only at its logits; here any stretch of it runs on its own.

A section goes from one tap (or the canvas) to a later one. It is allowed where exactly one value crosses its beginning.
Networks whose code follows a fixed graph are divided by tracing. Others run by hooks: the block is put in the place of
what the network computes there, modules that were done before are skipped, and the pass ends at the last tap. What
crosses is then found by trying: with other values in the skipped modules the result must stay the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn

from transfuse.errors import UserError, first_line
from transfuse.source.base import HeldModule, Source
from transfuse.source.door import block_of, raw_of
from transfuse.source.hooked import by_hooks
from transfuse.source.taps import main_tensor, still
from transfuse.source.trace import Traced, stretch, trace
from transfuse.types import Tap

CANVAS = "canvas"
# Largest difference of a section from the whole, as a share of the largest number: more is another function.
TOLERANCE = 1e-4
LARGEST_LOOK = 96


class Section(HeldModule):
    """A stretch of a source, sharing its parameters: a block (or the canvas) in, a block out."""

    def __init__(self, source: Source, begin: Tap | None, end: Tap, part: nn.Module) -> None:
        super().__init__()
        self.preparation = source.preparation if begin is None else None
        self.begin, self.end = begin, end
        self.label = f"{source.card.name}.{CANVAS if begin is None else begin.name} → {source.card.name}.{end.name}"
        self.part = part

    def forward(self, block: Tensor) -> Tensor:
        """The block at the section's end; the block given is never changed."""
        if self.begin is None:
            raw = self.preparation(block)  # pyright: ignore[reportOptionalCall]
        else:
            raw = raw_of(self.begin, block)
            raw = raw.clone() if self.begin.volatile else raw
        try:
            found = main_tensor(self.part(raw))
        except (RuntimeError, AssertionError, IndexError, ValueError) as error:
            raise UserError(
                "this part of a source does not take such a block",
                where=self.label,
                expected="the grid the source has there" if self.begin is None else shape_text(self.begin),
                got=f"{list(block.shape)}: {first_line(error, 160)}",
            ) from error
        if found is None:
            raise UserError("this part of a source gives no single tensor", where=self.label)
        return block_of(self.end, found)

    def loose(self) -> list[nn.Parameter]:
        """Parameters that the part uses without calling the module they belong to (scales, position embeddings)."""
        if not isinstance(self.part, fx.GraphModule):
            return []
        named = dict(self.part.named_parameters())
        targets = [str(node.target) for node in self.part.graph.nodes if node.op == "get_attr"]
        return [named[target] for target in targets if target in named]


def shape_text(tap: Tap) -> str:
    """A tap's block as people write it: [N, 128, 12, 12], [N, 197, 192], [N, 512]."""
    sizes = [*tap.size, tap.width] if tap.kind == "tokens" else [tap.width, *tap.size]
    return f"[{', '.join(['N', *map(str, sizes)])}]"


def graph_of(source: Source) -> Traced | None:
    """The source's graph; None where its code follows none."""
    if not source.card.cuttable or not hasattr(source, "network"):
        return None
    return trace(source.network, where=source.where)


def section(source: Source, begin: str | None, end: str, *, traced: Traced | None = None) -> Section:
    """The source from tap `begin` (None: from the canvas) to tap `end`.

    `traced` is its graph, where it is known already. Raises UserError naming the crossing values where more than one
    crosses, for a beginning that is an average or no part of what leads to the end, and where the section does not
    compute what the whole does.
    """
    first, last = None if begin is None else source.card.tap(begin), source.card.tap(end)
    if first is not None and (first.pooled or first.kind == "logits"):
        hint = "begin at 'map'" if "map" in source.card.taps else None
        raise UserError(f"nothing leads on from '{begin}': it is an average or the end", where=source.where, hint=hint)
    if not hasattr(source, "network"):
        source.cut(end)  # what is made of several sources refuses, and says so
    traced = traced or graph_of(source)
    if traced is not None:
        part: nn.Module = stretch(traced, first, last, where=source.where)
    else:
        part = by_hooks(source.network, source.prepared(look(source)), first, last, where=source.where)
    made = Section(source, first, last, part)
    made.train(source.training)
    _require_equal(source, made)
    return made


def look(source: Source) -> Tensor:
    """Two different images, small where the network takes any size."""
    side = min(source.card.prepare.size, LARGEST_LOOK) if source.card.flexible else source.card.prepare.size
    ramp = torch.linspace(0, 1, 3 * side * side, device=source.preparation.here.device)  # pyright: ignore
    return torch.stack([ramp, ramp.flip(0)]).reshape(2, 3, side, side)


def _require_equal(source: Source, made: Section) -> None:
    """A statement that changes a value without naming it is lost in a graph; the numbers would tell."""
    images = look(source)
    taps = [made.end.name] if made.begin is None else [made.begin.name, made.end.name]
    with still(source), still(made), torch.no_grad():
        blocks = source.blocks(images, taps)
        again = made(images if made.begin is None else blocks[made.begin.name])
    whole = blocks[made.end.name]
    if not (whole - again).abs().max() <= TOLERANCE * whole.abs().max().clamp_min(1e-6):
        raise UserError("this part does not compute what the whole does there", where=made.label)
