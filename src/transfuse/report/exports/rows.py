"""Every row of evidence as CSV, for a spreadsheet or a data frame; `undefined` rows keep their reason."""

from __future__ import annotations

import csv
import io
from typing import Any

from transfuse.report.view import View
from transfuse.types import Undefined

TRAITS = {"suffix": ".csv"}
COLUMNS = (
    "id", "arm", "versus", "quantity", "split", "condition", "value", "undefined", "low", "high", "level", "p",
    "adjusted", "n", "seeds", "unit", "direction", "pairing", "method", "reproducible",
)  # fmt: skip


def render(view: View) -> str:
    """One line a row, in the order of the record; measurements follow."""
    out = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in (*view.evidence, *view.measurements):
        fields: dict[str, Any] = {name: _cell(getattr(row, name)) for name in COLUMNS if name != "undefined"}
        if isinstance(row.value, Undefined):
            fields |= {"value": None, "undefined": _cell(row.value.reason)}
        writer.writerow(fields)
    return out.getvalue()


def _cell(value: Any) -> Any:
    """A value as it is, and text that a spreadsheet would take for a formula behind an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value
