"""Guided augmentation lets a probe of the sources choose which augmentation of features is used, if any.

    choice = argmin over ways w and penalties λ of  mean over folds of ‖ y − R_λ(w(rows of the other folds)) ‖²

R_λ is ridge regression of one-hot classes on all sources' standardised features side by side, with a constant, fitted
to the other folds' rows and as many augmented ones; it is judged on the fold's own rows as they are. Ways: none,
`feature_mixup` and `feature_sampling` with two settings each. What none of them helps stays as it is. At most `MOST`
rows, spread evenly, choose; their folds and draws are the same each time, so nothing is left to chance, and only
training rows are asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from transfuse.errors import UserError
from transfuse.seeds import stream
from transfuse.train.augment import feature_mixup, feature_sampling
from transfuse.train.batches import Batch
from transfuse.train.losses import mixable

CITATION = (
    "Cubuk et al., AutoAugment: learning augmentation strategies from data, CVPR 2019 (choosing by held-out loss);"
    " Lim et al., Fast AutoAugment, NeurIPS 2019"
)
PARAMETERS: Mapping[str, Any] = {}
TRAITS = {"on": "blocks", "kinds": "multiclass", "uses": ["feature_mixup", "feature_sampling"]}
MOST, FOLDS = 512, 4
PENALTIES = (0.01, 0.1, 1.0)
WAYS: tuple[tuple[str, Mapping[str, float]], ...] = (
    ("none", {}),
    ("feature_mixup", {"alpha": 0.4}),
    ("feature_mixup", {"alpha": 2.0}),
    ("feature_sampling", {"share": 0.5, "spread": 0.5}),
    ("feature_sampling", {"share": 0.5, "spread": 1.0}),
)
FILES = {"feature_mixup": feature_mixup, "feature_sampling": feature_sampling}


@dataclass(frozen=True)
class Known:
    """The way that was chosen (an index of `WAYS`), the loss of every way, and what the chosen way surveys."""

    way: int
    losses: tuple[float, ...]
    surveyed: Any


def survey(batch: Batch, classes: int) -> Known:
    """What all training rows say. Raises UserError where rows have no single class each."""
    if batch.targets is None or batch.targets.dim() != 1:
        raise UserError("an augmentation is chosen where every row has one class", got="rows without")
    losses = tuple(_loss(batch, classes, way) for way in range(len(WAYS)))
    best = min(range(len(WAYS)), key=lambda way: (losses[way], way))
    return Known(best, losses, _surveyed(batch, classes, best))


def augment(batch: Batch, rng: np.random.Generator, classes: int, known: Known) -> Batch:
    """The batch in the way that was chosen."""
    return _applied(batch, rng, classes, known.way, known.surveyed)


def _surveyed(batch: Batch, classes: int, way: int) -> Any:
    module = FILES.get(WAYS[way][0])
    return module.survey(batch, classes) if module is not None and hasattr(module, "survey") else None


def _applied(batch: Batch, rng: np.random.Generator, classes: int, way: int, surveyed: Any) -> Batch:
    name, settings = WAYS[way]
    if name == "none":
        return batch
    known = () if surveyed is None else (surveyed,)
    return FILES[name].augment(batch, rng, classes, *known, **settings)


def _loss(batch: Batch, classes: int, way: int) -> float:
    """Out-of-fold squared error of the probe under its best penalty; infinite where the way cannot be."""
    rows = np.arange(len(batch.rows))[:: -(-len(batch.rows) // MOST)]
    rows = stream("guided", "folds").permutation(rows)
    parts = [part for part in np.array_split(rows, FOLDS) if len(part)]
    if len(parts) < 2:
        return 0.0 if WAYS[way][0] == "none" else float("inf")
    sums = torch.zeros(len(PENALTIES), dtype=torch.float64)
    for number, held in enumerate(parts):
        others = _some(batch, np.concatenate([part for place, part in enumerate(parts) if place != number]))
        try:
            made = _applied(others, stream("guided", number), classes, way, _surveyed(others, classes, way))
        except UserError:
            return float("inf")
        given = [_wide(others), _wide(made)], [_shares(others, classes), _shares(made, classes)]
        asked = _some(batch, held)
        sums += probe_error(torch.cat(given[0]), torch.cat(given[1]), _wide(asked), _shares(asked, classes))
    return float(sums.min()) / len(rows)


def probe_error(x: Tensor, y: Tensor, asked: Tensor, wanted: Tensor) -> Tensor:
    """Summed squared error on `asked [m, D]` of ridge regression on rows `x [n, D]`, `y [n, C]`, columns standardised,
    for each penalty (a share of the mean squared length of a row); float64."""
    centre, mean, spread = x.mean(dim=0), y.mean(dim=0), x.std(dim=0, unbiased=False).clamp_min(1e-9)
    apart = (x - centre) / spread
    gram, cross = apart @ apart.T, (asked - centre) / spread @ apart.T
    unit = gram.diagonal().mean().clamp_min(torch.finfo(gram.dtype).tiny)
    eye = torch.eye(len(x), dtype=gram.dtype, device=gram.device)
    found = []
    for penalty in PENALTIES:
        weights = torch.linalg.solve(gram + penalty * unit * eye, y - mean)
        found.append((cross @ weights + mean - wanted).square().sum())
    return torch.stack(found).cpu()


def _some(batch: Batch, places: np.ndarray) -> Batch:
    chosen = torch.from_numpy(places)
    inputs = [block[chosen.to(block.device)] for block in batch.inputs]
    targets = None if batch.targets is None else batch.targets[chosen.to(batch.targets.device)]
    return replace(batch, rows=batch.rows[places], inputs=inputs, targets=targets)


def _wide(batch: Batch) -> Tensor:
    return torch.cat([block.flatten(1) for block in batch.inputs], dim=1).double()


def _shares(batch: Batch, classes: int) -> Tensor:
    assert batch.targets is not None  # noqa: S101 - asked before; for the type checker
    return mixable(batch.targets, classes).double().to(batch.inputs[0].device)
