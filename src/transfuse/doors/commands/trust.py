"""Commands about trust: without them only a program could say who made a model and whether it is unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from transfuse.doors.commands._common import say
from transfuse.errors import UserError

Signable = Annotated[Path | None, typer.Argument(metavar="PATH", help="a run's folder, a model's folder, or a file")]


def sign(
    path: Signable = None,
    key: Annotated[Path | None, typer.Option("--key", help="your private key (PEM, Ed25519)")] = None,
    new_key: Annotated[Path | None, typer.Option("--new-key", help="first make a key pair: FILE and FILE.pub")] = None,
) -> None:
    """Sign a run, a model or a file with a key of your own. Others can tell by it that nothing was changed."""
    from transfuse.trust import signing

    if path is not None and not path.exists():
        # Before a key is made, which would be in the way of asking again.
        raise UserError("there is nothing to sign here", where=str(path), hint="a run's folder lies in runs/")
    if new_key is not None:
        fingerprint = signing.new_key(new_key)
        say(f"private key: {new_key} (keep it)\npublic key:  {new_key}.pub (give it to others)")
        say(f"fingerprint: {fingerprint}")
    if path is None:
        if new_key is None:
            raise UserError("say what to sign", expected="PATH, or --new-key FILE to make a key")
        return
    found = key or new_key
    if found is None:
        raise UserError("signing needs a key", hint="--key FILE, or --new-key FILE to make one")
    done = signing.sign(path, found)
    say(f"signed: {done.files} files by {done.fingerprint}\nsignature: {signing.signature_path(path)}")


def verify(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="what was signed")],
    key: Annotated[Path | None, typer.Option("--key", help="the signer's public key (FILE.pub)")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="or its fingerprint")] = None,
) -> None:
    """Check that what was signed is whole and unchanged. A run, a model or a file."""
    from transfuse.trust import signing

    done = signing.verify(path, key=key, print_of_key=fingerprint)
    say(f"unchanged: {done.files} files, signed by {done.fingerprint}")


COMMANDS = (sign, verify)
