"""Delivered predictions are the same bytes every time, and any reader of the format reads them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load

from transfuse.folder import Folder
from transfuse.run import predictions
from transfuse.run.deliver import _recommended, _settled
from transfuse.run.predictions import safetensors_bytes, write_predictions

ARRAYS = {"scores": np.arange(6, dtype=np.float32).reshape(3, 2), "rows": np.array([2, 0, 1])}


@settings(deadline=None, max_examples=20)
@given(st.dictionaries(st.text(min_size=1, max_size=6), st.text(max_size=9), min_size=2, max_size=8))
def test_facts_in_any_order_are_the_same_bytes_and_come_back(facts):
    data = safetensors_bytes(ARRAYS, facts)
    assert data == safetensors_bytes(ARRAYS, dict(reversed(facts.items())))
    start = 8 + int.from_bytes(data[:8], "little")
    assert start % 8 == 0 and json.loads(data[8:start])["__metadata__"] == facts
    for name, array in load(data).items():
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_the_package_reads_the_facts(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors_bytes(ARRAYS, {"scale": "logit", "items": "é"}))
    with safe_open(path, framework="numpy") as opened:
        assert opened.metadata() == {"scale": "logit", "items": "é"}


@pytest.mark.parametrize(
    ("shipped", "expected"), [("gate", "gate"), ("economical", "economical"), (None, "economical")]
)
def test_the_recommendation_names_what_is_delivered(shipped, expected):
    """What every fold chose anew is judged under its own name, and shipped under that of the choice on all rows."""
    arms = {"gate@12": {"form": "fused", "members": ("a", "b")}}
    prepared: Any = SimpleNamespace(plan=SimpleNamespace(steps={"evaluate": SimpleNamespace(params={"arms": arms})}))
    made = {"verdict": {"recommendation": {"arm": "economical", "form": "ensemble", "why": "It is cheap."}}}
    found = _recommended(made, prepared, {} if shipped is None else {"arm": shipped})
    assert found["arm"] == expected
    assert (found.get("judged_as"), found["form"]) == (
        ("economical", "fused") if shipped == "gate" else (None, "ensemble")
    )
    assert found["why"].endswith("It is cheap.")


@pytest.mark.parametrize("killed_at", ["rmtree", "rename", None])
def test_what_others_put_among_the_predictions_outlives_a_kill_at_any_place(tmp_path, monkeypatch, killed_at):
    """Between taking it aside and putting the new folder in its place, and in the run after that."""
    folder, walk = Folder(tmp_path), SimpleNamespace(inputs=lambda _: {})
    nothing: Any = SimpleNamespace()
    monkeypatch.setattr(predictions, "_splits", lambda *_: {})
    note = folder.predictions / "concat" / "note.txt"
    note.parent.mkdir(parents=True)
    note.write_text("seen by Ada")
    (folder.predictions / "old.safetensors").write_bytes(b"old")
    if killed_at is not None:
        with monkeypatch.context() as patched:
            place: Any = predictions.shutil if killed_at == "rmtree" else type(tmp_path)
            real = getattr(place, killed_at)

            def kill(path, *others, **more):
                # Removing what is old, and renaming the new folder, are what comes after all files were moved.
                if path in (folder.predictions, tmp_path / ".predictions.tmp") and not note.exists():
                    raise KeyboardInterrupt
                return real(path, *others, **more)

            patched.setattr(place, killed_at, kill)
            with pytest.raises(KeyboardInterrupt):
                write_predictions(folder, walk, nothing, nothing)  # pyright: ignore[reportArgumentType]
        assert not note.exists()
        (tmp_path / ".predictions.tmp" / ".test.items.json.1-2.tmp").write_bytes(b"half")
    write_predictions(folder, walk, nothing, nothing)  # pyright: ignore[reportArgumentType]
    assert note.read_text() == "seen by Ada"
    assert [path.name for path in folder.path.rglob("*") if path.is_file()] == ["note.txt"]


@pytest.mark.parametrize(("delivered", "expected"), [("frozen/a", True), ("frozen/b", False)])
def test_a_flag_to_ship_another_arm_falls_where_that_arm_is_delivered(delivered, expected):
    """The choice made in each fold may be shown worse than the arm that the choice on all rows gives."""
    evidence = [{"id": "row", "arm": "best_single", "versus": "frozen/a"}]
    flag = {"flag": "worse_than_best_single", "why": "ship frozen/a instead", "evidence": ["row"]}
    recommended = {"arm": delivered, "judged_as": "best_single"}
    assert _settled(flag, evidence, recommended) is expected
    assert not _settled(flag | {"flag": "harm"}, evidence, recommended)
