"""The cheapest next step when nothing is shown: without it "not shown" leaves the reader with nothing to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from transfuse.figures import roughly

MOST_RUNS = 50
# So many times the rows are no advice: the difference seen is as good as at the margin.
TOO_MANY = 20


@dataclass(frozen=True)
class Step:
    """What to do next, how much of it, and in words; `flops` is what it costs to train, where that is known."""

    kind: Literal["runs", "items", "neither"]
    more: int
    sentence: str
    flops: float | None = None


def cheapest(
    items: int,
    runs: int,
    settling_items: int | None,
    settling_runs: int | None,
    flops_per_run: float | None,
    groups: int | None = None,
) -> Step:
    """The cheaper way to settle an open comparison, from how many items or runs in all would do it (None: never).

    A run costs compute, a row costs a person's work. So runs come first where no more than 50 in all would do; then
    rows; then runs in any number. Where items come in so many groups, more rows of the same groups tell little.
    """
    few = groups is not None and 2 * groups < items
    now = f"now {items:,}" + (f" in {groups:,} groups; new ones, as large, are what counts" if few else "")
    more_items = max(settling_items - items, 1) if settling_items is not None else None
    more_runs = max(settling_runs - runs, 1) if settling_runs is not None else None
    beside = f" Labelling about {roughly(more_items):,} more rows to judge would do as well." if more_items else ""
    if more_runs is not None and (runs + more_runs <= MOST_RUNS or more_items is None):
        total = None if flops_per_run is None else flops_per_run * more_runs
        price = f", {total:.2g} FLOPs" if total is not None else ""
        seeds = "seed" if more_runs == 1 else "seeds"
        text = f"Train {more_runs:,} more {seeds} of both arms (now {runs}{price}): if the difference stays as it is,"
        return Step("runs", more_runs, f"{text} that settles it.{beside}", total)
    if more_items is not None:
        if settling_items is not None and settling_items > TOO_MANY * items:
            text = (
                f"About {roughly(more_items):,} more rows to judge ({now}), so close does the difference lie to what"
                " counts: choose by cost."
            )
            return Step("items", more_items, text)
        text = f"Label about {roughly(more_items):,} more rows to judge ({now}): if the difference stays as it is,"
        seeds = " More seeds alone would not, or would cost more." if runs > 1 else ""
        return Step("items", more_items, f"{text} that settles it.{seeds}")
    return Step("neither", 0, "Neither more rows nor more seeds alone would: choose by cost.")
