"""Linear algebra keeps to the threads it is given, and gets its own back, whatever happens inside."""

from __future__ import annotations

import os

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from transfuse.threads import cores, linear_algebra


def counts() -> set[int]:
    assert np.linalg.norm(np.eye(2)) > 0  # loads it
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_inside_there_are_so_many_threads_and_afterwards_as_many_as_before() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = counts()
        with linear_algebra(1):
            assert counts() == {1}
        assert counts() == before
        with pytest.raises(ZeroDivisionError), linear_algebra(1):
            raise ZeroDivisionError
        assert counts() == before


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    assert cores() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1


def test_a_judgement_uses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from transfuse.evaluation import verdict

    seen: list[set[int]] = []
    monkeypatch.setattr(verdict, "prepare", lambda *_: seen.append(counts()))
    monkeypatch.setattr(verdict, "choose", lambda _: 1 / 0)
    monkeypatch.setattr(verdict.registry, "shelf", lambda _: {})

    class Empty:
        tables: dict[str, object] = {}
        metrics: tuple[str, ...] = ()

    with threadpool_limits(2, user_api="blas"), pytest.raises(ZeroDivisionError):
        verdict.judge(Empty())  # pyright: ignore[reportArgumentType]
    assert seen == [{1}]
