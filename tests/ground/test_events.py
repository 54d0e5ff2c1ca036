from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path

from transfuse.events import Journal, silent


def test_events_are_read_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "new" / "journal.jsonl", clock=lambda: 12.34567)
    journal.emit("step_started", step="a", rate=0.5)
    journal.emit("step_done", step="a")
    first, second = journal.read()
    assert first == {"at": 12.346, "event": "step_started", "step": "a", "rate": 0.5}
    assert second["event"] == "step_done"


def test_a_journal_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert list(Journal(tmp_path / "none.jsonl").read()) == []


def test_a_torn_line_is_skipped(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.emit("whole")
    with journal.path.open("ab") as handle:
        handle.write(b'{"at": 1, "event": "to\xff')
    assert [event["event"] for event in journal.read()] == ["whole"]
    journal.emit("next")
    journal.emit("and the next")
    assert [event["event"] for event in journal.read()] == ["whole", "next", "and the next"]
    assert journal.path.read_bytes().count(b"\n") == 4


def test_a_message_with_line_separators_stays_one_event(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    text = "a\nb\u2028c\u0085d\x0be"
    journal.emit("failed", why=text)
    assert [event["why"] for event in journal.read()] == [text]


def test_values_that_are_not_json_are_told_as_text(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.emit("report", path=tmp_path)
    assert next(journal.read())["path"] == str(tmp_path)


def test_listeners_hear_what_is_written(tmp_path: Path) -> None:
    heard: list[Mapping[str, object]] = []
    journal = Journal(tmp_path / "journal.jsonl", listeners=[heard.append])
    journal.emit("step_done", step="a")
    assert heard == list(journal.read())


def test_lines_of_several_writers_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"

    def write(writer: int) -> None:
        journal = Journal(path)
        for number in range(50):
            journal.emit("tick", writer=writer, number=number, padding="x" * 500)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    for writer in range(4):
        assert [line["number"] for line in lines if line["writer"] == writer] == list(range(50))


def test_silence_writes_nothing(tmp_path: Path) -> None:
    silent("step_done", step="a", path=tmp_path)
    assert list(tmp_path.iterdir()) == []
