"""A merge whose output lies behind a URL: without it a large merge would have to be uploaded by hand, half or whole.

What is behind a URL can be put as a whole but not written into, so the output is made on this machine (in `$TMPDIR`)
and then put there, file by file. A folder holds a mark from before the first file until after the last, the index last
of all but the mark: a folder with the mark is refused by `reader_at`, one without its index by others.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from transfuse.errors import UserError
from transfuse.files.remote import Place, Remote
from transfuse.source.ranged import UNFINISHED
from transfuse.source.weights import INDEX

MARK = b"a merge into this folder is under way, or was ended from outside: it is not whole\n"


@contextlib.contextmanager
def uploaded(out: Place) -> Iterator[Path]:
    """A path to write to; what is there when all went well lies at `out` afterwards, else nothing does.

    Raises UserError for web addresses, which are read only, and for what exists, before anything is made. What a merge
    into this folder that was killed left behind is removed first. A store of objects shows a file once it is whole;
    elsewhere a file that was cut off is shorter than its header says, and is refused by that.
    """
    if isinstance(out, Path):
        yield out
        return
    if out.web:
        raise UserError("nothing can be written to a web address", where=str(out), expected="a path, s3://, gs:// …")
    folder = out.suffix != ".safetensors"
    _made_ready(out, folder=folder)
    placed: list[Remote] = [out / UNFINISHED] if folder else []
    try:
        with tempfile.TemporaryDirectory(prefix="transfuse-") as scratch:
            here = Path(scratch) / out.name
            yield here
            files = sorted(here.iterdir(), key=lambda path: (path.name == INDEX, path.name)) if folder else [here]
            for path in files:
                target = out / path.name if folder else out
                placed.append(target)
                target.put(path)
        if folder:
            placed[0].remove()
    except BaseException:
        # The mark goes last: what could not be removed is still told from what is whole.
        for target in reversed(placed):
            with contextlib.suppress(UserError):
                target.remove()
        raise


def _made_ready(out: Remote, *, folder: bool) -> None:
    """The mark of a folder is set. Raises UserError where something else than an unfinished merge is there."""
    mark = out / UNFINISHED
    if folder and mark.is_file():
        for path in out.glob("*"):
            if path != mark:
                path.remove()
    elif out.is_dir() or out.is_file():
        raise UserError("the output exists already", where=str(out), hint="choose a new name")
    if folder:
        mark.write(MARK)
