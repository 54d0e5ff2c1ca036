"""Sources that are compressed before anything is made of them; without it pruned-then-fused would need files by hand.

`sources: {half: {spec: SPEC, compress: {method: prune, ratio: 0.5}}}`: what is fused, trained and judged under that
name is the compressed network. Nobody has seen the data yet, so only methods that need no rows are allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from transfuse.plan.compressed import compression
from transfuse.registry import method
from transfuse.types import Card


def asked(given: Any, where: str) -> dict[str, Any]:
    """The record of a source's compression, {} where there is none: method, settings and the method file's digest.

    Raises UserError for a method that nobody knows, and for settings that it refuses.
    """
    if given is None:
        return {}
    facts = {"method": given} if isinstance(given, str) else dict(given)
    how = compression(str(facts.pop("method", "")), where)
    return {"method": how.full_name, "settings": how.settings(facts, where=where), "digest": how.digest}


def pressed(card: Card, record: Mapping[str, Any], side: int, root: Path, module: Any) -> Card:
    """The card of the compressed source; its taps keep their names, their widths are measured."""
    if not record:
        return card
    from transfuse.compress import Rows
    from transfuse.compress._lift import compressed
    from transfuse.source.open import open_source

    whole = open_source(card, root=root, module=module)
    made = compressed(method(record["method"]), whole, Rows(side), record["settings"]).model
    settings = ", ".join(f"{name} {value}" for name, value in record["settings"].items() if value != "")
    note = f"compressed before it is fused: {record['method']}, {settings or 'without settings'}"
    return replace(made.card, name=card.name, compressed={**record, "side": side}, notes=(*card.notes, note))
