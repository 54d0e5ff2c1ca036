"""How to get the same numbers again; without it the report could only be believed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transfuse.report.blocks import Block, Code, Column, Heading, Row, Span, Table, Text
from transfuse.report.view import View
from transfuse.report.words import ELSEWHERE

ORDER = 95
SETTINGS = ("version", "device", "precision", "threads")


def _finding(setup: Mapping[str, Any]) -> str:
    if not setup.get("command"):
        return "What the numbers depend on."
    return f"{setup['command']} gives the same evidence, byte for byte."


def blocks(view: View) -> list[Block]:
    """The command, the recipe, and the versions and hashes that fix the result."""
    setup = view.setup
    found: list[Block] = [Heading("How to reproduce", "reproduce", "Reproduce", _finding(setup), folded=True)]
    if setup.get("command"):
        found.append(Code(str(setup["command"]), "The command"))
    if setup.get("recipe"):
        found.append(Code(str(setup["recipe"]).rstrip("\n"), "The recipe"))
    facts = [(name.capitalize(), str(setup[name])) for name in SETTINGS if setup.get(name) is not None]
    facts += [("Data fingerprint", str(view.data["fingerprint"]))] if view.data.get("fingerprint") else []
    facts += [
        (f"SHA-256 of {source.get('name', '')}", str(source["sha256"]))
        for source in setup.get("sources") or ()
        if source.get("sha256")
    ]
    if facts:
        rows = tuple(Row((Span(name), Span(value))) for name, value in facts)
        found.append(Table("What the numbers depend on", (Column("Item"), Column("Value")), rows))
    return [*found, Text((_said(view),))]


def _said(view: View) -> str:
    """What gives the same numbers again. Predictions that were handed in stay where they are."""
    if not view.setup:
        return "The record does not tell how it was made."
    if view.protocol == ELSEWHERE:
        return (
            "The same predictions and labels give the same evidence, byte for byte. They are not kept beside this "
            "report: keep the files, and every statistic can be computed again."
        )
    return (
        "The same command on the same machine gives the same evidence, byte for byte, unless a time limit cut the run "
        "short. Per-item predictions lie beside this report, so every statistic can be computed again without a model."
    )
