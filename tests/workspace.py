"""Temporary directories with servers that run in them; both are gone when the tests are, however these end."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

ROOM = 1 << 30
"""The free space that a directory in memory must have; in a container, /dev/shm is often too small."""


def unprivileged() -> list[str]:
    """The beginning of a command that root may not run: empty for other users, for root a change to `nobody`.

    `nobody` can still read the files that root can: the programs are often below root's home directory.
    """
    if os.geteuid() != 0:
        return []
    if not shutil.which("setpriv"):
        pytest.skip("A REAL SERVER WAS NOT RUN: it refuses to run as root, and there is no setpriv to change the user")
    user = pwd.getpwnam("nobody")
    change = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    return [*change, "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]


def free_port() -> int:
    """A free port of 127.0.0.1, below those that systems give to clients, so that it stays free during a restart.

    No two tests get the same port, in whichever of pytest's processes: some servers open it much later.
    """
    return next(_free_ports)


def _own_free_ports() -> Iterator[int]:
    """The ports for `free_port` in this one of the processes that pytest-xdist has started."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = range(15_000 + process, 32_000, processes)
    for port in random.sample(ports, len(ports)):
        with suppress(OSError):
            with socket.socket() as one:
                one.bind(("127.0.0.1", port))
            yield port


_free_ports = _own_free_ports()


class Workspace:
    """A temporary directory, `path`, in memory unless it is to be `durable`. Call `end` when done."""

    def __init__(self, durable: bool = False) -> None:
        memory = Path("/dev/shm")
        in_memory = not durable and memory.is_dir() and shutil.disk_usage(memory).free > ROOM
        self._unprivileged = unprivileged()
        self.path = Path(tempfile.mkdtemp(prefix="numberkeep-", dir=memory if in_memory else None)).resolve()
        if self._unprivileged:
            shutil.chown(self.path, "nobody")
        self._processes: list[subprocess.Popen[bytes]] = []
        # It ends everything when its standard input closes: when this process calls `end`, or has died.
        self._guard = subprocess.Popen(
            [sys.executable, __file__, self.path], stdin=subprocess.PIPE, start_new_session=True
        )

    def directory(self, name: str) -> Path:
        """Make a directory of that name in this one, which its servers can write to."""
        path = self.path / name
        path.mkdir(mode=0o700)
        if self._unprivileged:
            shutil.chown(path, "nobody")
        return path

    def run(self, *command: str | Path) -> None:
        """Run a command to its end; if it fails, this fails and shows its output."""
        done = subprocess.run([*self._unprivileged, *command], cwd=self.path, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    def start(self, log: Path, *command: str | Path, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a server. Its output goes to `log`; one of the arguments must name a path in this directory."""
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*self._unprivileged, *command],
                cwd=self.path,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def kill(self, directory: Path) -> None:
        """End the servers of a subdirectory as a loss of power would."""
        assert not send(signal.SIGKILL, servers(directory))
        for process in self._processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0)

    def end(self) -> None:
        """End all servers, and remove the directory."""
        assert self._guard.stdin
        self._guard.stdin.close()
        for process in (*self._processes, self._guard):
            process.wait()


def servers(directory: Path) -> list[psutil.Process]:
    """The processes with an argument in `directory`, and their children."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(f"{directory}/" in argument for argument in process.info["cmdline"] or ()):
            with suppress(psutil.NoSuchProcess):
                found += [process, *process.children(recursive=True)]
    return found


def send(number: signal.Signals, processes: list[psutil.Process], seconds: float = 10) -> list[psutil.Process]:
    """Send a signal to processes and wait until they have ended, at most `seconds`. Returns those that have not."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
    until = time.monotonic() + seconds
    while (alive := [process for process in processes if runs(process)]) and time.monotonic() < until:
        time.sleep(0.01)
    return alive


def runs(process: psutil.Process) -> bool:
    """Whether a process has not ended; in a container there may be no process that reaps ended ones."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


if __name__ == "__main__":
    path = Path(sys.argv[1])
    sys.stdin.read()
    # On SIGQUIT a PostgreSQL server ends at once, but still frees its shared memory.
    send(signal.SIGKILL, send(signal.SIGQUIT, servers(path)))
    shutil.rmtree(path)
