"""What nobody looked at before choosing; the same list as in a run's report."""

from __future__ import annotations

from transfuse.report.sections.not_measured import blocks

__all__ = ["ORDER", "blocks"]

ORDER = 90
