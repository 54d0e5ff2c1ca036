"""Readers of texts and folders: recipes, tables, adapters, a run's own files read again, entries of the store."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from safetensors.numpy import save

from fuzz.law import Form, Target
from report.example import evidence, measurements
from transfuse.data.readers import csv
from transfuse.doors import planned
from transfuse.doors.mergekit import translated
from transfuse.doors.study import Study
from transfuse.evaluation.elsewhere.files import read_item_scores, read_labels, read_predictions
from transfuse.events import Journal
from transfuse.files.mappings import read_mapping
from transfuse.folder import Folder
from transfuse.fusion import saved
from transfuse.jsonio import pretty
from transfuse.plan import recipe
from transfuse.plan.text import loaded, text_of
from transfuse.run.deliver import read_state
from transfuse.source.adapted import AdaptedReader
from transfuse.source.open import make_card, open_source
from transfuse.source.spec import parse
from transfuse.source.weights import ArrayReader, open_reader
from transfuse.store import ARRAYS, MANIFEST, META, Store
from transfuse.trust import signing

KEY = "ab" + "0" * 62
RECIPES = [
    b"""sources: {residual: {spec: "demo:residual", seen: none}, depthwise: {spec: "demo:depthwise", taps: [map]}}
data: {read: "sklearn:digits", splits: {per_class: 5, val: 60, test: 200}, canvas: 28}
task: {kind: multiclass, metric: log_loss, also: [accuracy, worst_class]}
ladder: standard
candidates: {gate: {fuse: features/gate, of: [residual, depthwise], width: 32}}
train: {frozen: {epochs: 4, rates: [0.01], least_steps: 20}}
margin: 0.05
budget: {train: 20 min, latency: 30 ms}
seeds: 2
judge: {test: winner, guards: {worst_class: 0.02}, conditions: {corruption: [1, 3], pgd: [0.0157]}}
run: {device: cpu, workers: 1, threads: 1, store: default}
""",
    b"sources:\n  - demo:residual\n  - demo:vgg\ndata: photos/\ncandidates: [features/concat, outputs/mean_prob]\n",
]
MERGEKIT = b"""merge_method: ties
base_model: base
dtype: float32
parameters: {normalize: true, density: 0.5}
models:
  - {model: one, parameters: {weight: 0.5}}
  - {model: two, parameters: {weight: [0.1, 0.9]}}
"""
YAML = (
    b"&a ",
    b"*a",
    b"<<: *a",
    b"!!python/object/apply:os.system ",
    b"!!binary ",
    b"!!timestamp ",
    b"? ",
    b"- ",
    b"|\n",
    b"%YAML 9.9\n",
    b"{",
    b"[",
    b"---\n",
    b"0x" + b"f" * 300,
    b".inf",
    b"2001-01-01",
    b"\t",
    b"seeds: ",
    b"demo:vgg",
    b"1e400",
)
JSON = (b"{", b"[", b"[" * 3000, b'{"a":' * 1500, b"1e999", b'"\\ud800"', b"\xed\xa0\x80", b"\\u0000")
TABLE = b"item,cat,dog\na,0.25,0.75\nb,1,0\n"
SEEDED = b"item,seed,cat,dog\na,0,0.25,0.75\na,1,1,0\n"
LABELS = b"item,label,group,split\na,cat,g1,test\nb,dog,g2,test\n"
CELLS = (
    b",",
    b'"',
    b'""',
    b"\r\n",
    b"\xef\xbb\xbf",
    b"item",
    b"seed",
    b"label",
    b"nan",
    b"inf",
    b"1e400",
    "²".encode(),
    b"0x1",
)
ADAPTER = {"peft_type": "LORA", "lora_alpha": 4, "r": 2, "alpha_pattern": {"w": 2}, "bias": "none", "use_rslora": False}
INDEX = {"metadata": {"total_size": 24}, "weight_map": {"w": "one.safetensors"}}
ONE = save({"w": np.ones((2, 3), np.float32)})


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def merge_config_read(path: Path) -> None:
    """A mergekit file as far as it is translated before any weights are read."""
    translated(loaded(text_of(path), where=str(path)), where=str(path))


def plan_read(path: Path) -> None:
    """A recipe to its plan: data, cards, ladder and steps, with a store of its own."""
    read = recipe.read(path)
    if read.run.store == "default":
        planned.describe(read.model_copy(update={"run": read.run.model_copy(update={"store": "store"})}), path.parent)


def spec_read(path: Path) -> None:
    """A source's address as text."""
    parse(path.read_bytes().decode("utf-8", errors="replace"))


