"""AWS's own test suite for Signature Version 4, as botocore's source distribution carries it.

It is fetched when a test asks for it and kept in pytest's cache, not copied into this repository.
"""

import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

from numberkeep.aws.message import Request

ACCESS_KEY_ID = "AKIDEXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
SERVICE = "service"
REGION = "us-east-1"
MOMENT = 1_440_938_160
"""2015-08-30T12:36:00Z"""


NAMES = (
    "get-header-key-duplicate",
    "get-header-value-multiline",
    "get-header-value-order",
    "get-header-value-trim",
    "get-relative",
    "get-relative-relative",
    "get-slash",
    "get-slash-dot-slash",
    "get-slash-pointless-dot",
    "get-slashes",
    "get-space",
    "get-special-character",
    "get-unreserved",
    "get-utf8",
    "get-vanilla",
    "get-vanilla-empty-query-key",
    "get-vanilla-query",
    "get-vanilla-query-order-encoded",
    "get-vanilla-query-order-key",
    "get-vanilla-query-order-key-case",
    "get-vanilla-query-order-value",
    "get-vanilla-query-unreserved",
    "get-vanilla-utf8-query",
    "get-vanilla-with-session-token",
    "post-header-key-case",
    "post-header-key-sort",
    "post-header-value-case",
    "post-sts-header-after",
    "post-sts-header-before",
    "post-vanilla",
    "post-vanilla-empty-query-value",
    "post-vanilla-query",
    "post-x-www-form-urlencoded",
    "post-x-www-form-urlencoded-parameters",
)
"""Of all its cases, also of the four that botocore does not run."""


class Case(NamedTuple):
    request: Request
    canonical_request: str
    string_to_sign: str


class Suite:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> set[str]:
        return {path.stem for path in self._folder.glob("*.sreq")}

    def case(self, name: str) -> Case:
        request, canonical_request, string_to_sign, authorization = (
            (self._folder / f"{name}.{extension}").read_bytes().decode("latin-1").replace("\r", "")
            for extension in ("sreq", "creq", "sts", "authz")
        )
        # The .authz is what counts: get-vanilla-with-session-token.sreq has another signature, a wrong one.
        return Case(_parse(request, authorization), canonical_request, string_to_sign)


def _parse(text: str, authorization: str) -> Request:
    head, _, body = text.partition("\n\n")
    request_line, *lines = head.replace("\n ", "\0 ").split("\n")
    method, target = request_line.removesuffix(" HTTP/1.1").split(" ", 1)
    path, _, query = target.partition("?")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.replace("\0", "\n").partition(":")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return Request(method, path, query, headers | {"authorization": authorization}, body.encode("latin-1"))


def obtain(cache: Path) -> Suite:
    """The suite of the installed botocore, from `cache` or else through pip.

    Skips the test that asks if it cannot be had; on a CI machine (CI is set) that is a failure.
    """
    version = importlib.metadata.version("botocore")
    folder = cache / version
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
            download = subprocess.run(
                [*pip, "--no-deps", "--no-binary", "botocore", "--dest", scratch, f"botocore=={version}"],
                capture_output=True,
                text=True,
                timeout=180,
            )
            if download.returncode:
                give_up = pytest.fail if os.environ.get("CI") else pytest.skip
                give_up(f"AWS'S SIGNATURE SUITE WAS NOT RUN, pip could not get its source:\n{download.stderr}")
            (archive,) = Path(scratch).glob("botocore-*.tar.gz")
            unpacked = Path(scratch, "unpacked")
            unpacked.mkdir()
            _unpack(archive, unpacked)
            unpacked.rename(folder)
    return Suite(folder)


def _unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            if "/aws4_testsuite/" in member.name and member.isfile():
                content = tar.extractfile(member)
                assert content
                (folder / Path(member.name).name).write_bytes(content.read())
