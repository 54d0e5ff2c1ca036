"""Sources made of whole arms: pools of members that each answer, and a source that answers for fewer classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.special import logit
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.fusion import kinds_lift, outputs_lift
from transfuse.fusion.made import Made, made_card
from transfuse.kinds import kind_of
from transfuse.registry import method
from transfuse.source.base import Source
from transfuse.source.door import canvas_of
from transfuse.types import Card, Tap, TaskKind


class Pool(Made):
    """Members that each answer, and an outputs method that pools their probabilities.

    A method that stops early runs a later member only for the rows that still need it. Its logits are log-probabilities
    [N, C] (of labels logits of each, of a regression the numbers); no gradient goes through it. Members must answer for
    the same classes in the same order; raises UserError otherwise.
    """

    def __init__(
        self,
        name: str,
        members: Sequence[Source],
        full_name: str,
        state: Mapping[str, np.ndarray],
        kind: TaskKind = "multiclass",
    ) -> None:
        super().__init__()
        self.kind = kind
        self.members = nn.ModuleList(members)
        self.method = full_name
        self.state = dict(state)
        first = _agreeing(members)
        spec = "pool of " + ", ".join(member.card.name for member in members)
        card = made_card(name, spec, self, members, [Tap("logits", "logits", first.class_count, "")])
        self.card = replace(card, classes=first.classes, differentiable=False)

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        for tap in taps:
            self.card.tap(tap)
        if self.kind != "multiclass":
            return {"logits": self._other(batch)}
        canvas, entry = canvas_of(batch), method(self.method)

        def ask(member: int, rows: np.ndarray) -> np.ndarray:
            some = canvas if len(rows) == len(canvas) else canvas[torch.from_numpy(rows).to(canvas.device)]
            scores = self.members[member](some).detach().float().cpu().numpy()
            return outputs_lift.probabilities(scores, "logit")

        if outputs_lift.stops_early(entry):
            pooled, _ = outputs_lift.lazily(entry, self.state, (len(self.members), len(canvas)), ask)
        else:
            every = np.arange(len(canvas))
            pooled = outputs_lift.apply(entry, self.state, np.stack([ask(n, every) for n in range(len(self.members))]))
        return {"logits": torch.from_numpy(np.log(np.clip(pooled, 1e-15, None))).float().to(canvas.device)}

    def _other(self, batch: Tensor | Mapping[str, Any]) -> Tensor:
        """Logits of labels, or a regression's numbers."""
        scores = [member(batch).detach().float().cpu().numpy() for member in self.members]
        answers = np.stack([kinds_lift.answers(score, kind_of(self.kind).scale, self.kind) for score in scores])
        pooled = kinds_lift.apply(method(self.method), self.state, answers, self.kind)
        if self.kind == "multilabel":
            pooled = logit(np.clip(pooled, 1e-15, 1.0 - 1e-15))
        return torch.from_numpy(pooled).float()

    def freeze(self, until: str | None = None) -> None:
        """Freeze all members; a pool has nothing else, and no tap but its logits."""
        if until is not None:
            self.card.tap(until)
        for member in self.members:
            member.freeze(None)  # pyright: ignore[reportCallIssue]


class Narrowed(Made):
    """A source as it is, answering for the target's classes only, in their order."""

    def __init__(self, source: Source, classes: Sequence[str]) -> None:
        super().__init__()
        if absent := [name for name in classes if name not in source.card.classes]:
            raise UserError(
                f"source '{source.card.name}' does not know these classes",
                where=source.card.spec,
                expected=", ".join(source.card.classes[:20]) or "a source that names its classes",
                got=", ".join(absent[:20]),
            )
        self.source = source
        self.columns = [source.card.classes.index(name) for name in classes]
        taps = source.card.taps | {"logits": replace(source.card.tap("logits"), width=len(classes))}
        self.card = replace(source.card, taps=taps, classes=tuple(classes), class_count=len(classes), cuttable=False)

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        given = self.source.blocks(batch, taps)
        return {tap: block[:, self.columns] if tap == "logits" else block for tap, block in given.items()}

    def freeze(self, until: str | None = None) -> None:
        self.source.freeze(until)


def _agreeing(members: Sequence[Source]) -> Card:
    """The first member's card, once all are known to answer for the same classes."""
    if not members:
        raise UserError("a pool needs at least one member")
    first = members[0].card
    for card in (member.card for member in members[1:]):
        named = bool(card.classes and first.classes)
        if card.class_count != first.class_count or (named and card.classes != first.classes):
            raise UserError(
                "these members do not answer for the same classes in the same order",
                where=f"'{first.name}' and '{card.name}'",
                expected=f"{first.class_count} classes: {', '.join(first.classes[:5])}",
                got=f"{card.class_count} classes: {', '.join(card.classes[:5])}",
            )
    return first
