"""Where the store is, as it is written at the shell."""

from pathlib import Path

import click
import pytest

from numberkeep.cli.options import Database

DATABASE = Database()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:pass%40word@db.example:5432/numbers?sslmode=verify-full",
        "postgres://me:pass?word@db.example/numbers",
        "postgresql://me@[::1]:5432/numbers",
        "postgresql://one:5432,two:5433/numbers?target_session_attrs=read-write",
        "postgresql://one,two/numbers",
        "postgresql:///numbers?host=/run/postgresql",
    ],
)
def test_a_database(url: str) -> None:
    assert DATABASE.convert(url, None, None) == url


def test_a_file(tmp_path: Path) -> None:
    assert DATABASE.convert(f"sqlite:///{tmp_path}/store", None, None) == tmp_path / "store"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://me:secret@db.example/numbers", "sqlite:///FILE or postgresql://"),
        ("numbers.sqlite3", "sqlite:///FILE or postgresql://"),
        ("sqlite:///", "sqlite:///FILE or postgresql://"),
        ("sqlite:///:memory:", "dev --memory"),
        ("sqlite:////nowhere/at/all", "/nowhere/at does not exist"),
        ("postgresql://me:sec%ret@db.example/numbers", "%40 is @"),
        ("postgresql://me:secret/x@db.example/numbers", "%40 is @"),
        ("postgresql://me:secret@x@db.example/numbers", "%40 is @"),
        ("postgresql://me:123/secret@db.example/numbers", "%40 is @"),
        ("postgresql://me@db.example/numbers?secret=x", "%40 is @"),
    ],
)
def test_what_is_neither_is_refused_and_not_repeated(url: str, said: str) -> None:
    with pytest.raises(click.BadParameter, match=said) as refusal:
        DATABASE.convert(url, None, None)
    assert "sec" not in refusal.value.format_message()
