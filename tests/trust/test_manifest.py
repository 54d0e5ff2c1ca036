"""What a folder holds, and how it differs from a list."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transfuse.errors import UserError
from transfuse.trust.manifest import compare, manifest

FACTS = st.fixed_dictionaries({"sha256": st.sampled_from(["a", "b"]), "bytes": st.integers(0, 2)})
LISTS = st.dictionaries(st.sampled_from(["x", "y", "z/w"]), FACTS)


def test_every_file_below_is_listed_by_its_path_inside(tmp_path: Path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b.txt").write_bytes(b"two")
    (tmp_path / "a.txt").write_bytes(b"one")
    found = manifest(tmp_path)
    assert list(found) == ["a.txt", "deep/b.txt"]
    assert found["a.txt"] == {"sha256": hashlib.sha256(b"one").hexdigest(), "bytes": 3}
    assert manifest(tmp_path / "a.txt") == {"a.txt": found["a.txt"]}


def test_journal_locks_and_the_signature_are_no_results_but_their_namesakes_below_are(tmp_path: Path):
    (tmp_path / "models").mkdir()
    for name in ("journal.jsonl", ".lock", ".holder", "signature.json", "evidence.json", "models/journal.jsonl"):
        (tmp_path / name).write_text("x")
    assert list(manifest(tmp_path)) == ["evidence.json", "models/journal.jsonl"]


def test_links_and_emptiness_are_refused_with_their_names(tmp_path: Path):
    with pytest.raises(UserError, match="empty folder"):
        manifest(tmp_path)
    with pytest.raises(UserError, match="nothing to sign"):
        manifest(tmp_path / "absent")
    (tmp_path / "real.txt").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link.txt").symlink_to("real.txt")
    (tmp_path / "way").symlink_to("folder", target_is_directory=True)
    with pytest.raises(UserError) as caught:
        manifest(tmp_path)
    assert "link.txt: a link" in str(caught.value) and "way: a link" in str(caught.value)
    with pytest.raises(UserError, match="a link is not signed"):
        manifest(tmp_path / "link.txt")


@given(LISTS, LISTS)
def test_a_difference_names_each_differing_file_once_and_mirrors(first: dict, second: dict):
    there, back = compare(first, second), compare(second, first)
    assert there.changed == back.changed
    assert (there.missing, there.added) == (back.added, back.missing)
    named = [*there.changed, *there.missing, *there.added]
    assert sorted(named) == sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    assert (there.problems == []) == (first == second)
