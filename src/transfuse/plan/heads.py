"""Which of the target's classes a source's own head answers for; without it only heads of the same names would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from transfuse.errors import UserError
from transfuse.files.mappings import read_mapping
from transfuse.kinds import KINDS
from transfuse.labels import Alignment, align, joined, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from transfuse.plan.recipe import Recipe, SourceEntry
    from transfuse.types import Card, TaskKind

# A single class of one name may be chance; who means it says so by `classes`.
FEWEST_BY_NAME = 2


def with_mappings(recipe: Recipe, root: Path) -> Recipe:
    """The recipe with its mapping files read, so that a plan rests on what they say and not on where they lie."""
    if not any(isinstance(entry.classes, str) for entry in recipe.sources.values()):
        return recipe
    sources = {
        name: entry.model_copy(update={"classes": read_mapping(root / entry.classes)})
        if isinstance(entry.classes, str)
        else entry
        for name, entry in recipe.sources.items()
    }
    return recipe.model_copy(update={"sources": sources})


def alignment(name: str, card: Card, entry: SourceEntry, classes: Sequence[str]) -> Alignment:
    """A source's own classes against the target's. Raises `UserError` for a mapping that does not fit."""
    where = f"recipe, sources.{name}.classes"
    if isinstance(entry.classes, str):
        raise UserError("this mapping of classes was not read", where=where)
    return align(card.classes, classes, entry.classes, width=card.class_count, where=where)


def columns_of(
    name: str, card: Card, entry: SourceEntry, classes: Sequence[str], kind: TaskKind
) -> tuple[tuple[int, ...] | None, str]:
    """Which class each own column stands for (empty: all by name), or None and why the head answers nothing here."""
    if kind == "regression":
        return None, "a head that was made for classes gives no numbers"
    found = alignment(name, card, entry, classes)
    if found.whole and entry.classes is None:
        return (), ""
    what = KINDS[kind].columns
    if kind != "multiclass":
        return None, f"the source's own head does not name all of the target's {what}"
    least = FEWEST_BY_NAME if entry.classes is None else 1
    if sum(found.known) < least:
        return None, f"the source's own head does not name the target's {what}"
    return found.columns, ""


def merged_columns(
    of: Sequence[str], cards: Mapping[str, Card], recipe: Recipe, classes: Sequence[str], where: str
) -> tuple[int, ...]:
    """The columns of a head that several sources were merged into: each stands for what any of them says."""
    found = [alignment(name, cards[name], recipe.sources[name], classes) for name in of]
    together = joined(found, where=where)
    if not any(together.known):
        what = "only sources whose own head names classes of the target can be merged as they are"
        raise refusal(together, what, where=where)
    plain = together.whole and all(recipe.sources[name].classes is None for name in of)
    return () if plain else together.columns


def unanswered(name: str, card: Card, entry: SourceEntry, classes: Sequence[str], where: str) -> UserError:
    """Why there is no arm `as_is/SOURCE`, with the names that do not match."""
    what = f"the own head of '{name}' does not name the target's classes, so it cannot answer as it is"
    return refusal(alignment(name, card, entry, classes), what, where=where)
