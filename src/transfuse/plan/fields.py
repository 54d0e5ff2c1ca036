"""What is asked for, held against what the items are: without it a blur of texts would fail after hours."""

from __future__ import annotations

from collections.abc import Iterable

from transfuse.errors import UserError
from transfuse.fields import IMAGE, TEXT, check_works_on, parts
from transfuse.fields import named as in_words
from transfuse.plan.arms import ArmSpec
from transfuse.plan.compressed import compression
from transfuse.plan.conditions import named
from transfuse.plan.recipe import Recipe
from transfuse.registry import method
from transfuse.texts import BESIDE

# The side of the canvas in bytes where a recipe states none: about 400 words.
TEXT_CANVAS = 2048


def canvas_in_words(field: str, side: int) -> str:
    """How large the canvas is."""
    first, *others = parts(field)
    size = f"{side:,} bytes of a text" if first == TEXT else f"{side} x {side}"
    more = [f"{BESIDE:,} bytes of a text" if part == TEXT else part for part in others]
    return " with ".join([size, *more])


def check_asked(recipe: Recipe, field: str) -> None:
    """Raises UserError for a condition, a recipient or a compressed source that such items do not allow; before any
    source is looked at."""
    if field == IMAGE:
        return
    for name in recipe.judge.conditions:
        for entry in named(name):
            check_works_on(entry, field, f"recipe, judge.conditions.{name}")
    if recipe.recipient is not None:
        raise UserError(f"a recipient takes images, and the data are {in_words(field)}", where="recipe, recipient")
    for name, entry in recipe.sources.items():
        if entry.compress is not None:
            facts = {"method": entry.compress} if isinstance(entry.compress, str) else entry.compress
            how = compression(str(facts.get("method", "")), f"recipe, sources.{name}.compress")
            check_works_on(how, field, f"recipe, sources.{name}.compress")


def check_arms(arms: Iterable[ArmSpec], field: str) -> None:
    """Raises UserError for an arm whose method or training does not work on such items."""
    for arm in arms if field != IMAGE else ():
        if arm.kind not in ("prior", "as_is"):
            check_works_on(method(arm.method), field, f"recipe, candidates.{arm.name}")
        for entry in () if arm.schedule is None else arm.schedule.entries:
            # What frozen members gave are numbers, whatever the items were.
            if arm.regime != "frozen" or entry.shelf == "train/augment":
                check_works_on(entry, field, f"{arm.name}, train")
