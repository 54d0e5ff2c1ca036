"""The trackers shelf: who is told of finished runs; nothing a tracker does changes the run or its folder.

A file offers `check()`, which raises UserError where it cannot be used here at all (a package is missing), before any
work; and `send(finished, address)`, which tells the service and returns where the run can be seen. Whatever `send`
raises becomes a sentence: the run is whole without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

SHELF = "run/trackers"
FILES = ("report.html", "report.md", "evidence.json", "measurements.json", "recipe.lock.yaml", "journal.jsonl")


@dataclass(frozen=True)
class Finished:
    """A run that has ended: its folder, its name, and what stands in `evidence.json`; `curves` are the points of each
    fit's training, by step: {"epoch", "train", "held"}."""

    folder: Path
    name: str
    evidence: Mapping[str, Any]
    curves: Mapping[str, Sequence[Mapping[str, float]]]

    @property
    def plan(self) -> str:
        """What tells this plan from others."""
        return str(self.evidence["ledger"].get("plan", ""))

    @property
    def title(self) -> str:
        return str(self.evidence["setup"]["title"] or "transfuse")

    @property
    def recommended(self) -> Mapping[str, Any]:
        return self.evidence["verdict"]["recommendation"]

    def values(self, arm: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The evidence of one arm by a name that is its own: quantity, against whom, split where it is not the test,
        condition where it is not clean. Rows of one name (of several branches, say) are numbered from the second on."""
        seen: dict[str, int] = {}
        for row in self.evidence["evidence"]:
            if row["arm"] != arm:
                continue
            parts = [row["quantity"], *([f"versus {row['versus']}"] if row["versus"] else [])]
            parts += [row["split"]] if row["split"] != "test" else []
            parts += [row["condition"]] if row["condition"] != "clean" else []
            name = "/".join(str(part) for part in parts)
            seen[name] = seen.get(name, 0) + 1
            yield (name if seen[name] == 1 else f"{name}/{seen[name]}"), row

    def files(self) -> list[Path]:
        """What a colleague opens, and what a program reads; models stay in the folder."""
        return [self.folder / name for name in FILES if (self.folder / name).is_file()]


class TrackerFile(Protocol):
    """What a file of this shelf offers."""

    def check(self) -> None: ...

    def send(self, finished: Finished, address: str | None) -> str: ...
