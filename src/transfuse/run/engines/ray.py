"""Ray's workers, on this machine or a cluster: every step is a task with its CPUs, its memory and, where there is one,
its GPU.

`$RAY_ADDRESS` names a cluster that runs already; without it one is started on this machine for the run and ended with
it. Workers reach the store, the recipe's folder and the run's folder by the same paths as this process: a shared file
system, which the first missing artifact tells from a store of a worker's own. A step whose worker is lost is tried
again; results lie in the store, so a lost head costs what was under way, and running again goes on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from transfuse.errors import TransfuseError, UserError, first_line, missing_extra
from transfuse.registry import find
from transfuse.run.engines import Pool
from transfuse.run.needs import memory
from transfuse.run.worker import Done, Job, Place, in_worker
from transfuse.store import Store

ALWAYS = True
HINT = "run again; what is done is kept"
ADDRESS = "RAY_ADDRESS"
TRIES, PATIENCE_SECONDS = 3, 5.0
# So often a head is asked for, and so often in a row it may be silent: it may be busy, or come back.
ASKED_SECONDS, SILENT = 1.0, 15


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
        store=replace(place.store, root=place.store.root.resolve()),
        root=place.root.resolve(),
        journal=None if place.journal is None else place.journal.resolve(),
    )
    _connect(ray, workers, place.threads)
    head = Head(_address(os.environ.get(ADDRESS, "")) or _address(ray.get_runtime_context().gcs_address))
    try:
        cluster = ray.cluster_resources()
        # A task that asks for more than any machine has would wait for ever.
        most = max((node["Resources"].get("memory", 0) for node in ray.nodes() if node["Alive"]), default=0)
        gpus = 1 if place.device != "cpu" and cluster.get("GPU") else 0
        # A step's errors are told by the step: only a lost worker is a reason to try again.
        task = ray.remote(max_retries=TRIES, retry_exceptions=False)(_carried_out)

        def submit(job: Job) -> Future[Done]:
            needs_torch = "torch" in find("steps", job.kind).needs
            ranks = int(job.params.get("ranks", 1)) if job.kind == "train" else 1
            cards = gpus * ranks if needs_torch else 0
            held = min(memory(job, place.store), most)
            wanted = task.options(num_cpus=place.threads * ranks, num_gpus=cards, memory=held, name=job.step)
            return head.watched(_settled(wanted.remote(job, place).future(), job, place.store))

        with head:
            yield Pool(submit, workers or max(1, int(cluster.get("CPU", 1)) // place.threads))
    finally:
        ray.shutdown()


def _connect(ray: Any, workers: int | None, threads: int) -> None:
    quiet = {"logging_level": "ERROR", "log_to_driver": False}
    address = os.environ.get(ADDRESS)
    if not address:
        _start(ray, None if workers is None else workers * threads, quiet)
        return
    try:
        # Ray itself asks for minutes before it gives up.
        if listens := _address(address):
            socket.create_connection(listens, timeout=PATIENCE_SECONDS).close()
        ray.init(address=address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            "no Ray cluster answers",
            where=f"${ADDRESS}",
            got=f"{address}: {first_line(error, 160)}",
            hint=f"ray start --head there; RAY_AUTH_MODE=token where it asks for one, and its token; or unset {ADDRESS}"
            " to start one on this machine",
        ) from error


def _start(ray: Any, cpus: int | None, quiet: Mapping[str, Any]) -> None:
    """A cluster of this machine. Ray gives its own processes half a minute to come up, too little on a busy machine."""
    for left in reversed(range(TRIES)):
        try:
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
        except Exception as error:  # noqa: BLE001 - Ray raises nothing narrower
            ray.shutdown()
            if not left:
                got = first_line(error, 160)
                hint = "run again when this machine has less to do, or without --engine ray"
                raise UserError("Ray could not be started on this machine", got=got, hint=hint) from error
        else:
            return


def _address(text: str) -> tuple[str, int] | None:
    """Host and port of `host:port`, `ray://host:port` too; None for what is none."""
    host, _, port = text.rpartition("//")[2].rpartition(":")
    return (host, int(port)) if host and port.isdigit() else None


class Head:
    """The head of the cluster, asked for every second while steps run; what waits for one that is gone fails."""

    def __init__(self, address: tuple[str, int] | None) -> None:
        self.address = address
        self.gone = threading.Event()
        self._left = threading.Event()
        self._waiting: set[Future[Done]] = set()

    def __enter__(self) -> Head:
        if self.address is not None:
            threading.Thread(target=self._ask, args=(self.address,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._left.set()

    def watched(self, future: Future[Done]) -> Future[Done]:
        """The same future, which fails where the head is lost before it ends."""
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        if self.gone.is_set():
            self._fail(future)
        return future

    def _ask(self, address: tuple[str, int]) -> None:
        silent = 0
        while silent < SILENT:
            if self._left.wait(ASKED_SECONDS):
                return
            try:
                socket.create_connection(address, timeout=PATIENCE_SECONDS).close()
                silent = 0
            except OSError:
                silent += 1
        self.gone.set()
        for future in list(self._waiting):
            self._fail(future)

    def _fail(self, future: Future[Done]) -> None:
        host, port = self.address or ("", 0)
        with contextlib.suppress(InvalidStateError):
            future.set_exception(
                UserError(
                    "the head of the Ray cluster is gone", where=f"{host}:{port}", hint=f"start it again, and {HINT}"
                )
            )


def _carried_out(job: Job, place: Place) -> Done | TransfuseError:
    """A user's error travels as a value: raised, it would arrive as one of Ray's."""
    try:
        return in_worker(job, replace(place, store=place.store.of_this_machine()))
    except TransfuseError as error:
        return error


def _settled(inner: Future[Done | TransfuseError], job: Job, store: Store) -> Future[Done]:
    """The same future with a returned error raised, and a store that workers do not share told as what it is."""
    outer: Future[Done] = Future()

    def settle(ended: Future[Done | TransfuseError]) -> None:
        error = ended.exception()
        found = error if error is not None else ended.result()
        if isinstance(found, Done) and found.lost is not None and store.beyond is None and store.has(found.lost):
            found = UserError(
                "a worker does not see what this process has kept", where=job.step,
                expected=f"the store {store.root} on every machine of the cluster",
                hint="run: {store: FOLDER} with a folder on a shared file system, or {store: s3://…}",
            )  # fmt: skip
        # Once the head is gone it has failed already.
        with contextlib.suppress(InvalidStateError):
            if isinstance(found, BaseException):
                outer.set_exception(found)
            else:
                outer.set_result(found)

    inner.add_done_callback(settle)
    return outer
