"""The sources' cards and the canvas they share: each card is made once, by the content of its files, and kept.

With these in the store nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from transfuse import __version__
from transfuse.data.extra import Extra, extras
from transfuse.data.items import Items
from transfuse.data.open import Settings, columns, field_of, open_data, settings
from transfuse.errors import UserError, unknown_name
from transfuse.events import Emit
from transfuse.fields import COLUMNS, IMAGE, TEXT, check_field, main, named
from transfuse.jsonio import digest, plain
from transfuse.plan.fields import TEXT_CANVAS
from transfuse.plan.recipe import Recipe
from transfuse.run.pressed import asked, pressed
from transfuse.source.open import CARD_REVISION, identity, make_card
from transfuse.source.spec import stated_field
from transfuse.store import Store
from transfuse.types import Card

AUTO_CANVAS, SMALLEST_AUTO_CANVAS, LOOKED_AT = 224, 8, 16


def checked_extras(wanted: Settings, root: Path, field: str) -> tuple[Extra, ...]:
    """The further sets of items. Raises UserError for one that holds items of another field."""
    found = extras(wanted.extra, wanted.read)
    for extra in found:
        if (there := field_of(extra.read, root)) != field:
            got = f"{named(there)}, and the data are {named(field)}"
            raise UserError("a further set holds other items", where=f"data.extra, '{extra.name}'", got=got)
    return found


def cards_of(
    recipe: Recipe, side: int, root: Path, store: Store, modules: Mapping[str, Any], emit: Emit, field: str
) -> tuple[dict[str, str], dict[str, Card]]:
    """Keys and cards of all sources, by name; those of columns are told what the data's columns hold."""
    schema, _ = columns(recipe.data, root)
    entries = {name: _told(name, entry, schema) for name, entry in recipe.entries.items()}
    found = {
        name: _card(name, entry, side, root, store, modules.get(name), emit, field) for name, entry in entries.items()
    }
    return {name: key for name, (key, _) in found.items()}, {name: card for name, (_, card) in found.items()}


def _told(name: str, entry: Any, schema: Mapping[str, Any]) -> Any:
    """A source of columns with what the data's columns hold, unless it states that itself; any other as it is."""
    if not of_columns(entry) or not schema:
        return entry
    for column in entry.prepare or {}:
        if column not in schema:
            raise unknown_name("column", column, schema, where=f"source '{name}', prepare")
    return entry.model_copy(update={"prepare": {**schema, **(entry.prepare or {})}})


def of_columns(entry: Any) -> bool:
    """Whether a source reads columns of the data's own table."""
    return isinstance(entry.spec, str) and stated_field(entry.spec) == COLUMNS


def _card(
    name: str, entry: Any, side: int, root: Path, store: Store, module: Any, emit: Emit, field: str
) -> tuple[str, Card]:
    """A source's card by the content of its files; its name is not part of what it is keyed by."""
    seen = entry.seen if isinstance(entry.seen, str) else "listed"
    if module is not None:
        from transfuse.source.behaviour import behaviour

        known_by: Any = behaviour(module)
    elif isinstance(entry.spec, str):
        known_by = identity(entry.spec, root)
    else:
        raise UserError(
            "a source is a spec such as torchvision:resnet18", where=f"source '{name}'", got=repr(entry.spec)
        )
    press = asked(entry.compress, f"source '{name}', compress")
    key = digest(
        ["card", __version__, CARD_REVISION, known_by, side, plain(entry.prepare), seen, *([press] if press else [])]
    )
    known = store.get(key)
    if known is not None:
        card = replace(Card.from_record(known.meta), name=name)
        check_field(name, card.field, card.spec, field)
        return key, card
    emit("step_started", step=f"card {name}", kind="card", key=key)
    card = make_card(
        name, entry.spec if module is None else module, root=root, canvas=side, prepare=entry.prepare, seen=seen,
        field=field,
    )  # fmt: skip
    card = pressed(card, press, side, root, module)
    store.put(key, card.record())
    emit("step_done", step=f"card {name}", kind="card", key=key)
    return key, card


def auto_canvas(
    recipe: Recipe, root: Path, store: Store, modules: Mapping[str, Any], items: Items, emit: Emit, field: str
) -> int:
    """The largest size any source was trained at, up to 224 pixels; where none states one, the images' own side."""
    if main(field) == TEXT:
        return TEXT_CANVAS
    looking = {name: entry for name, entry in recipe.sources.items() if not of_columns(entry)}
    found = [
        _card(name, entry, AUTO_CANVAS, root, store, None, emit, field)[1]
        for name, entry in looking.items()
        if name not in modules
    ]
    sizes = [card.prepare.size for card in found if card.field == IMAGE]
    sizes += [entry.prepare["size"] for entry in looking.values() if entry.prepare and "size" in entry.prepare]
    if not sizes:
        data = open_data(settings(recipe.data).read, root, items=items)
        sizes = [min(data.raw(row).shape[:2]) for row in range(min(len(items), LOOKED_AT))]
    return min(max([*sizes, SMALLEST_AUTO_CANVAS]), AUTO_CANVAS)
