"""Readers of weights, arrays, images and graphs, with the sound files that their cases are made of."""

from __future__ import annotations

import functools
import gzip
import io
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from safetensors.numpy import save

from fuzz.law import Form, Target
from source.onnx_files import PREPARE, network, write
from transfuse.data.readers import npz
from transfuse.evaluation.elsewhere.files import read_predictions
from transfuse.files.arrays import read_idx
from transfuse.files.graphs import opened_graph
from transfuse.files.images import read_image
from transfuse.files.weights import describe, load_state
from transfuse.source.adapters import onnx as onnx_adapter
from transfuse.source.prepare import metadata, stated_prepare
from transfuse.source.spec import parse
from transfuse.source.weights import open_reader

PNG_MARK = b"\x89PNG\r\n\x1a\n"
PIXELS = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
CARD = '{"size": 8, "mean": [0.5, 0.5, 0.5], "order": "rgb", "classes": ["a", "b"]}'


def weights_read(path: Path) -> None:
    """Everything that is done with a weight file: told of, read by name, loaded."""
    told = describe(path)
    if told["safe"]:
        reader = open_reader(path)
        for name in reader.names():
            reader.read(name)
    stated_prepare(metadata(path), where=str(path))
    load_state(path)


def _safetensors() -> list[bytes]:
    arrays = {
        "a.weight": np.ones((2, 3), np.float32),
        "b": np.array([1, 2]),
        "c": np.zeros((0, 2), np.float16),
        "e": np.ones(2, np.float64),
        "f": np.array(True),
    }
    return [save(arrays, metadata={"transfuse.card": CARD, "k": "v"}), save({"a": np.ones(2, np.float32)})]


def _with_header(header: bytes) -> bytes:
    """A safetensors file whose length field tells the truth of its header."""
    body = _safetensors()[0]
    body = body[8 + int.from_bytes(body[:8], "little") :]
    return len(header).to_bytes(8, "little") + header + body


def _header(content: bytes) -> bytes:
    return content[8 : 8 + int.from_bytes(content[:8], "little")]


def zipped(members: Mapping[str, bytes], compress: int = zipfile.ZIP_STORED) -> bytes:
    """An archive of these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compress) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content, compress)
    return out.getvalue()


def members(content: bytes) -> dict[str, bytes]:
    """What is in an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _with(archive: bytes, changed: str) -> Callable[[bytes], bytes]:
    """How one member's new content becomes the archive again, with checksums that hold."""
    kept = members(archive)
    return lambda content: zipped(kept | {changed: content})


def torch_bytes(value: Any, **options: Any) -> bytes:
    """What `torch.save` writes."""
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def _pytorch() -> tuple[bytes, bytes]:
    state = {
        "a": torch.arange(6.0).reshape(2, 3),
        "b": torch.tensor([1, 2]),
        "c": torch.zeros(2, dtype=torch.bfloat16),
        "p": torch.nn.Parameter(torch.ones(2)),
    }
    wrapped = {"state_dict": state, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}}
    return torch_bytes(state), torch_bytes(wrapped, _use_new_zipfile_serialization=False)


def _npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def _npz() -> bytes:
    x = np.linspace(0, 1, 4 * 6 * 6).reshape(4, 6, 6)
    return zipped(
        {
            "x.npy": _npy(x),
            "y.npy": _npy(np.array(["cat", "dog", "cat", ""])),
            "group.npy": _npy(np.arange(4)),
            "ids.npy": _npy(np.array(list("abcd"))),
        }
    )


def _scores() -> bytes:
    return zipped(
        {
            "scores.npy": _npy(np.full((4, 2), 0.5)),
            "ids.npy": _npy(np.array(list("abab"))),
            "seed.npy": _npy(np.array([0, 0, 1, 1])),
            "scale.npy": _npy(np.array("probability")),
            "classes.npy": _npy(np.array(["cat", "dog"])),
        }
    )


def _idx(shape: tuple[int, ...] = (2, 3, 3)) -> bytes:
    head = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    return head + bytes(range(int(np.prod(shape))))


def images() -> list[bytes]:
    """One small picture of each kind that is read."""
    found = []
    shades = Image.fromarray(np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8))
    for kind, image in (
        ("PNG", Image.fromarray(PIXELS)),
        ("JPEG", Image.fromarray(PIXELS)),
        ("BMP", Image.fromarray(PIXELS)),
        ("GIF", Image.fromarray(PIXELS).quantize(8)),
        ("WEBP", Image.fromarray(PIXELS)),
        ("PPM", Image.fromarray(PIXELS)),
        ("TIFF", Image.fromarray(PIXELS[..., 0].astype(np.float32) / 255)),
        ("PNG", shades),
        ("PNG", Image.fromarray(np.dstack([PIXELS, PIXELS[..., :1]]))),
    ):
        out = io.BytesIO()
        image.save(out, kind)
        found.append(out.getvalue())
    turned = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS).save(turned, "JPEG", exif=exif)
    packed = io.BytesIO()
    Image.fromarray(PIXELS).save(packed, "TIFF", compression="tiff_lzw")
    return [*found, turned.getvalue(), packed.getvalue()]


def checked_png(content: bytes) -> bytes:
    """The chunks of a PNG with checksums that hold, as far as its lengths allow."""
    if not content.startswith(PNG_MARK):
        return content
    out, place = bytearray(PNG_MARK), len(PNG_MARK)
    while place + 8 <= len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        piece = content[place + 4 : place + 8 + min(size, len(content))]
        out += content[place : place + 4] + piece + zlib.crc32(piece).to_bytes(4, "big")
        place += 12 + size
    return bytes(out)


