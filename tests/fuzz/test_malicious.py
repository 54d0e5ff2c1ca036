"""Files made to do harm: each is refused before it is unpacked, allocated or run, and `inspect` says why."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from fuzz import arrays, packages
from fuzz.law import Target, lawless
from fuzz.test_fuzz import TARGETS, fast
from transfuse.doors.inspecting import inspected
from transfuse.errors import UserError
from transfuse.files.weights import load_state

FEWER_OPCODES = 20_000
Maker = Callable[[Path], None]
__all__ = ["fast"]


class Payload:
    """Whoever unpickles this in full runs a command."""

    def __reduce__(self):
        return os.system, ("touch ran",)


def headed(header: bytes | dict, body: bytes = b"\0" * 4, length: int | None = None) -> Maker:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    size = len(text) if length is None else length
    return lambda path: path.write_bytes(size.to_bytes(8, "little") + text + body) and None


def one(shape: list, offsets: list, dtype: str = "F32") -> dict:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


SAFETENSORS: dict[str, tuple[Maker, str]] = {
    "a header longer than the file": (headed(b"{}", length=1 << 62), "claims"),
    "a header of a gigabyte": (headed(b"{}", length=1 << 30), "claims"),
    "a shape of a yottabyte": (headed(one([1 << 40, 1 << 40], [0, 4])), "does not take"),
    "a product that wraps to four bytes": (headed(one([1 << 32, 1 << 32, 1], [0, 4])), "does not take"),
    "a negative size": (headed(one([-1], [0, 4])), "shape"),
    "negative offsets": (headed(one([1], [-4, 0])), "offsets"),
    "offsets that run backwards": (headed(one([1], [8, 4])), "does not take"),
    "offsets beyond the file": (headed(one([1], [1 << 40, (1 << 40) + 4])), "gap"),
    "numbers of five thousand digits": (
        headed(json.dumps(one([1], [0, 4])).replace("[1]", f"[{'9' * 5000}]").encode()),
        "JSON",
    ),
    "numbers of four thousand digits": (
        headed(json.dumps(one([1], [0, 4])).replace("4]", f"{'9' * 4000}]").encode()),
        "offsets",
    ),
    "a million axes": (headed(one([1] * 1_000_000, [0, 4])), "does not take"),
    "overlapping tensors": (headed({**one([1], [0, 4]), "b": one([1], [2, 6])["a"]}, b"\0" * 6), "overlap"),
    "hidden bytes between tensors": (headed({**one([1], [0, 4]), "b": one([1], [8, 12])["a"]}, b"\0" * 12), "gap"),
    "one name twice": (headed(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{}}'), "repeated"),
    "nesting without end": (headed(b'{"a":' * 200_000), "JSON"),
    "nul bytes": (headed(b"\0" * 64), "JSON"),
    "a truncated tensor": (headed(one([4], [0, 16])), "overlap"),
}


def zip_of(*members: tuple[str, bytes], links: tuple[str, ...] = ()) -> Maker:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, content in members:
                info = zipfile.ZipInfo(name)
                if name in links:
                    info.external_attr = (stat.S_IFLNK | 0o777) << 16
                archive.writestr(info, content)

    return make


def pytorch(pickled: bytes, *more: tuple[str, bytes]) -> Maker:
    """An archive as `torch.save` writes it around a pickle of our own."""
    return zip_of(
        ("w/data.pkl", pickled), ("w/byteorder", b"little"), ("w/data/0", bytes(24)), ("w/version", b"3\n"), *more
    )


def whole(number: int) -> bytes:
    """A number as an opcode."""
    return b"\x8a\x08" + number.to_bytes(8, "little", signed=True)


def tensor_pickle(size: str, stride: str, numel: int = 6, offset: int = 0, ends: bytes = b"") -> bytes:
    """{'a': a tensor of this size over a storage of six numbers}, in the opcodes that `torch.save` writes."""
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0" + b"0X\x03\0\0\0cpu" + whole(numel) + ends + b"tQ"
    numbers, steps = (b"".join(whole(int(each)) for each in one.split()) for one in (size, stride))
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + whole(offset) + b"(" + numbers + b"t(" + steps + b"t"
    return b"\x80\x02}X\x01\0\0\0a" + call + b"\x89ccollections\nOrderedDict\n)RtRs."


def saved(value: object, **options: bool) -> Maker:
    return lambda path: torch.save(value, path, **options)


def raw(content: bytes) -> Maker:
    return lambda path: path.write_bytes(content) and None


def legacy(pickled: bytes) -> Maker:
    """The five pickles of the older format around a pickle of our own, and six numbers."""
    facts = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    parts = [pickle.dumps(each, 2) for each in (0x1950A86A20F9469CFC6C, 1001, facts)]
    return raw(b"".join(parts) + pickled + pickle.dumps(["0"], 2) + (6).to_bytes(8, "little") + bytes(24))


DOUBLED = b"".join(b"h" + bytes([n, 0x68, n]) + b"\x86q" + bytes([n + 1]) + b"0" for n in range(60))
DOUBLING = b"\x80\x02}(K\x01\x85q\x000" + DOUBLED + b"h\x3cK\x01u."
PYTORCH: dict[str, tuple[Maker, str]] = {
    "a command in a state dict": (saved({"a": torch.zeros(1), "x": Payload()}), "posix.system"),
    "a command in a legacy file": (saved({"x": Payload()}, _use_new_zipfile_serialization=False), "posix.system"),
    "a command in a bare pickle": (raw(pickle.dumps(Payload(), protocol=4)), "posix.system"),
    "eval by an old opcode": (raw(b"c__builtin__\neval\n(S'1'\ntR."), "__builtin__.eval"),
    "a pickled module": (saved(torch.nn.Linear(2, 2)), "Linear"),
    "a download by torch.hub": (pytorch(b"\x80\x02ctorch.hub\nload\n(X\x01\0\0\0xtR."), "torch.hub.load"),
    "a name computed on the stack": (pytorch(b"\x80\x04\x8c\x05posix\x8c\x06system\x8c\x01x0\x93."), "?"),
    "an extension code": (pytorch(b"\x80\x02\x82\x07."), "extension"),
    "tuples that double sixty times": (pytorch(DOUBLING), "stands for more"),
    "a tensor larger than its storage": (pytorch(tensor_pickle("1000000000", "1")), "beyond its storage"),
    "a storage larger than the file": (pytorch(tensor_pickle("6", "1", numel=1 << 40)), "in a record of 24"),
    "a storage larger than its record": (pytorch(tensor_pickle("7", "1", numel=7)), "in a record of 24"),
    "a storage that is not there": (
        pytorch(tensor_pickle("6", "1").replace(b"\x01\0\0\x000", b"\x01\0\0\x001")),
        "damaged",
    ),
    "a storage larger than a legacy file": (legacy(tensor_pickle("6", "1", numel=1 << 40, ends=b"N")), "in a file of"),
    "a tensor larger than a legacy storage": (
        legacy(tensor_pickle("1000000000", "1", ends=b"N")),
        "beyond its storage",
    ),
    "an offset beyond the storage": (pytorch(tensor_pickle("6", "1", offset=1 << 40)), "damaged"),
    "a negative size in a pickle": (pytorch(tensor_pickle("-6", "1")), "damaged"),
    "negative strides": (pytorch(tensor_pickle("2", "-1")), "damaged"),
    "two pickles": (pytorch(b"\x80\x02}.", ("w/b.pkl", b"\x80\x02}.")), "exactly one"),
    "one name twice in the archive": (pytorch(b"\x80\x02}.", ("w/data.pkl", pickle.dumps(Payload()))), "one name"),
    "a path out of the archive": (zip_of(("../../data.pkl", pickle.dumps(Payload()))), "exactly one"),
    "an absolute path": (zip_of(("/tmp/data.pkl", b"\x80\x02}.")), "exactly one"),
    "a link as the pickle": (zip_of(("w/data.pkl", b"/etc/passwd"), links=("w/data.pkl",)), "damaged"),
    "a program": (pytorch(b"\x80\x02}.", ("w/constants.pkl", b"\x80\x02).")), "program"),
    "an archive with nothing in it": (zip_of(), "exactly one"),
    "nul bytes alone": (raw(bytes(4096)), "neither"),
    "more opcodes than any state dict": (raw(b"\x80\x02" + b"N0" * FEWER_OPCODES + b"."), "opcodes"),
}


def npz(**members: bytes) -> Maker:
    return zip_of(*((f"{name}.npy", content) for name, content in members.items()))


def npy(header: bytes, body: bytes = b"") -> bytes:
    return b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + body


def described(shape: str, kind: str = "<f8") -> bytes:
    return f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()


def objects() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([Payload()], dtype=object), allow_pickle=True)
    return out.getvalue()


def packed(size: int) -> Maker:
    """Zeros of this size behind a sound header, deflated to a thousandth."""

    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w") as inside:
            inside.write(npy(described(f"({size},)", "|u1")))
            for _ in range(size >> 20):
                inside.write(bytes(1 << 20))

    return make


ARRAYS: dict[str, tuple[Maker, str]] = {
    "objects that run a command": (npz(x=objects()), "Python objects"),
    "a shape of an exabyte": (npz(x=npy(described("(1 << 60,)".replace("1 << 60", str(1 << 60))))), "disagree"),
    "a negative shape": (npz(x=npy(described("(-1,)"), bytes(8))), "disagree"),
    "code for a shape": (npz(x=npy(described("(__import__('os').system('touch ran'),)"))), "header is damaged"),
    "a header of brackets": (npz(x=npy(b"(" * 9000 + b"\n")), "header is damaged"),
    "a hundred mebibytes of zeros in a few": (packed(100 << 20), "before unpacking"),
    "a path out of the folder": (npz(**{"../../x": npy(described("(1,)"), bytes(8))}), "images"),
    "text among arrays": (zip_of(("x.npy", npy(described("(1,)"), bytes(8))), ("readme.txt", b"hi")), "arrays only"),
}


def chunk(kind: bytes, content: bytes) -> bytes:
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def png(width: int, height: int, *chunks: bytes, data: bytes = b"") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        arrays.PNG_MARK
        + chunk(b"IHDR", head)
        + b"".join(chunks)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


BOMB = zlib.compress(bytes(64 << 20), 9)
IMAGES: dict[str, tuple[Maker, str]] = {
    "ten gigapixels": (raw(png(100_000, 100_000)), "too many pixels"),
    "a side of two billion": (raw(png(2**31 - 1, 1)), "too many pixels"),
    "no pixels": (raw(png(0, 5)), "image"),
    "sixty megapixels and no data": (raw(png(8000, 7500)), "damaged"),
    "a comment that unpacks without end": (raw(png(8, 8, chunk(b"zTXt", b"k\0\0" + BOMB))), "image"),
    "a colour profile that unpacks without end": (raw(png(8, 8, chunk(b"iCCP", b"k\0\0" + BOMB))), "not an image"),
    "PostScript": (raw(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(touch ran) system\n"), "not an image"),
    "a drawing with a script": (
        raw(b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"),
        "not an image",
    ),
    "a GIF of four gigapixels": (raw(b"GIF89a\xff\xff\xff\xff" + arrays.images()[3][10:]), "too many pixels"),
    "an endless pipe": (os.mkfifo, "a device"),
    "a link to endless zeros": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "a folder": (lambda path: path.mkdir(), "a folder"),
}
IDX: dict[str, tuple[Maker, str]] = {
    "four axes of four billion": (raw(b"\0\0\x08\x04" + b"\xff" * 16), "too large"),
    "three gigabytes in twelve bytes": (raw(b"\0\0\x08\x01\xc0\0\0\0" + bytes(4)), "claims more"),
    "a negative number of axes": (raw(b"\0\0\x08\xff" + bytes(64)), "not an IDX"),
}
ZIPPED_IDX: dict[str, tuple[Maker, str]] = {
    "a gigabyte of zeros in a megabyte": (
        raw(gzip.compress(b"\0\0\x08\x01\x40\0\0\0" + bytes(200 << 20), 9)),
        "claims more",
    ),
    "no gzip": (raw(b"\x1f\x8b\x08\0nothing"), "damaged"),
}
RECIPES: dict[str, tuple[Maker, str]] = {
    "a billion laughs": (
        raw(b"a: &a [x,x]\n" + b"".join(b"%c: &%c [*%c,*%c]\n" % (98 + n, 98 + n, 97 + n, 97 + n) for n in range(20))),
        "aliases",
    ),
    "brackets without end": (raw(b"sources: " + b"[" * 50_000), "nested"),
    "dashes without end": (raw(b"- " * 50_000), "nested"),
    "a Python object": (raw(b"sources: !!python/object/apply:os.system ['touch ran']\n"), "cannot be read"),
    "a number of a hundred thousand digits": (raw(b"seeds: " + b"9" * 100_000), "recipe"),
    "a number of a hundred thousand digits in base sixteen": (raw(b"seeds: 0x" + b"f" * 100_000), "recipe"),
    "half a pair of characters": (raw(b'sources: {"\\ud800": x}\ndata: y\n'), "text that is none"),
    "a nul in a path": (raw(b'sources: {a: "demo:vgg"}\ndata: "a\\0b"\n'), "text that is none"),
    "more than a recipe": (raw(b"# " + b"x" * (1 << 20)), "too large"),
}


def graph(*nodes: onnx.NodeProto, tensors: dict[str, np.ndarray] | None = None, functions: tuple = ()) -> Maker:
    model = arrays.small_graph()
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (tensors or {}).items())
    model.functions.extend(functions)
    return raw(model.SerializeToString())


def outside(where: str) -> Maker:
    """A graph with a tensor that lies in another file: in a function, or as part of a sparse one."""
    model = arrays.small_graph()
    hidden = numpy_helper.from_array(np.ones(1, np.float32), "hidden")
    hidden.ClearField("raw_data")
    hidden.data_location = TensorProto.EXTERNAL
    entry = hidden.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"
    if where == "function":
        node = helper.make_node("Constant", [], ["y"], value=hidden)
        model.functions.append(helper.make_function("pkg.torch", "f", [], ["y"], [node], [helper.make_opsetid("", 18)]))
    else:
        indices = numpy_helper.from_array(np.array([0]), "i")
        model.graph.sparse_initializer.append(helper.make_sparse_tensor(hidden, indices, [9]))
    return raw(model.SerializeToString())


def endless() -> Maker:
    """A loop of four quintillion turns."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])],
        "b",
        [value("i", TensorProto.INT64, []), value("c", TensorProto.BOOL, [])],
        [value("d", TensorProto.BOOL, [])],
    )
    turns = {"turns": np.array(1 << 62), "yes": np.array(True)}
    return graph(helper.make_node("Loop", ["turns", "yes"], [], body=body), tensors=turns)


