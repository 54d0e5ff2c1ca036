"""Small archives of every kind, whole and hostile, and the pins that fit them."""

import gzip
import hashlib
import io
import lzma
import stat
import tarfile
import zipfile
from pathlib import Path

from asset_archives import Archive


def make_tar(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, to in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, to
            archive.addfile(info)
    return path


def make_zip(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
        for name, to in (links or {}).items():
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, to)
    return path


def make_deb(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    inner = make_tar(path.with_suffix(".inner"), files, links)
    data = lzma.compress(gzip.decompress(inner.read_bytes()))
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": data}
    content = b"!<arch>\n"
    for name, part in parts.items():
        content += (
            f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(part):<10}`\n".encode() + part + b"\n" * (len(part) % 2)
        )
    path.write_bytes(content)
    inner.unlink()
    return path


MAKERS = {"a.tar.gz": make_tar, "a.tgz": make_tar, "a.whl": make_zip, "a.zip": make_zip, "a.deb": make_deb}


def pinned(path: Path, **changes: object) -> Archive:
    facts = {"registry": "npm", "package": "a", "version": "1", "file": path.name, "megabytes": 1}
    return Archive(**{**facts, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **changes})
