"""What commands share: without this file each would spell the same options and print in its own way."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from transfuse.errors import UserError, printable

if TYPE_CHECKING:
    from transfuse.run.run import Outcome

Sources = Annotated[
    list[str], typer.Argument(metavar="SOURCE", help="e.g. torchvision:resnet18 timm:vit_tiny_patch16_224")
]
DATA = typer.Option("--data", help="a folder of class folders, a CSV, idx:DIR, npz:FILE, wds:DIR or sklearn:digits")
Data = Annotated[str, DATA]


def place(text: str | Path) -> Path:
    """A folder to write to. Raises UserError for no text, as an unset variable gives: that would be this folder."""
    if not str(text).strip():
        raise UserError("--out names no folder", got=repr(text), hint="--out runs/NAME; or . for the current folder")
    return Path(text)


def new_file(path: Path) -> None:
    """Raises UserError, before any work is done for it, where a file cannot be written: its name is taken, or its
    folder takes none."""
    if path.exists():
        raise UserError("there is a file of that name already", where=str(path), hint="choose another --out")
    writable(path)


def writable(path: Path) -> None:
    """Raises UserError, before any work is done for it, where the folder of a file takes none."""
    home = next(folder for folder in path.absolute().parents if folder.exists())
    if not (home.is_dir() and os.access(home, os.W_OK)):
        got = f"{home} is {'not to be written to' if home.is_dir() else 'no folder'}"
        raise UserError("no file can be written here", where=str(path), got=got, hint="choose another --out")


Out = Annotated[
    Path | None, typer.Option("--out", parser=place, metavar="DIR", help="folder for the results; default runs/NAME")
]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="steps at once; results do not depend on it")]
Ladder = Annotated[str, typer.Option("--ladder", help="quick, standard or full: which comparisons are made")]


def say_outcome(outcome: Outcome) -> None:
    """The verdict of a run or of a look before it, what it took, and where its report lies."""
    from transfuse.report.terminal import render_terminal

    say(render_terminal(outcome.evidence))
    made = "nothing had to be computed" if outcome.executed == 0 else f"{outcome.executed} steps computed"
    say(f"{made}, {outcome.reused} taken from the store, {outcome.cpu_seconds:.0f} CPU seconds")
    say(f"report: {outcome.folder.report}")


def say(text: str) -> None:
    """Print for people and programs alike."""
    sys.stdout.write(printable(text) + "\n")