def unfolding() -> Maker:
    """Functions that call the one before twice: two to the thirtieth steps once they are written out."""
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("pkg.torch", 1)]
    made = [helper.make_function("pkg.torch", "f0", ["x"], ["y"], [helper.make_node("Neg", ["x"], ["y"])], imports)]
    for step in range(1, 31):
        calls = [helper.make_node(f"f{step - 1}", [a], [b], domain="pkg.torch") for a, b in (("x", "m"), ("m", "y"))]
        made.append(helper.make_function("pkg.torch", f"f{step}", ["x"], ["y"], calls, imports))
    call = helper.make_node("f30", ["one"], ["z"], domain="pkg.torch")
    return graph(call, functions=tuple(made))


GRAPHS: dict[str, tuple[Maker, str]] = {
    "weights elsewhere, in a function": (outside("function"), "other files"),
    "weights elsewhere, in a sparse tensor": (outside("sparse"), "other files"),
    "a loop without end": (endless(), "without end"),
    "functions that unfold": (unfolding(), "unfolds"),
    "a terabyte of ones": (
        graph(
            helper.make_node("ConstantOfShape", ["huge"], ["z"]),
            helper.make_node("ReduceSum", ["z"], ["s"], keepdims=0),
            helper.make_node("Add", ["one", "s"], ["t"]),
            tensors={"huge": np.array([1 << 20, 1 << 18])},
        ),
        "graph",
    ),
}


