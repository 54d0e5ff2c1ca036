"""Which plans opened which judged rows; without it the same test could be asked until it says what is wished for.

An opening is a file that is named by the rows and the plan, so two ledgers are united by copying one's files beside the
other's. It holds the plan's ordinal at its first opening and a hash, and stands there twice: a damaged file is mended
from the other, and where both are damaged the name still counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock

from transfuse.jsonio import canonical, digest

SUFFIXES = (".opening.json", ".opening.copy.json")
DAMAGE = (ValueError, OSError, LookupError, TypeError, RecursionError)
Write = Callable[[Path, bytes], None]


def open_rows(folder: Path, fingerprint: str, plan: str, write: Write) -> int:
    """Note that a plan opened these rows; its ordinal at its first opening.

    Running the same plan again is no further opening; another plan, or another margin, is. After a union a new plan
    comes after all that either side had opened.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{fingerprint}.lock"):
        known = _openings(folder, fingerprint)
        most = max([len(known), *(ordinal for ordinal in known.values() if ordinal is not None)])
        ordinal = known.get(plan, most + 1)
        # Of a plan whose ordinal was lost it is only known that it is one of these.
        ordinal = most if ordinal is None else ordinal
        content = canonical(_record(plan, ordinal)).encode()
        for suffix in SUFFIXES:
            path = folder / f"{fingerprint}.{plan}{suffix}"
            if not path.exists() or path.read_bytes() != content:
                write(path, content)
        return ordinal


def _openings(folder: Path, fingerprint: str) -> dict[str, int | None]:
    """Ordinals by plan; None where it cannot be read in either place."""
    found: dict[str, int | None] = dict(_older(folder, fingerprint))
    for suffix in SUFFIXES:
        for path in folder.glob(f"{fingerprint}.*{suffix}"):
            plan = path.name[len(fingerprint) + 1 : -len(suffix)]
            ordinal = _ordinal(path, plan)
            found[plan] = ordinal if found.get(plan) is None else found[plan]
    return found


def _ordinal(path: Path, plan: str) -> int | None:
    try:
        record = json.loads(path.read_bytes())
        ordinal = record["ordinal"]
        return ordinal if type(ordinal) is int and record == _record(plan, ordinal) else None
    except DAMAGE:
        return None


def _record(plan: str, ordinal: int) -> Mapping[str, str | int]:
    return {"plan": plan, "ordinal": ordinal, "check": digest([plan, ordinal])[:16]}


def _older(folder: Path, fingerprint: str) -> dict[str, int]:
    """Openings of a ledger of one file, as it was kept before; a line that cannot be read is one by an unknown plan."""
    path = folder / f"{fingerprint}.jsonl"
    plans: list[str] = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else [], start=1):
        try:
            plans.append(str(json.loads(line)["plan"]))
        except DAMAGE:
            plans.append(f"line {number}")
    return {plan: number for number, plan in enumerate(dict.fromkeys(plans), start=1)}
