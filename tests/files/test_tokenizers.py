"""A stranger's tokenizer.json: its size and its JSON come first, and what is none is one clean error."""

from __future__ import annotations

import json
import sys

import pytest

from source.text_folders import write_tokenizer
from transfuse.errors import MissingExtraError, UserError
from transfuse.files import tokenizers


def test_words_become_numbers_without_truncation_or_padding_of_its_own(tmp_path):
    write_tokenizer(tmp_path, framed=True)
    path = tmp_path / "tokenizer.json"
    facts = json.loads(path.read_text())
    facts["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    path.write_text(json.dumps(facts))
    found = tokenizers.read_tokenizer(path, "test")
    assert found.encode("The SALT unheard a").ids == [2, 4, 15, 1, 5, 3]


@pytest.mark.parametrize("text", ["", "[]", '{"model": 1}', "{" * 4000, '{"version": NaN}', '{"version": "1.0"}'])
def test_what_is_no_tokenizer_is_said(text, tmp_path):
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(UserError, match=r"tokenizer\.json of 'it' cannot be read"):
        tokenizers.read_tokenizer(tmp_path / "tokenizer.json", "it")


def test_a_large_file_is_never_parsed(tmp_path, monkeypatch):
    write_tokenizer(tmp_path, framed=False)
    monkeypatch.setattr(tokenizers, "LARGEST_BYTES", 64)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UserError, match=r"cannot be read"):
        tokenizers.read_tokenizer(tmp_path / "tokenizer.json", "it")


def test_a_missing_library_names_the_command(tmp_path, monkeypatch):
    write_tokenizer(tmp_path, framed=False)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'transfuse\[huggingface\]'"):
        tokenizers.read_tokenizer(tmp_path / "tokenizer.json", "it")
