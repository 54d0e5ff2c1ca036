"""What a recipe says of its search; without it `candidates: auto` would decide by itself how much is trained."""

from __future__ import annotations

from importlib.util import find_spec

from pydantic import Field, StrictInt, field_validator

from transfuse.errors import missing_extra
from transfuse.plan.task import Strict
from transfuse.schedules import RATE, SPACE, space_problem


class Search(Strict):
    """So many `finalists` of `candidates: auto` are trained.

    `trials` above 0 are how many settings every trained arm tries in place of its rates, in `space` ({name: [lowest,
    highest]}); merges that search for their weights try as many.
    """

    finalists: StrictInt = Field(default=4, ge=1, le=50)
    trials: StrictInt = Field(default=0, ge=0, le=1000)
    space: dict[str, tuple[float, float]] = {name: SPACE[name] for name in (RATE, "weight_decay")}

    @field_validator("space")
    @classmethod
    def _space(cls, space: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
        problems = [text for name, (low, high) in space.items() if (text := space_problem(name, low, high))]
        if problems or not space:
            raise ValueError("; ".join(problems) or "there is nothing to search for")
        return space


def check_search(search: Search) -> None:
    """Refuse a search for settings before any work where what searches is not installed."""
    if search.trials and find_spec("optuna") is None:
        raise missing_extra("optuna", "tune", "a search for settings (search.trials)")
