"""What a file or folder is and whether it is safe to load; without it a stranger's file would have to be tried.

Every kind is looked at by the reader that would load it, so `safe` says what that reader would do. Nothing is run.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from transfuse.doors.inspecting_folders import folder_facts, is_model
from transfuse.doors.inspecting_remote import remote_facts
from transfuse.errors import MissingExtraError, UserError, printable
from transfuse.files.remote import Place, Remote
from transfuse.files.texts import json_object
from transfuse.files.weights import describe, existing
from transfuse.folder import DESCRIPTION, TENSORS, Folder
from transfuse.jsonio import file_digest, pretty

PROGRAM = "saved_model.pb"
ARRAYS = (".npz",)
HDF = (".h5", ".hdf5")
IDX = ("ubyte", ".idx", ".gz")
SHEETS = (".csv", ".tsv")
LONGEST_VALUE = 200
FIRST, LAST = 8, 4


def inspected(paths: Sequence[Place], *, as_json: bool) -> str:
    """Each file's kind, contents, origin and safety. Raises UserError for what is not there."""
    found = {str(path): facts_of(path) for path in paths}
    if as_json:
        return pretty(found).rstrip()
    return "\n\n".join(_file(name, facts) for name, facts in found.items())


def facts_of(path: Place) -> dict[str, Any]:
    """The record of one file, of a saved model's folder, of a run's folder (that of the model it recommends), of a
    folder of Hugging Face's library, or of a SavedModel; of what lies behind a URL, that of its headers.

    Keys: those of `files.weights.describe`, and for models `origin`: where they come from, as lines to read.
    """
    if isinstance(path, Remote):
        return remote_facts(path)
    if path.is_dir():
        if (path / PROGRAM).is_file():
            return _looked(path / PROGRAM, "TensorFlow SavedModel", _program, "its operations are arithmetic alone")
        is_ours = (path / DESCRIPTION).is_file() or Folder(path).evidence.is_file()
        return folder_facts(path, _weights) if is_model(path) and not is_ours else _model(path)
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        return _looked(path, "ONNX graph", _graph, "standard operators, weights inside, no loops: arithmetic alone")
    if suffix == ".pt2":
        return _exported(path)
    if suffix in ARRAYS:
        return _looked(path, "npz", _arrays, "arrays of plain numbers and text; nothing is unpickled")
    if suffix == ".keras":
        return _looked(
            path, "Keras archive", _keras, "its configuration names Keras's own parts alone, its weights are numbers"
        )
    if suffix in HDF:
        return _looked(path, "Keras weights in HDF5", _layers, "arrays of numbers; its configuration is never read")
    if path.name.endswith(IDX):
        return _looked(path, "IDX", _idx, "bytes of the size its header tells")
    if suffix in SHEETS:
        return _looked(path, "table", _table, "text, read cell by cell; for recipes, evaluate and predict")
    from transfuse.files import images

    if suffix in images.SUFFIXES:
        return _looked(path, "image", _image, "it decodes whole, within the limit of pixels")
    return _weights(path)


def _weights(path: Path) -> dict[str, Any]:
    """A weight file, and what is unusual in its numbers."""
    from transfuse.source.screen import LIMITS, screened, told
    from transfuse.source.weights import open_reader

    record = describe(path)
    if not record["safe"]:
        return record
    found = screened(open_reader(path))
    return record | {"screen": f"{told(found) or 'nothing unusual in its numbers'} ({LIMITS})"}


def _looked(path: Path, kind: str, look: Any, why: str) -> dict[str, Any]:
    """The record of a file by its own reader; what that refuses is not safe, and the reason is told."""
    record = {"kind": kind, "bytes": existing(path).stat().st_size, "sha256": file_digest(path), "imports": []}
    tensors: dict[str, list[Any]] = {}
    metadata: dict[str, str] = {}
    safe = True
    try:
        tensors, metadata = look(path)
    except MissingExtraError:
        raise
    except UserError as error:
        safe, why = False, f"{error.what}: {error.got}" if error.got else error.what
    numbers = sum(math.prod(shape) for _, shape in tensors.values())
    dtypes = dict(sorted(Counter(dtype for dtype, _ in tensors.values()).items()))
    more = {"origin": _origin(metadata, path.parent)} if metadata.get("evidence") else {}
    told = {"safe": safe, "why": why, "tensors": tensors, "parameters": numbers, "dtypes": dtypes}
    return record | told | {"metadata": metadata} | more


