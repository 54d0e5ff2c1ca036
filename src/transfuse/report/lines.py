"""Prose as lines of a terminal; without it a name with a line end in it could forge a line of the verdict."""

from __future__ import annotations

import textwrap

from transfuse.report.blocks import Prose, spans

WIDTH = 80


def plain(prose: Prose) -> str:
    """The prose without its links to evidence, on one line."""
    return "".join(one_line(span.text) for span in spans(prose))


def one_line(text: str) -> str:
    """Line ends in a name become blanks; ends of the text stay, since prose is put together from pieces."""
    return "".join(" " if character.isspace() else character for character in text)


def wrapped(text: str, indent: str = "") -> str:
    """Lines of at most 80 columns."""
    return textwrap.fill(one_line(text), WIDTH, initial_indent=indent, subsequent_indent=indent)
