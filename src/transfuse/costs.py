"""What a method may state of its own cost, as a literal that forecasts read: each file would spell its own without it.

Of a pool: {"microseconds": a number, "times": [parameters], "pairs": a number}, see `registry.Entry.fit_seconds`. Of
`compress`: see `COMPRESSING` and `registry.Entry.compressing`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from transfuse.errors import UserError, unknown_name

# What a file of `compress` may state of its cost: CPU seconds, these for each tap of the members, forward passes and
# those with a backward one over the rows it is shown, and how many times its member's time the result takes.
COMPRESS, COMPRESSING = "compress", ("seconds", "tap_seconds", "passes", "backward", "pace")


def stated(shelf: str, facts: Mapping[str, Any], parameters: Collection[str], path: Path) -> Mapping[str, Any]:
    """The literal `COST` of a shelf file, as it stands. Raises UserError where it is none."""
    expected = "{'microseconds': a number, 'times': [names of parameters], 'pairs': a number}"
    sound = {"microseconds", "times"} <= set(facts) <= {"microseconds", "times", "pairs"}
    if shelf == COMPRESS:
        expected = f"{{{', '.join(COMPRESSING)}: numbers, 'where': [[parameter, value, other numbers]]}}"
        sound = set(facts) <= {*COMPRESSING, "where"}
    if facts and not sound:
        raise UserError("COST is not declared as it should be", where=str(path), expected=expected, got=repr(facts))
    for name in (*facts.get("times", ()), *(name for name, *_ in facts.get("where", ()))):
        if name not in parameters:
            raise unknown_name("parameter in COST", name, parameters, where=str(path))
    return facts
