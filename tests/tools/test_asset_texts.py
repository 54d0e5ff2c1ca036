"""Mails as a table: a thread is one group, markup and headers are off, and what is no mail is passed over."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from asset_texts import list_mails, parts_of, take_wordllama, thread
from tools.example_archives import make_tar, make_zip

HTML = "<html><head><title>no</title></head><body>Buy &amp; <b>save</b><script>x()</script> now</body></html>"


@pytest.mark.parametrize(
    ("subject", "shared"),
    [
        ("Re: [exmh] New  Sequences, Window 2!", "new sequences window"),
        ("FW: re[2]: New sequences window", "new sequences window"),
        ("[a list] Größe", "größe"),
        ("42!", ""),
    ],
)
def test_a_thread_is_what_a_subject_shares_with_its_replies(subject, shared):
    assert thread(subject) == shared


def test_a_mail_is_its_subject_and_its_text_without_markup():
    plain = "Received: by x\nSubject: Hello\n there\n\nA body.\n"
    assert parts_of(plain) == ("Hello there", "A body.\n")
    marked = f"Subject: Deal\nContent-Type: text/html\n\n{HTML}"
    assert parts_of(marked)[1].split() == ["Buy", "&", "save", "now"]
    mixed = (
        "Subject: two\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n"
        "--B\nContent-Type: text/plain\n\none\n"
        "--B\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\niVBORw0KGgo=\n--B--\n"
    )
    assert parts_of(mixed)[1].strip() == "one"


def test_an_archive_of_mails_becomes_a_table(tmp_path: Path):
    name, archive = "0" * 5 + "." + "a" * 32, tmp_path / "mails.tgz"
    mails = {
        f"package/data/easy-ham-1/{name}.json": "Subject: Re: Tea\n\nyes",
        f"package/data/spam-2/{name}.json": "Subject: 99\n\nwin",
        f"package/data/easy-ham-1/{name}.txt": "left out",
        "package/package.json": "left out",
    }
    make_tar(archive, {path: json.dumps({"text": text}).encode() for path, text in mails.items()})
    list_mails(archive, tmp_path / "mails.csv")
    with (tmp_path / "mails.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle))
    assert rows == [
        ["item", "text", "label", "group"],
        [f"easy-ham-1/{name}", "Re: Tea yes", "ham", "tea"],
        [f"spam-2/{name}", "99 win", "spam", f"spam-2/{name}"],
    ]


def test_a_table_of_embeddings_gets_its_usual_names(tmp_path: Path):
    files = {"weights/l2_supercat_256.safetensors": b"table", "tokenizers/l2_supercat_tokenizer_config.json": b"{}"}
    make_zip(tmp_path / "w.whl", {f"wordllama/{name}": content for name, content in files.items()})
    take_wordllama(tmp_path / "w.whl", tmp_path / "words")
    assert {path.name: path.read_text() for path in (tmp_path / "words").iterdir()} == {
        "model.safetensors": "table",
        "tokenizer.json": "{}",
    }
