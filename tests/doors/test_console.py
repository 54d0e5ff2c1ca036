"""What a person sees of a run's progress."""

from __future__ import annotations

import io
import re

import pytest

from transfuse.doors import console
from transfuse.doors.console import Progress


def shares(monkeypatch: pytest.MonkeyPatch, *events: dict) -> list[int]:
    """The shares in percent that these events show, a line each."""
    monkeypatch.setattr(console, "LINE_SECONDS", -1.0)
    stream = io.StringIO()
    progress = Progress(stream=stream)
    progress({"event": "forecast", "steps": {"fit a": 6.0, "fit b": 4.0}})
    for event in events:
        progress(event)
    return [int(found) for found in re.findall(r"^ *(\d+) %", stream.getvalue(), flags=re.MULTILINE)]


def inside(step: str, done: int) -> dict:
    return {"event": "progress", "step": step, "done": done, "of": 10}


def test_a_training_that_begins_anew_with_another_rate_takes_nothing_back(monkeypatch):
    done = {"event": "step_done", "step": "fit a"}
    seen = shares(monkeypatch, inside("fit a", 5), inside("fit a", 10), inside("fit a", 1), done, inside("fit b", 5))
    assert seen == [30, 60, 60, 60, 80]


def test_a_run_that_goes_on_begins_with_what_is_left(monkeypatch):
    again = {"event": "forecast", "steps": {"fit b": 4.0}}
    assert shares(monkeypatch, inside("fit a", 5), again, inside("fit b", 0))[-1] < 30
