"""A worker that is lost is one message, however the engine comes to know of it."""

from __future__ import annotations

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace

import pytest

from transfuse.errors import UserError
from transfuse.run.engine import Engine, Job
from transfuse.run.engines import Pool


def broken(job: Job) -> Future:
    raise BrokenProcessPool("A child process terminated abruptly")


def engine() -> Engine:
    walk = SimpleNamespace(
        plan=SimpleNamespace(steps={"fit a": SimpleNamespace(opens_test=False)}), found=lambda job: False
    )
    journal = SimpleNamespace(emit=lambda event, **details: None)
    return Engine(walk, SimpleNamespace(store=Path(), in_memory=False), journal, workers=2)  # pyright: ignore


JOB = Job("fit a", "train", "key", {}, {})


def test_it_is_told_when_the_next_step_is_handed_out():
    with pytest.raises(UserError, match="fewer --workers") as caught:
        engine()._start(JOB, Pool(broken, 2), {})
    assert caught.value.where == "fit a"


def test_it_is_told_when_a_step_ends():
    lost: Future = Future()
    lost.set_exception(BrokenProcessPool("gone"))
    with pytest.raises(UserError, match="ended from outside") as caught:
        engine()._collect({lost: JOB})
    assert caught.value.where == "fit a"
