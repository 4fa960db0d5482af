"""Seals secrets with AES-256-GCM, under a key that is not in the store.

A sealed text names the key that sealed it, and is bound to what it belongs to (an access key's id, say), so that it
cannot be put in another's place. There may be several keys: the first one seals, and all of them unseal.
"""

import base64
import hashlib
import os
import secrets
import stat
import string
from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PREFIX = "sealed:"
_NONCE_BYTES = 12
_KEY_DIGITS = 64


class SealError(Exception):
    """A key cannot be used, or a text cannot be unsealed; the text says why, and what to do."""


class UnknownKey(SealError):
    """A text was sealed with a key that is not at hand."""


class Sealer:
    """Seals and unseals texts."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """`keys` have 32 bytes each; the first one seals."""
        self._ciphers = {_id_of(key): AESGCM(key) for key in keys}
        self._current = _id_of(keys[0])

    def seal(self, plain: str, of: str) -> str:
        """Seal `plain`. It can be read only with the key, and only as a secret `of` the same thing."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._ciphers[self._current].encrypt(nonce, plain.encode(), of.encode())
        return f"{_PREFIX}{self._current}:{base64.urlsafe_b64encode(sealed).decode()}"

    def unseal(self, sealed: str, of: str) -> str:
        """Return what was sealed. Raises SealError if it was not sealed, the key is unknown, or it is not `of` this."""
        key_id, _, text = sealed.removeprefix(_PREFIX).partition(":")
        cipher = self._ciphers.get(key_id)
        if not is_sealed(sealed) or cipher is None:
            raise UnknownKey("A secret of the store is sealed with another key than those that were given.")
        try:
            raw = base64.urlsafe_b64decode(text)
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], of.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SealError("A sealed text is damaged, or in another's place.") from error

    def is_current(self, sealed: str) -> bool:
        """Whether the text was sealed with the first key."""
        return sealed.startswith(f"{_PREFIX}{self._current}:")


class KeyFile(Sealer):
    """The keys in a file, which is read again when a text turns up that was sealed with a newer key."""

    def __init__(self, path: Path) -> None:
        """Raises SealError if the file holds no keys."""
        self._path = path
        self._version: tuple[int, ...] = ()
        super().__init__(read_keys(path))

    def unseal(self, sealed: str, of: str) -> str:
        try:
            return super().unseal(sealed, of)
        except UnknownKey:
            version = _version_of(self._path)
            if version == self._version:
                raise
            super().__init__(read_keys(self._path))
            self._version = version
            return super().unseal(sealed, of)


def _version_of(path: Path) -> tuple[int, ...]:
    """A value that changes whenever the file, its mode or its contents do; empty if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return ()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


def is_sealed(text: str) -> bool:
    """Whether `text` is sealed; stores of earlier versions hold plain ones."""
    return text.startswith(_PREFIX)


def read_keys(path: Path) -> list[bytes]:
    """Read the keys of a file, one on each line. Raises SealError if the file cannot be read or a line is not a key."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SealError(
            f"The secret key file {path} cannot be read: {reason}. `numberkeep keys init FILE` makes one."
        ) from error
    return parse_keys(text, f"the file {path}")


def parse_keys(text: str, place: str) -> list[bytes]:
    """The keys in `text`. Raises SealError, which names `place` but never shows the text."""
    lines = text.split()
    if not lines:
        raise SealError(f"There is no secret key in {place}.")
    for line in lines:
        if len(line) != _KEY_DIGITS or not set(line) <= set(string.hexdigits):
            raise SealError(f"A secret key has {_KEY_DIGITS} hexadecimal digits; what is in {place} does not.")
    return [bytes.fromhex(line) for line in lines]


def make_key_file(path: Path) -> None:
    """Make a file with a new key, readable by its owner only. Raises SealError if the file exists or cannot be made."""
    try:
        _write(path, [_new_key()])
    except FileExistsError as error:
        raise SealError(
            f"There is a file {path} already: keep it, or name another; `numberkeep keys rekey` rotates its key."
        ) from error
    except OSError as error:
        raise SealError(f"The secret key file {path} cannot be made: {error.strerror}.") from error


def add_key(path: Path) -> None:
    """Put a new key first in a key file; its owner and mode stay. Raises SealError if that fails.

    The file is replaced by a new one, so that there is always a complete file; its directory must be writable.
    """
    path = path.resolve()
    keys = [_new_key(), *(key.hex() for key in read_keys(path))]
    fresh = path.with_name(path.name + ".new")
    try:
        was = path.stat()
        fresh.unlink(missing_ok=True)
        _write(fresh, keys)
        os.chown(fresh, was.st_uid, was.st_gid)
        fresh.chmod(stat.S_IMODE(was.st_mode))
        fresh.replace(path)
        keep_names(path.parent)
    except OSError as error:
        raise SealError(
            f"The secret key file {path} cannot be replaced: {error.strerror}. Who does has to write to the directory"
            f" {path.parent}, as root may; the file goes on to be its owner's."
        ) from error


def _new_key() -> str:
    return secrets.token_hex(_KEY_DIGITS // 2)


def _write(path: Path, keys: Sequence[str]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "w") as file:
        file.write("".join(f"{key}\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())
    keep_names(path.parent)


def keep_names(directory: Path) -> None:
    """Make sure that the names of a directory's files survive a power failure. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _id_of(key: bytes) -> str:
    return hashlib.sha256(b"numberkeep" + key).hexdigest()[:8]
