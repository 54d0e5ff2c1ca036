"""Signatures with a key of one's own; without them a report and its model could be changed on their way to a colleague.

An Ed25519 signature (RFC 8032, 2017) covers the canonical spelling of a manifest: every file's SHA-256 and size. The
signature says who signed only to somebody who knows the public key, so verifying asks for the key or its fingerprint.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transfuse.errors import UserError, many_problems, missing_extra
from transfuse.files.texts import json_object
from transfuse.jsonio import canonical, pretty
from transfuse.store import write_text
from transfuse.trust.manifest import SIGNATURE, compare, manifest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

SCHEMA = "transfuse/signature/1"
PASSWORD = "TRANSFUSE_KEY_PASSWORD"  # noqa: S105 - the name of a variable, no password
LARGEST_SIGNATURE_BYTES = 64 << 20


@dataclass(frozen=True)
class Signed:
    """A signature that holds: how many files, and the fingerprint of the key."""

    path: Path
    files: int
    fingerprint: str


def new_key(path: Path) -> str:
    """Write a private key (PEM, readable by its owner only) and `PATH.pub` beside it; gives the fingerprint.

    With `$TRANSFUSE_KEY_PASSWORD` the private key is encrypted. Raises `UserError` where either file is there already.
    """
    crypto = _cryptography()
    public_path = path.with_name(path.name + ".pub")
    for each in (path, public_path):
        if each.exists():
            raise UserError("there is a file of that name already", where=str(each), hint="choose another name")
    key = crypto.ed25519.Ed25519PrivateKey.generate()
    password = os.environ.get(PASSWORD, "").encode()
    lock = crypto.serialization.BestAvailableEncryption(password) if password else crypto.serialization.NoEncryption()
    form = crypto.serialization.PrivateFormat.PKCS8
    data = key.private_bytes(crypto.serialization.Encoding.PEM, form, lock)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    write_text(public_path, _pem(key.public_key()))
    return fingerprint(key.public_key())


def sign(path: Path, key: Path) -> Signed:
    """Sign a file or folder: `FILE.signature.json` beside it or `signature.json` in it; signing again replaces it."""
    private = _private(key)
    files = manifest(path)
    body: dict[str, Any] = {"schema": SCHEMA, "algorithm": "ed25519", "files": files}
    body["public_key"] = _pem(private.public_key())
    made = body | {"signature": base64.b64encode(private.sign(canonical(body).encode())).decode()}
    write_text(signature_path(path), pretty(made))
    return Signed(path, len(files), fingerprint(private.public_key()))


def verify(path: Path, *, key: Path | None = None, print_of_key: str | None = None) -> Signed:
    """Whether this is what the holder of a key signed, whole and unchanged.

    The key is given as its public file or by its fingerprint. Raises `UserError` where there is no signature, another
    key signed, the signature does not hold, or a file was changed, removed or added; all of them in one message.
    """
    record = _record(signature_path(path))
    public = _public(record["public_key"], str(signature_path(path)))
    found = fingerprint(public)
    _expect(path, found, None if key is None else fingerprint(_public(_text(key), str(key))), print_of_key)
    signature = record.pop("signature")
    try:
        public.verify(base64.b64decode(signature, validate=True), canonical(record).encode())
    except (_cryptography().InvalidSignature, binascii.Error, ValueError, TypeError):
        raise UserError(
            "the signature does not hold: what it lists is not what was signed", where=str(signature_path(path))
        ) from None
    difference = compare(record["files"], manifest(path))
    if difference.problems:
        raise many_problems("this is not what was signed", difference.problems, where=str(path))
    return Signed(path, len(record["files"]), found)


def signature_path(path: Path) -> Path:
    """Where the signature of a file or a folder lies."""
    return path / SIGNATURE if path.is_dir() else path.with_name(f"{path.name}.{SIGNATURE}")


def fingerprint(key: Ed25519PublicKey) -> str:
    """SHA-256 of the raw 32 bytes of a public key, in hexadecimal digits."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _expect(path: Path, found: str, of_key: str | None, given: str | None) -> None:
    if of_key is None and given is None:
        raise UserError(
            "a signature proves who signed only to somebody who knows the key",
            where=str(path),
            got=f"signed by the key {found}",
            hint="give --key FILE.pub, or --fingerprint with what the signer told you",
        )
    for expected in (of_key, None if given is None else given.replace(":", "").strip().lower()):
        if expected is not None and expected != found:
            raise UserError("another key signed this", where=str(path), expected=expected, got=found)


def _record(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError("there is no signature", where=str(path), hint="transfuse sign PATH --key FILE")
    record = json_object(path, "this signature is damaged", largest=LARGEST_SIGNATURE_BYTES)
    wanted = {"schema", "algorithm", "files", "public_key", "signature"}
    if set(record) != wanted or record["schema"] != SCHEMA:
        raise UserError("this is no signature that can be read here", where=str(path), expected=SCHEMA)
    files = record["files"]
    if not isinstance(files, dict) or not all(isinstance(facts, dict) for facts in files.values()):
        raise UserError("this signature lists no files", where=str(path))
    return record


def _private(path: Path) -> Ed25519PrivateKey:
    crypto, password = _cryptography(), os.environ.get(PASSWORD, "").encode() or None
    try:
        key = crypto.serialization.load_pem_private_key(_text(path).encode(), password)
    except (ValueError, TypeError, crypto.UnsupportedAlgorithm) as error:
        raise UserError(
            "this private key cannot be read",
            where=str(path),
            got=str(error).split(".")[0],
            hint=f"an encrypted key is opened by ${PASSWORD}; `transfuse sign --new-key` makes one",
        ) from error
    if not isinstance(key, crypto.ed25519.Ed25519PrivateKey):
        raise UserError("this key is of another kind", where=str(path), expected="Ed25519", got=type(key).__name__)
    return key


def _public(text: Any, where: str) -> Ed25519PublicKey:
    crypto = _cryptography()
    try:
        key = crypto.serialization.load_pem_public_key(str(text).encode())
    except (ValueError, crypto.UnsupportedAlgorithm) as error:
        raise UserError("this is no public key", where=where, expected="PEM, as in FILE.pub") from error
    if not isinstance(key, crypto.ed25519.Ed25519PublicKey):
        raise UserError("this key is of another kind", where=where, expected="Ed25519", got=type(key).__name__)
    return key


def _pem(key: Ed25519PublicKey) -> str:
    crypto = _cryptography()
    form = crypto.serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(crypto.serialization.Encoding.PEM, form).decode()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except UnicodeDecodeError as error:
        raise UserError("this is no key", where=str(path), expected="PEM text") from error
    except OSError as error:
        raise UserError("this key cannot be read", where=str(path), got=str(error.strerror)) from error


def _cryptography() -> Any:
    """The parts of the package `cryptography` that are used here; an error that names the extra where it is absent."""
    try:
        from types import SimpleNamespace

        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        raise missing_extra("cryptography", "sign", "signing and verifying") from error
    return SimpleNamespace(
        InvalidSignature=InvalidSignature,
        UnsupportedAlgorithm=UnsupportedAlgorithm,
        serialization=serialization,
        ed25519=ed25519,
    )
