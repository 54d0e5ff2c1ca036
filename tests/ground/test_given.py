from __future__ import annotations

from pathlib import Path

import pytest

from transfuse.errors import UserError
from transfuse.given import code_digest, is_pointer, loaded, pointer, source_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "given_here.py").write_text("def cost(a, b):\n    return 1.0\n", encoding="utf-8")
    (tmp_path / "given_package").mkdir()
    (tmp_path / "given_package" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "given_package" / "inner.py").write_text("value = 3\n", encoding="utf-8")
    (tmp_path / "given_broken.py").write_text("raise RuntimeError('no luck')\n", encoding="utf-8")
    return tmp_path


def test_a_pointer_is_taken_apart() -> None:
    found = pointer("a.b:c?direction=lower&unit=EUR", ("direction", "unit"))
    assert (found.module, found.name, found.options) == ("a.b", "c", {"direction": "lower", "unit": "EUR"})
    assert is_pointer("a:b")
    assert not is_pointer("log_loss")


@pytest.mark.parametrize("text", ["a:", ":b", "a b:c", "a:b?x", "../a:b", "a:b.c"])
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="points at nothing"):
        pointer(text, ("x",))


def test_an_unknown_option_offers_the_nearest() -> None:
    with pytest.raises(UserError, match=r"(?s)unknown option 'directon'.*direction"):
        pointer("a:b?directon=lower", ("direction",))


def test_files_are_found_without_being_run(folder: Path) -> None:
    assert source_file(pointer("given_broken:x"), folder) == folder / "given_broken.py"
    assert source_file(pointer("given_package.inner:x"), folder).name == "inner.py"
    with pytest.raises(UserError, match="there is no module 'given_nowhere'"):
        source_file(pointer("given_nowhere:x"), folder)


def test_what_is_pointed_at_is_loaded_and_a_changed_file_is_read_again(folder: Path) -> None:
    there = pointer("given_here:cost")
    assert loaded(there, folder)(0, 0) == 1.0
    before = code_digest(there, folder)
    (folder / "given_here.py").write_text("def cost(a, b):\n    return 22.0\n", encoding="utf-8")
    assert loaded(there, folder)(0, 0) == 22.0
    assert code_digest(there, folder) != before
    assert loaded(pointer("given_package:inner"), folder).value == 3


def test_what_fails_is_said_in_one_message(folder: Path) -> None:
    with pytest.raises(UserError, match=r"(?s)cannot be imported.*RuntimeError: no luck"):
        loaded(pointer("given_broken:x"), folder)
    with pytest.raises(UserError, match=r"(?s)unknown name in given_here 'costs'.*cost"):
        loaded(pointer("given_here:costs"), folder)