def pixels_read(path: Path) -> None:
    """A data set in a CSV without images, and its first pixels."""
    items = csv.index(f"csv:{path}", path.parent)
    csv.reader(f"csv:{path}", path.parent, items)(0)


def predictions_read(path: Path) -> None:
    """The same table as predictions and as per-item scores."""
    read_predictions("a", path)


def adapter_read(path: Path) -> None:
    """An adapter laid on its base, every tensor read."""
    base = ArrayReader({"w.weight": np.ones((2, 3), np.float32)}, "base")
    reader = AdaptedReader(base, path.parent)
    for name in reader.names():
        reader.read(name)


def folder_read(path: Path) -> None:
    """A folder of weight files as its index tells it."""
    reader = open_reader(path.parent)
    for name in reader.names():
        reader.read(name)


def study_read(path: Path) -> None:
    """A run's folder as `report`, `predict` and Python read it: verdict, table, every report and export."""
    study = Study.of_folder(path.parent)
    studies = (
        study.table,
        lambda: str(study),
        lambda: study.model_folder,
        lambda: study.report(path.parent / "r.html"),
    )
    for look in (*studies, lambda: study.report(path.parent / "r.md"), lambda: study.export("rows")):
        look()


def record_read(path: Path) -> None:
    """What a run reads of an earlier one in its folder."""
    read_state(Folder(path.parent))
    list(Journal(path).read())


def model_read(path: Path) -> None:
    """A saved model whose description was changed."""
    saved.load(path.parent)


def signature_read(path: Path) -> None:
    """A folder with a signature that may say anything."""
    signing.verify(path.parent, key=path.parent / "k.pub")


def entry_read(path: Path) -> None:
    """An entry of the store: whole, or absent."""
    store = Store(path.parents[3])
    store.get(KEY)


def ledger_read(path: Path) -> None:
    """The ledger of test openings, whatever stands in it."""
    Store(path.parents[1]).open_test("rows", "mine")


