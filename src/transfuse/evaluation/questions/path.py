"""How high is the way between two merged sources? Without it a bad mean would not say whether its ends are to blame."""

from __future__ import annotations

from transfuse.evaluation.case import Case
from transfuse.evaluation.rows import Quantity, Subject, evidence, figures, mean_of_runs
from transfuse.types import Evidence

ORDER = 97
CITATION = (
    "Frankle et al., Linear mode connectivity and the lottery ticket hypothesis, ICML 2020;"
    " Entezari et al., The role of permutation invariance in linear mode connectivity of neural networks, ICLR 2022"
)
SEEN = "path_loss"
SPLIT = "selection"
# By quantity: what the largest loss on the way is measured from.
LINE, ENDS = "barrier_line", "barrier_ends"


def ask(case: Case) -> list[Evidence]:
    """For each merge of two whose way was walked, by view: how far log-loss rises above the line between its ends, and
    above their mean.

    Views are as merged or with BatchNorm's statistics estimated anew, each also at a temperature fitted at every point.
    `provenance` holds the way itself, mean over runs.
    """
    # (arm, view) -> run -> [(share of the second source, loss)]
    ways: dict[tuple[str, str], dict[str, list[tuple[float, float]]]] = {}
    rows_of: dict[str, int] = {}
    for seen in case.observations:
        kind, _, rest = seen.quantity.partition(":")
        if kind == SEEN:
            view, _, share = rest.rpartition(":")
            rows_of[seen.arm] = seen.rows
            ways.setdefault((seen.arm, view), {}).setdefault(seen.run, []).append((float(share), seen.value))
    rows = []
    for (arm, view), runs in sorted(ways.items()):
        curves = {run: sorted(points) for run, points in sorted(runs.items())}
        shares = [share for share, _ in next(iter(curves.values()))]
        losses = {run: [loss for _, loss in points] for run, points in curves.items()}
        mean = [sum(values) / len(losses) for values in zip(*losses.values(), strict=True)]
        about = {"view": view, "shares": figures(shares), "losses": figures(mean)}
        for name, found in (
            (LINE, {run: _above_line(shares, values) for run, values in losses.items()}),
            (ENDS, {run: max(values) - (values[0] + values[-1]) / 2 for run, values in losses.items()}),
        ):
            rows.append(
                evidence(
                    Quantity(name, "nats", "lower"),
                    Subject(arm, None, SPLIT, detail=view.replace(", ", "-").replace(" ", "-")),
                    mean_of_runs(found, rows_of[arm]),
                    about,
                )
            )
    return rows


def _above_line(shares: list[float], losses: list[float]) -> float:
    return max(
        loss - ((1 - share) * losses[0] + share * losses[-1]) for share, loss in zip(shares, losses, strict=True)
    )
