"""What an arm is attacked through: itself, or where no gradient comes through it, what it was made of; without this
file a pool, an int8 network or a foreign one would look strong because nothing pushes against it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from transfuse.errors import UserError
from transfuse.steps import Context

if TYPE_CHECKING:
    from torch import Tensor

    from transfuse.source.base import Source

    Forward = Callable[[Tensor], Tensor]

LEAST = 1e-12


def attacked(
    key: str, model: Source, context: Context, some: Tensor, *, gradient: bool
) -> tuple[Callable[[Tensor], Tensor], str]:
    """What an attack on the arm of this key asks and climbs, and in words what it climbs.

    `some` canvases [n, 3, S, S] tell whether the arm answers by chance; then both are means over its draws.
    Raises: `UserError` where a gradient is asked for and none comes through.
    """
    from transfuse.conditions._ways import DRAWS, Expected, Guided, by_chance

    asked = forward_of(model)
    climbed, words = way(key, model, context) if gradient else (asked, "itself")
    if climbed is None:
        raise UserError(f"no gradient: none comes through '{model.card.name}' nor what it is made of")
    own = words == "itself"
    if by_chance(asked, some):
        asked, climbed = Expected(asked), climbed if own else Expected(climbed)
        words += f", averaged over {DRAWS} draws of its randomness"
    return (asked if own else Guided(asked, climbed)), words


def way(key: str, model: Source, context: Context) -> tuple[Forward | None, str]:
    """What lets a gradient through that is nearest to an arm, and in words; nothing where there is none.

    Itself; of a pool the mean of its members' probabilities, as far as these have a way; of a compressed arm what it
    was made of; of a fusion with a source that lends none, itself through its other sources.
    """
    from transfuse.fusion.pooled import Pool
    from transfuse.steps import _model

    if model.card.differentiable:
        return forward_of(model), "itself"
    fit = context.store.need(key)
    keys = fit.meta["made_of"]["keys"]
    if fit.meta["kind"] == "compress":
        member = _model.opened(keys["member0"], context, "uncompressed").to(next(iter(model.buffers())).device)
        found, words = way(keys["member0"], member, context)
        return found, f"what it was compressed from ({words})"
    if isinstance(model, Pool):
        found = [way(keys[f"member{place}"], member, context)[0] for place, member in enumerate(model.members)]  # pyright: ignore[reportArgumentType]
        through = [member for member in found if member is not None]
        lost = f" ({len(through)} of {len(found)})" if len(through) < len(found) else ""
        words = f"the mean of its members' probabilities{lost}, since no gradient comes through its pooling"
        return (mean_of(through) if through else None), words
    members = members_of(model)
    seeing = [name for name, member in members.items() if member.card.differentiable]
    blind = [name for name in members if name not in seeing]
    words = f"itself through {', '.join(seeing)} only, since no gradient comes through {', '.join(blind)}"
    return (forward_of(model) if seeing else None), words


def members_of(model: Source) -> dict[str, Source]:
    """The members of a fused network by name; none of any other source."""
    from transfuse.fusion.fused import Fused

    if not isinstance(model, Fused):
        return {}
    return dict(zip(model.names, model.members.values(), strict=True))  # pyright: ignore[reportReturnType]


def forward_of(model: Source) -> Callable[[Tensor], Tensor]:
    """Canvases on any device to logits there."""

    def forward(x: Tensor) -> Tensor:
        placed = next((part.device for part in (*model.parameters(), *model.buffers())), x.device)
        return model.blocks(x.to(placed), ("logits",))["logits"].to(x.device)

    return forward


def mean_of(members: list[Forward]) -> Forward:
    """log of the mean probabilities [n, C] of several."""

    def mean(x: Tensor) -> Tensor:
        import torch

        return torch.stack([torch.softmax(member(x), dim=1) for member in members]).mean(0).clamp_min(LEAST).log()

    return mean
