"""What a candidate may say beside its method's own settings; without it a word could be read and mean nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.errors import UserError
from transfuse.plan.merges import KEYS
from transfuse.registry import Entry

NETWORK = ("fuse", "of", "train", "taps", "cut", "into", "start")
WORDS = {
    "fusion/features": NETWORK,
    "fusion/structure": NETWORK,
    "fusion/weights": ("fuse", "of", "train", "then", *KEYS),
    "fusion/outputs": ("fuse", "of"),
}
RESERVED = tuple(dict.fromkeys(word for words in WORDS.values() for word in words))


def settings_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What of a candidate's facts belongs to its method."""
    return {key: value for key, value in facts.items() if key not in RESERVED}


def check_words(how: Entry, facts: Mapping[str, Any], where: str) -> None:
    """Refuse words that mean something elsewhere and would change nothing here."""
    idle = [word for word in RESERVED if word in facts and word not in WORDS[how.shelf]]
    if not idle:
        return
    what = {
        "fusion/weights": "reads its sources whole and connects nothing",
        "fusion/outputs": "pools answers: it trains, cuts and merges nothing",
    }.get(how.shelf, "merges no weights")
    hint = "`then` belongs to methods of weights/" if "then" in idle else None
    raise UserError(f"{how.full_name} {what}", where=where, got=", ".join(idle), hint=hint)