def _graph(path: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    from transfuse.files.graphs import read_graph, session_of

    model = read_graph(path)
    session_of(model, str(path))
    from onnx import TensorProto

    tensors = {
        each.name: [TensorProto.DataType.Name(each.data_type), list(each.dims)] for each in model.graph.initializer
    }
    return tensors, {each.key: each.value for each in model.metadata_props}


def _exported(path: Path) -> dict[str, Any]:
    """A program of `torch.export`: nothing here opens one, for what loads it unpickles what is inside."""
    from transfuse.files.graphs import words_of_program

    why = (
        "torch.export.load unpickles what is in it, so load it only from a maker you trust (transfuse verify); "
        "`transfuse export --what onnx` gives a form that is looked through whole"
    )
    record = _looked(path, "PyTorch program", lambda path: ({}, words_of_program(path)), why)
    return record | {"safe": False}


def _arrays(path: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    from transfuse.files.arrays import read_npz

    return {name: [str(array.dtype), list(array.shape)] for name, array in read_npz(path).items()}, {}


def _keras(path: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    from transfuse.files.keras_archives import check_archive

    return {}, {"class_name": str(check_archive(path).get("class_name"))}


def _layers(path: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    from transfuse.files.hdf import layered_arrays

    found = layered_arrays(path)
    arrays = {f"{layer}/{place}": array for layer, each in found.items() for place, array in enumerate(each)}
    return {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()}, {}


def _idx(path: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    from transfuse.files.arrays import read_idx

    return {path.name: ["uint8", list(read_idx(path).shape)]}, {}


def _program(path: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    from transfuse.files.programs import check_program

    return {}, {"operations": ", ".join(check_program(path.parent)), "as a source": f"tensorflow:{path.parent}"}


def _table(path: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    from transfuse.files.sheets import read_sheet

    names, rows = read_sheet(path)
    return {}, {"columns": ", ".join(names), "rows": f"{len(rows):,}"}


def _image(path: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    from transfuse.files.images import read_image

    pixels = read_image(path)
    return {path.name: [str(pixels.dtype), list(pixels.shape)]}, {}


def _model(folder: Path) -> dict[str, Any]:
    """A saved model by its description and its tensors; that of the recommended model for a run's folder."""
    from transfuse.doors.predicting import model_folder

    home = model_folder(folder)
    record = _weights(home / TENSORS)
    said = json_object(home / DESCRIPTION, "this model's description cannot be read")
    if record["safe"] and record["sha256"] != said.get("sha256"):
        why = f"the tensors are not those it was saved with, which had the SHA-256 {said.get('sha256')}"
        record |= {"safe": False, "why": why}
    words = {name: str(said[name]) for name in ("arm", "run", "canvas", "temperature") if name in said}
    given = said.get("origin")
    origin = {name: str(value) for name, value in given.items()} if isinstance(given, dict) else {}
    return record | {"kind": f"saved model in {home}", "metadata": words, "origin": _origin(origin, home.parent.parent)}


def _origin(told: Mapping[str, str], near: Path) -> list[str]:
    """Which evidence a model belongs to, and whether that lies beside it unchanged."""
    evidence, plan = told.get("evidence"), told.get("plan", "unknown")
    if not evidence:
        return ["it does not say which report it belongs to"]
    lines = [f"evidence: SHA-256 {evidence}", f"plan: {plan}", f"made by: {told.get('made_by', 'unknown')}"]
    places = (Folder(near).evidence, Folder(near.parent.parent).evidence)
    beside = next((path for path in places if path.is_file()), None)
    if beside is None:
        return [*lines, "no evidence.json lies near it to compare"]
    same = file_digest(beside) == evidence
    return [
        *lines,
        f"{beside} is {'that evidence, unchanged' if same else 'NOT that evidence: another run, or changed'}",
    ]


def _file(name: str, facts: dict[str, Any]) -> str:
    safe = "safe to load" if facts["safe"] else "NOT SAFE to load"
    lines = [f"{name}: {facts.get('kind', 'unknown')}, {facts['bytes']:,} bytes, {safe}", f"  why: {facts['why']}"]
    if facts["imports"]:
        lines.append(f"  its pickle names: {', '.join(facts['imports'][:10])}")
    dtypes = ", ".join(f"{count} {dtype}" for dtype, count in facts["dtypes"].items())
    if facts["tensors"]:
        lines.append(f"  {len(facts['tensors'])} tensors ({dtypes}), {facts['parameters']:,} numbers")
    lines.append(f"  sha256: {facts['sha256']}")
    lines += [f"  screen: {facts['screen']}"] if "screen" in facts else []
    lines += [f"  origin: {line}" for line in facts.get("origin", ())]
    lines += [f"  {key}: {value[:LONGEST_VALUE]}" for key, value in sorted(facts["metadata"].items())]
    listed = [f"    {tensor}  {dtype} {shape}" for tensor, (dtype, shape) in facts["tensors"].items()]
    if len(listed) > FIRST + LAST + 1:
        # The last ones are the head as a rule, which tells how many classes there are.
        listed[FIRST:-LAST] = [f"    ... and {len(listed) - FIRST - LAST} more ..."]
    lines += listed
    return "\n".join(printable(line, keep="") for line in lines)
