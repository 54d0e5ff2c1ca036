"""A web server on this machine that gives files by ranges, or in one of the ways in which servers do not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@contextmanager
def served(files: Mapping[str, bytes], manner: str = "ranges") -> Iterator[tuple[str, list[str]]]:
    """The address, and what was asked for: `PATH RANGE` of every GET.

    `manner`: ranges; `whole` (ranges are not known); `short` (a byte less than asked for); `silent` (no size is told);
    `fails` (every first answer to a range is an error).
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:  # noqa: N802 - the library's name
            self._answer(b"")

        def do_GET(self) -> None:  # noqa: N802 - the library's name
            content = files.get(self.path.lstrip("/"), b"")
            asked.append(f"{self.path.lstrip('/')} {self.headers.get('Range')}")
            wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            if not wanted or manner == "whole":
                self._answer(content)
                return
            begin, end = int(wanted[1]), int(wanted[2]) + 1 - (manner == "short")
            if manner == "fails" and asked.count(asked[-1]) == 1:
                self.send_error(503)
                return
            part = content[begin:end]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {begin}-{begin + len(part) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part)

        def _answer(self, content: bytes) -> None:
            held = files.get(self.path.lstrip("/"))
            if held is None:
                self.send_error(404)
                return
            self.send_response(200)
            if manner != "silent":
                self.send_header("Content-Length", str(len(held)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
