"""Other people's programs, unmodified: fetched by name and version with pip, npm or apt, and kept between runs."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

NODE_VERSION = 20
"""The oldest that the AWS SDK for JavaScript runs on."""


def from_pip(cache: Path, *requirements: str) -> Path:
    """A directory that holds `requirements` and what they need, to be put first in line on PYTHONPATH."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    return _kept(cache, requirements, lambda folder: [*pip, "--target", folder, *requirements])


def from_npm(cache: Path, *requirements: str) -> Path:
    """A directory whose node_modules holds `requirements` and what they need."""
    npm = [program("npm"), "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    return _kept(cache, requirements, lambda folder: [*npm, "--prefix", folder, *requirements])


def archive_from_npm(cache: Path, requirement: str) -> Path:
    """The archive that npm would install, without what it needs."""
    npm = [program("npm"), "pack", "--loglevel=error", "--ignore-scripts"]
    folder = _kept(cache, (requirement,), lambda folder: [*npm, "--pack-destination", folder, requirement])
    (archive,) = folder.glob("*.tgz")
    return archive


def from_debian(cache: Path, package: str) -> Path:
    """A directory with a Debian package, and with what it needs and is not installed. It is unpacked, not installed."""
    script = """
        set -e
        cd "$1"
        mkdir -p lists/partial archives/partial
        apt() { apt-get -q -o Dir::State::Lists="$PWD/lists" -o Dir::Cache="$PWD" -o Debug::NoLocking=1 "$@"; }
        apt update
        apt install --yes --download-only --no-install-recommends "$2"
        for archive in archives/*.deb; do dpkg-deb --extract "$archive" .; done
        rm -r lists archives
    """
    return _kept(cache, (package,), lambda folder: ["sh", "-c", script, "sh", folder, package])


def program(name: str) -> str:
    """Where node or npm is. Skips the test that asks if it is not there, or is older than the SDK needs."""
    found, node = shutil.which(name), shutil.which("node")
    if not found or not node:
        pytest.skip(f"A JAVASCRIPT CLIENT WAS NOT RUN: {name if node else 'node'} is not installed")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE_VERSION:
        pytest.skip(f"A JAVASCRIPT CLIENT WAS NOT RUN: it needs node {NODE_VERSION}, and {version} is installed")
    return found


def environment(key: tuple[str, str], **variables: str) -> dict[str, str]:
    """This process's environment, but of AWS's variables only `variables` and those that hold `key`."""
    access_key_id, secret_access_key = key
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_ACCESS_KEY_ID": access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret_access_key,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        **variables,
    }


def output(command: list[Any], **options: Any) -> str:
    """What `command` prints; fails with all that it said if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def _kept(cache: Path, requirements: tuple[str, ...], command: Callable[[Path], list[Any]]) -> Path:
    """The directory of `requirements` in `cache`, filled by `command` if it is not there, once for all test processes.

    Skips the test that asks if it cannot be had; on a CI machine (CI is set) that is a failure.
    """
    folder = cache / "+".join(requirements).replace("/", "-")
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _fill(folder, requirements, command)
    return folder


def _fill(folder: Path, requirements: tuple[str, ...], command: Callable[[Path], list[Any]]) -> None:
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        unfinished = Path(scratch, "unfinished")
        unfinished.mkdir()
        try:
            done = subprocess.run(command(unfinished), capture_output=True, text=True, timeout=300)
        except subprocess.TimeoutExpired as error:
            _give_up(requirements, str(error))
        if done.returncode:
            _give_up(requirements, done.stdout + done.stderr)
        unfinished.rename(folder)


def _give_up(requirements: tuple[str, ...], reason: str) -> NoReturn:
    give_up = pytest.fail if os.environ.get("CI") else pytest.skip
    give_up(f"A PROGRAM WAS NOT RUN, {', '.join(requirements)} could not be installed:\n{reason}")
