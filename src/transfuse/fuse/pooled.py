"""Sources made of whole arms: pools of members that each answer, and a source that answers for fewer classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from transfuse.fuse import outputs_lift
from transfuse.registry import method
from transfuse.source.base import Source
from transfuse.types import Card, Prepare, Tap


class Pool(Source):
    """Members that each answer, and an outputs method that pools their probabilities.

    Its logits are log-probabilities [N, C]; no gradient goes through it.
    """

    def __init__(self, name: str, members: Sequence[Source], full_name: str, state: Mapping[str, np.ndarray]) -> None:
        nn.Module.__init__(self)
        self.members = nn.ModuleList(members)
        self.method = full_name
        self.state = dict(state)
        first = members[0].card
        taps = {"logits": Tap("logits", "logits", first.class_count, "")}
        prepare = Prepare(size=first.prepare.size, mean=(0.0,) * 3, std=(1.0,) * 3)
        self.card = Card(
            name=name,
            spec="pool of " + ", ".join(member.card.name for member in members),
            origin="transfuse",
            sha256="",
            prepare=prepare,
            taps=taps,
            class_count=first.class_count,
            classes=first.classes,
            cuttable=False,
            differentiable=False,
        )

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        for tap in taps:
            self.card.tap(tap)
        scores = [member(batch).detach().float().cpu().numpy() for member in self.members]
        pooled = outputs_lift.apply(
            method(self.method), self.state, np.stack([outputs_lift.probabilities(score, "logit") for score in scores])
        )
        return {"logits": torch.from_numpy(np.log(np.clip(pooled, 1e-15, None))).float()}

    def freeze(self, until: str | None = None) -> None:
        for member in self.members:
            member.freeze(None)  # pyright: ignore[reportCallIssue]


class Narrowed(Source):
    """A source as it is, answering for the target's classes only, in their order."""

    def __init__(self, source: Source, classes: Sequence[str]) -> None:
        nn.Module.__init__(self)
        self.source = source
        self.columns = [source.card.classes.index(name) for name in classes]
        self.card = replace(source.card, classes=tuple(classes), class_count=len(classes))

    def blocks(self, batch: Tensor | Mapping[str, Any], taps: Sequence[str]) -> dict[str, Tensor]:
        given = self.source.blocks(batch, taps)
        return {tap: block[:, self.columns] if tap == "logits" else block for tap, block in given.items()}

    def freeze(self, until: str | None = None) -> None:
        self.source.freeze(until)
