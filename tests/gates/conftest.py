"""Prints the table of the gates when all have run, whichever worker ran them; `--gates-page FILE` keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gates.grid import Row
from gates.table import in_order, lines, page


def pytest_addoption(parser: Any) -> None:
    parser.addoption("--gates-page", help="write the table of the gates to this file, as docs keep it")


def pytest_terminal_summary(terminalreporter: Any, config: Any) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    rows = [value for report in reports for name, value in report.user_properties if name == "gate"]
    known = in_order([Row(**row) for row in rows])
    if known:
        terminalreporter.section("gates")
        for line in lines(known):
            terminalreporter.write_line(line)
    if config.getoption("--gates-page"):
        Path(config.getoption("--gates-page")).write_text(page(known), encoding="utf-8")
