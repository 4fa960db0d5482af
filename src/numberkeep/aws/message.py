"""An HTTP request and its response, as this package sees them: without sockets."""

from collections.abc import Mapping

from msgspec import Struct


class Request(Struct, frozen=True):
    """A complete request. Text is the bytes on the wire decoded as Latin-1, so that nothing is lost."""

    method: str
    path: str
    """The path exactly as sent, still percent-encoded, without the query: signatures cover it."""
    query: str
    """What follows the first ``?`` exactly as sent; empty if there is none."""
    headers: Mapping[str, str]
    """By lower-case name, without white space around the value. A repeated header's values are joined by ``,``
    in order of arrival, as signatures require; of a repeated Authorization only the first is kept."""
    body: bytes
    source_ip: str = ""
    """The sender's address, without a port: the peer's, or the one that a trusted proxy reports."""
    secure: bool = False
    """Whether it came over TLS, to this service or to the trusted proxy in front of it."""


class Response(Struct, frozen=True):
    """A response; the server adds Content-Length, Date and Connection."""

    status: int
    head: bytes
    """The response's own header lines in order, each ended by CR LF."""
    body: bytes


DROPPED = Response(0, b"", b"")
"""Stands for no response: the connection is closed after the earlier ones are sent."""
