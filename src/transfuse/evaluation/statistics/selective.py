"""What an arm's confidence is worth: without it a model that knows when it errs looks like one that does not.

Answers are accepted from the most confident on; the risk at a coverage is the error among those accepted. Items of
equal confidence are accepted in every order alike, so their losses count as their mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from transfuse.errors import UserError

NEIGHBOURS = 0.05


@dataclass(frozen=True)
class Ranking:
    """Losses of N items from the most to the least confident: `order` and `tied` (number of the tie) of each rank,
    `losses` and `tie_losses` there, and `risks [N]` at every coverage 1/N … 1."""

    order: np.ndarray
    tied: np.ndarray
    losses: np.ndarray
    tie_losses: np.ndarray
    risks: np.ndarray

    def over_ties(self, values: np.ndarray) -> np.ndarray:
        """The mean over its tie at every rank. [N] -> [N]."""
        return (np.bincount(self.tied, weights=values) / np.bincount(self.tied))[self.tied]

    def by_item(self, values: np.ndarray) -> np.ndarray:
        """Values by rank, put back in the items' order. [N] -> [N]."""
        found = np.empty(len(values))
        found[self.order] = values
        return found


def rank(confidence: np.ndarray, losses: np.ndarray) -> Ranking:
    """Order items by confidence, highest first. [N], [N]."""
    if confidence.shape != losses.shape or confidence.ndim != 1 or not len(losses):
        raise UserError("confidence and losses must be one number an item", got=f"{confidence.shape}, {losses.shape}")
    order = np.argsort(-confidence, kind="stable")
    sure = confidence[order]
    tied = np.concatenate([[0], np.cumsum(sure[1:] != sure[:-1])])
    ordered = losses[order].astype(np.float64)
    tie_losses = (np.bincount(tied, weights=ordered) / np.bincount(tied))[tied]
    return Ranking(order, tied, ordered, tie_losses, np.cumsum(tie_losses) / np.arange(1, len(ordered) + 1))


def area(ranking: Ranking) -> np.ndarray:
    """Item values [N] whose mean is the area under the risk–coverage curve, AURC = mean over n of risk(n / N).

    Each is AURC's influence of that item: R(rank) + Σ_{n ≥ rank} (loss − R(n)) / n, averaged over the item's tie, so
    that their spread gives the standard error. Geifman, El-Yaniv, 2017.
    """
    count = np.arange(1, len(ranking.risks) + 1)
    share = np.cumsum((1.0 / count)[::-1])[::-1]
    later = np.cumsum((ranking.risks / count)[::-1])[::-1]
    fixed, weight = ranking.over_ties(ranking.risks - later), ranking.over_ties(share)
    return ranking.by_item(fixed + weight * ranking.losses)


def excess_area(ranking: Ranking) -> np.ndarray:
    """Item values [N] whose mean is E-AURC: AURC less that of a confidence that puts all errors last.

    The best curve of e errors has the area Σ_{n > N − e} (n − N + e) / (n N), whose slope in the error share r is
    −log(1 − r). For losses of 0 and 1. Geifman, Uziel, El-Yaniv, 2019.
    """
    total, losses = len(ranking.losses), ranking.losses
    errors = round(float(losses.sum()))
    count = np.arange(total - errors + 1, total + 1)
    best = float(((count - total + errors) / count).sum()) / total
    share = errors / total
    slope = -np.log(1.0 - share) if share < 1.0 else 0.0
    return area(ranking) - ranking.by_item(best + slope * (losses - share))


def risk_at(ranking: Ranking, coverage: float) -> np.ndarray:
    """Item values [N] whose mean is the risk at a coverage: the error of the ⌈coverage · N⌉ most confident items.

    Each is m + accepted (loss − m) / c, with m the error of items near the threshold (5 % of the ranks on either side):
    an item that enters pushes such a one out.
    """
    if not 0.0 < coverage <= 1.0:
        raise UserError("a coverage lies above 0 and up to 1", got=str(coverage))
    total = len(ranking.risks)
    kept = min(total, int(np.ceil(coverage * total - 1e-9)))
    reach = max(1, round(NEIGHBOURS * total))
    near = float(ranking.tie_losses[max(0, kept - reach) : kept + reach].mean())
    accepted = ranking.over_ties((np.arange(total) < kept).astype(np.float64))
    return ranking.by_item(near + accepted * (ranking.losses - near) * total / kept)


def curve(ranking: Ranking, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and risk at so many evenly spaced coverages, at most N of them. [P], [P]."""
    total = len(ranking.risks)
    places = np.unique(np.ceil(np.arange(1, points + 1) * total / points).astype(int))
    return places / total, ranking.risks[places - 1]
