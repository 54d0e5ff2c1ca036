"""How to get the same choice again; the same as in a run's report."""

from __future__ import annotations

from transfuse.report.sections.reproduce import blocks

__all__ = ["ORDER", "blocks"]

ORDER = 95
