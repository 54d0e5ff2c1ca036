"""What the page on shipping shows works as it stands there, and what is shipped takes no other file's place."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from report.example import evidence
from transfuse.doors.predicting import predict
from transfuse.doors.study import Study
from transfuse.errors import UserError
from transfuse.folder import Folder
from transfuse.fusion import saved
from transfuse.report.view import SCHEMA
from transfuse.source.open import make_card, open_source

PAGE = (Path(__file__).parents[2] / "docs" / "ship.md").read_text(encoding="utf-8")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with `photo.jpg` and the model of `runs/recipe`; gives the run's folder."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 61, 3), dtype=np.uint8)
    Image.fromarray(pixels).save("photo.jpg")
    home = Folder(tmp_path / "runs" / "recipe")
    source = open_source(make_card("vgg", "demo:vgg", root=Path(), canvas=28), root=Path())
    saved.save(source, home.model("frozen/vgg"), facts={"canvas": 28, "arm": "frozen/vgg"})
    verdict = {"recommendation": {"arm": "frozen/vgg", "form": "single", "why": ""}, "claims": [], "flags": []}
    home.evidence.write_text(json.dumps({"schema": SCHEMA, "verdict": verdict, "evidence": [], "arms": []}))
    return home.path


def test_the_python_lines_answer_as_predict_does(run: Path, capsys: pytest.CaptureFixture[str]):
    lines = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL) if "read_image" in block)
    names: dict = {}
    exec(compile(lines, "ship.md", "exec"), names)
    (wanted,) = predict(run, ".", run.parent.parent).probabilities
    np.testing.assert_allclose(names["probabilities"].numpy(), wanted, atol=1e-6)
    assert "'T-shirt/top'" in capsys.readouterr().out


def test_the_steps_in_words_are_what_predict_does(run: Path):
    """Whole image resized, then cropped: by Pillow alone, and within a rounding."""
    from transfuse.data.canvas import place

    image = Image.open("photo.jpg")
    square = image.resize((28, 28), Image.Resampling.BILINEAR, box=(10.5, 0, 50.5, 40))
    assert np.array_equal(place(np.asarray(image), 28), np.asarray(square).transpose(2, 0, 1) / np.float32(255))


def test_a_card_that_a_person_went_on_with_is_not_replaced(tmp_path: Path) -> None:
    study = Study(evidence(), folder=tmp_path)
    path = study.export("model_card")
    assert study.export("model_card") == path == tmp_path / "model_card.md"
    path.write_text(path.read_text(encoding="utf-8") + "Mine.\n", encoding="utf-8")
    with pytest.raises(UserError, match="another file of that name"):
        study.export("model_card")
    assert path.read_text(encoding="utf-8").endswith("Mine.\n")
    assert study.export("model_card", tmp_path / "new.md").is_file()
