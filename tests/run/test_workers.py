"""One rule says how many steps run at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from transfuse.plan.recipe import validated, written
from transfuse.run import run
from transfuse.run.run import Request, workers_of


def request(in_recipe: Any, asked: int | None, engine: str) -> Request:
    said = {} if in_recipe == "left out" else {"run": {"workers": in_recipe}}
    recipe = validated({"sources": ["demo:vgg", "demo:residual"], "data": "photos", **said}, where="here")
    return Request(recipe, Path(), Path(), workers=asked, engine=engine)


@pytest.mark.parametrize(
    ("in_recipe", "asked", "local", "cluster"),
    [
        ("left out", None, 1, None),
        ("auto", None, 3, None),
        (1, None, 1, 1),
        (5, None, 5, 5),
        (5, 1, 1, 1),
        ("auto", 2, 2, 2),
        ("left out", 7, 7, 7),
    ],
)
def test_who_asks_is_heard_before_the_recipe_and_a_cluster_knows_its_size(
    in_recipe: Any, asked: int | None, local: int, cluster: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "cores", lambda: 3)
    assert workers_of(request(in_recipe, asked, "local")) == local
    assert workers_of(request(in_recipe, asked, "ray")) == cluster


def test_by_itself_no_more_than_four_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "cores", lambda: 64)
    assert workers_of(request("auto", None, "local")) == 4


def test_what_was_left_out_is_left_out_in_the_lock_file_too() -> None:
    import yaml

    lock = yaml.safe_load(written(request("left out", None, "local").recipe))
    assert workers_of(Request(validated(lock, where="lock"), Path(), Path(), engine="ray")) is None


def test_a_choice_goes_by_the_same_rule() -> None:
    from transfuse.run import choosing

    assert choosing.workers_of is workers_of
