"""SavedModels are looked at before TensorFlow is: what could do more than compute is refused by name."""

from __future__ import annotations

import sys

import pytest

from files.saved_models import PLAIN, RESTORE, SAVE, message, written
from transfuse.errors import MissingExtraError, UnsafeFileError, UserError
from transfuse.files import programs
from transfuse.files.programs import GRAPH, check_program, program_files

SERVE, WRAPPER = "__inference_serve_1", "__inference_signature_wrapper_2"


def test_a_sound_program_names_its_operations_and_its_files(tmp_path):
    found = check_program(written(tmp_path))
    assert {"Conv2D", "Softmax", "SaveV2", "VarHandleOp"} <= set(found)
    assert found == sorted(found)
    names = [path.name for path in program_files(tmp_path)]
    assert names == [GRAPH, "variables.data-00000-of-00001", "variables.index"]


@pytest.mark.parametrize(
    "operation",
    ["ReadFile", "WriteFile", "MatchingFiles", "PyFunc", "EagerPyFunc", "LoadLibrary", "SaveV2", "RestoreV2", "Print",
     "MergeV2Checkpoints", "ImmutableConst", "While", "TextLineDataset", "Whatever"],
)  # fmt: skip
def test_operations_beyond_arithmetic_are_refused_wherever_they_may_run(operation, tmp_path):
    folder = written(tmp_path, message({**PLAIN, SERVE: ("Conv2D", operation)}))
    with pytest.raises(UnsafeFileError, match="may do more than compute") as caught:
        check_program(folder)
    assert operation in str(caught.value)
    assert SERVE in str(caught.value)


def test_a_name_like_that_of_the_saver_excuses_no_operation_of_another_kind(tmp_path):
    with pytest.raises(UnsafeFileError, match="ReadFile"):
        check_program(written(tmp_path, message({**PLAIN, SAVE: ("SaveV2", "ReadFile")})))


def test_a_call_by_name_goes_to_functions_that_were_looked_at(tmp_path):
    assert check_program(written(tmp_path / "a", message({**PLAIN, WRAPPER: (SERVE, "Identity")})))
    with pytest.raises(UnsafeFileError, match="nowhere"):
        check_program(written(tmp_path / "b", message({**PLAIN, WRAPPER: ("nowhere",)})))


@pytest.mark.parametrize("saver", [SAVE, RESTORE])
@pytest.mark.parametrize("how", ["calls", "listed", "operation"])
def test_nothing_that_answers_may_call_what_saves(how, saver, tmp_path):
    functions = {**PLAIN, WRAPPER: (saver,)} if how == "operation" else PLAIN
    given = {} if how == "operation" else {how: {WRAPPER: saver}}
    with pytest.raises(UnsafeFileError, match=r"write files when it is asked") as caught:
        check_program(written(tmp_path, message(functions, **given)))
    assert saver in str(caught.value)


@pytest.mark.parametrize("how", ["kept", "bare"])
def test_no_object_may_keep_what_saves_because_opening_could_run_it(how, tmp_path):
    with pytest.raises(UnsafeFileError, match=r"write files when it is opened"):
        check_program(written(tmp_path, message(**{how: [SAVE]})))


def test_a_program_of_tensorflow_1_is_refused_with_the_way_out(tmp_path):
    made = message()
    made.meta_graphs[0].ClearField("object_graph_def")
    with pytest.raises(UserError, match="TensorFlow 1"):
        check_program(written(tmp_path, made))


@pytest.mark.parametrize("data", [b"", b"not a program", b"\x0a\xff\xff\xff\xff\x0f", b"\x12\x02ab"])
def test_bytes_that_are_no_program_are_one_message(data, tmp_path):
    written(tmp_path)
    (tmp_path / GRAPH).write_bytes(data)
    with pytest.raises(UserError, match="no SavedModel"):
        check_program(tmp_path)


def test_an_empty_folder_a_link_and_a_file_too_large_are_refused(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no SavedModel"):
        program_files(tmp_path / "empty")
    folder = written(tmp_path / "linked")
    (tmp_path / "secret").write_bytes(b"x")
    (folder / "variables" / "variables.more").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafeFileError, match="link"):
        program_files(folder)
    monkeypatch.setattr(programs, "LARGEST_GRAPH_BYTES", 10)
    with pytest.raises(UserError, match="bytes"):
        check_program(written(tmp_path / "large"))


def test_without_protobuf_the_error_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.protobuf.message", None)
    with pytest.raises(MissingExtraError, match=r"transfuse\[onnx\]"):
        check_program(written(tmp_path))
