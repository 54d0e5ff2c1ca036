"""Tried wrong: each mistake is one clean message, exit code 2, no traceback, and nothing is lost or executed."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from transfuse.doors import cli


@pytest.fixture
def wrong(monkeypatch, tmp_path, capsys):
    """Run the command line in this process; gives (exit code, what it said)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRANSFUSE_STORE", str(tmp_path / "store"))

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["transfuse", *words])
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        else:
            code = 0
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.err + said.out

    return run


def recipe(text: str) -> str:
    Path("wrong.yaml").write_text(text, encoding="utf-8")
    return "wrong.yaml"


GOOD = 'sources: {a: "demo:residual", b: "demo:vgg"}\ndata: {read: "sklearn:digits", canvas: 28}\n'


def photos(folder: Path, per_class: int = 12, classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for index in range(per_class):
            Image.fromarray(rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(folder / name / f"{index}.png")
    return folder


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD + "seedz: 3\n", ("unknown key 'seedz'", "did you mean 'seeds'")),
        (GOOD + "candidates: [features/contact]\n", ("unknown method 'features/contact'", "features/concat")),
        (GOOD + "candidates: {x: {fuse: features/gate, widht: 3}}\n", ("widht", "width")),
        (GOOD + "candidates: {x: {fuse: features/gate, width: -3}}\n", ("width must be a whole number", "-3")),
        (GOOD + "candidates: {x: {fuse: features/gate, of: [a, c]}}\n", ("unknown source 'c'",)),
        (GOOD + "run: {device: cuda:7}\n", ("cuda:7",)),
        (GOOD + "budget: {train: soon}\n", ("budget.train", "no duration")),
        (GOOD + "task: {kind: regression}\n", ("regression", "has no labels")),
        ("sources: {a: &x demo:residual, b: *x}\ndata: sklearn:digits\n", ("recipes have no",)),
        ("sources: {a: demo:residual\n", ("cannot be read",)),
        ("- 1\n", ("a recipe is a mapping",)),
        (GOOD.replace("demo:vgg", "demo:vg"), ("unknown demo network 'vg'", "vgg")),
        (GOOD.replace("demo:vgg", "tensorflow:model/"), ("no SavedModel", "saved_model.pb")),
        (GOOD.replace("sklearn:digits", "sklearn:iris"), ("iris",)),
        (GOOD.replace("sklearn:digits", "nowhere/"), ("nowhere",)),
        (GOOD.replace("{a:", "{../a:"), ("source name",)),
    ],
)
def test_a_wrong_recipe_is_one_message(wrong, text, words):
    code, said = wrong("run", recipe(text))
    assert code == 2, said
    assert all(word in said for word in words), said


def test_a_missing_recipe_offers_the_nearest(wrong):
    recipe(GOOD)
    code, said = wrong("run", "wrnog.yaml")
    assert code == 2
    assert "wrong.yaml" in said


def test_a_huge_recipe_is_refused_before_it_is_read(wrong):
    with open("huge.yaml", "wb") as handle:
        handle.truncate(100 << 20)
    code, said = wrong("run", "huge.yaml")
    assert (code, "too large" in said) == (2, True)


def test_a_folder_is_no_recipe(wrong):
    recipe(GOOD)
    code, said = wrong("run", ".")
    assert (code, "this is a folder" in said) == (2, True)


def test_a_value_of_the_wrong_kind_is_told_with_what_was_given(wrong):
    code, said = wrong("plan", recipe(GOOD + "seeds: many\n"))
    assert (code, "seeds: must be a valid integer" in said, "got 'many'" in said) == (2, True, True)


def test_an_out_without_a_name_fills_no_folder(wrong):
    """`--out "$UNSET"` would otherwise write a whole run into the current folder."""
    code, said = wrong("run", recipe(GOOD), "--out", "")
    assert (code, "--out names no folder" in said) == (2, True)
    assert [path.name for path in Path().iterdir()] == ["wrong.yaml"]


def test_an_out_below_a_file_says_where_else_to_write(wrong):
    Path("taken").write_text("mine", encoding="utf-8")
    code, said = wrong("run", recipe(GOOD), "--out", "taken/below")
    assert (code, "Not a directory" in said, "--out DIR" in said) == (2, True, True)


def test_an_unknown_command_is_refused(wrong):
    assert wrong("fuze")[0] == 2


def test_an_empty_class_folder_is_named(wrong):
    photos(Path("photos"))
    Path("photos/bird").mkdir()
    code, said = wrong("compare", "demo:residual", "demo:vgg", "--data", "photos/")
    assert code == 2
    assert "bird" in said


def test_one_class_is_no_task(wrong):
    photos(Path("photos"), classes=("cat",))
    code, said = wrong("compare", "demo:residual", "--data", "photos/")
    assert code == 2
    assert "class" in said


def test_a_class_only_in_test_is_named(wrong):
    photos(Path("photos/train"))
    photos(Path("photos/val"))
    photos(Path("photos/test"), classes=("cat", "dog", "emu"))
    code, said = wrong("compare", "demo:residual", "--data", "photos/")
    assert code == 2
    assert "emu" in said


