"""How certain a network's data makes each weight: the diagonal of the Fisher information.

    F = E_x E_{y ~ p(y|x)} (d log p(y|x) / d weight)^2        one array a parameter, of its shape

The classes are drawn from the network's own answers, so no labels are needed and the expectation is the true one, not
the empirical Fisher. `draws` classes are drawn for each image. In evaluation mode; the network is not changed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

CITATION = "Matena and Raffel, Merging models with Fisher-weighted averaging, NeurIPS 2022"
PARAMETERS = {"draws": {"type": "int", "default": 1, "low": 1, "high": 1000, "doc": "classes drawn for each image"}}


def collect(
    network: nn.Module, batches: Iterable[Tensor], rng: np.random.Generator, draws: int = 1
) -> dict[str, np.ndarray]:
    """{parameter: [*S] float64} from batches [N, ...] that the network takes as they are."""
    from transfuse.source.taps import still

    weights = {name: entry.detach().clone().requires_grad_() for name, entry in network.named_parameters()}
    total = {name: torch.zeros_like(entry, dtype=torch.float64) for name, entry in weights.items()}
    count = 0
    with still(network), torch.enable_grad():
        for batch in batches:
            for image in batch:
                logits = torch.func.functional_call(network, weights, (image[None],))
                answers = torch.log_softmax(logits[0].float(), dim=0)
                chances = answers.detach().double().exp().cpu().numpy()
                for answer in rng.choice(len(chances), size=draws, p=chances / chances.sum()):
                    slopes = torch.autograd.grad(
                        answers[int(answer)], list(weights.values()), retain_graph=True, allow_unused=True
                    )
                    for name, slope in zip(total, slopes, strict=True):
                        if slope is not None:
                            total[name] += slope.double().square()
                    count += 1
    return {name: (sums / max(count, 1)).cpu().numpy() for name, sums in total.items()}