@functools.cache
def _signed() -> tuple[bytes, bytes]:
    """A signature over this one file, and the public key's text."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(32))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    facts = {"k.pub": {"sha256": hashlib.sha256(public).hexdigest(), "bytes": len(public)}}
    body = {"schema": signing.SCHEMA, "algorithm": "ed25519", "files": facts, "public_key": public.decode()}
    return _json(body | {"signature": "A" * 88}), public


@functools.cache
def _entry() -> dict[str, bytes]:
    """The files of a sound entry."""
    files = {META: b'{"a": [1, 2.5, "x"]}', ARRAYS: save({"x": np.arange(6.0)})}
    return files | {MANIFEST: _json({name: hashlib.sha256(data).hexdigest() for name, data in files.items()})}


def _model() -> dict[str, bytes]:
    """A saved model of one demo source."""
    with tempfile.TemporaryDirectory() as place:
        source = open_source(make_card("vgg", "demo:vgg", root=Path(), canvas=16), root=Path())
        saved.save(source, Path(place), facts={"canvas": 28, "classes": ["0", "1"], "arm": "as_is/vgg"})
        return {path.name: path.read_bytes() for path in Path(place).iterdir()}


@functools.cache
def targets() -> list[Target]:
    """One target a reader."""
    signature, public = _signed()
    entry, model, objects = _entry(), _model(), f"objects/ab/{KEY}"
    beside = {f"{objects}/{name}": data for name, data in entry.items()}
    adapter = save(
        {
            "base_model.model.w.lora_A.weight": np.ones((2, 3), np.float32),
            "base_model.model.w.lora_B.weight": np.ones((2, 2), np.float32),
        }
    )
    trees = [_json(loaded(each.decode(), where="")) for each in RECIPES]
    pooled = b'"avg": {"fuse": "outputs/mean_prob", "of": ["frozen/residual", "frozen/depthwise"]}, "gate": {'
    plans = [trees[0].replace(b'"gate": {', pooled)]
    study = {"evidence.json": pretty(evidence()).encode(), "measurements.json": pretty(measurements()).encode()}
    return [
        Target(
            "recipe",
            "r.yaml",
            [Form(RECIPES), Form(trees, tree=True), Form(trees, tree=True)],
            recipe.read,
            YAML,
            cases=2800,
        ),
        Target(
            "plan",
            "plan.yaml",
            [Form(plans, tree=True)],
            plan_read,
            moves=True,
            cases=600,
            slow=True,
            cap_bytes=2 << 30,
        ),
        Target("mergekit", "m.yaml", [Form([MERGEKIT])], merge_config_read, YAML),
        Target(
            "spec",
            "s.txt",
            [Form([b"torchvision:resnet18@IMAGENET1K_V1?classes=10", b"file:../w.safetensors?arch=demo:vgg&canvas=8"])],
            spec_read,
            (b"?", b"&", b"=", b"@"),
        ),
        Target(
            "csv of pixels",
            "d.csv",
            [
                Form(
                    [
                        b"label,"
                        + b",".join(b"p%d" % n for n in range(16))
                        + b"\n"
                        + b"cat,"
                        + b"7," * 15
                        + b"200\ndog,"
                        + b"9," * 15
                        + b"3\n"
                    ]
                )
            ],
            pixels_read,
            CELLS,
        ),
        Target("csv of predictions", "p.csv", [Form([TABLE, SEEDED])], predictions_read, CELLS),
        Target("csv of labels", "l.csv", [Form([LABELS])], read_labels, CELLS),
        Target("csv of scores", "c.csv", [Form([b"item,candidate,score\na,x,1\nb,x,2\n"])], read_item_scores, CELLS),
        Target(
            "mapping",
            "m.json",
            [
                Form([b'{"tabby": "cat", "wolf": ""}']),
                Form([b'{"tabby": "cat", "wolf": ""}'], tree=True),
                Form([b'{"tabby": "cat", "wolf": ""}'], tree=True),
            ],
            read_mapping,
            JSON,
        ),
        Target("mapping csv", "m.csv", [Form([b"own,target\ntabby,cat\nwolf,\n"])], read_mapping, CELLS),
        Target(
            "adapter",
            "adapter_config.json",
            [Form([_json(ADAPTER)]), Form([_json(ADAPTER)], tree=True), Form([_json(ADAPTER)], tree=True)],
            adapter_read,
            JSON,
            beside={"adapter_model.safetensors": adapter},
        ),
        Target(
            "index",
            "model.safetensors.index.json",
            [Form([_json(INDEX)]), Form([_json(INDEX)], tree=True), Form([_json(INDEX)], tree=True)],
            folder_read,
            (*JSON, b"../", b"w"),
            beside={"one.safetensors": ONE},
        ),
        Target(
            "evidence",
            "evidence.json",
            [
                Form([study["evidence.json"]]),
                Form([study["evidence.json"]], tree=True),
                Form([study["evidence.json"]], tree=True),
            ],
            study_read,
            (*JSON, b"null", b'"undefined"'),
            beside=study,
            moves=True,
            cases=700,
        ),
        Target(
            "measurements",
            "measurements.json",
            [
                Form([study["measurements.json"]]),
                Form([study["measurements.json"]], tree=True),
                Form([study["measurements.json"]], tree=True),
            ],
            study_read,
            (*JSON, b"null"),
            beside=study,
            moves=True,
            cases=700,
        ),
        Target(
            "state and journal",
            ".state.json",
            [
                Form(
                    [
                        b'{"evidence": "a", "files": {"evidence.json": "b"}}',
                        b'{"at": 1, "event": "run_started"}\n{"at": 2}\n',
                    ]
                )
            ],
            record_read,
            JSON,
        ),
        Target(
            "model",
            "model.json",
            [
                Form([model["model.json"]]),
                Form([model["model.json"]], tree=True),
                Form([model["model.json"]], tree=True),
            ],
            model_read,
            JSON,
            beside=model,
            cases=2800,
        ),
        Target(
            "signature",
            "signature.json",
            [Form([signature]), Form([signature], tree=True), Form([signature], tree=True)],
            signature_read,
            (*JSON, b"-----BEGIN", b"="),
            beside={"k.pub": public},
        ),
        Target(
            "store entry",
            f"{objects}/{META}",
            [Form([entry[META]]), Form([entry[META]], tree=True), Form([entry[META]], tree=True)],
            entry_read,
            JSON,
            beside=beside,
            moves=True,
        ),
        Target(
            "store manifest",
            f"{objects}/{MANIFEST}",
            [Form([entry[MANIFEST]]), Form([entry[MANIFEST]], tree=True), Form([entry[MANIFEST]], tree=True)],
            entry_read,
            (*JSON, b"../"),
            beside=beside,
            moves=True,
        ),
        Target(
            "store arrays", f"{objects}/{ARRAYS}", [Form([entry[ARRAYS]])], entry_read, JSON, beside=beside, moves=True
        ),
        Target(
            "ledger",
            "ledger/rows.jsonl",
            [Form([b'{"plan":"theirs"}\n{"plan":"mine"}\n'])],
            ledger_read,
            JSON,
            moves=True,
        ),
    ]
