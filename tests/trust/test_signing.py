"""Signatures hold exactly for what was signed, by exactly the key that signed."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from typer.testing import CliRunner

from transfuse.doors.cli import app
from transfuse.errors import UserError
from transfuse.jsonio import canonical
from transfuse.trust import signing


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    (folder / "models" / "a").mkdir(parents=True)
    (folder / "evidence.json").write_text("{}")
    (folder / "models" / "a" / "model.safetensors").write_bytes(bytes(100))
    return folder


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "mine.pem"
    signing.new_key(path)
    return path


def public(key: Path) -> Path:
    return key.with_name(key.name + ".pub")


def test_what_was_signed_verifies_by_key_and_by_fingerprint(run: Path, key: Path):
    done = signing.sign(run, key)
    assert done.files == 2
    assert signing.verify(run, key=public(key)) == done
    spaced = ":".join(done.fingerprint[start : start + 2] for start in range(0, 64, 2)).upper()
    assert signing.verify(run, print_of_key=spaced) == done
    assert key.stat().st_mode & 0o077 == 0, "others may read the private key"


def test_the_signature_is_plain_ed25519_over_the_canonical_list(run: Path, key: Path):
    signing.sign(run, key)
    record = json.loads((run / "signature.json").read_text())
    signature = base64.b64decode(record.pop("signature"))
    raw = signing._public(record["public_key"], "").public_bytes_raw()
    theirs, signed = ed25519.Ed25519PublicKey.from_public_bytes(raw), canonical(record).encode()
    theirs.verify(signature, signed)
    with pytest.raises(InvalidSignature):
        theirs.verify(signature, signed + b" ")


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "one byte": (lambda run: (run / "models/a/model.safetensors").write_bytes(bytes(99) + b"\1"), "changed"),
    "removed": (lambda run: (run / "evidence.json").unlink(), r"evidence\.json: missing"),
    "added": (lambda run: (run / "extra.py").write_text("import os"), r"extra\.py: not signed"),
    "moved": (lambda run: (run / "evidence.json").rename(run / "other.json"), r"other\.json: not signed"),
    "link": (lambda run: (run / "in").symlink_to("/etc"), "a link"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_any_change_to_a_signed_folder_is_named(run: Path, key: Path, name: str):
    signing.sign(run, key)
    change, message = CHANGES[name]
    change(run)
    with pytest.raises(UserError, match=message):
        signing.verify(run, key=public(key))


def test_a_list_that_was_made_to_fit_does_not_hold(run: Path, key: Path):
    """A forger changes a file and corrects its hash in the list; only the signature tells."""
    signing.sign(run, key)
    (run / "evidence.json").write_text('{"verdict": "ship mine"}')
    record = json.loads((run / "signature.json").read_text())
    record["files"] = signing.manifest(run)
    (run / "signature.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="does not hold"):
        signing.verify(run, key=public(key))


def test_a_forger_who_signs_anew_with_a_key_of_his_own_is_told_apart(run: Path, key: Path, tmp_path: Path):
    mine = signing.sign(run, key)
    (run / "evidence.json").write_text("forged")
    signing.new_key(tmp_path / "his.pem")
    signing.sign(run, tmp_path / "his.pem")
    for given in ({"key": public(key)}, {"print_of_key": mine.fingerprint}):
        with pytest.raises(UserError, match="another key signed this"):
            signing.verify(run, **given)


def test_without_a_key_nothing_is_vouched_for(run: Path, key: Path):
    done = signing.sign(run, key)
    with pytest.raises(UserError, match=done.fingerprint):
        signing.verify(run)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": "transfuse/signature/1"}', "[" * 100_000])
def test_a_damaged_signature_is_one_clean_message(run: Path, key: Path, text: str):
    (run / "signature.json").write_text(text)
    with pytest.raises(UserError, match="signature"):
        signing.verify(run, key=public(key))


@pytest.mark.parametrize("value", ["", "!", "AAAA", None, 7])
def test_a_signature_that_is_none_does_not_hold(run: Path, key: Path, value: object):
    signing.sign(run, key)
    record = json.loads((run / "signature.json").read_text())
    (run / "signature.json").write_text(json.dumps(record | {"signature": value}))
    with pytest.raises(UserError, match="does not hold"):
        signing.verify(run, key=public(key))


def test_a_single_file_is_signed_beside_itself(run: Path, key: Path):
    model = run / "models" / "a" / "model.safetensors"
    signing.sign(model, key)
    assert (model.parent / "model.safetensors.signature.json").is_file()
    assert signing.verify(model, key=public(key)).files == 1
    model.write_bytes(b"other")
    with pytest.raises(UserError, match="changed"):
        signing.verify(model, key=public(key))


def test_keys_of_another_kind_text_and_absent_ones_are_refused(run: Path, key: Path, tmp_path: Path):
    other = tmp_path / "ec.pem"
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    other.write_bytes(ec.generate_private_key(ec.SECP256R1()).private_bytes(*form))
    for path, message in (
        (other, "another kind"),
        (public(key), "cannot be read"),
        (tmp_path / "no", "cannot be read"),
    ):
        with pytest.raises(UserError, match=message):
            signing.sign(run, path)
    with pytest.raises(UserError, match="already"):
        signing.new_key(key)


def test_a_password_locks_the_private_key(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(signing.PASSWORD, "open sesame")
    signing.new_key(tmp_path / "locked.pem")
    assert b"ENCRYPTED" in (tmp_path / "locked.pem").read_bytes()
    signing.sign(run, tmp_path / "locked.pem")
    for wrong in ("", "sesame"):
        monkeypatch.setenv(signing.PASSWORD, wrong)
        with pytest.raises(UserError, match="cannot be read"):
            signing.sign(run, tmp_path / "locked.pem")


def test_the_commands_make_a_key_sign_and_verify(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    call = CliRunner().invoke
    made = call(app, ["sign", "run", "--new-key", "mine.pem"])
    assert made.exit_code == 0 and "signed: 2 files" in made.output, made.output
    held = call(app, ["verify", "run", "--key", "mine.pem.pub"])
    assert held.exit_code == 0 and "unchanged: 2 files" in held.output
    assert isinstance(call(app, ["sign", "run"]).exception, UserError)
    assert isinstance(call(app, ["sign"]).exception, UserError)
    assert isinstance(call(app, ["verify", "run"]).exception, UserError)


def test_without_the_package_the_install_command_is_named(tmp_path: Path):
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from pathlib import Path\nfrom transfuse.trust.signing import new_key\n"
        "try:\n    new_key(Path('k'))\nexcept Exception as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "pip install 'transfuse[sign]'" in done.stdout


def test_no_key_is_made_for_what_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["sign", "nothing", "--new-key", "mine.pem"]).exception
    assert isinstance(found, UserError) and "nothing to sign" in found.what
    assert not list(tmp_path.iterdir()), "so that the same command can be given once more"
