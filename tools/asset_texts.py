"""Texts and what reads them, from pinned archives: without this file mails would be split with their replies apart."""

from __future__ import annotations

import csv
import email
import html
import json
import re
from email.message import Message
from pathlib import Path

from asset_archives import members, read_member

# What a name of a mailbox in the archive says of its mails.
LABELS = {"easy-ham-1": "ham", "easy-ham-2": "ham", "hard-ham-1": "ham", "spam-1": "spam", "spam-2": "spam"}
MAILS = re.compile(r"package/data/(?P<box>[a-z]+(-[a-z]+)?-\d)/(?P<mail>\d{5}\.[0-9a-f]{32})\.json")
PREFIX = re.compile(r"^\s*(re|fw|fwd|aw|sv)\s*(\[\d+\])?\s*:|^\s*\[[^\]]{1,40}\]", re.IGNORECASE)
HIDDEN = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"<[^>]{0,2000}>")
BLANKS = re.compile(r"\s+")
LONGEST = 8000


def take_wordllama(archive: Path, folder: Path) -> None:
    """The table of token embeddings and its tokenizer, under their usual names."""
    folder.mkdir(parents=True)
    table = read_member(archive, "wordllama/weights/l2_supercat_256.safetensors")
    words = read_member(archive, "wordllama/tokenizers/l2_supercat_tokenizer_config.json")
    (folder / "model.safetensors").write_bytes(table)
    (folder / "tokenizer.json").write_bytes(words)


def list_mails(archive: Path, path: Path) -> None:
    """A CSV of mails: `item` (mailbox and name), `text` (subject and body), `label`, and `group`, the thread.

    The headers but for the subject stay out: mailing lists and dates would tell ham from spam. A thread is a subject
    without `Re:`, list names, digits and signs; mails without a subject are threads of their own.
    """
    rows = []
    for name, read in members(archive):
        if (found := MAILS.fullmatch(name)) is None:
            continue
        box, mail = found["box"], found["mail"]
        subject, body = parts_of(json.loads(read())["text"])
        text = BLANKS.sub(" ", f"{subject}\n{body}").strip()[:LONGEST]
        rows.append((f"{box}/{mail}", text, LABELS[box], thread(subject) or f"{box}/{mail}"))
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(("item", "text", "label", "group"))
        writer.writerows(sorted(rows))


def parts_of(mail: str) -> tuple[str, str]:
    """Subject and body of a mail; markup is taken off, what is no text is left out."""
    message = email.message_from_string(mail)
    subject = BLANKS.sub(" ", str(message.get("Subject", ""))).strip()
    return subject, " ".join(_readable(part) for part in message.walk() if part.get_content_maintype() == "text")


def thread(subject: str) -> str:
    """What a subject shares with its replies."""
    while (shorter := PREFIX.sub("", subject)) != subject:
        subject = shorter
    return " ".join(re.findall(r"[^\W\d_]+", subject.lower()))


def _readable(part: Message) -> str:
    content = part.get_payload(decode=True)
    if not isinstance(content, bytes):
        return ""
    text = content.decode("utf-8", errors="replace") if b"\xc3" in content else content.decode("latin-1")
    if part.get_content_subtype() == "html":
        text = html.unescape(TAG.sub(" ", HIDDEN.sub(" ", text)))
    return text
