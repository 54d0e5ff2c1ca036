"""Trackers: what is sent is what stands in the evidence, and nothing that a service does costs a run."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from e2e.house import events, executed
from report.example import evidence
from transfuse.errors import UserError
from transfuse.registry import shelf
from transfuse.run.trackers import SHELF, Finished, mlflow
from transfuse.run.tracking import curves, named, tell

LINES = [
    {"event": "step_started", "step": "fit gate s0"},
    {"event": "progress", "step": "fit gate s0", "done": 1, "of": 9, "train": 9.0, "held": 9.0},
    {"event": "step_started", "step": "fit gate s0"},
    {"event": "progress", "step": "fit gate s0", "done": 1, "of": 2, "train": 2.0, "held": None},
    {"event": "progress", "step": "fit gate s0", "done": 2, "of": 2, "train": 1.0, "held": 1.5},
    {"event": "progress", "step": "extract a", "done": 1, "of": 2},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my run"
    made.mkdir()
    (made / "evidence.json").write_text(json.dumps(evidence()), encoding="utf-8")
    (made / "report.html").write_text("<p>", encoding="utf-8")
    (made / "model.bin").write_bytes(b"large")
    (made / "journal.jsonl").write_text("\n".join(map(json.dumps, LINES)) + "\n", encoding="utf-8")
    return made


def finished(folder: Path, **changed: Any) -> Finished:
    return Finished(folder, folder.name, evidence() | changed, curves(folder))


def heard(asked: str, folder: Path) -> dict[str, Any]:
    """The one event that telling a tracker ends in."""
    said: list[dict[str, Any]] = []
    tell(asked, folder, evidence(), lambda event, **more: said.append({"event": event, **more}))
    (event,) = said
    return event


class Client:
    """Keeps what it is told, as MLflow's client would be told it."""

    def __init__(self, tracking_uri: str | None = None) -> None:
        self.uri, self.runs, self.files, self.experiments = tracking_uri, {}, [], {}

    def get_experiment_by_name(self, name: str) -> Any:
        return self.experiments.get(name)

    def create_experiment(self, name: str, artifact_location: str | None) -> str:
        self.experiments[name] = SimpleNamespace(experiment_id=name, at=artifact_location)
        return name

    def search_runs(self, experiments: list[str], wanted: str) -> list[Any]:
        return [
            SimpleNamespace(info=SimpleNamespace(run_id=name))
            for name, run in self.runs.items()
            if f"'{run['tags'].get(mlflow.EVIDENCE)}'" in wanted and run["status"] == "FINISHED"
        ]

    def create_run(self, experiment: str, run_name: str, tags: dict[str, str]) -> Any:
        self.runs[run_name] = {"tags": tags, "metrics": {}, "params": {}, "status": "RUNNING"}
        return SimpleNamespace(info=SimpleNamespace(run_id=run_name))

    def log_batch(self, run: str, metrics: list[Any], params: list[Any]) -> None:
        for name, value, _, step in metrics:
            self.runs[run]["metrics"].setdefault(name, {})[step] = value
        self.runs[run]["params"] |= dict(params)

    def log_artifact(self, run: str, path: str) -> None:
        self.files.append(Path(path).name)

    def set_terminated(self, run: str, status: str = "FINISHED") -> None:
        self.runs[run]["status"] = status


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    tracking, entities = ModuleType("mlflow.tracking"), ModuleType("mlflow.entities")

    def opened(tracking_uri: str | None) -> Client:
        made.uri = tracking_uri
        return made

    tracking.MlflowClient = opened  # pyright: ignore[reportAttributeAccessIssue]
    entities.Metric = lambda *given: given  # pyright: ignore[reportAttributeAccessIssue]
    entities.Param = lambda *given: given  # pyright: ignore[reportAttributeAccessIssue]
    package = ModuleType("mlflow")
    for name, module in (("", package), (".tracking", tracking), (".entities", entities)):
        monkeypatch.setitem(sys.modules, f"mlflow{name}", module)
    package.tracking = tracking  # pyright: ignore[reportAttributeAccessIssue]
    return made


@pytest.mark.parametrize("name", shelf(SHELF))
def test_every_tracker_offers_what_a_run_asks_for(name: str) -> None:
    file = shelf(SHELF)[name].load()
    assert callable(file.check) and callable(file.send)


def test_every_number_that_is_sent_stands_in_the_evidence_under_its_arm(folder: Path, client: Client) -> None:
    mlflow.send(finished(folder), None)
    rows = [row for row in evidence()["evidence"] if row["arm"] == "gate" and "value" in row]
    sent = client.runs["gate"]["metrics"]
    values = {name: steps[0] for name, steps in sent.items() if not name.startswith("curve/")}
    own = {name: value for name, value in values.items() if not name.endswith(("/low", "/high"))}
    assert sorted(own.values()) == sorted(row["value"] for row in rows)
    loss = next(row for row in rows if row["quantity"] == "log_loss" and not row["versus"])
    assert [values[f"log_loss{end}"] for end in ("", "/low", "/high")] == [loss["value"], loss["low"], loss["high"]]
    assert not any(mlflow.NO_NAME.search(name) for name in sent)


def test_what_is_undefined_is_a_reason_and_no_number(folder: Path, client: Client) -> None:
    mlflow.send(finished(folder), None)
    assert "worst_class" not in client.runs["prior"]["metrics"]
    assert "one class only" in client.runs["prior"]["tags"]["undefined.worst_class"]


