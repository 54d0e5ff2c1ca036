"""Ray's workers, on this machine or a cluster: every step is a task with its CPUs and, where there is one, its GPU.

`$RAY_ADDRESS` names a cluster that runs already; without it one is started on this machine for the run and ended with
it. Workers reach the store, the recipe's folder and the run's folder by the same paths as this process: a shared file
system, which the first missing artifact tells from a store of a worker's own. A step whose worker is lost is tried
again; results lie in the store, so a lost head costs what was under way, and running again goes on.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from transfuse.errors import TransfuseError, UserError, missing_extra
from transfuse.registry import find
from transfuse.run.engines._contract import Pool
from transfuse.run.worker import Done, Job, Place, in_worker
from transfuse.store import Store

ALWAYS = True
HINT = "run again; what is done is kept"
ADDRESS = "RAY_ADDRESS"
TRIES, PATIENCE_SECONDS = 3, 5.0


def ended() -> tuple[type[BaseException], ...]:
    from ray.exceptions import RayError

    return (RayError,)


@contextmanager
def pool(workers: int | None, place: Place) -> Iterator[Pool]:
    """As many workers as asked for, else as the cluster has CPUs for. Raises UserError where Ray is not installed, or
    no cluster answers at the address."""
    try:
        import ray
    except ImportError as error:
        raise missing_extra("ray", "ray", "--engine ray") from error
    place = replace(
        place,
        store=place.store.resolve(),
        root=place.root.resolve(),
        journal=None if place.journal is None else place.journal.resolve(),
    )
    _connect(ray, workers, place.threads)
    try:
        cluster = ray.cluster_resources()
        gpus = 1 if place.device != "cpu" and cluster.get("GPU") else 0
        # A step's errors are told by the step: only a lost worker is a reason to try again.
        task = ray.remote(max_retries=TRIES, retry_exceptions=False)(_carried_out)

        def submit(job: Job) -> Future[Done]:
            needs_torch = "torch" in find("steps", job.kind).needs
            ranks = int(job.params.get("ranks", 1)) if job.kind == "train" else 1
            cards = gpus * ranks if needs_torch else 0
            wanted = task.options(num_cpus=place.threads * ranks, num_gpus=cards, name=job.step)
            return _settled(wanted.remote(job, place).future(), job, Store(place.store))

        yield Pool(submit, workers or max(1, int(cluster.get("CPU", 1)) // place.threads))
    finally:
        ray.shutdown()


def _connect(ray: Any, workers: int | None, threads: int) -> None:
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    address = os.environ.get(ADDRESS)
    if not address:
        count = None if workers is None else workers * threads
        ray.init(address="local", num_cpus=count, include_dashboard=False, **quiet)
        return
    try:
        # Ray itself asks for minutes before it gives up.
        host, named, port = address.rpartition("//")[2].rpartition(":")
        if named and port.isdigit():
            socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS).close()
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            "no Ray cluster answers",
            where=f"${ADDRESS}",
            got=f"{address}: {(str(error).splitlines() or [''])[0][:160]}",
            hint=f"ray start --head there, or unset {ADDRESS} to start one on this machine",
        ) from error


def _carried_out(job: Job, place: Place) -> Done | TransfuseError:
    """A user's error travels as a value: raised, it would arrive as one of Ray's."""
    try:
        return in_worker(job, place)
    except TransfuseError as error:
        return error


def _settled(inner: Future[Done | TransfuseError], job: Job, store: Store) -> Future[Done]:
    """The same future with a returned error raised, and a store that workers do not share told as what it is."""
    outer: Future[Done] = Future()

    def settle(ended: Future[Done | TransfuseError]) -> None:
        error = ended.exception()
        found = error if error is not None else ended.result()
        if isinstance(found, Done) and found.lost is not None and store.has(found.lost):
            found = UserError(
                "a worker does not see what this process has kept", where=job.step,
                expected=f"the store {store.root} on every machine of the cluster",
                hint="run: {store: FOLDER} with a folder on a shared file system",
            )  # fmt: skip
        if isinstance(found, BaseException):
            outer.set_exception(found)
        else:
            outer.set_result(found)

    inner.add_done_callback(settle)
    return outer
