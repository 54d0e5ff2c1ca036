"""Two machines that share a URL and no disk: each a folder of its own, one store."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from transfuse import distant
from transfuse.distant import Distant
from transfuse.errors import UserError
from transfuse.store import ARRAYS, MANIFEST, META, Store, named_store

URL = "memory://shared/store"
KEY, OTHER = "ab" + "0" * 62, "cd" + "1" * 62
ROWS = {"rows": np.arange(5.0)}


@pytest.fixture(autouse=True)
def there(monkeypatch: pytest.MonkeyPatch) -> Iterator[fsspec.AbstractFileSystem]:
    """What lies behind the URL; nothing at first, and no pause before another try."""
    monkeypatch.setattr(distant, "PAUSE_SECONDS", 0.0)
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    distant._known.cache_clear()
    yield system
    system.store.clear()


@pytest.fixture
def machines(tmp_path: Path) -> tuple[Store, Store]:
    return Store(tmp_path / "one", Distant.at(URL)), Store(tmp_path / "two", Distant.at(URL))


def forget() -> None:
    """As in another process, which has seen nothing yet."""
    distant._known.cache_clear()


def test_what_one_machine_made_another_has(machines: tuple[Store, Store]) -> None:
    one, two = machines
    assert not two.has(KEY) and two.get(KEY) is None
    one.put(KEY, {"a": 1}, ROWS)
    forget()
    assert two.has(KEY) and not two.folder(KEY).exists()
    found = two.need(KEY)
    assert found.meta == {"a": 1}
    np.testing.assert_array_equal(found["rows"], ROWS["rows"])
    assert {path.name for path in two.folder(KEY).iterdir()} == {META, ARRAYS, MANIFEST}


def test_an_entry_is_there_with_its_manifest_only(
    machines: tuple[Store, Store], there: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    whole = there.put_file

    def cut(source: str, target: str, **more: object) -> None:
        if source.endswith(MANIFEST):
            raise OSError("the line went dead")
        whole(source, target, **more)

    with monkeypatch.context() as broken:
        broken.setattr(type(there), "put_file", staticmethod(cut))
        with pytest.raises(UserError, match="the line went dead"):
            one.put(KEY, {"a": 1}, ROWS)
    assert there.find("/shared/store") and not two.has(KEY)
    # What was kept here is not made again: it is sent when it is next asked for.
    assert one.has(KEY) and two.need(KEY).meta == {"a": 1}


def test_a_line_that_fails_for_a_moment_ends_nothing(
    machines: tuple[Store, Store], there: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, calls = there.put_file, []

    def shaky(source: str, target: str, **more: object) -> None:
        calls.append(source)
        if len(calls) % 3:
            raise OSError("again, please")
        whole(source, target, **more)

    monkeypatch.setattr(type(there), "put_file", staticmethod(shaky))
    machines[0].put(KEY, {"a": 1})
    assert machines[1].need(KEY).meta == {"a": 1} and len(calls) == 6


@pytest.mark.parametrize("name", [META, ARRAYS, MANIFEST])
def test_damage_beyond_is_found_by_hash_and_made_anew(
    machines: tuple[Store, Store], there: fsspec.AbstractFileSystem, name: str
) -> None:
    one, two = machines
    one.put(KEY, {"a": 1}, ROWS)
    there.pipe_file(f"/shared/store/objects/ab/{KEY}/{name}", b"{}")
    assert two.get(KEY) is None and not two.has(KEY)
    two.put(KEY, {"a": 1}, ROWS)
    shutil.rmtree(one.root)
    assert one.need(KEY).meta == {"a": 1}


def test_damage_here_is_mended_from_beyond(machines: tuple[Store, Store]) -> None:
    one, _ = machines
    one.put(KEY, {"a": 1}, ROWS)
    (one.folder(KEY) / META).write_bytes(b'{"a": 2}')
    assert one.need(KEY).meta == {"a": 1}


def test_a_second_writer_changes_nothing(machines: tuple[Store, Store], there: fsspec.AbstractFileSystem) -> None:
    one, two = machines
    one.put(KEY, {"a": 1}, ROWS)
    before = {path: there.created(path) for path in there.find("/shared/store")}
    two.put(KEY, {"a": 1}, ROWS)
    assert {path: there.created(path) for path in there.find("/shared/store")} == before


def test_an_entry_is_asked_for_beyond_once_it_is_known_no_more(
    machines: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = machines
    one.put(KEY, {})
    asked: list[str] = []
    monkeypatch.setattr(distant.Remote, "is_file", lambda place: asked.append(place.name) is None and False)
    assert all(two.has(KEY) for _ in range(3)) and not asked
    assert not two.has(OTHER) and asked == [MANIFEST]


def test_openings_of_judged_rows_are_counted_over_all_machines(machines: tuple[Store, Store]) -> None:
    one, two = machines
    assert (one.open_test("rows", "first"), two.open_test("rows", "second")) == (1, 2)
    assert (two.open_test("rows", "first"), one.open_test("rows", "second")) == (1, 2)
    assert one.open_test("others", "first") == 1
    assert one.open_test("rows", "third") == 3
    assert not list((two.root / "ledger").glob(".*.tmp"))


def test_a_url_names_a_store_with_a_folder_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("TRANSFUSE_STORE", URL)
    found = named_store()
    assert found == named_store(URL) == Store(found.root, Distant(URL))
    assert found.root.is_relative_to(tmp_path) and found.root != named_store("memory://else").root
    # A process of another machine keeps it in a folder of its own.
    assert Store(tmp_path / "theirs", Distant(URL)).of_this_machine() == found
    assert Store(tmp_path).of_this_machine() == Store(tmp_path)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://host/x", "this address can only be read"),
        ("nonsense://x", "cannot be opened"),
        ("s3://bucket/x", "pip install s3fs"),
    ],
)
def test_a_url_that_cannot_be_a_store_is_refused_before_any_work(url: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        named_store(url)
