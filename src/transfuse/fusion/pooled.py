"""Sources made of whole arms: pools of members that each answer, and a source that answers for fewer classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.special import logit
from torch import Tensor, nn
from torch.nn import functional

from transfuse import partial
from transfuse.errors import UserError
from transfuse.fusion import kinds_lift, outputs_lift
from transfuse.fusion.made import Made, made_card
from transfuse.kinds import LEAST_PROBABILITY, kind_of
from transfuse.registry import method
from transfuse.source.base import Source
from transfuse.source.door import inputs_of
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
        canvas, entry = inputs_of(batch, self.card.field), method(self.method)

        def ask(member: int, rows: np.ndarray) -> np.ndarray:
            some = canvas if len(rows) == len(canvas) else canvas[torch.from_numpy(rows).to(canvas.device)]
            scores = self.members[member](some).detach().float().cpu().numpy()
            return outputs_lift.probabilities(scores, "logit")

        if outputs_lift.stops_early(entry):
            pooled, _ = outputs_lift.lazily(entry, self.state, (len(self.members), len(canvas)), ask)
        else:
            every = np.arange(len(canvas))
            pooled = outputs_lift.apply(entry, self.state, np.stack([ask(n, every) for n in range(len(self.members))]))
        return {"logits": torch.from_numpy(np.log(np.clip(pooled, LEAST_PROBABILITY, None))).float().to(canvas.device)}

    def _other(self, batch: Tensor | Mapping[str, Any]) -> Tensor:
        """Logits of labels, or a regression's numbers."""
        scores = [member(batch).detach().float().cpu().numpy() for member in self.members]
        answers = np.stack([kinds_lift.answers(score, kind_of(self.kind).scale, self.kind) for score in scores])
        pooled = kinds_lift.apply(method(self.method), self.state, answers, self.kind)
        if self.kind == "multilabel":
            pooled = logit(np.clip(pooled, LEAST_PROBABILITY, 1.0 - LEAST_PROBABILITY))
        return torch.from_numpy(pooled).float()

    def freeze(self, until: str | None = None) -> None:
        """Freeze all members; a pool has nothing else, and no tap but its logits."""
        if until is not None:
            self.card.tap(until)
        for member in self.members:
            member.freeze(None)  # pyright: ignore[reportCallIssue]


class Narrowed(Made):
    """A source as it is, answering for the target's classes only, in their order.

    `columns` says which class each of its own stands for (-1: none), where names alone do not. Where it knows only
    some, `opening` makes its answer one over all classes: log-probabilities (`transfuse.partial`).
    """

    def __init__(
        self,
        source: Source,
        classes: Sequence[str],
        columns: Sequence[int] | None = None,
        opening: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        absent = [] if columns is not None else [name for name in classes if name not in source.card.classes]
        if absent:
            raise UserError(
                f"source '{source.card.name}' does not know these classes",
                where=source.card.spec,
                expected=", ".join(source.card.classes[:20]) or "a source that names its classes",
                got=", ".join(absent[:20]),
            )
        self.source = source
        self.grouping = None if columns is None else [int(column) for column in columns]
        self.opening = None if opening is None else np.asarray(opening, dtype=np.float64)
        self.columns = [source.card.classes.index(name) for name in classes] if columns is None else []
        taps = source.card.taps | {"logits": replace(source.card.tap("logits"), width=len(classes))}
        self.card = replace(source.card, taps=taps, classes=tuple(classes), class_count=len(classes), cuttable=False)

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        given = self.source.blocks(batch, taps)
        return {tap: self._answers(block) if tap == "logits" else block for tap, block in given.items()}

    def _answers(self, logits: Tensor) -> Tensor:
        if self.grouping is None:
            return logits[:, self.columns]
        return aligned(logits, self.grouping, self.card.class_count, self.opening)

    def freeze(self, until: str | None = None) -> None:
        self.source.freeze(until)


def aligned(logits: Tensor, columns: Sequence[int], classes: int, opening: np.ndarray | None) -> Tensor:
    """What `transfuse.partial` makes of own logits [N, own], on tensors: log-probabilities [N, C], differentiable."""
    wide = logits.double()
    places = [[own for own, column in enumerate(columns) if column == number] for number in range(classes)]
    known = [number for number, found in enumerate(places) if found]
    each = torch.stack([wide[:, places[number]].logsumexp(dim=1) for number in known], dim=1)
    log_q = each.log_softmax(dim=1)
    if opening is None:
        return log_q.float()
    least = partial.FLOOR
    size = each.logsumexp(dim=1)
    top, mass = log_q.max(dim=1).values.exp(), (size - wide.logsumexp(dim=1)).exp()
    evidence = torch.stack([*(torch.logit(share, eps=least) for share in (top, mass)), size], dim=1)
    state, width = torch.as_tensor(opening, device=wide.device), partial.EVIDENCE
    centre, scale = state[width + 1 : 2 * width + 1], state[2 * width + 1 :]
    z = ((evidence - centre) * scale) @ state[:width] + state[width]
    elsewhere = functional.logsigmoid(-z) - float(np.log(max(classes - len(known), 1)))
    found = elsewhere[:, None].repeat(1, classes)
    found[:, known] = functional.logsigmoid(z)[:, None] + log_q
    return found.clamp_min(float(np.log(least))).float()


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
