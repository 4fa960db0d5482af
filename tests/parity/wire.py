"""HTTP by hand, so that a test sees every byte of an answer, and its headers in their order."""

import socket
from typing import NamedTuple

HOSTS = {
    "chime": "service.chime.aws.amazon.com",
    "chime-sdk-voice": "voice-chime.us-east-1.amazonaws.com",
    "default": "numberkeep.example",
}
"""A host name of each flavour: that of AWS's samples, today's, and one that says nothing."""

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=123456789012/20191028/us-east-1/chime/aws4_request, "
    f"SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
)
"""A well-formed claim, which `numberkeep dev` takes at its word."""


class Answer(NamedTuple):
    """An answer as it was on the wire."""

    status: str
    """The status line."""
    headers: list[tuple[str, str]]
    body: bytes


def parse_head(head: str) -> tuple[str, list[tuple[str, str]]]:
    """The first line of `head`, and its headers."""
    first, *lines = head.splitlines()
    return first, [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


def exchange(port: int, request: bytes) -> Answer:
    """Send `request` on a connection of its own, and read its answer to the last byte."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection, connection.makefile("rb") as stream:
        connection.sendall(request)
        head = b"".join(iter(stream.readline, b"\r\n"))
        status, headers = parse_head(head.decode("ascii"))
        body = stream.read(int(dict(headers).get("Content-Length", 0)))
        # That we send no more makes the server close, so what it sent beyond the answer would be seen.
        connection.shutdown(socket.SHUT_WR)
        return Answer(status, headers, body + stream.read())
