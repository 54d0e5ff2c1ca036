"""Without this, each source made of other sources would say anew what they can do together, and what they cannot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.fields import COLUMNS, joint_field
from transfuse.source.base import Source
from transfuse.source.door import inputs_of
from transfuse.source.weights import StateReader
from transfuse.types import Card, Prepare, Tap


class Made(Source):
    """A source made of others. Subclasses give its `blocks` and `freeze`; each member prepares its own images."""

    def __init__(self) -> None:
        nn.Module.__init__(self)

    def prepared(self, batch: Tensor | Mapping[str, Any]) -> Tensor:
        """The canvas as it is."""
        return inputs_of(batch, self.card.field)

    def leading_to(self, tap: str) -> dict[str, nn.Module]:
        """Every module: which of them a tap needs is known to the members only."""
        self.card.tap(tap)
        return dict(self.named_modules())

    def cut(self, tap: str) -> NoReturn:
        """Refused: cut its members instead."""
        self.card.tap(tap)
        raise UserError(
            "what is made of several sources cannot be cut", where=self.where, hint="cut one of its members"
        )

    def weights(self) -> StateReader:
        """All tensors of all members and of what is new, by name."""
        return StateReader(self.state_dict(), self.where)


def made_card(name: str, spec: str, made: Made, members: Sequence[Source], taps: Sequence[Tap]) -> Card:
    """The card of a source made of `members`: it can do what all of them can. Its classes are for the maker to say."""
    cards = [member.card for member in members]
    logits = next(tap for tap in taps if tap.name == "logits")
    return Card(
        name=name,
        spec=spec,
        origin="transfuse",
        sha256="",
        prepare=Prepare(size=max(card.prepare.size for card in cards), mean=(0.0,) * 3, std=(1.0,) * 3),
        taps={tap.name: tap for tap in taps},
        class_count=logits.width,
        parameters=sum(parameter.numel() for parameter in made.parameters()),
        licence=", ".join(sorted({card.licence for card in cards})),
        field=joint_field(cards),
        flexible=all(card.flexible for card in cards),
        random=any(card.random for card in cards),
        trainable=all(card.trainable or card.field == COLUMNS for card in cards),
        differentiable=all(card.differentiable for card in cards),
        cuttable=False,
        has_weights=all(card.has_weights for card in cards),
    )
