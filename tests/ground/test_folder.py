"""The run folder's names: what documents promise is where it is said to be, and no arm's name leaves its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfuse.folder import Folder, file_name


def test_the_folder_has_the_names_that_the_interface_fixes() -> None:
    folder = Folder(Path("runs/mine"))
    names = [path.name for path in (folder.report, folder.markdown, folder.evidence, folder.measurements, folder.lock)]
    assert names == ["report.html", "report.md", "evidence.json", "measurements.json", "recipe.lock.yaml"]
    assert set(folder.delivered) >= {folder.report, folder.markdown, folder.evidence, folder.measurements, folder.lock}
    assert folder.predictions == Path("runs/mine/predictions")


@pytest.mark.parametrize(("arm", "name"), [("gate", "gate"), ("frozen/vgg", "frozen.vgg"), ("ood:mnist", "ood.mnist")])
def test_an_arm_is_one_folder(arm: str, name: str) -> None:
    assert file_name(arm) == name
    assert Folder(Path("out")).model(arm) == Path("out/models") / name
