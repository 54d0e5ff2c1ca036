"""What `--help` shows: a newcomer reads it before anything else."""

from __future__ import annotations

import sys

import pytest

from transfuse.doors import cli
from transfuse.doors.commands import running

# Beside the longest name of a command, on a terminal of 80 columns.
ROOM = 66


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["transfuse", *words])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_every_command_has_one_whole_sentence_in_the_list(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = told(monkeypatch, capsys, "--help").partition("Commands:\n")[2].splitlines()
    names = {command.__name__ for room in cli.ROOMS for command in room.COMMANDS}
    assert {line.split()[0] for line in shown} == names
    for line in shown:
        sentence = line.split(maxsplit=1)[1]
        assert sentence.endswith(".") and not sentence.endswith("...") and len(sentence) <= ROOM


@pytest.mark.parametrize("command", ["compare", "choose", "merge", "inspect", "evaluate"])
def test_what_may_be_repeated_has_three_dots_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    usage = told(monkeypatch, capsys, command, "--help").splitlines()[0]
    assert usage.count("...") == 1


def test_a_recipe_is_written_into_a_folder_that_is_not_there_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path
) -> None:
    monkeypatch.chdir(tmp_path)
    running.init("sklearn:digits", ["demo:vgg", "demo:residual"], tmp_path / "new" / "deep" / "recipe.yaml")
    assert "sklearn:digits" in (tmp_path / "new" / "deep" / "recipe.yaml").read_text()
    assert "next: transfuse plan" in capsys.readouterr().out
