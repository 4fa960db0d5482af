"""Records reach what they are for, in order and whole."""

import asyncio
import logging
import os
import stat
from pathlib import Path

import pytest

from numberkeep import trail as trail_module
from numberkeep.trail import File, Trail


def write(trail: Trail, *lines: bytes) -> None:
    async def run() -> None:
        for line in lines:
            trail.write(line)
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)

    asyncio.run(run())


def test_lines_are_written_in_order_to_every_output(tmp_path: Path) -> None:
    outputs = [File(tmp_path / name, 10_000, 1) for name in ("one", "two")]
    trail = Trail(outputs)
    lines = [b"%d\n" % number for number in range(200)]
    write(trail, *lines)
    trail.close()
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes() == b"".join(lines)


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    for line in (b"first\n", b"second\n"):
        trail = Trail([File(tmp_path / "trail", 10_000, 1)])
        write(trail, line)
        trail.close()
    assert (tmp_path / "trail").read_bytes() == b"first\nsecond\n"


@pytest.mark.parametrize(("kept", "there"), [(0, {"trail"}), (2, {"trail", "trail.1", "trail.2"})])
def test_a_full_file_is_turned_over(tmp_path: Path, kept: int, there: set[str]) -> None:
    file = File(tmp_path / "trail", 10, kept)
    for number in range(5):
        file.write(b"line %d...\n" % number)
    file.close()
    assert {path.name for path in tmp_path.iterdir()} == there
    assert (tmp_path / "trail").read_bytes() == b"line 4...\n"
    if kept:
        assert (tmp_path / "trail.1").read_bytes() == b"line 3...\n"
        assert (tmp_path / "trail.2").read_bytes() == b"line 2...\n"


def test_a_disk_that_is_full_is_said_and_nothing_else_stops(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trail = Trail([File(Path("/dev/full"), 10_000, 1), File(tmp_path / "trail", 10_000, 1)])
    with caplog.at_level(logging.ERROR):
        write(trail, b"line\n")
        trail.close()
    assert "could not be written" in caplog.text
    assert (tmp_path / "trail").read_bytes() == b"line\n"


def test_a_trail_that_nobody_reads_is_behind_and_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a log collector hangs: no memory is filled, and the program can end."""
    monkeypatch.setattr(trail_module, "WAITING_BYTES", 1000)
    monkeypatch.setattr(trail_module, "CLOSING_SECONDS", 0.1)
    reading, writing = os.pipe()
    stuck = Stuck(writing)
    trail = Trail([stuck])
    assert not trail.is_behind()
    write(trail, *[b"x" * 100_000] * 3)
    assert trail.is_behind()
    trail.close()
    while os.read(reading, 1_000_000):
        if not trail.is_behind():
            break
    os.close(reading)


class Stuck(File):
    """A file that takes no more than a pipe holds."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, chunk: bytes | bytearray) -> None:
        view = memoryview(chunk)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def close(self) -> None:
        os.close(self._descriptor)


def test_a_file_is_its_owners(tmp_path: Path) -> None:
    File(tmp_path / "trail", 10_000, 1).close()
    assert stat.S_IMODE((tmp_path / "trail").stat().st_mode) == 0o600
