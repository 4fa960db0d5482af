"""Secrets are readable with the key alone, and in their own place alone."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numberkeep.sealing import KeyFile, Sealer, SealError, add_key, is_sealed, make_key_file, parse_keys, read_keys

KEY, OTHER = bytes(32), bytes([1]) * 32


@given(st.text(), st.text())
def test_what_is_sealed_comes_back(plain: str, of: str) -> None:
    try:
        plain.encode(), of.encode()
    except UnicodeEncodeError:
        return
    sealed = Sealer([KEY]).seal(plain, of)
    assert is_sealed(sealed)
    assert len(plain) < 4 or plain not in sealed
    assert Sealer([OTHER, KEY]).unseal(sealed, of) == plain


def test_the_same_secret_is_never_sealed_alike() -> None:
    sealer = Sealer([KEY])
    assert sealer.seal("secret", "AKIA") != sealer.seal("secret", "AKIA")


def test_what_does_not_open() -> None:
    sealed = Sealer([KEY]).seal("secret", "AKIA")
    with pytest.raises(SealError, match="another key"):
        Sealer([OTHER]).unseal(sealed, "AKIA")
    with pytest.raises(SealError, match="another's place"):
        Sealer([KEY]).unseal(sealed, "AKIB")
    middle = len(sealed) - 10
    damaged = sealed[:middle] + ("A" if sealed[middle] != "A" else "B") + sealed[middle + 1 :]
    with pytest.raises(SealError, match="damaged"):
        Sealer([KEY]).unseal(damaged, "AKIA")
    with pytest.raises(SealError):
        Sealer([KEY]).unseal("secret", "AKIA")


def test_the_first_key_seals() -> None:
    assert Sealer([KEY, OTHER]).is_current(Sealer([KEY]).seal("secret", "AKIA"))
    assert not Sealer([KEY, OTHER]).is_current(Sealer([OTHER]).seal("secret", "AKIA"))


def test_a_key_file_is_its_owners_and_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "secret.key"
    make_key_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (key,) = read_keys(file)
    assert len(key) == 32
    with pytest.raises(SealError, match=r"There is a file .* already"):
        make_key_file(file)
    assert read_keys(file) == [key]


def test_a_file_with_a_new_key_is_read_again(tmp_path: Path) -> None:
    """A server goes on while the key is turned over at the shell."""
    file = tmp_path / "secret.key"
    make_key_file(file)
    running = KeyFile(file)
    before = running.seal("old", "AKIA")
    add_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    after = KeyFile(file).seal("new", "AKIA")
    assert not KeyFile(file).is_current(before)
    assert running.unseal(after, "AKIA") == "new"
    assert running.unseal(before, "AKIA") == "old"
    assert os.listdir(tmp_path) == ["secret.key"]


def test_a_file_that_could_not_be_read_once_is_read_again(tmp_path: Path) -> None:
    """Who turned the key over has left it without a line, and mends that."""
    file = tmp_path / "secret.key"
    make_key_file(file)
    running = KeyFile(file)
    add_key(file)
    sealed, text = KeyFile(file).seal("new", "AKIA"), file.read_text()
    file.write_text("")
    with pytest.raises(SealError, match="no secret key"):
        running.unseal(sealed, "AKIA")
    moment = file.stat()
    file.write_text(text)
    os.utime(file, ns=(moment.st_atime_ns, moment.st_mtime_ns))
    assert running.unseal(sealed, "AKIA") == "new"
    file.unlink()
    with pytest.raises(SealError):
        running.unseal(sealed_elsewhere(tmp_path), "AKIA")


def sealed_elsewhere(directory: Path) -> str:
    """What was sealed with another file's key."""
    file = directory / "another.key"
    make_key_file(file)
    return KeyFile(file).seal("new", "AKIA")


@pytest.mark.parametrize("text", ["", "\n", "abc", "g" * 64, "0" * 63, f"{'0' * 64}\nhunter2"])
def test_what_is_no_key_is_not_shown(text: str) -> None:
    with pytest.raises(SealError) as caught:
        parse_keys(text, "the file")
    assert "the file" in str(caught.value)
    assert not text.strip() or text.split()[-1] not in str(caught.value)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="No such file"):
        read_keys(tmp_path / "none")


def test_a_file_that_gets_a_new_key_stays_whose_it_was(tmp_path: Path) -> None:
    """A server that runs as another user than the one who turns the key over goes on reading it."""
    file, link = tmp_path / "secret.key", tmp_path / "link"
    make_key_file(file)
    file.chmod(0o640)
    if os.getuid() == 0:
        os.chown(file, 12345, 12346)
    before = file.stat()
    link.symlink_to(file)
    (tmp_path / "secret.key.new").write_text("left over")
    (tmp_path / "secret.key.new").chmod(0o666)
    add_key(link)
    after = file.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (before.st_uid, before.st_gid, 0o640)
    assert link.is_symlink()
    assert len(read_keys(link)) == 2