def small_graph() -> onnx.ModelProto:
    """The mean of each canvas and one minus it, as two probabilities."""
    canvas = helper.make_tensor_value_info("canvas", TensorProto.FLOAT, ["n", 3, 4, 4])
    found = helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 2])
    given = {"one": np.ones(1, np.float32), "axes": np.array([1, 2, 3]), "shape": np.array([-1, 1])}
    nodes = [
        helper.make_node("ReduceMean", ["canvas", "axes"], ["mean"], keepdims=0),
        helper.make_node("Reshape", ["mean", "shape"], ["column"]),
        helper.make_node("Sub", ["one", "column"], ["rest"]),
        helper.make_node("Concat", ["column", "rest"], ["probabilities"], axis=1),
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in given.items()]
    graph = helper.make_graph(nodes, "g", [canvas], [found], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    helper.set_model_props(made, {"classes": '["a", "b"]', "canvas": "4", "arm": "x"})
    return made


def graph_read(path: Path) -> None:
    """Open a graph and let it answer once."""
    run, facts = opened_graph(path)
    run(np.zeros((2, 3, min(facts.canvas, 16), min(facts.canvas, 16)), np.float32))


def _network_graphs() -> list[bytes]:
    """Two small convolutional networks as graphs, one with a closing softmax."""
    with tempfile.TemporaryDirectory() as place:
        paths = [write(Path(place) / f"{each}.onnx", network(), softmax=each, words=PREPARE) for each in (False, True)]
        return [path.read_bytes() for path in paths]


def source_read(path: Path) -> None:
    """A graph as a source: in PyTorch where it computes the same, else through onnxruntime."""
    onnx_adapter.build(parse(f"onnx:{path}"), path.parent)


def prediction_read(path: Path) -> None:
    """Predictions of either kind of task."""
    read_predictions("a", path)
    read_predictions("a", path, "regression")


def data_read(path: Path) -> None:
    """Items and pixels of an npz data set."""
    items = npz.index(str(path), path.parent)
    npz.reader(str(path), path.parent, items)(0)


def image_read(path: Path) -> Any:
    return read_image(path)


@functools.cache
def targets() -> list[Target]:
    """One target a reader."""
    new, old = _pytorch()
    archive, scores = _npz(), _scores()
    first = next(name for name in members(new) if name.endswith("data.pkl"))
    pickled = members(new)[first]
    graph = small_graph().SerializeToString()
    headers = [_header(each) for each in _safetensors()]
    pictures, png = images(), [content for content in images() if content.startswith(PNG_MARK)]
    keys = (b'"dtype"', b'"shape"', b'"data_offsets"', b'"__metadata__"', b'"F32"', b'"BF16"', b'"F8_E4M3"', b"[2,3]")
    opcodes = (
        b"cposix\nsystem\n",
        b"c__builtin__\neval\n",
        b"R",
        b"\x93",
        b"b",
        b"\x81",
        b"Q",
        b"tR.",
        b"}",
        b"]",
        b"(",
    )
    described = (
        b"'descr'",
        b"'|O'",
        b"'<U3'",
        b"'<M8[s]'",
        b"'>f8'",
        b"'|S2'",
        b"True",
        b"'shape': (",
        b"9,",
        b"\x93NUMPY",
    )
    blocks = (
        b"IHDR",
        b"IDAT",
        b"PLTE",
        b"tRNS",
        b"iCCP",
        b"eXIf",
        b"acTL",
        b"\xff\xc0",
        b"\xff\xda",
        b"Exif\0\0",
        b"RIFF",
    )
    return [
        Target(
            "safetensors",
            "w.safetensors",
            [Form(_safetensors()), Form(headers, _with_header), Form(headers, _with_header, tree=True)],
            weights_read,
            keys,
        ),
        Target(
            "pytorch",
            "w.pt",
            [Form([new, old]), Form([pickled], _with(new, first)), Form([old])],
            weights_read,
            opcodes,
        ),
        Target(
            "npz",
            "d.npz",
            [
                Form([archive]),
                Form([members(archive)["x.npy"], members(archive)["y.npy"]], _with(archive, "x.npy")),
                Form([members(archive)["y.npy"], members(archive)["group.npy"]], _with(archive, "y.npy")),
            ],
            data_read,
            described,
        ),
        Target(
            "npz of predictions",
            "p.npz",
            [
                Form([scores]),
                Form([members(scores)["scores.npy"]], _with(scores, "scores.npy")),
                Form(list(members(scores).values()), _with(scores, "classes.npy")),
            ],
            prediction_read,
            described,
        ),
        Target("npy of predictions", "p.npy", [Form([members(scores)["scores.npy"]])], prediction_read, described),
        Target("idx", "t.idx", [Form([_idx(), _idx((4,))])], read_idx),
        Target(
            "idx.gz",
            "t.gz",
            [
                Form([gzip.compress(_idx(), mtime=0)]),
                Form([_idx(), _idx((4,))], lambda inner: gzip.compress(inner, mtime=0)),
            ],
            read_idx,
        ),
        Target("images", "i.png", [Form(pictures), Form(png, checked_png)], image_read, blocks),
        Target(
            "onnx",
            "m.onnx",
            [Form([graph])],
            graph_read,
            (b"canvas", b"probabilities", b"Reshape", b"Loop", b"Tile", b"location", b"com.evil"),
        ),
        Target(
            "onnx source", "s.onnx", [Form(_network_graphs())], source_read, (b"Conv", b"MaxPool", b"pads"), cases=1500
        ),
    ]
