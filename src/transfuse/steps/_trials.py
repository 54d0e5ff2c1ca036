"""Trials of a search kept in the store, one by one; without it an interrupted study would begin anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from transfuse.jsonio import digest
from transfuse.registry import shelf
from transfuse.seeds import stream
from transfuse.steps import Context
from transfuse.store import Store

SEARCH = "search"


@dataclass(frozen=True)
class Trials:
    """The trials of one step, by the step's key, their number, and what was tried."""

    store: Store
    key: str

    @classmethod
    def of(cls, context: Context) -> Trials:
        return cls(context.store, context.key)

    def recall(self, number: int, values: Mapping[str, float]) -> dict[str, Any] | None:
        """What is known of a trial; nothing where it was never made, or the step has no key."""
        found = self.store.get(self._key(number, values)) if self.key else None
        return None if found is None else dict(found.meta)

    def keep(self, number: int, values: Mapping[str, float], facts: Mapping[str, Any]) -> None:
        if self.key:
            self.store.put(self._key(number, values), dict(facts))

    def _key(self, number: int, values: Mapping[str, float]) -> str:
        return digest(["trial", self.key, number, sorted(values.items())])


def chooser(seed: int, name: str = SEARCH) -> Callable[..., dict[str, float]]:
    """A chooser of the shelf with its own random stream: `(space, score, budget, first) -> values`."""
    module = shelf("choosers")[name].load()
    return lambda space, score, budget, first: module.choose(
        space, score, budget, stream(seed, "choose", name), first=first
    )
