"""Runs the gates only where asked, and prints their table of the gates when all have run, whichever worker ran them."""

from __future__ import annotations

from typing import Any

from gates.grid import Row
from gates.table import lines


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """The gates run only where they are asked for (`-m gates`): they take minutes."""
    if "gates" in (config.getoption("markexpr") or ""):
        return
    asked = [item for item in items if item.get_closest_marker("gates") is not None]
    if asked:
        config.hook.pytest_deselected(items=asked)
        items[:] = [item for item in items if item not in asked]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    rows = [value for report in reports for name, value in report.user_properties if name == "gate"]
    known = [Row(**row) for row in rows]
    if known:
        terminalreporter.section("gates")
        for line in lines(sorted(known, key=lambda row: (row.group, row.cell))):
            terminalreporter.write_line(line)
