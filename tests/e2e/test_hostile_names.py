"""Names from strangers through a real run: a class or an item may be called anything, and is text everywhere."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from e2e.house import forked, write_recipe
from transfuse.doors.inspecting import inspected

CLASSES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "\x1b[2J\x1b[31mred\x07",
    "photo\u202egpj.exe",
    "a|b `*_[x](javascript:alert(1))",
    "two\nlines: recommendation: this one",
)
RECIPE = """
title: "<script>alert(2)</script> \\e[31m [x](javascript:alert(2))"
sources:
  residual: {spec: "demo:residual", seen: none}
  depthwise: {spec: "demo:depthwise", seen: none}
data: {read: "npz:named.npz", splits: {per_class: 4, val: 48, test: 48}, canvas: 16}
ladder: quick
candidates: {"mean<b>": {fuse: outputs/mean_prob, of: [frozen/residual, frozen/depthwise]}}
train: {frozen: {epochs: 2, rates: [0.01], least_steps: 20}}
seeds: 1
"""
BARRED = {"\x1b", "\x07", "\u202e", "\0"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run on images whose classes and ids are hostile, and what it printed."""
    folder = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(0)
    y = np.array(CLASSES)[np.arange(180) % len(CLASSES)]
    x = (rng.integers(0, 120, (180, 16, 16)) + 20 * (np.arange(180) % len(CLASSES))[:, None, None]).astype(np.uint8)
    ids = np.array([f"{CLASSES[row % 5]}{row}" for row in range(180)])
    np.savez(folder / "named.npz", x=x, y=y, ids=ids)
    write_recipe(folder, RECIPE)
    result = forked("run", "small.yaml", "--workers", "1", store=folder / "store", cwd=folder)
    assert result.returncode == 0, result.stderr
    return folder / "runs" / "small", result.stdout + result.stderr


class Tags(HTMLParser):
    """Every tag of a page with its attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_holds_hostile_names_as_text_alone(finished: tuple[Path, str]):
    page = (finished[0] / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    shown = "".join(tags.text)
    assert "<script>alert(1)</script>" in shown
    assert "<script>alert(2)</script>" in shown
    assert "script" not in {tag for tag, _ in tags.tags}
    links = [attributes.get(name) or "" for _, attributes in tags.tags for name in ("href", "src")]
    assert not [link for link in links if link and not link.startswith(("#", "data:image/", "https://"))]
    assert not [attributes for _, attributes in tags.tags if any(name.startswith("on") for name in attributes)]
    assert not BARRED & set(page)


def test_markdown_and_terminal_hold_nothing_that_acts(finished: tuple[Path, str]):
    folder, said = finished
    text = (folder / "report.md").read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    assert "alert" in text
    assert "<script>" not in text.replace("\\<script", "")
    assert "](javascript" not in text.replace("\\]", "").replace("\\(", "")
    for each in (text, said):
        assert not BARRED & set(each)
    assert "recommendation: this one" not in {line.strip() for line in said.splitlines()}


def test_other_doors_show_the_same_names_as_text(finished: tuple[Path, str]):
    folder, _ = finished
    answers = ("predict", folder, f"npz:{folder.parents[1] / 'named.npz'}", "--out", folder.parent / "p.csv")
    for words in (("report", folder), ("inspect", folder), ("export", folder, "--what", "model_card"), answers):
        result = forked(*map(str, words), store=folder / "store", cwd=folder.parent)
        assert result.returncode == 0, result.stderr
        assert not BARRED & set(result.stdout + result.stderr), words
    card = (folder / "model_card.md").read_text(encoding="utf-8")
    assert not BARRED & set(card)
    assert "<script>" not in card.replace("\\<script", "")
    with (folder.parent / "p.csv").open(encoding="utf-8", newline="") as handle:
        header, *rows = csv.reader(handle)
    # The file is for programs: names stay what they are.
    assert set(CLASSES) <= set(header)
    assert len(rows) == 180


def test_a_shipped_model_says_to_which_evidence_it_belongs(finished: tuple[Path, str]):
    folder, _ = finished
    evidence = folder / "evidence.json"
    home = next((folder / "models").iterdir())
    origin = json.loads((home / "model.json").read_text(encoding="utf-8"))["origin"]
    assert origin["evidence"] == hashlib.sha256(evidence.read_bytes()).hexdigest()
    assert origin["plan"] == json.loads(evidence.read_text(encoding="utf-8"))["ledger"]["plan"]
    for path in (home, folder):
        said = inspected([path], as_json=False)
        assert "safe to load" in said.splitlines()[0]
        assert origin["evidence"] in said
        assert "that evidence, unchanged" in said
    whole = evidence.read_bytes()
    evidence.write_bytes(whole + b" ")
    try:
        assert "NOT that evidence" in inspected([home], as_json=False)
    finally:
        evidence.write_bytes(whole)
    tensors = home / "model.safetensors"
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(bytes(content))
    said = inspected([home], as_json=False)
    assert "NOT SAFE" in said
    assert "not those it was saved with" in said
