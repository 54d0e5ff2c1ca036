"""Two machines that share a URL and nothing else: the second finds all that the first has computed."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from e2e.house import executed, write_recipe
from transfuse import distant
from transfuse.plan.recipe import read
from transfuse.run.run import Request, run

URL = "memory://cluster/store"


def test_the_second_machine_computes_nothing_and_delivers_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = fsspec.filesystem("memory")
    system.store.clear()
    recipe = read(write_recipe(tmp_path))
    monkeypatch.setenv("TRANSFUSE_STORE", URL)
    counted, made = [], []
    for name in ("one", "two"):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache-{name}"))
        distant._known.cache_clear()
        run(Request(recipe, tmp_path, tmp_path / name))
        counted.append(len(executed(tmp_path / name)))
        made.append((tmp_path / name / "evidence.json").read_bytes())
    assert counted[0] > 30 and counted[1] == 0
    assert made[0] == made[1]
    # What the second did not need to read it did not fetch.
    kept = [len(list((tmp_path / f"cache-{name}").rglob("manifest.json"))) for name in ("one", "two")]
    assert (
        0 < kept[1] < kept[0] == len([path for path in system.find("/cluster/store") if path.endswith("manifest.json")])
    )
    system.store.clear()
