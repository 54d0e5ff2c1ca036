"""Source-free adaptation learns from labels alone, then holds the classifier still and moves all below it on the
unlabelled items only: what must be adapted where rows of the first place may not be kept.

    p = softmax f(x) of the pool's rows,  p̄ their mean,  z the fused features
    loss = mean H(p) − H(p̄) + pull · cross-entropy(f(x), ŷ)
    ŷ = the class whose centre is nearest to z by cosine; centres are first Σ p z / Σ p, then means of z by ŷ, anew at
    the start of every round

Sure answers, but of many classes. Before the first round every statistic is taken from the pool, as batch statistics
would be, and nothing is dropped. The epoch before is chosen, as always, on held labelled rows: no label of the other
place is asked for. An adaptation whose answers fall to fewer than `least` of the classes answered before (by the
exponential of H(p̄)) is given up, and so is one that meets what is no number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from transfuse.seeds import stream
from transfuse.train import objectives
from transfuse.train.adamw import AdamW
from transfuse.train.averaging import renew
from transfuse.train.batches import POOL, TRAIN, Batch
from transfuse.train.learner import Learner

CITATION = "Liang, Hu, Feng, Do we really need to access the source data? Source hypothesis transfer, ICML 2020"
PARAMETERS: Mapping[str, Any] = {
    "rounds": {"type": "int", "default": 15, "low": 1, "high": 1000, "doc": "times through the unlabelled rows"},
    "rate": {"type": "float", "default": 1e-3, "low": 1e-7, "high": 1.0, "doc": "learning rate on these"},
    "pull": {"type": "float", "default": 0.3, "low": 0.0, "high": 100.0, "doc": "weight of the nearest centre's class"},
    "least": {"type": "float", "default": 0.5, "low": 0.0, "high": 1.0, "doc": "share of the classes that must stay"},
}
TRAITS = {"complete": True, "kinds": "multiclass"}
NEEDS = ("pool",)
TINY = 1e-8


class Objective(objectives.Objective):
    """`{"labels": task loss}`; the pool is heard at the end, and then alone."""

    listens = False

    def __init__(self, about: objectives.About, *, rounds: int, rate: float, pull: float, least: float) -> None:
        super().__init__(about)
        self.rounds, self.rate, self.pull, self.least = rounds, rate, pull, least

    def forward(self, learner: Learner, batches: objectives.Batches) -> dict[str, Tensor]:
        batch = batches[TRAIN]
        return {"labels": self.about.loss(learner(batch.inputs), batch)}

    def finish(self, learner: Learner, streams: Mapping[str, Iterable[Batch]]) -> int:
        """Adapts, and says how many rows it learned from. Raises `DivergedError` where the adaptation is given up, and
        where nothing below the classifier learns."""
        model: Any = learner.module
        crown = getattr(model, "crown", model)
        still = {id(each) for each in crown.head.parameters()}
        moving = [each for each in model.parameters() if each.requires_grad and id(each) not in still]
        if not moving:
            raise objectives.DivergedError(
                "source-free adaptation moves what lies below the classifier, and nothing there learns: give the fusion"
                " a projection (project: 64), or train in full"
            )
        batches = list(streams[POOL])
        before = _answered(learner, batches)
        _settled(learner, batches)
        optimiser = AdamW([{"params": moving, "lr": self.rate}], weight_decay=0.0)
        rows = 0
        for number in range(self.rounds):
            labels = nearest(*_looked(learner, batches))
            for place in stream("shot", "order", number).permutation(len(batches)):
                loss = self._loss(learner(batches[place].inputs).float(), labels[place])
                if not bool(loss.isfinite()):
                    raise objectives.DivergedError("the loss of adapting to the unlabelled rows became no number", rows)
                for each in model.parameters():
                    each.grad = None
                loss.backward()
                optimiser.step(1.0)
                rows += len(batches[place].rows)
        after = _answered(learner, batches)
        if not after >= self.least * before:
            raise objectives.DivergedError(
                "adapting to the unlabelled rows was given up: its answers fell to"
                f" {after:.1f} classes of {before:.1f}",
                rows,
            )
        return rows

    def _loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        return information(scores) + self.pull * functional.cross_entropy(scores, labels)


def information(scores: Tensor) -> Tensor:
    """Mean entropy of the answers less the entropy of their mean, in nats, of scores [n, C]."""
    shares = scores.softmax(dim=1)
    sure = -(shares * scores.log_softmax(dim=1)).sum(dim=1).mean()
    return sure - entropy(shares.mean(dim=0))


def entropy(shares: Tensor) -> Tensor:
    """−Σ p log p of shares [C]."""
    return -(shares * (shares + TINY).log()).sum()


def nearest(fused: list[Tensor], shares: list[Tensor]) -> list[Tensor]:
    """The class of the nearest centre for every row, batch by batch, from features [n, D] and shares [n, C]."""
    features = torch.cat(fused)
    # A constant column lets the classifier's offset count, as in the paper.
    features = functional.normalize(torch.cat([features, torch.ones_like(features[:, :1])], dim=1), dim=1)
    weights = torch.cat(shares)
    near = weights.argmax(dim=1)
    answered = torch.bincount(near, minlength=weights.shape[1]) > 0
    for _ in range(2):
        centres = functional.normalize(weights.T @ features / (weights.sum(dim=0)[:, None] + TINY), dim=1)
        near = (features @ centres.T).masked_fill(~answered, float("-inf")).argmax(dim=1)
        weights = functional.one_hot(near, weights.shape[1]).to(features)
    return list(near.split([len(each) for each in fused]))


def _looked(learner: Learner, batches: list[Batch]) -> tuple[list[Tensor], list[Tensor]]:
    """Fused features and class shares of every batch."""
    with torch.no_grad():
        parts = [learner.parts(batch.inputs) for batch in batches]
    return [part.fused.float() for part in parts], [part.logits.float().softmax(dim=1) for part in parts]


def _answered(learner: Learner, batches: list[Batch]) -> float:
    """How many classes the answers are spread over: e to the entropy of their mean."""
    learner.module.eval()
    return float(entropy(torch.cat(_looked(learner, batches)[1]).mean(dim=0)).exp())


def _settled(learner: Learner, batches: list[Batch]) -> None:
    """Statistics of every norm and joint from the pool; the network stays in evaluation mode."""
    # A joint standardises what the norms below it give, and feeds the norms above it.
    renew(learner.module, lambda: _through(learner, batches))
    with torch.no_grad():
        learner.restandardise([batch.inputs for batch in batches])
    renew(learner.module, lambda: _through(learner, batches))
    learner.module.eval()


def _through(learner: Learner, batches: list[Batch]) -> None:
    for batch in batches:
        learner(batch.inputs)
