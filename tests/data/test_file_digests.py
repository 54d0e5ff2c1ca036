"""Files that cannot be read are all named at once, or are items whose reading is the error."""

from __future__ import annotations

from pathlib import Path

import pytest

from transfuse.data.file_digests import unchecked
from transfuse.data.open import index, open_data
from transfuse.errors import UserError


@pytest.mark.parametrize(("spec", "sound", "torn"), [("images:d", "a.png", "b.png"), ("texts:d", "a.txt", "b.txt")])
def test_what_cannot_be_read_is_refused_while_indexing_unless_nobody_checks(
    spec: str, sound: str, torn: str, tmp_path: Path, photo
):
    photo(f"d/{sound}") if sound.endswith("png") else (tmp_path / "d").mkdir()
    if sound.endswith("txt"):
        (tmp_path / "d" / sound).write_text("words")
    whole = index(spec, tmp_path)
    (tmp_path / "d" / torn).write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=rf"(?s)cannot be used \(1\).*{torn}"):
        index(spec, tmp_path)
    with unchecked():
        data = open_data(spec, tmp_path)
    assert data.items.ids == (sound, torn) and data.items.digests[:1] == whole.digests
    assert data.raw(0).size
    with pytest.raises(UserError, match="read"):
        data.raw(1)
    with pytest.raises(UserError, match=torn):
        index(spec, tmp_path)
