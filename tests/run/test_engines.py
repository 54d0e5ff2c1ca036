"""Engines: each keeps to the contract, and what a cluster's workers say arrives as what it is."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
from benchmarks.cluster import SAME, at_work, cluster, done, finished, started

from e2e.house import COMMAND, environment, events, executed, transfuse, wait_for, write_recipe
from transfuse.errors import UserError
from transfuse.registry import shelf
from transfuse.run.engines import SHELF, ray
from transfuse.run.worker import Done, Job, Place
from transfuse.store import Store

JOB = Job("fit a", "train", "key", {}, {})


@pytest.mark.parametrize("name", shelf(SHELF))
def test_every_engine_offers_what_the_walk_asks_for(name: str) -> None:
    file = shelf(SHELF)[name].load()
    assert isinstance(file.ALWAYS, bool) and "what is done is kept" in file.HINT
    assert all(issubclass(error, BaseException) for error in file.ended())
    assert callable(file.pool)


def settled(found: object, store: Store) -> Future[Done]:
    inner: Future = Future()
    outer = ray._settled(inner, JOB, store)
    if isinstance(found, ValueError):
        inner.set_exception(found)
    else:
        inner.set_result(found)
    return outer


def test_errors_of_a_step_arrive_as_themselves_and_results_as_results(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert settled(Done(1.5), store).result() == Done(1.5)
    with pytest.raises(UserError, match="a step's own") as caught:
        settled(UserError("a step's own", where="there"), store).result()
    assert caught.value.where == "there"
    with pytest.raises(ValueError, match="a bug"):
        settled(ValueError("a bug"), store).result()


def test_a_worker_with_a_store_of_its_own_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert settled(Done(0.0, lost="a" * 64), store).result().lost == "a" * 64
    store.put("b" * 64, {"kept": 1})
    with pytest.raises(UserError, match="a worker does not see") as caught:
        settled(Done(0.0, lost="b" * 64), store).result()
    assert str(tmp_path) in str(caught.value.expected)


def test_an_address_where_nobody_listens_is_one_message_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("RAY_ADDRESS", f"ray://127.0.0.1:{port}")
    never = SimpleNamespace(init=lambda **_: pytest.fail("asked although nobody listens"))
    with pytest.raises(UserError, match="no Ray cluster answers"):
        ray._connect(never, 2, 1)


def test_a_head_that_falls_silent_fails_what_waits_for_it_and_what_comes_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "ASKED_SECONDS", 0.001)
    waiting: Future[Done] = Future()
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = listening.getsockname()
        with ray.Head(address) as head:
            assert head.watched(waiting) is waiting
            assert not head.gone.wait(0.1) and not waiting.done()
            listening.close()
            with pytest.raises(UserError, match="the head of the Ray cluster is gone") as caught:
                waiting.result(30)
    assert caught.value.where == f"127.0.0.1:{address[1]}" and "what is done is kept" in str(caught.value.hint)
    with pytest.raises(UserError, match="gone"):
        head.watched(Future()).result(0)


def test_what_ended_before_its_head_keeps_its_result_and_what_ends_after_it_is_left_alone(tmp_path: Path) -> None:
    head, inner = ray.Head(None), Future[Done]()
    ended = head.watched(ray._settled(inner, JOB, Store(tmp_path)))
    inner.set_result(Done(1.0))
    late: Future[Done] = Future()
    outer = head.watched(ray._settled(late, JOB, Store(tmp_path)))
    head.gone.set()
    head._fail(outer)
    late.set_result(Done(2.0))
    assert ended.result(0) == Done(1.0)
    with pytest.raises(UserError, match="gone"):
        outer.result(0)


@pytest.mark.parametrize(
    ("text", "found"),
    [("a:1", ("a", 1)), ("ray://b:22", ("b", 22)), ("auto", None), ("", None), ("host:", None), (":1", None)],
)
def test_addresses_are_a_host_and_a_port_or_none(text: str, found: tuple[str, int] | None) -> None:
    assert ray._address(text) == found


def test_without_an_address_a_cluster_of_this_machine_has_room_for_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    asked: dict[str, object] = {}
    ray._connect(SimpleNamespace(init=lambda **given: asked.update(given)), 3, 2)
    assert (asked["address"], asked["num_cpus"]) == ("local", 6)


def test_a_cluster_that_comes_up_too_late_is_started_again_and_then_one_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    done: list[str] = []

    def late(**_: object) -> None:
        done.append("started")
        raise Exception("The current node timed out during startup.\nmore")

    with pytest.raises(UserError, match="could not be started") as caught:
        ray._connect(SimpleNamespace(init=late, shutdown=lambda: done.append("ended")), 2, 1)
    assert done == ["started", "ended"] * ray.TRIES
    assert caught.value.got == "The current node timed out during startup."


def test_without_ray_the_install_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    place = Place(Store(tmp_path), tmp_path, "x", "cpu", 1, None)
    with pytest.raises(UserError, match=r"pip install 'transfuse\[ray\]'"), ray.pool(1, place):
        pass


@pytest.mark.exhaustive
def test_a_cluster_gives_the_same_bytes_and_a_killed_worker_changes_none(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    local = transfuse("run", "small.yaml", "--out", "local", store=tmp_path / "one", cwd=tmp_path)
    assert local.returncode == 0, local.stderr
    words = ["run", "small.yaml", "--out", "ray", "--engine", "ray", "--workers", "2"]
    with subprocess.Popen(
        [*COMMAND, *words],
        env=environment(tmp_path / "two"),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as run:
        wait_for(lambda: any(event["event"] == "step_started" for event in events(tmp_path / "ray")))
        wait_for(lambda: bool(at_work(run.pid)) or run.poll() is not None)
        killed = [process for process, _ in at_work(run.pid)]
        for process in killed:
            os.kill(process, signal.SIGKILL)
        said = run.communicate(timeout=300)[0].decode()
    assert run.returncode == 0, said
    assert killed, "the run had ended before anything could be killed"
    assert len(executed(tmp_path / "ray")) == len(executed(tmp_path / "local"))
    for name in ("evidence.json", "recipe.lock.yaml"):
        assert (tmp_path / "ray" / name).read_bytes() == (tmp_path / "local" / name).read_bytes()


@pytest.mark.exhaustive
def test_a_killed_head_is_one_message_and_running_again_gives_the_same_bytes(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    local = transfuse("run", "small.yaml", "--out", "local", store=tmp_path / "one", cwd=tmp_path)
    assert local.returncode == 0, local.stderr
    out, words = tmp_path / "disturbed", ("--engine", "ray", "--workers", "2")
    with cluster() as (address, head):
        run = started(tmp_path / "small.yaml", out, *words, RAY_ADDRESS=address)
        wait_for(lambda: len(done(out)) >= 5 or run.poll() is not None)
        os.killpg(head.pid, signal.SIGKILL)
        said = run.communicate(timeout=300)[0]
    assert run.returncode == 2 and "error: the head of the Ray cluster is gone" in said and address in said, said
    kept = done(out)
    assert not (out / "evidence.json").exists()
    with cluster() as (address, _):
        finished(started(tmp_path / "small.yaml", out, *words, RAY_ADDRESS=address))
    assert not kept & set(executed(out))
    for name in SAME:
        assert (out / name).read_bytes() == (tmp_path / "local" / name).read_bytes()