def test_a_corrupt_image_is_named(wrong):
    photos(Path("photos"))
    Path("photos/cat/3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    code, said = wrong("compare", "demo:residual", "--data", "photos/")
    assert code == 2
    assert "3.png" in said


def test_an_image_torn_in_the_middle_is_named_when_it_is_read(wrong):
    photos(Path("photos"), per_class=30)
    path = Path("photos/dog/5.png")
    path.write_bytes(path.read_bytes()[:-200])
    code, said = wrong("compare", "demo:residual", "--data", "photos/")
    assert code == 2
    assert "5.png" in said


def test_nan_in_data_is_refused(wrong):
    images = np.random.default_rng(0).random((40, 8, 8)).astype(np.float32)
    images[7, 3, 3] = np.nan
    np.savez("data.npz", x=images, y=np.arange(40) % 2)
    code, said = wrong("compare", "demo:residual", "--data", "npz:data.npz")
    assert code == 2
    assert "NaN" in said or "finite" in said


def residual_state() -> dict:
    from transfuse.demo import networks

    return {name: value.clone() for name, value in networks.build("residual").state_dict().items()}


def weights(state: dict) -> str:
    from safetensors.torch import save_file

    save_file(state, "mine.safetensors")
    return (
        'sources: {mine: {spec: "file:mine.safetensors?arch=demo:residual", '
        "prepare: {size: 28, mean: [0.286], std: [0.353], channels: 1}}}\n"
        'data: {read: "sklearn:digits", canvas: 28}\n'
    )


def test_a_misshapen_tensor_is_named_with_its_source(wrong):
    state = residual_state()
    name = next(iter(state))
    state[name] = state[name][..., :1].clone()
    code, said = wrong("run", recipe(weights(state)))
    assert code == 2
    assert name in said
    assert "mine" in said


def test_nan_in_weights_is_named_with_its_source(wrong):
    state = residual_state()
    name = next(iter(state))
    state[name].view(-1)[0] = float("nan")
    code, said = wrong("run", recipe(weights(state)))
    assert code == 2
    assert name in said
    assert "mine" in said


def test_the_wrong_number_of_classes_is_refused(wrong):
    text = weights(residual_state()).replace("arch=demo:residual", "arch=demo:residual&classes=7")
    assert wrong("run", recipe(text))[0] == 2


def test_a_file_without_preparation_is_refused_and_told_what_to_write(wrong):
    text = weights(residual_state())
    head = text.split(", prepare")[0] + "}}\n" + text.split("\n", 1)[1]
    code, said = wrong("run", recipe(head))
    assert code == 2
    assert "prepare" in said


class Touch:
    def __reduce__(self):
        return (os.system, ("touch was-executed",))


def test_a_pickle_that_runs_code_is_refused_and_not_executed(wrong):
    Path("evil.pt").write_bytes(pickle.dumps({"weight": Touch()}))
    text = weights(residual_state()).replace("mine.safetensors", "evil.pt")
    code, said = wrong("run", recipe(text))
    assert code == 2
    assert not Path("was-executed").exists()
    code, said = wrong("inspect", "evil.pt")
    assert code == 0
    assert "NOT SAFE" in said
    assert not Path("was-executed").exists()


def test_a_changed_margin_that_is_negative_is_refused(wrong):
    code, said = wrong("run", recipe(GOOD + "margin: -1.0\n"))
    assert code == 2
    assert "margin" in said


def test_init_never_overwrites(wrong):
    Path("recipe.yaml").write_text("mine", encoding="utf-8")
    code, said = wrong("init", "sklearn:digits", "demo:residual")
    assert code == 2
    assert Path("recipe.yaml").read_text(encoding="utf-8") == "mine"


def test_init_writes_a_recipe_that_plans(wrong):
    photos(Path("photos"))
    assert wrong("init", "photos/", "demo:residual", "demo:vgg")[0] == 0
    code, said = wrong("plan", "recipe.yaml")
    assert code == 0, said
    assert "24 items" in said


def test_evaluate_refuses_labels_that_do_not_fit(wrong):
    Path("a.csv").write_text("item,cat,dog\n1,0.5,0.5\n2,0.1,0.9\n", encoding="utf-8")
    Path("labels.csv").write_text("item,label\n1,cat\n3,dog\n", encoding="utf-8")
    code, said = wrong("evaluate", "a.csv", "--labels", "labels.csv")
    assert code == 2
    assert "1 labelled item without predictions" in said
    assert "got: 3" in said


def test_check_of_something_that_is_no_method(wrong):
    code, said = wrong("check", "features/nothing")
    assert code == 2
    assert "features/" in said


def test_methods_lists_all_and_explains_one(wrong):
    code, said = wrong("methods")
    assert code == 0
    assert "features/concat" in said
    assert "weights/mean" in said
    code, said = wrong("methods", "features/gate")
    assert code == 0
    assert "width" in said
    assert "2017" in said


def test_an_out_that_is_a_file_is_refused_and_kept(wrong):
    Path("taken").write_text("mine", encoding="utf-8")
    code, said = wrong("run", recipe(GOOD), "--out", "taken")
    assert code == 2, said
    assert "taken" in said
    assert Path("taken").read_text(encoding="utf-8") == "mine"


def test_a_full_disk_is_one_message(wrong, monkeypatch):
    import errno

    import transfuse.store as store

    def full(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(store, "write_bytes", full)
    code, said = wrong("run", recipe(GOOD))
    assert code == 2, said
    assert "No space left" in said
