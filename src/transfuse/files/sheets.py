"""Tables as spreadsheets write them; without it each command would read CSV files in a way of its own.

A file is UTF-8, or UTF-16 with its mark. Columns are parted by commas, else by semicolons or tabs (as spreadsheets do
where the comma stands in numbers), whichever gives every line as many cells as the header has.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from transfuse.errors import UserError

SEPARATORS = (",", ";", "\t")
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
ARCHIVE = b"PK\x03\x04"
NUMBER = re.compile(r"[+-]?(\d+(,\d*)?|,\d+)(e[+-]?\d+)?", re.IGNORECASE)
# Thousands as 1,234 look like this too.
GROUPED = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


def read_sheet(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a table in a file, as text; blank lines are left out.

    Where a semicolon or a tab parts columns, a column of numbers with decimal commas is given with points: `0,5` as
    `0.5`. One whose commas may as well group thousands (`1,234` everywhere) is left as it is. Raises `UserError` for an
    absent file, for what is no text, for column names that are missing or stand twice, for a file without rows, and for
    rows of another length.
    """
    where = str(path)
    if not path.is_file():
        raise UserError("file not found", where=where)
    separator, lines = _parted(text_in(path), where)
    if len(lines) < 2:
        raise UserError("there are no data rows", where=where, expected="a header and at least one row")
    header, rows = [name.strip() for name in lines[0]], lines[1:]
    if "" in header:
        raise UserError(
            f"column {header.index('') + 1} has no name",
            where=where,
            got=", ".join(header)[:200],
            hint="a column of row numbers is left out with to_csv(..., index=False) in pandas, row.names=FALSE in R",
        )
    if len(set(header)) != len(header):
        raise UserError("the CSV names a column twice", where=where, got=", ".join(header)[:200])
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            got = f"{len(row)} in data row {number}"
            raise UserError("CSV rows differ in length", where=where, expected=f"{len(header)} cells", got=got)
    return header, rows if separator == "," else _pointed(rows)


def text_in(path: Path) -> str:
    """A text file's text. Raises: `UserError` for what is neither UTF-8 nor UTF-16, and for archives."""
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith(UTF_16) else "utf-8-sig"
    try:
        text = content.decode(encoding)
        # A cell may hold the odd NUL, as mails do; names of columns never do: that is UTF-16 without its mark.
        if "\0" not in text.partition("\n")[0] and not content.startswith(ARCHIVE):
            return text
        got = "a workbook or another archive" if content.startswith(ARCHIVE) else "bytes that are no text"
    except UnicodeDecodeError as error:
        got = str(error)
    hint = "a spreadsheet saves it so as 'CSV UTF-8'"
    raise UserError("this is no CSV file in UTF-8", where=str(path), got=got, hint=hint)


def _parted(text: str, where: str) -> tuple[str, list[list[str]]]:
    """The separator and the lines' cells; commas where no separator fits, so that the message tells what is wrong."""
    found: dict[str, list[list[str]]] = {}
    damage = ""
    for separator in SEPARATORS:
        try:
            # Without translation of line ends: a cell may hold one.
            stream = io.StringIO(text, newline="")
            lines = [line for line in csv.reader(stream, strict=True, delimiter=separator) if line]
        except csv.Error as error:
            damage = damage or str(error)
            continue
        if len(lines[0] if lines else ()) > 1 and len({len(line) for line in lines}) == 1:
            return separator, lines
        found[separator] = lines
    if "," not in found:
        raise UserError("this CSV file is damaged", where=where, got=damage[:200])
    # A header that commas do not part was not meant for commas.
    parts = [separator for separator, lines in found.items() if len(lines[0] if lines else ()) > 1]
    chosen = parts[0] if parts else ","
    return chosen, found[chosen]


def _pointed(rows: Sequence[list[str]]) -> list[list[str]]:
    """The rows, with points in the columns of numbers that have decimal commas."""
    columns = [list(cells) for cells in zip(*rows, strict=True)]
    for place, cells in enumerate(columns):
        stated = [cell.strip() for cell in cells if cell.strip()]
        marked = [cell for cell in stated if "," in cell]
        if marked and all(map(NUMBER.fullmatch, stated)) and not all(map(GROUPED.fullmatch, marked)):
            columns[place] = [cell.replace(",", ".") for cell in cells]
    return [list(row) for row in zip(*columns, strict=True)]
