"""The laws of `make assets`: what can be had is had, whole and once; what cannot is named."""

import hashlib
from pathlib import Path

import pytest

import assets
from asset_archives import Archive, unpack
from tools.example_archives import make_tar, pinned
from transfuse.errors import UserError
from transfuse.store import exclusive

REPOSITORY = Path(__file__).parents[2]


def small_asset(archive: Archive, name: str = "small") -> assets.Asset:
    return assets.Asset(name, name, archive, lambda file, to: unpack(file, to, "data", "*.txt"))


def test_a_wrong_checksum_is_refused_and_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = make_tar(tmp_path / "a.tgz", {"data/1.txt": b"1"})
    opened: list[object] = []
    asset = assets.Asset("small", "small", pinned(own, sha256="0" * 64), lambda file, to: opened.append(file))
    with pytest.raises(UserError) as caught:
        assets.make(asset, tmp_path)
    found = hashlib.sha256(own.read_bytes()).hexdigest()
    assert all(text in str(caught.value) for text in ("a.tgz", "0" * 64, found))
    assert not opened


def test_finished_assets_are_not_made_again_and_damaged_ones_are(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    own = make_tar(tmp_path / "a.tgz", {"data/1.txt": b"1", "data/2.txt": b"2"})
    asset = small_asset(pinned(own))
    assert assets.make_all([asset], tmp_path) == []
    own.unlink()
    assert assets.make_all([asset], tmp_path) == []
    assert "ready" in capsys.readouterr().out
    (tmp_path / "small" / "2.txt").unlink()
    assert not assets.finished(asset, tmp_path)


def test_another_archive_or_revision_makes_an_asset_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = make_tar(tmp_path / "a.tgz", {"data/1.txt": b"1"})
    assets.make(small_asset(pinned(own)), tmp_path)
    assert assets.finished(small_asset(pinned(own)), tmp_path)
    assert not assets.finished(small_asset(pinned(own, sha256="0" * 64)), tmp_path)
    monkeypatch.setattr(assets, "REVISION", assets.REVISION + 1)
    assert not assets.finished(small_asset(pinned(own)), tmp_path)
    assets.make(small_asset(pinned(own)), tmp_path)
    assert (tmp_path / "small" / "1.txt").read_bytes() == b"1"


CATALOGUE = """
[first]
target = "first"
unpack = {{below = "data", named = "*"}}
registry = "npm"
package = "absent"
version = "1"
file = "absent.tgz"
sha256 = "{zeros}"
megabytes = 1

[second]
target = "second"
unpack = {{below = "data", named = "*"}}
registry = "npm"
package = "a"
version = "1"
file = "a.tgz"
sha256 = "{right}"
megabytes = 1
"""


@pytest.mark.usefixtures("no_tools")
def test_one_missing_asset_does_not_stop_the_others_and_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    own = make_tar(tmp_path / "a.tgz", {"data/1.txt": b"1"})
    catalogue = tmp_path / "catalogue.toml"
    catalogue.write_text(CATALOGUE.format(zeros="0" * 64, right=pinned(own).sha256))
    assert assets.main(["--into", str(tmp_path)], catalogue) == 2
    said = capsys.readouterr().err
    assert "lacks the tool npm" in said
    assert "not there: first" in said
    assert (tmp_path / "second" / "1.txt").is_file()
    assert assets.main(["second", "--into", str(tmp_path)], catalogue) == 0


def test_an_unknown_asset_is_refused_with_the_nearest_name(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert assets.main(["fashion-mnst", "--into", str(tmp_path / "a")]) == 2
    assert "fashion-mnist" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_two_runs_at_once_are_one_too_many(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    with exclusive(tmp_path, "the assets folder"):
        assert assets.main(["mnist", "--into", str(tmp_path)]) == 2
    assert "in use by another run" in capsys.readouterr().err


def test_check_without_assets_says_so(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert assets.main(["--check", "--into", str(tmp_path)]) == 2
    assert "make assets" in capsys.readouterr().err


def test_the_page_states_every_pin() -> None:
    page = (REPOSITORY / "docs" / "assets.md").read_text(encoding="utf-8")
    catalogue = assets.read_catalogue()
    assert {name for name, asset in catalogue.items() if not asset.optional} == {
        "lite0", "lite1", "squeezenet", "photos", "fashion-mnist", "mnist",
    }  # fmt: skip
    for asset in catalogue.values():
        archive = asset.archive
        assert all(text in page for text in (f"`{asset.name}`", archive.file, archive.sha256, archive.version))


@pytest.mark.assets
@pytest.mark.parametrize("name", ["fashion-mnist", "mnist"])
def test_image_sets_are_whole(name: str, real_assets: Path) -> None:
    from transfuse.files.arrays import read_idx

    shapes = {path.name.split("-ubyte")[0]: read_idx(path).shape for path in (real_assets / name).iterdir()}
    assert shapes == {
        "train-images-idx3": (60_000, 28, 28),
        "train-labels-idx1": (60_000,),
        "t10k-images-idx3": (10_000, 28, 28),
        "t10k-labels-idx1": (10_000,),
    }
