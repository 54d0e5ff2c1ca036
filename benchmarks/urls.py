"""What a merge from a web server takes beside the same from files; without it "bounded memory" would be a word."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from benchmarks.merge_memory import peak

COMMAND = [sys.executable, "-c", "from transfuse.doors.cli import main; main()"]
# Three sources of so many tensors of so many float32 numbers: 384 MB each, a tensor 128 MB.
NAMES, TENSORS, NUMBERS = ("a", "b", "base"), 3, 32 << 20
WORKERS = 2


def table() -> list[str]:
    """Seconds by the clock, the most private memory of the merging process, and whether the bytes are the same."""
    rows = [f"{'method':>8} {'from':>6} {'seconds':>8} {'own MB':>7}  output"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, each in enumerate(NAMES):
            rng = np.random.default_rng(number)
            numbers = {f"w{at}": rng.standard_normal(NUMBERS, dtype=np.float32) for at in range(TENSORS)}
            save_file(numbers, folder / f"{each}.safetensors")
        with served(folder) as address:
            for method in ("mean", "ties"):
                digests = [_row(rows, method, where, folder) for where in (str(folder), address)]
                rows[-1] += "the same bytes" if len(set(digests)) == 1 else "OTHER BYTES"
    return rows


def _row(rows: list[str], method: str, where: str, folder: Path) -> str:
    """One merge, put down as a row; gives the digest of its output."""
    out = folder / "out.safetensors"
    a, b, base = (f"{where}/{name}.safetensors" for name in NAMES)
    more = [] if method == "mean" else ["--base", base]
    words = [*COMMAND, "merge", method, a, b, *more, "--out", str(out), "--workers", str(WORKERS), "--no-hash"]
    began = time.monotonic()
    most = peak(words, {**os.environ, "OMP_NUM_THREADS": "1"})
    kind = "http" if where.startswith("http") else "files"
    rows.append(f"{method:>8} {kind:>6} {time.monotonic() - began:>8.1f} {most:>7.0f}  ")
    with out.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    out.unlink()
    return digest


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of this folder, in a process of its own, that gives files by ranges."""
    words = [sys.executable, "-m", "benchmarks.urls", "serve", str(folder)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip() if server.stdout else ''}"
        finally:
            server.kill()


class Handler(BaseHTTPRequestHandler):
    """GET and HEAD of files, the first by ranges only."""

    def __init__(self, folder: Path, *given: object) -> None:
        self.folder = folder
        super().__init__(*given)  # pyright: ignore[reportArgumentType]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:  # noqa: N802 - the library's name
        self.send_response(200)
        self.send_header("Content-Length", str((self.folder / Path(self.path).name).stat().st_size))
        self.end_headers()

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted is None:
            self.send_error(416)
            return
        path = self.folder / Path(self.path).name
        begin, end = int(wanted[1]), int(wanted[2]) + 1
        with path.open("rb") as handle:
            handle.seek(begin)
            content = handle.read(end - begin)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{path.stat().st_size}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__" and sys.argv[1:2] == ["serve"]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, Path(sys.argv[2])))
    threading.Thread(target=server.serve_forever).start()
    print(server.server_address[1], flush=True)
