"""Records reach what they are for, in order and whole."""

import asyncio
import logging
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from numberkeep import trail as trail_module
from numberkeep.trail import File, StandardOutput, Trail


def write(trail: Trail, *lines: bytes) -> None:
    """Have it take lines, and hand them to the thread that writes."""

    async def run() -> None:
        for line in lines:
            trail.write(line)
            await asyncio.sleep(0)
        await asyncio.sleep(trail_module.GATHERING_SECONDS * 1.5)

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


def test_a_disk_that_is_full_is_said_and_nothing_else_stops(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    trail = Trail([File(Path("/dev/full"), 10_000, 1), File(tmp_path / "trail", 10_000, 1)])
    with caplog.at_level(logging.ERROR):
        write(trail, b"line\n")
        trail.close()
    assert "5 bytes of the trail cannot be written where they belong; they follow" in caplog.text
    assert capfd.readouterr().err.endswith("line\n"), "nothing is lost at the end"
    assert (tmp_path / "trail").read_bytes() == b"line\n"


def test_standard_output_that_takes_a_part_gets_the_rest_and_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    chunk = b"".join(b"record %d\n" % number for number in range(20_000))
    taken = bytearray()
    with open(reading, "rb", buffering=0) as pipe, open(writing, "w") as full:
        monkeypatch.setattr(sys, "stdout", full)

        def read() -> None:
            while piece := pipe.read(65536):
                taken.extend(piece)
                time.sleep(0.005)

        reader = threading.Thread(target=read)
        reader.start()
        StandardOutput().write(chunk)
        full.close()
        reader.join()
    assert taken == chunk


class Full:
    """A file that takes so many bytes, then none; and what it has taken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room, self.taken = 0, b""
        monkeypatch.setattr(trail_module.os, "write", self._write)

    def _write(self, fd: int, data: bytes) -> int:
        some = bytes(data[: self.room])
        self.room -= len(some)
        self.taken += some
        if data and not some:
            raise OSError(28, "No space left on device")
        return len(some)


def test_a_record_that_was_cut_is_written_again_on_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else may have written in between."""
    full, output = Full(monkeypatch), StandardOutput()
    full.room = 12
    chunk = b"record 1\nrecord 2\n"
    with pytest.raises(OSError, match="No space"):
        output.write(chunk)
    assert output.left_of(chunk) == b"record 2\n"
    full.taken += b"another's\n"
    full.room = 100
    output.write(chunk)
    assert full.taken == b"record 1\nrecanother's\n\nrecord 2\n"


def test_a_chunk_that_was_given_up_takes_nothing_of_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    full, output = Full(monkeypatch), StandardOutput()
    full.room = 9
    with pytest.raises(OSError, match="No space"):
        output.write(b"record 1\nrecord 2\n")
    full.room = 100
    output.write(b"record 3\n")
    assert full.taken == b"record 1\nrecord 3\n"
    assert output.left_of(b"record 4\n") == b"record 4\n"


def test_what_a_full_disk_did_not_take_is_written_when_it_does(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whole records, each once, and none that ends in the middle."""
    path = tmp_path / "trail"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    trail = Trail([File(path, 10_000, 1)])
    deadline = time.monotonic() + 20
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (12, before[1]))
        for line in (b"record 1\n", b"record 2\n", b"record 3\n"):
            write(trail, line)
        while "cannot be written" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.01)
        assert "cannot be written" in caplog.text
        assert path.read_bytes() == b"record 1\n"
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    while path.stat().st_size < 27 and time.monotonic() < deadline:
        time.sleep(0.01)
    trail.close()
    assert path.read_bytes() == b"record 1\nrecord 2\nrecord 3\n"


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
    left = 300_000
    while left:
        left -= len(os.read(reading, left))
    deadline = time.monotonic() + 20
    while trail.is_behind() and time.monotonic() < deadline:
        time.sleep(0.001)
    assert not trail.is_behind()
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


def test_several_processes_write_and_turn_over_one_file(tmp_path: Path) -> None:
    """As the old and the new worker do while one replaces the other: every record is there, once, in a full file."""
    writer = """if True:
        import sys
        from pathlib import Path
        from numberkeep.trail import File
        name, path = sys.argv[1:]
        file = File(Path(path), 1000, 500)
        for number in range(500):
            file.write(b"%s %d\\n" % (name.encode() * 20, number))
    """
    trail = tmp_path / "trail"
    command = [sys.executable, "-c", writer]
    processes = [subprocess.Popen([*command, name, str(trail)]) for name in "abc"]
    assert [process.wait(60) for process in processes] == [0] * 3
    files = list(tmp_path.iterdir())
    written = Counter(line for path in files for line in path.read_bytes().splitlines())
    assert written == Counter(b"%s %d" % (name * 20, number) for name in (b"a", b"b", b"c") for number in range(500))
    assert all(950 < path.stat().st_size <= 1000 for path in files if path != trail), "none was turned over twice"


def test_a_file_that_others_have_moved_is_begun_anew(tmp_path: Path) -> None:
    file = File(tmp_path / "trail", 1000, 1)
    file.write(b"first\n")
    (tmp_path / "trail").rename(tmp_path / "moved")
    file.write(b"second\n")
    file.close()
    assert (tmp_path / "moved").read_bytes() == b"first\n"
    assert (tmp_path / "trail").read_bytes() == b"second\n"


def test_a_file_that_could_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    file = File(tmp_path / "trail", 10, 1)
    file.write(b"line 1...\n")
    (tmp_path / "trail").unlink()
    (tmp_path / "trail").mkdir()
    for _ in range(2):
        with pytest.raises(IsADirectoryError):
            file.write(b"line 2...\n")
    (tmp_path / "trail").rmdir()
    file.write(b"line 3...\n")
    file.close()
    assert (tmp_path / "trail").read_bytes() == b"line 3...\n"


def test_processes_that_share_standard_output_write_one_after_the_other(tmp_path: Path) -> None:
    """The file that they lock is one open file to all of them, as workers have it from their supervisor."""
    writer = """if True:
        import sys
        from numberkeep.trail import StandardOutput
        name, lock_fd = sys.argv[1:]
        output = StandardOutput(int(lock_fd))
        sys.stdin.read()  # until all are there
        for number in range(50):
            output.write(name.encode() * 300_000 + b"\\n")
    """
    reading, writing = os.pipe()
    with (tmp_path / "lock").open("w+b") as lock:
        fd = lock.fileno()
        command = [sys.executable, "-c", writer]
        waiting, go = os.pipe()
        processes = [
            subprocess.Popen([*command, name, str(fd)], stdin=waiting, stdout=writing, pass_fds=[fd]) for name in "abc"
        ]
        for end in (waiting, writing, go):
            os.close(end)
        with open(reading, "rb") as pipe:
            lines = Counter(pipe.read().splitlines())
        assert [process.wait(60) for process in processes] == [0] * 3
    assert lines == Counter({name * 300_000: 50 for name in (b"a", b"b", b"c")})