def keras_bomb(path: Path) -> None:
    """A hundred mebibytes of zeros where the weights should be."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(packages.PARTS))
        with archive.open("model.weights.h5", "w") as inside:
            for _ in range(100):
                inside.write(bytes(1 << 20))


def keras_part(**part: object) -> Maker:
    config = json.dumps({**packages.PARTS, **part}).encode()
    return raw(packages.archive(config, packages.old_weights()))


ARCHIVES: dict[str, tuple[Maker, str]] = {
    "a hundred mebibytes of zeros": (keras_bomb, "too large"),
    "a lambda": (keras_part(module="keras.layers", class_name="Lambda"), "code of its own"),
    "a function of the system": (keras_part(module="os", class_name="system"), "code of its own"),
    "a name that is a list": (keras_part(module="keras", class_name=["Sequential"]), "code of its own"),
    "brackets without end": (raw(packages.archive(b"[" * 100_000, packages.old_weights())), "no Keras archive"),
    "a path out of the archive": (zip_of(("../config.json", b"{}"), ("model.weights.h5", b"")), "not what Keras"),
}
HARMFUL = {
    "safetensors": SAFETENSORS,
    "pytorch": PYTORCH,
    "npz": ARRAYS,
    "images": IMAGES,
    "idx": IDX,
    "idx.gz": ZIPPED_IDX,
    "recipe": RECIPES,
    "onnx": GRAPHS,
    "keras archive": ARCHIVES,
}


@pytest.fixture(autouse=True)
def fewer_opcodes(monkeypatch: pytest.MonkeyPatch):
    """A limit that is met in a moment: the real one stands for seconds."""
    monkeypatch.setattr("transfuse.files.pickles.MOST_OPCODES", FEWER_OPCODES)


@pytest.mark.parametrize("name", HARMFUL)
def test_a_harmful_file_is_refused_within_the_cap_and_nothing_runs(name: str, fast: Path):
    target = TARGETS[name]
    cases: list[tuple[str, object]] = [(each, fresh(make)) for each, (make, _) in HARMFUL[name].items()]
    found = lawless(
        cases, Target(name, target.file, target.forms, refusing(target, HARMFUL[name]), cap_bytes=1 << 29), fast
    )
    assert not found, "\n".join(found)
    assert not list(fast.rglob("ran")) and not Path("ran").exists()


def fresh(make: Maker) -> Maker:
    def laid(path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        make(path)

    return laid


def refusing(target: Target, cases: dict[str, tuple[Maker, str]]) -> Callable[[Path], None]:
    """The reader, but a harmful file that is let pass, or refused for no reason of its own, breaks the law too."""
    expected = iter([None, *(words for _, words in cases.values())])

    def read(path: Path) -> None:
        words = next(expected)
        if words is None:
            target.read(path)
            return
        try:
            target.read(path)
        except UserError as error:
            if words not in error.message():
                raise AssertionError(f"{words!r} is not in {error.message()!r}") from error
        else:
            raise AssertionError("it was let pass")

    return read


@pytest.mark.parametrize("make", [pytorch(tensor_pickle("2 3", "3 1")), legacy(tensor_pickle("2 3", "3 1", ends=b"N"))])
def test_the_same_files_without_a_lie_are_read(make: Maker, tmp_path: Path):
    """Else the cases above could be refused for the way they are made."""
    make(tmp_path / "w.pt")
    assert load_state(tmp_path / "w.pt")["a"].tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize("name", ["safetensors", "pytorch"])
def test_inspect_says_why_each_harmful_file_is_not_safe(name: str, tmp_path: Path):
    for title, (make, words) in HARMFUL[name].items():
        path = tmp_path / TARGETS[name].file
        fresh(make)(path)
        said = inspected([path], as_json=False).splitlines()
        assert "NOT SAFE" in said[0], title
        assert said[1].startswith("  why: "), title
        assert words in said[1], (title, said[1])
        assert len(said[1]) < 400, title
        assert all(line.isprintable() for line in said), title
