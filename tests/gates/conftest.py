"""Prints the table of the gates of the gates when all have run, whichever worker ran them."""

from __future__ import annotations

from typing import Any

from gates.grid import Row
from gates.table import lines


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    rows = [value for report in reports for name, value in report.user_properties if name == "gate"]
    known = [Row(**row) for row in rows]
    if known:
        terminalreporter.section("gates")
        for line in lines(sorted(known, key=lambda row: (row.group, row.cell))):
            terminalreporter.write_line(line)