def test_arms_lie_in_the_run_that_holds_the_report_and_the_recommendation(folder: Path, client: Client) -> None:
    mlflow.send(finished(folder), None)
    arms = {arm["name"] for arm in evidence()["arms"]}
    assert set(client.runs) == arms | {"my run"}
    assert all(client.runs[arm]["tags"][mlflow.PARENT] == "my run" for arm in arms)
    whole = client.runs["my run"]
    assert whole["tags"]["recommended"] == evidence()["verdict"]["recommendation"]["arm"]
    assert whole["metrics"]["log_loss"] == client.runs[whole["tags"]["recommended"]]["metrics"]["log_loss"]
    assert {run["status"] for run in client.runs.values()} == {"FINISHED"}
    assert sorted(client.files) == ["evidence.json", "journal.jsonl", "report.html"]


def test_curves_are_those_of_the_last_training(folder: Path, client: Client) -> None:
    mlflow.send(finished(folder), None)
    sent = client.runs["gate"]["metrics"]
    assert sent["curve/train/s0"] == {1: 2.0, 2: 1.0}
    assert sent["curve/held/s0"] == {2: 1.5}


def test_the_same_evidence_is_sent_once_and_other_evidence_again(folder: Path, client: Client) -> None:
    mlflow.send(finished(folder), None)
    client.files.clear()
    assert "there already" in mlflow.send(finished(folder), None)
    assert client.files == []
    mlflow.send(finished(folder, not_measured=[]), None)
    assert client.files != []


def test_a_file_of_a_database_keeps_artifacts_beside_it(folder: Path, client: Client, tmp_path: Path) -> None:
    mlflow.send(finished(folder), str(tmp_path / "all" / "runs.db"))
    assert client.uri == f"sqlite:///{tmp_path}/all/runs.db"
    (experiment,) = client.experiments.values()
    assert experiment.at == (tmp_path / "all" / "runs-artifacts").as_uri()


@pytest.fixture
def nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://someone:secret@127.0.0.1:{free.getsockname()[1]}"


def test_a_server_that_is_down_is_one_event_and_tells_no_secret(folder: Path, client: Client, nobody: str) -> None:
    event = heard(f"mlflow:{nobody}", folder)
    assert event["event"] == "not_tracked"
    assert "no MLflow server answers" in event["why"]
    assert "secret" not in json.dumps(event)


def test_whatever_a_library_raises_is_one_event(folder: Path, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any) -> None:
        raise LookupError("the disk\nis full")

    monkeypatch.setattr(client, "log_artifact", fail)
    event = heard("mlflow", folder)
    assert (event["event"], event["why"]) == ("not_tracked", "LookupError: the disk")
    assert client.runs["my run"]["status"] == "FAILED"


def test_unknown_trackers_and_missing_packages_are_told_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="mlfow"):
        named("mlfow:http://x")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError, match=r"needs the package 'mlflow-skinny'") as caught:
        named("mlflow")
    assert caught.value.hint == "pip install 'transfuse[mlflow]'"


def told(uri: str, title: str) -> tuple[Any, Any, list[Any]]:
    """The client, the run and the runs inside it that MLflow itself shows."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name(title)
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if mlflow.PARENT not in run.data.tags]
    return client, parent, [run for run in runs if run.data.tags.get(mlflow.PARENT) == parent.info.run_id]


def holds_the_run(uri: str, folder: Path, evidence: dict[str, Any]) -> None:
    title = evidence["setup"]["title"] or "transfuse"
    client, parent, arms = told(uri, title)
    assert {run.info.run_name for run in arms} == {arm["name"] for arm in evidence["arms"]}
    for run in arms:
        rows = [row for row in evidence["evidence"] if row["arm"] == run.info.run_name]
        loss = next(row for row in rows if row["quantity"] == "log_loss" and not row["versus"])
        assert run.data.metrics["log_loss"] == pytest.approx(loss["value"], rel=1e-12)
    kept = client.download_artifacts(parent.info.run_id, "report.html")
    assert Path(kept).read_bytes() == (folder / "report.html").read_bytes()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """MLflow's own server on loopback, with a database of its own."""
    pytest.importorskip("flask_cors")
    from werkzeug.serving import make_server

    monkeypatch.setenv("_MLFLOW_SERVER_FILE_STORE", f"sqlite:///{tmp_path}/server.db")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", (tmp_path / "kept").as_uri())
    from mlflow.server import app

    made = make_server("127.0.0.1", 0, app, threaded=True)
    running = threading.Thread(target=made.serve_forever, daemon=True)
    running.start()
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("default")
def test_a_database_and_then_a_server_hold_the_run_its_metrics_and_its_report(
    folder: Path, tmp_path: Path, server: str
) -> None:
    for address, uri in ((str(tmp_path / "runs.db"), f"sqlite:///{tmp_path}/runs.db"), (server, server)):
        said = [heard(f"mlflow:{address}", folder) for _ in range(2)]
        assert [event["event"] for event in said] == ["tracked", "tracked"], said
        holds_the_run(uri, folder, evidence())


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("default")
def test_a_run_is_told_and_one_whose_server_is_down_ends_well(tmp_path: Path, nobody: str) -> None:
    from e2e.house import forked, write_recipe

    write_recipe(tmp_path)
    words = ["run", "small.yaml", "--out", "out", "--track"]
    down = forked(*words, f"mlflow:{nobody}", store=tmp_path / "store", cwd=tmp_path)
    assert down.returncode == 0, down.stderr
    assert "no MLflow server answers" in down.stderr + down.stdout
    up = forked(*words, "mlflow:runs.db", store=tmp_path / "store", cwd=tmp_path)
    assert up.returncode == 0, up.stderr
    assert executed(tmp_path / "out") == []
    assert [event["event"] for event in events(tmp_path / "out")].count("tracked") == 1
    found = json.loads((tmp_path / "out" / "evidence.json").read_text(encoding="utf-8"))
    holds_the_run(f"sqlite:///{tmp_path}/runs.db", tmp_path / "out", found)
