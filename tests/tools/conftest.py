"""The scripts in tools/ import each other as siblings, as they do when they are run."""

import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "tools"))


@pytest.fixture
def no_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without npm, apt-get and pip."""
    import asset_archives

    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(asset_archives, "ROOT", tmp_path / "nothing")
    monkeypatch.setattr(asset_archives.importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def real_assets() -> Path:
    """The folder that `make assets` fills; without it the test is skipped."""
    folder = REPOSITORY / "assets"
    names = ("lite0.safetensors", "squeezenet.safetensors", "photos", "fashion-mnist", "mnist")
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        pytest.skip(f"assets/ lacks {', '.join(missing)}; run `make assets`")
    return folder
