"""What the README shows works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from transfuse.plan.recipe import parse

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")

SMALLER = {'"per_class": 10, "val": 150, "test": 1000': '"per_class": 4, "val": 30, "test": 60', "seeds=2": "seeds=1"}


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)
    return found


def test_the_python_lines_run(tmp_path, monkeypatch, capsys):
    """As they stand, but for how many rows and seeds they take."""
    lines = block("python")
    for much, little in SMALLER.items():
        assert lines.count(much) == 1, much
        lines = lines.replace(much, little)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRANSFUSE_STORE", str(tmp_path / "store"))
    names: dict = {}
    exec(compile(lines, "README.md", "exec"), names)
    said = capsys.readouterr().out
    assert said.count("Recommendation: Ship ") == 2
    assert names["study"].winner in {row["arm"] for row in names["study"].table()}
    assert names["model"](torch.rand(2, 3, 28, 28)).shape == (2, 10)
    assert not any(parameter.requires_grad for parameter in names["network"].member("a").network.features.parameters())


def test_the_yaml_lines_are_a_whole_recipe():
    recipe = parse(block("yaml"), where="README.md")
    assert (recipe.ladder, sorted(recipe.sources)) == ("standard", ["resnet18", "vgg16"])


def test_every_command_it_names_exists():
    from transfuse.doors.cli import app

    known = {command.callback.__name__ for command in app.registered_commands}
    named = set(re.findall(r"transfuse ([a-z]+) [a-z]*", README)) - {"connects"}
    assert named <= known | {"report"}, named - known
