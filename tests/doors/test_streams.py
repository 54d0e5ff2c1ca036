"""What a terminal is told whatever it can show, and when somebody stops a command."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable

import pytest

import transfuse
from transfuse.doors import cli
from transfuse.errors import UserError
from transfuse.store import named_store


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", b"-0.040 >= 2 x ?"), ("latin-1", b"-0.040 >= 2 \xd7 ?"), ("utf-8", "−0.040 ≥ 2 × 漢".encode())],
)
def test_a_minus_stays_a_minus_where_the_stream_has_none(
    monkeypatch: pytest.MonkeyPatch, encoding: str, shown: bytes
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    monkeypatch.setattr(cli, "app", lambda: sys.stdout.write("−0.040 ≥ 2 × 漢"))
    cli.main()
    sys.stdout.flush()
    assert raw.getvalue() == shown


def interrupted() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("act", [interrupted, lambda: sys.exit(130)])
@pytest.mark.parametrize(("command", "further"), [("run", "; run again to continue where it was"), ("inspect", "")])
def test_who_stops_a_command_is_told_how_to_go_on_where_it_does(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    act: Callable[[], None],
    command: str,
    further: str,
) -> None:
    monkeypatch.setattr(cli, "app", act)
    monkeypatch.setattr(sys, "argv", ["transfuse", command, "x"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 130
    assert capsys.readouterr().err == f"stopped{further}\n"


def test_the_command_line_tells_its_version(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["transfuse", "--version"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr().out) == (0, f"transfuse {transfuse.__version__}\n")


@pytest.mark.parametrize("code", [0, 2])
def test_other_ends_say_nothing_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    monkeypatch.setattr(cli, "app", lambda: sys.exit(code))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert (ended.value.code, capsys.readouterr().err) == (code, "")


def test_a_user_without_a_home_is_told_to_name_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRANSFUSE_STORE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda text: text)
    with pytest.raises(UserError, match=r"no home folder(.|\n)*set TRANSFUSE_STORE"):
        named_store()


def test_a_worker_whose_parent_is_gone_before_it_starts_ends_too() -> None:
    code = "import time; from transfuse.run.worker import start_worker; start_worker(1); time.sleep(60)"
    assert subprocess.run([sys.executable, "-c", code], timeout=50, check=False).returncode == 1
