from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transfuse.ledger import SUFFIXES
from transfuse.store import Store

PLANS = st.lists(st.sampled_from("abcdef"), max_size=8)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_the_ledger_counts_plans_and_not_runs(store: Store) -> None:
    assert store.open_test("rows", "plan a") == 1
    assert store.open_test("rows", "plan a") == 1
    assert store.open_test("rows", "plan b") == 2
    assert store.open_test("rows", "plan a") == 1
    assert store.open_test("other rows", "plan b") == 1
    assert Store(store.root).open_test("rows", "plan c") == 3


def test_every_plan_has_its_own_ordinal_when_all_come_at_once(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        ordinals = list(pool.map(lambda number: store.open_test("rows", f"plan {number}"), range(12)))
    assert sorted(ordinals) == list(range(1, 13))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_file_is_mended_from_the_other(store: Store, suffix: str) -> None:
    for plan in ("a", "b", "c"):
        store.open_test("rows", plan)
    path = store.root / "ledger" / f"rows.b{suffix}"
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 8]) + whole[place + 1 :])
        assert [store.open_test("rows", plan) for plan in ("c", "a", "b")] == [3, 1, 2]
        assert path.read_bytes() == whole
    path.unlink()
    assert store.open_test("rows", "d") == 4
    assert store.open_test("rows", "b") == 2
    assert path.read_bytes() == whole


def test_what_is_lost_in_both_places_still_counts_as_an_opening(store: Store) -> None:
    for plan in ("a", "b"):
        store.open_test("rows", plan)
    for suffix in SUFFIXES:
        (store.root / "ledger" / f"rows.a{suffix}").write_bytes(b"")
    assert store.open_test("rows", "c") == 3
    assert store.open_test("rows", "b") == 2
    assert store.open_test("rows", "a") == 3


def test_a_ledger_of_one_file_as_it_was_before_is_read(store: Store) -> None:
    (store.root / "ledger").mkdir(parents=True)
    lines = '{"plan":"a"}\ndamaged\n{"check":"x","plan":"b"}\n'
    (store.root / "ledger" / "rows.jsonl").write_text(lines, encoding="utf-8")
    assert [store.open_test("rows", plan) for plan in ("b", "c", "a")] == [3, 4, 1]


@settings(deadline=None, max_examples=15)
@given(PLANS, PLANS, st.booleans())
def test_two_stores_are_united_by_copying_either_into_the_other(
    tmp_path_factory: pytest.TempPathFactory, ours: list[str], theirs: list[str], over: bool
) -> None:
    root = tmp_path_factory.mktemp("union")
    one, other = Store(root / "one"), Store(root / "other")
    before = {plan: one.open_test("rows", plan) for plan in ours}
    there = {plan: other.open_test("rows", plan) for plan in theirs}
    for number, (store, plans) in enumerate(((one, ours), (other, theirs))):
        for plan in plans:
            store.put(plan * 64, {"made": "alike"})
        store.put(str(number) * 64, {"made": number})
    for path in sorted(path for path in other.root.rglob("*") if path.is_file()):
        to = one.root / path.relative_to(other.root)
        if over or not to.exists():
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
    assert all(one.get(plan * 64) is not None for plan in (*ours, *theirs))
    assert all(one.get(str(number) * 64) is not None for number in range(2))
    for plan in {*before, *there}:
        assert one.open_test("rows", plan) in (before.get(plan), there.get(plan))
    assert one.open_test("rows", "another") > len({*before, *there})
