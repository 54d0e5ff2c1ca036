"""The straight way between two networks' weights: without it a bad merge would not say whether the ends are to blame.

At each of 25 points the weights are (1 - a) first + a second, as they are and with BatchNorm's statistics estimated
anew; the loss is taken at temperature 1 and at a temperature fitted anew there, since averaging changes confidence.

    barrier (Entezari et al., ICLR 2022)    max over a of  loss(a) - [(1 - a) loss(0) + a loss(1)]
    barrier (Frankle et al., ICML 2020)     max over a of  loss(a)  -  [loss(0) + loss(1)] / 2

Both are at least 0 for the first, and may be negative for the second where the ends differ. A diagnosis, made on rows
apart: nothing is chosen by it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from transfuse.errors import UserError
from transfuse.fusion.repair import batch_norms, re_estimate

POINTS = 25
BATCH = 256
Fit = Callable[[np.ndarray, np.ndarray], float]
Read = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Path:
    """`shares [P]` of the second network; by view (`as merged`, `estimated anew`, each also `, tempered`) the losses of
    every item [P, N] and accuracies [P]."""

    shares: np.ndarray
    losses: dict[str, np.ndarray]
    accuracies: dict[str, np.ndarray]

    def barriers(self) -> dict[str, float]:
        """Both barriers of the mean loss and of the error, by view and definition."""
        found = {}
        for view, items in self.losses.items():
            found[f"{view}: loss, Entezari"] = entezari(self.shares, items.mean(axis=1))
            found[f"{view}: loss, Frankle"] = frankle(items.mean(axis=1))
        for view, right in self.accuracies.items():
            found[f"{view}: error, Entezari"] = entezari(self.shares, 1.0 - right)
            found[f"{view}: error, Frankle"] = frankle(1.0 - right)
        return found


def entezari(shares: np.ndarray, values: np.ndarray) -> float:
    """How far a curve [P] rises above the line between its ends."""
    return float((values - ((1.0 - shares) * values[0] + shares * values[-1])).max())


def frankle(values: np.ndarray) -> float:
    """How far a curve [P] rises above the mean of its ends."""
    return float(values.max() - (values[0] + values[-1]) / 2.0)


def walk(
    network: nn.Module,
    first: nn.Module,
    second: nn.Module,
    held: tuple[Tensor, np.ndarray],
    images: Sequence[Tensor],
    *,
    fit_temperature: Fit,
    points: int = POINTS,
    read: Read | None = None,
) -> Path:
    """The path from `first` to `second`, put into `network` point by point (it holds the second end afterwards).

    `held` are inputs and classes that losses are taken on, `images` what statistics are estimated from, `read` gives
    the logits of inputs where the network's own output is not that. Raises UserError for fewer than two points, and
    where the two do not have the same tensors.
    """
    ends = first.state_dict(), second.state_dict()
    if points < 2 or {n: v.shape for n, v in ends[0].items()} != {n: v.shape for n, v in ends[1].items()}:
        raise UserError(
            "there is no straight way between these", expected="two networks of one shape, 2 points or more"
        )
    shares = np.linspace(0.0, 1.0, points)
    views = ["as merged", *(["estimated anew"] if batch_norms(network) else [])]
    losses: dict[str, list[np.ndarray]] = {f"{view}{heat}": [] for view in views for heat in ("", ", tempered")}
    accuracies: dict[str, list[float]] = {view: [] for view in views}
    for share in shares:
        network.load_state_dict({name: _between(value, ends[1][name], float(share)) for name, value in ends[0].items()})
        for view in views:
            if view == "estimated anew":
                re_estimate(network, images)
            scores = _scores(network, held[0], read or network)
            losses[view].append(_losses(scores, held[1]))
            losses[f"{view}, tempered"].append(_losses(scores / fit_temperature(scores, held[1]), held[1]))
            accuracies[view].append(float((scores.argmax(axis=1) == held[1]).mean()))
    return Path(
        shares,
        {view: np.stack(found) for view, found in losses.items()},
        {view: np.array(found) for view, found in accuracies.items()},
    )


def _between(first: Tensor, second: Tensor, share: float) -> Tensor:
    """A tensor on the way; of integers the larger."""
    if not first.is_floating_point():
        return torch.maximum(first, second)
    return ((1.0 - share) * first.double() + share * second.double()).to(first.dtype)


def _scores(network: nn.Module, inputs: Tensor, read: Read) -> np.ndarray:
    network.eval()
    with torch.no_grad():
        return np.concatenate([read(part).float().cpu().numpy() for part in inputs.split(BATCH)])


def _losses(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    wide = scores.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]
