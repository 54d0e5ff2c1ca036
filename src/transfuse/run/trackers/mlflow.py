"""MLflow: a run with its report, and one inside it for each arm, with the arm's evidence as metrics.

The address is a server (`http://host:5000`), a database (`sqlite:////path/runs.db`) or a file of one (`runs.db`);
without one, what MLflow itself is set to (`$MLFLOW_TRACKING_URI`). The same evidence is not sent twice. Undefined
evidence is a tag with its reason, never a number. Journal and folder stay what counts.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from transfuse.errors import UserError, first_line, missing_extra
from transfuse.jsonio import digest
from transfuse.run.trackers import Finished

PLAN, EVIDENCE, PARENT = "transfuse.plan", "transfuse.evidence", "mlflow.parentRunId"
PATIENCE_SECONDS = 5.0
# MLflow itself asks seven times, ever more slowly; whoever waits for a report does not.
PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
LONGEST_TAG, MOST_AT_ONCE = 4000, 500
NO_NAME = re.compile(r"[^\w\-. :/]")


def check() -> None:
    """Raises UserError where MLflow is not installed."""
    try:
        import mlflow.tracking  # noqa: F401
        import sqlalchemy  # noqa: F401
    except ImportError as error:
        raise missing_extra("mlflow-skinny", "mlflow", "--track mlflow") from error


def send(finished: Finished, address: str | None) -> str:
    """Where the run can be seen. Raises UserError where nobody answers, and whatever MLflow raises."""
    from mlflow.tracking import MlflowClient

    uri, artifacts = _uri(address)
    _answers(uri)
    with _patience():
        client = MlflowClient(tracking_uri=uri)
        shown = re.sub(r"//[^/@]*@", "//", uri) if uri else "MLflow's own setting"
        experiment = _experiment(client, finished.title, artifacts)
        tags = {PLAN: finished.plan, EVIDENCE: digest(finished.evidence)}
        wanted = f"tags.`{EVIDENCE}` = '{tags[EVIDENCE]}' and attributes.status = 'FINISHED'"
        for known in client.search_runs([experiment], wanted):
            return f"{shown}, run {known.info.run_id} (there already)"
        return f"{shown}, run {_sent(client, experiment, finished, tags)}"


def _sent(client: Any, experiment: str, finished: Finished, tags: dict[str, str]) -> str:
    said, setup = finished.recommended, finished.evidence["setup"]
    facts = {"protocol": setup["protocol"], "metric": setup["margin"]["metric"], "margin": setup["margin"]["value"]}
    facts |= {"runs": len(setup["runs"]), "sources": ", ".join(source["name"] for source in setup["sources"])}
    facts |= {f"data.{name}": setup["data"][name] for name in ("items", "train", "selection", "judged", "canvas")}
    told = {"recommended": said["arm"], "form": said["form"], "why": said["why"]}
    told |= {f"flag.{flag['flag']}": flag["why"] for flag in finished.evidence["verdict"]["flags"]}
    run = client.create_run(experiment, run_name=finished.name, tags=tags | _texts(told)).info.run_id
    done = "FAILED"
    try:
        for arm in finished.evidence["arms"]:
            _arm(client, experiment, finished, arm, run)
        _batch(client, run, [], facts)
        _batch(client, run, list(_metrics(finished, str(said["arm"]))), {})
        for path in finished.files():
            client.log_artifact(run, str(path))
        done = "FINISHED"
    finally:
        client.set_terminated(run, status=done)
    return run


def _arm(client: Any, experiment: str, finished: Finished, arm: dict[str, Any], parent: str) -> None:
    """One arm as a run inside: what it is, its evidence, and its fits' curves."""
    name = str(arm["name"])
    rows = dict(finished.values(name))
    undefined = {f"undefined.{key}": str(row["undefined"]) for key, row in rows.items() if "undefined" in row}
    tags = {PARENT: parent, "role": str(arm["role"])} | _texts(undefined)
    run = client.create_run(experiment, run_name=name, tags=tags).info.run_id
    facts = {key: arm[key] for key in ("role", "method", "train") if arm.get(key)}
    facts |= {"members": ", ".join(map(str, arm["members"]))} if arm.get("members") else {}
    _batch(client, run, [*_metrics(finished, name), *_curves(finished, name)], facts)
    client.set_terminated(run)


def _metrics(finished: Finished, arm: str) -> Iterator[tuple[str, float, int]]:
    """Evidence as (name, value, step), with the ends of its interval."""
    for name, row in finished.values(arm):
        for suffix, key in (("", "value"), ("/low", "low"), ("/high", "high")):
            value = row.get(key)
            if isinstance(value, int | float) and math.isfinite(value):
                yield _name(name + suffix), float(value), 0


def _curves(finished: Finished, arm: str) -> Iterator[tuple[str, float, int]]:
    """Losses by epoch, of each of the arm's fits."""
    for step, points in finished.curves.items():
        run = step.removeprefix(f"fit {arm} ")
        if run == step or " " in run:
            continue
        for point in points:
            for key in ("train", "held"):
                if math.isfinite(point.get(key) or math.nan):
                    yield _name(f"curve/{key}/{run}"), float(point[key]), int(point["epoch"])


def _batch(client: Any, run: str, metrics: list[tuple[str, float, int]], facts: dict[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    params = [Param(name, str(value)[:LONGEST_TAG]) for name, value in facts.items()]
    made = [Metric(name, value, 0, step) for name, value, step in metrics]
    for start in range(0, max(len(made), 1), MOST_AT_ONCE):
        client.log_batch(run, metrics=made[start : start + MOST_AT_ONCE], params=params if not start else [])


def _texts(tags: dict[str, str]) -> dict[str, str]:
    return {_name(name): str(value)[:LONGEST_TAG] for name, value in tags.items()}


def _name(text: str) -> str:
    """A name as MLflow allows it: `@`, `~`, `+` and the like become `_`."""
    return NO_NAME.sub("_", text)[:250]


def _experiment(client: Any, title: str, artifacts: str | None) -> str:
    known = client.get_experiment_by_name(title)
    return client.create_experiment(title, artifact_location=artifacts) if known is None else known.experiment_id


def _uri(address: str | None) -> tuple[str | None, str | None]:
    """The address as MLflow takes it, and where artifacts go: beside a database, else as the server says."""
    if address is None:
        return None, None
    if "://" not in address:
        address = f"sqlite:///{Path(address).expanduser().resolve()}"
    if address.startswith("sqlite:///"):
        path = Path(address.removeprefix("sqlite:///"))
        path.parent.mkdir(parents=True, exist_ok=True)
        return address, (path.parent / f"{path.stem}-artifacts").resolve().as_uri()
    return address, None


def _answers(uri: str | None) -> None:
    """Raises UserError within seconds where no server is at the address."""
    place = urlsplit(uri or os.environ.get("MLFLOW_TRACKING_URI", ""))
    if place.scheme not in ("http", "https") or not place.hostname:
        return
    port = place.port or (443 if place.scheme == "https" else 80)
    try:
        socket.create_connection((place.hostname, port), timeout=PATIENCE_SECONDS).close()
    except OSError as error:
        raise UserError(
            "no MLflow server answers",
            where=place.geturl(),
            got=first_line(error, 160),
            hint="mlflow server, then run again",
        ) from error


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """MLflow's own settings, where nobody has set them, so that a dead server costs seconds."""
    fresh = {name: value for name, value in PATIENCE.items() if name not in os.environ}
    os.environ.update(fresh)
    try:
        yield
    finally:
        for name in fresh:
            os.environ.pop(name, None)
