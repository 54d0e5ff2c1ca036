"""Faults planted in compressions, each of which a law or the lift must catch."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from transfuse.compress import _lift
from transfuse.compress._checks import checks_for
from transfuse.errors import TransfuseError
from transfuse.registry import Entry, find, read_file

HEAD = '''"""Planted: {law}."""
import torch
from transfuse.compress import prune
from transfuse.fusion.made import Made
CITATION = "planted"
TRAITS = {traits}
'''
SMALL = '{"trains": True, "smaller": True, "faster": True}'
NEAR = '{"trains": False, "smaller": False, "faster": False, "near": 0.25}'
# The name of the law that must break, what the method claims, and what it does.
PLANTED = {
    "forgets_a_branch": ("each_branch", SMALL, """
def compress(model, rows):
    return prune.compress(model, rows, ratio=0.5, by="magnitude", branch=model.names[0], multiple=1)
"""),
    "reads_signed_as_unsigned": ("near", NEAR, """
def compress(model, rows):
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, torch.nn.Conv2d):
                scale = layer.weight.abs().amax(dim=(1, 2, 3), keepdim=True) / 127 + 1e-12
                layer.weight.copy_((layer.weight / scale).round().to(torch.int8).view(torch.uint8).float() * scale)
    return model
"""),
    "calls_zeros_small": ("fewer", '{"trains": False, "smaller": True, "faster": False}', """
def compress(model, rows):
    with torch.no_grad():
        for each in model.members.parameters():
            each[each.abs() < each.abs().median()] = 0
    return model
"""),
    "scales_by_the_batch": ("rows_alone", NEAR, """
class Scaled(Made):
    def __init__(self, source):
        super().__init__()
        self.source, self.card = source, source.card
    def blocks(self, batch, taps):
        canvas = self.prepared(batch)
        return self.source.blocks(canvas / canvas.amax(), taps)
    def freeze(self, until=None):
        pass

def compress(model, rows):
    return Scaled(model)
"""),
    "lets_the_gradient_die": ("learns", SMALL, """
def compress(model, rows):
    found = prune.compress(model, rows, ratio=0.5, by="magnitude", branch="", multiple=1)
    found.member(found.names[0]).freeze()
    return found
"""),
    "draws_as_it_likes": ("again", NEAR, """
import os
def compress(model, rows):
    noise = int.from_bytes(os.urandom(2), "little") / 2**16
    with torch.no_grad():
        model.crown.head.bias += 0.01 * noise * torch.arange(len(model.crown.head.bias))
    return model
"""),
}  # fmt: skip


def planted(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Entry:
    _, traits, body = PLANTED[name]
    path = folder / f"planted_{name}.py"
    path.write_text(HEAD.replace("{law}", name).replace("{traits}", traits) + body, encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop(path.stem, None)
    return read_file("compress", path, path.stem)


def law(entry: Entry, name: str):
    return next(each for each in checks_for(entry) if each.name == name)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_breaks_its_law(name, tmp_path, monkeypatch):
    with pytest.raises(TransfuseError):
        law(planted(name, tmp_path, monkeypatch), PLANTED[name][0]).run()


def test_the_law_of_answers_stands_without_the_lifts_own_look(tmp_path, monkeypatch):
    entry = planted("reads_signed_as_unsigned", tmp_path, monkeypatch)
    with pytest.raises(TransfuseError, match="answers otherwise"):
        law(entry, "near").run()
    monkeypatch.setattr(_lift, "_answers", lambda *_: {})
    with pytest.raises(TransfuseError, match="moved by"):
        law(entry, "near").run()


def test_what_is_planted_differs_from_sound_methods():
    for method, name in (("prune", "learns"), ("prune", "each_branch"), ("bfloat16", "near")):
        law(find("compress", method), name).run()
