"""How much choosing flatters: without it the best of many equal candidates would look better than each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.integrate import quad
from scipy.special import log_ndtr

from transfuse import seeds
from transfuse.errors import UserError

RESAMPLES = 2000
BLOCK = 200


def expected_maximum(count: int) -> float:
    """Expected maximum of so many independent standard normals: E = ∫ (1 − Φ(x)^m − Φ(−x)^m) dx over x > 0.

    In standard errors, this is by how much the best of m equal candidates is overrated; correlation lowers it.
    """
    if count < 1:
        raise UserError("a maximum needs at least one candidate", got=str(count))

    def beyond(x: float) -> float:
        return float(-np.expm1(count * log_ndtr(x)) - np.exp(count * log_ndtr(-x)))

    return float(quad(beyond, 0.0, 12.0, epsabs=1e-10, limit=200)[0])


@dataclass(frozen=True)
class Optimism:
    """What choosing by the lowest mean loss flatters.

    `apparent` is the chosen candidate's mean loss on the rows it was chosen on, `corrected` the mean loss of what is
    chosen on resamples, on rows not drawn; `kept` how often the same candidate is chosen; `se` the standard error of
    the chosen one's mean.
    """

    chosen: int
    apparent: float
    corrected: float
    kept: float
    se: float

    @property
    def optimism(self) -> float:
        return self.corrected - self.apparent


def bootstrap_choice(losses: np.ndarray, resamples: int = RESAMPLES) -> Optimism:
    """Repeat the choice on resamples of rows, and score it on the rows left out. Losses [m, n] of m candidates.

    No training is needed: the losses are of rows that the candidates were not trained on (out-of-fold). Ties go to the
    first. Tsamardinos, Greasidou, Borboudakis, Machine Learning, 2018 (BBC-CV).
    """
    values = np.asarray(losses, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2 or not np.isfinite(values).all():
        raise UserError("a choice needs finite losses [candidates, rows]", got=f"shape {list(values.shape)}")
    count, rows = values.shape
    means = values.mean(axis=1)
    chosen = int(np.argmin(means))
    rng, found, same = seeds.stream("evaluate", "choice", count, rows), [], 0
    for start in range(0, resamples, BLOCK):
        picks = rng.integers(0, rows, size=(min(BLOCK, resamples - start), rows))
        drawn = np.stack([np.bincount(each, minlength=rows) for each in picks]).astype(np.float64)
        best = np.argmin(drawn @ values.T, axis=1)
        same += int((best == chosen).sum())
        left = drawn == 0
        # A resample that holds every row has none left to score on; it is as good as never seen.
        some = left.any(axis=1)
        found.append((left * values[best]).sum(axis=1)[some] / left.sum(axis=1)[some])
    corrected = float(np.concatenate(found).mean()) if any(len(each) for each in found) else float(means[chosen])
    se = float(values[chosen].std(ddof=1)) / rows**0.5
    return Optimism(chosen, float(means[chosen]), corrected, same / resamples, se)
