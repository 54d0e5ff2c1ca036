"""Many runs in one table; without it a reader would open one report after the other to find the run that is meant.

Runs that were judged on the same items have the same letter in front: only their levels may be compared, and what one
of them shows against another needs both predictions (`transfuse evaluate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transfuse.report.claimed import deciding
from transfuse.report.numbers import spell
from transfuse.report.view import View
from transfuse.report.words import STATUS
from transfuse.types import Evidence, Undefined

COLUMNS = ("", "RUN", "SHIPS", "DOES FUSING PAY?", "OF WHAT SHIPS", "JUDGED", "OPENING")


def rows(runs: Mapping[str, View | str]) -> list[dict[str, Any]]:
    """A record a run, in the order given: what it ships, its deciding claim, the level of what ships.

    A text in place of a view says why there is nothing to tell; it stands as `problem`.
    """
    letters: dict[str, str] = {}
    found = []
    for name, view in runs.items():
        if isinstance(view, str):
            found.append({"run": name, "problem": view})
            continue
        fingerprint = view.ledger.get("fingerprint")
        if fingerprint is not None:
            letters.setdefault(str(fingerprint), _letter(len(letters)))
        claim, level = deciding(view), view.level(view.judged_as, view.metric)
        found.append(
            {
                "run": name,
                "title": view.setup.get("title"),
                "items": letters.get(str(fingerprint)),
                "ships": view.recommendation.arm,
                "form": view.recommendation.form,
                "claim": None
                if claim is None
                else {"arm": claim.arm, "versus": claim.versus, "quantity": claim.quantity, "status": claim.status},
                "level": None if level is None else level.record(),
                "flags": [flag.flag for flag in view.flags],
                "judged": view.data.get("judged"),
                "opening": view.ledger.get("ordinal"),
            }
        )
    return found


def table(runs: Mapping[str, View | str]) -> str:
    """The same for a terminal, one line a run; flags are counted behind the claim."""
    lines: list[Sequence[str]] = [COLUMNS]
    told = []
    for row, view in zip(rows(runs), runs.values(), strict=True):
        if isinstance(view, str):
            told.append(f"{row['run']}: {view}")
            continue
        claim = row["claim"]
        said = "–" if claim is None else f"{STATUS[claim['status']]}: {claim['arm']} against {claim['versus']}"
        flags = f" ({len(row['flags'])} flag{'s' if len(row['flags']) > 1 else ''})" if row["flags"] else ""
        lines.append(
            (
                row["items"] or "",
                row["run"],
                row["ships"] if row["form"] in row["ships"] else f"{row['ships']} ({row['form']})",
                said + flags,
                _level(view.level(view.judged_as, view.metric)),
                str(row["judged"] or "–"),
                str(row["opening"] or "–"),
            )
        )
    widths = [max(len(line[place]) for line in lines) for place in range(len(COLUMNS))]
    drawn = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join((drawn if len(drawn) > 1 else []) + told)


def _level(row: Evidence | None) -> str:
    return "–" if row is None or isinstance(row.value, Undefined) else f"{row.quantity} {spell(row)}"


def _letter(place: int) -> str:
    """A, B, … Z, AA, AB, …"""
    place, rest = divmod(place, 26)
    return (_letter(place - 1) if place else "") + chr(ord("A") + rest)
