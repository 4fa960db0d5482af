"""Writes the trail's records to standard output, to a file that is rotated when it is full, or to both.

Records that arrive close together are written together. A thread writes them, so that a slow disk delays no request;
if it falls far behind, requests are refused until it catches up, since none may go unrecorded.
"""

import asyncio
import fcntl
import logging
import os
import select
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from queue import SimpleQueue

log = logging.getLogger(__name__)

GATHERING_SECONDS = 0.05
"""How long a record waits for others to be written with it."""
WAITING_BYTES = 32 * 1024 * 1024
"""How much may wait to be written; while it is more, requests are answered 503."""
RETRY_SECONDS = 0.5
"""How long to wait before a failed write is retried."""
CLOSING_SECONDS = 5
"""How long the end of the program waits for the records that are still to be written."""


class File:
    """A file that records are appended to, and that is rotated when it is full.

    When it would exceed `most_bytes`, it becomes FILE.1, FILE.1 becomes FILE.2, and so on. Several processes may write
    the same file: each locks it while it writes, and first checks that it is still the file of that name.
    """

    def __init__(self, path: Path, most_bytes: int, kept: int) -> None:
        """`kept` is how many full files are kept. Raises OSError if the file cannot be written."""
        self._path = path
        self._most_bytes = most_bytes
        self._kept = kept
        self._file = self._open()

    def _open(self) -> FileIO:
        return open(self._path, "ab", buffering=0, opener=_for_the_owner)

    def _open_anew(self) -> None:
        file = self._open()
        self._file.close()
        self._file = file

    def write(self, chunk: bytes | bytearray) -> None:
        """Append `chunk`. Raises OSError if that fails; it may be called again."""
        while not self._append(chunk):
            self._open_anew()

    def _append(self, chunk: bytes | bytearray) -> bool:
        """Append `chunk`, and return True; or return False if the file has to be opened again first."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            status = os.fstat(self._file.fileno())
            if not self._is_named(status):
                return False
            if status.st_size and status.st_size + len(chunk) > self._most_bytes:
                self._turn_over()
                return False
            view = memoryview(chunk)
            try:
                while view:  # unbuffered: a call may write only a part
                    view = view[self._file.write(view) :]
            except OSError:
                with suppress(OSError):  # a device or a pipe has no size
                    os.ftruncate(self._file.fileno(), status.st_size)  # so that no incomplete record is left
                raise
            return True
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _is_named(self, status: os.stat_result) -> bool:
        try:
            return os.path.samestat(status, self._path.stat())
        except FileNotFoundError:
            return False

    def _turn_over(self) -> None:
        for number in range(self._kept, 0, -1):
            older = self._numbered(number - 1)
            if older.exists():
                older.replace(self._numbered(number))
        if not self._kept:
            self._path.unlink()

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path

    def left_of(self, chunk: bytes | bytearray) -> bytes | bytearray:
        """Like `StandardOutput.left_of`; here it is all of the chunk."""
        return chunk

    def close(self) -> None:
        self._file.close()


def _for_the_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


class StandardOutput:
    """The program's standard output, which several processes may share."""

    def __init__(self, lock_fd: int | None = None) -> None:
        """Everyone who writes to the same standard output locks the file behind `lock_fd` meanwhile."""
        self._lock_fd = lock_fd
        self._chunk: bytes | bytearray = b""
        self._done = 0
        """How many bytes of the chunk have been written."""

    def write(self, chunk: bytes | bytearray) -> None:
        """Write `chunk`. Raises OSError if that fails; a retry with the same chunk goes on with the first record that
        has not been written completely."""
        # lockf, whose locks belong to a process: flock's belong to the open file, which all inherit from their
        # supervisor.
        if self._lock_fd is not None:
            fcntl.lockf(self._lock_fd, fcntl.LOCK_EX)
        try:
            output = sys.stdout.fileno()  # unbuffered: a buffer would write what it holds a second time
            if self._chunk is not chunk:
                self._chunk, self._done = chunk, 0
            elif (begin := self._begin_of_rest()) < self._done:
                os.write(output, b"\n")  # another process may have written since, and records must not share a line
                self._done = begin
            view = memoryview(chunk)
            while self._done < len(view):
                try:
                    self._done += os.write(output, view[self._done :])
                except BlockingIOError:
                    if not select.select([], [output], [], RETRY_SECONDS)[1]:
                        raise
        finally:
            if self._lock_fd is not None:
                fcntl.lockf(self._lock_fd, fcntl.LOCK_UN)

    def left_of(self, chunk: bytes | bytearray) -> bytes | bytearray:
        """The records of `chunk` that have not been written completely."""
        return chunk[self._begin_of_rest() :] if self._chunk is chunk else chunk

    def _begin_of_rest(self) -> int:
        """Where the first record begins that has not been written completely."""
        return self._chunk.rfind(b"\n", 0, self._done) + 1

    def close(self) -> None:
        """Do nothing: standard output is not ours to close."""


class Trail:
    """Takes records, and writes them soon, on a thread of its own."""

    def __init__(self, outputs: Sequence[File | StandardOutput]) -> None:
        self._outputs = outputs
        self._gathered = bytearray()
        self._chunks: SimpleQueue[bytearray | None] = SimpleQueue()
        self._taken_bytes = 0
        self._written_bytes = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._work, name="numberkeep-trail", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Take a record. Must be called on the event loop."""
        if not self._gathered:
            asyncio.get_running_loop().call_later(GATHERING_SECONDS, self._hand_over)
        self._gathered += line
        self._taken_bytes += len(line)

    def is_behind(self) -> bool:
        """Whether so much waits to be written that no further requests should be accepted."""
        return self._taken_bytes - self._written_bytes > WAITING_BYTES

    def close(self) -> None:
        """Write the remaining records, waiting at most CLOSING_SECONDS, and close the outputs."""
        self._hand_over()
        self._chunks.put(None)
        self._closing.set()
        self._thread.join(CLOSING_SECONDS)
        if self._thread.is_alive():
            log.error("%d bytes of the trail were not written", self._taken_bytes - self._written_bytes)
            return
        for output in self._outputs:
            output.close()

    def _hand_over(self) -> None:
        if self._gathered:
            self._chunks.put(self._gathered)
            self._gathered = bytearray()

    def _work(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            for output in self._outputs:
                self._append(output, chunk)
            self._written_bytes += len(chunk)

    def _append(self, output: File | StandardOutput, chunk: bytearray) -> None:
        """Write `chunk`, retrying until it succeeds; meanwhile new records wait. At the end of the program, what still
        cannot be written goes to standard error."""
        failed = False
        while True:
            try:
                output.write(chunk)
                break
            except (OSError, ValueError):
                if not failed:
                    log.exception("%d bytes of the trail cannot be written, and wait", len(chunk))
                failed = True
            if self._closing.wait(RETRY_SECONDS):
                left = output.left_of(chunk)
                log.error("%d bytes of the trail cannot be written where they belong; they follow", len(left))
                with suppress(OSError, ValueError):
                    sys.stderr.buffer.write(left)
                    sys.stderr.buffer.flush()
                return
        if failed:
            log.warning("the trail can be written again")
