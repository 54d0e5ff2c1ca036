"""Killed, out of disk or memory, with bits turned or the clock jumping: a run ends with the same bytes, or says why.

The figures of docs/resilience.md are those of `pytest -m "" tests/e2e/test_interrupted.py`.
"""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.faults import NAME, RECIPE, begun, ended, flip, killed_after, worker_killed
from e2e.house import events, executed, wait_for, write_recipe
from transfuse.store import Store

KILLS, FULL, FLIPS = (5, 5), 3, 5
ALL_KILLS, ALL_FULL, ALL_FLIPS = 100, 20, 50


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The folder of a run that nobody disturbed, and its evidence; how long it took stands in `seconds`."""
    folder = tmp_path_factory.mktemp("whole")
    write_recipe(folder, RECIPE, NAME)
    code, said = ended(folder, "count")
    assert code == 0, said
    first, *_, last = (event["at"] for event in events(folder / "run"))
    (folder / "seconds").write_text(str(last - first), encoding="utf-8")
    return folder, (folder / "run" / "evidence.json").read_bytes()


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    write_recipe(tmp_path, RECIPE, NAME)
    return tmp_path


def completes(folder: Path, evidence: bytes, fault: str = "", at: int = 0) -> None:
    """The run ends well, with the very bytes, and nothing half-written is left where results lie."""
    code, said = ended(folder, fault, at)
    assert code == 0, said
    assert (folder / "run" / "evidence.json").read_bytes() == evidence
    assert not list((folder / "run").rglob(".*.tmp"))
    assert json.loads((folder / "run" / "measurements.json").read_text(encoding="utf-8"))


def one_message(code: int | None, said: str) -> None:
    """What a person sees of a fault that cannot be got over: one message, and what to do."""
    assert code == 2, said
    assert "Traceback" not in said
    assert said.count("error:") == 1


def turned(folder: Path, count: int, rng: random.Random) -> list[Path]:
    """The files of the store in which a bit was turned, the ledger among them where it is its turn."""
    files = sorted(path for path in (folder / "store").rglob("*") if path.is_file() and path.suffix != ".lock")
    chosen = rng.sample(files, count)
    for path in chosen:
        flip(path, rng)
    return chosen


def damaged_keys(chosen: list[Path]) -> set[str]:
    return {path.parent.name for path in chosen if path.parent.parent.parent.name == "objects"}


def test_a_run_that_is_killed_filled_and_hurried_ends_with_the_same_evidence(fresh: Path, whole: tuple[Path, bytes]):
    """Ten kills (five in a write), three full disks, and at last a clock that jumps; what was done stays done."""
    rng, seconds = random.Random("faults"), float((whole[0] / "seconds").read_text(encoding="utf-8"))
    # So short that no run comes to its end before the last, on whatever machine.
    for kills in range(KILLS[0]):
        assert ended(fresh, "die", rng.randint(1, 9 + kills))[0] == 9
        killed_after(fresh, rng.uniform(0.01, seconds / 10))
    for _ in range(FULL):
        code, said = ended(fresh, "full", rng.randint(1, 6))
        one_message(code, said)
        assert "No space left" in said
    completes(fresh, whole[1], "clock", at=1)


def test_turned_bits_are_found_by_their_hash_and_what_they_hit_is_made_again(whole: tuple[Path, bytes]):
    folder, evidence = whole
    chosen = turned(folder, FLIPS, random.Random("bits"))
    assert all(Store(folder / "store").get(key) is None for key in damaged_keys(chosen[:2]))
    (folder / "run" / "evidence.json").unlink()
    completes(folder, evidence)
    assert len(executed(folder / "run")) <= 40


def test_two_runs_in_one_folder_the_second_is_told_who_has_it(fresh: Path):
    first = begun(fresh)
    try:
        wait_for(lambda: (fresh / "run" / ".holder").exists())
        code, said = ended(fresh)
        one_message(code, said)
        assert f"process {first.pid}" in said
    finally:
        first.kill()
        first.join()


def test_too_little_memory_halves_the_batches_and_is_noted_or_is_one_message(whole: tuple[Path, bytes], fresh: Path):
    """Without room for more than eight images all is computed in eights; without room for one, the run says so."""
    code, said = ended(fresh, "memory", 0)
    one_message(code, said)
    assert "memory" in said
    (fresh / "run" / "journal.jsonl").unlink()
    code, said = ended(fresh, "memory", 8)
    noted = [event for event in events(fresh / "run") if event["event"] == "out_of_memory" and "halved_to" in event]
    assert {event["halved_to"] for event in noted} == {16, 8}
    ours, theirs = ((path / "run" / "evidence.json").read_bytes() for path in (fresh, whole[0]))
    assert code == 0, said
    assert same_values(json.loads(ours), json.loads(theirs))


def same_values(one: dict, other: dict) -> bool:
    """The same rows with values that agree to what other batches may change."""
    rows = {row["id"]: row.get("value") for row in other["evidence"]}
    return rows.keys() == {row["id"] for row in one["evidence"]} and all(
        (row.get("value") is None) == (rows[row["id"]] is None)
        and (row.get("value") is None or row["value"] == pytest.approx(rows[row["id"]], rel=1e-3, abs=1e-4))
        for row in one["evidence"]
    )


@pytest.mark.exhaustive
def test_a_kill_inside_every_write_of_a_run_loses_that_write_alone(fresh: Path, whole: tuple[Path, bytes]):
    """Each process finishes the write in which the one before it died, and dies in its next.

    Once all is computed the folder is written anew by each, which then dies one write later than the one before it.
    """
    deaths, at, kept = 0, 2, 0
    while (code := ended(fresh, "die", at)[0]) == 9:
        deaths += 1
        made = sum(1 for _ in (fresh / "store" / "objects").glob("*/*"))
        at, kept = (2 if made > kept else at + 1), made
        assert deaths < 500
    assert code == 0
    completes(fresh, whole[1])
    print(f"{deaths} writes, each killed half-way")
    assert deaths > 60


@pytest.mark.exhaustive
@pytest.mark.parametrize("part", range(10))
def test_kills_at_random_moments(part: int, tmp_path: Path, whole: tuple[Path, bytes]):
    rng, seconds = random.Random(f"kills {part}"), float((whole[0] / "seconds").read_text(encoding="utf-8"))
    left = ALL_KILLS // 10
    while left:
        fresh = tmp_path / str(left)
        fresh.mkdir()
        write_recipe(fresh, RECIPE, NAME)
        for _ in range(min(left, rng.randint(1, 4))):
            killed_after(fresh, rng.uniform(0.01, seconds / 2))
            left -= 1
        completes(fresh, whole[1])


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(ALL_FULL))
def test_a_disk_that_is_full_from_some_write_on(number: int, fresh: Path, whole: tuple[Path, bytes]):
    writes = len((whole[0] / "writes").read_text(encoding="utf-8").splitlines())
    code, said = ended(fresh, "full", random.Random(f"full {number}").randint(1, writes))
    one_message(code, said)
    assert "No space left" in said
    completes(fresh, whole[1])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own in memory; skipped where mounting is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    write_recipe(place, RECIPE, NAME)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.exhaustive
def test_a_disk_that_is_really_full(small_disk: Path, whole: tuple[Path, bytes]):
    """The disk grows by 200 KiB at a time: every run but the last stops in one message, and none loses anything."""
    stops, size = 0, 200
    while True:
        subprocess.run(["mount", "-o", f"remount,size={size}k", small_disk], check=True)
        code, said = ended(small_disk)
        if code == 0:
            break
        one_message(code, said)
        stops, size = stops + 1, size + 200
    completes(small_disk, whole[1])
    print(f"{stops} stops on a full disk")
    assert stops > 1


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(ALL_FLIPS))
def test_a_turned_bit_anywhere_in_the_store(number: int, whole: tuple[Path, bytes]):
    folder, evidence = whole
    chosen = turned(folder, 1, random.Random(f"bit {number}"))
    assert all(Store(folder / "store").get(key) is None for key in damaged_keys(chosen))
    (folder / "run" / "evidence.json").unlink()
    completes(folder, evidence)


@pytest.mark.exhaustive
def test_two_processes_on_one_store_both_end_with_the_same_evidence(fresh: Path, whole: tuple[Path, bytes]):
    both = [begun(fresh, out=name) for name in ("run", "other")]
    for process in both:
        process.join(300)
    assert [process.exitcode for process in both] == [0, 0]
    for name in ("run", "other"):
        assert (fresh / name / "evidence.json").read_bytes() == whole[1]
    assert not list((fresh / "store" / "scratch").iterdir())


@pytest.mark.exhaustive
@pytest.mark.parametrize("number", range(3))
def test_a_worker_that_is_killed(number: int, fresh: Path, whole: tuple[Path, bytes]):
    code, said = worker_killed(fresh, random.Random(f"worker {number}"))
    if code:
        one_message(code, said)
        assert "worker process" in said
    completes(fresh, whole[1])
