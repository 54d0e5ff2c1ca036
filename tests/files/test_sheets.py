"""A table means the same whichever spreadsheet wrote it, and what has no clear meaning is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfuse.errors import UserError
from transfuse.files.sheets import read_sheet

PLAIN = 'item,note,p\na,"x, y",0.5\nb,,1\n'
HEADER, ROWS = ["item", "note", "p"], [["a", "x, y", "0.5"], ["b", "", "1"]]


def sheet(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "sheet.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace("\n", "\r\n"),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        "item;note;p\na;x, y;0.5\nb;;1\n",
        "item;note;p\na;x, y;0,5\nb;;1\n",
        "item\tnote\tp\na\tx, y\t0,5\nb\t\t1\n",
        "item\tnote\tp\na\tx, y\t0,5\nb\t\t1\n".encode("utf-16"),
    ],
)
def test_one_table_in_the_ways_of_spreadsheets(tmp_path: Path, content: str | bytes) -> None:
    assert read_sheet(sheet(tmp_path, content)) == (HEADER, ROWS)


def test_commas_part_columns_wherever_they_can(tmp_path: Path) -> None:
    assert read_sheet(sheet(tmp_path, "a;b,c\n1;2,3\n")) == (["a;b", "c"], [["1;2", "3"]])
    assert read_sheet(sheet(tmp_path, 'a,b\n"0,5",1\n'))[1] == [["0,5", "1"]]


@pytest.mark.parametrize("cells", [["1,234", "12,000"], ["0,5", "x"], ["0,5", "0.5"], ["1,2,3", "4"]])
def test_commas_that_may_mean_something_else_stay(tmp_path: Path, cells: list[str]) -> None:
    path = sheet(tmp_path, "a;b\n" + "".join(f"{cell};1\n" for cell in cells))
    assert [row[0] for row in read_sheet(path)[1]] == cells


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no data rows"),
        ("a,b\n", "no data rows"),
        (",item,p\n0,a,1\n", r"column 1 has no name(.|\n)*index=False"),
        ("a,a\n1,2\n", "names a column twice"),
        ("a;b;c\n1;2\n", r"differ in length(.|\n)*3 cells(.|\n)*2 in data row 1"),
        ("a,b\n1,2\n1\n", "1 in data row 2"),
        ('a,b\n"1,2\n', "is damaged"),
        (b"PK\x03\x04 a workbook", "a workbook(.|\n)*CSV UTF-8"),
        ("ä,b\n1,2\n".encode("cp1252"), "UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "no text"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_sheet(sheet(tmp_path, content))


def test_a_mail_may_hold_what_a_name_may_not(tmp_path: Path) -> None:
    assert read_sheet(sheet(tmp_path, b"PK,text\n1,a\0b\n")) == (["PK", "text"], [["1", "a\0b"]])
