"""One HTTP request and its answer, as this package sees them: no sockets."""

from collections.abc import Mapping

from msgspec import Struct


class Request(Struct, frozen=True):
    """A complete request. Text is the bytes on the wire read as Latin-1, so that nothing is lost."""

    method: str
    path: str
    """The path exactly as sent, still percent-encoded, without the query: signatures are made over it."""
    query: str
    """What follows the first ``?`` exactly as sent; empty if there is none."""
    headers: Mapping[str, str]
    """By lower-case name, without white space around the value. A repeated header's values are joined by ``,``
    in order of arrival, as signatures have them; of a repeated Authorization the first alone is kept."""
    body: bytes
    source_ip: str = ""
    """The address of who sent it, without a port: the peer's, or the one that a trusted proxy tells."""
    secure: bool = False
    """Whether it came over TLS, to this service or to the trusted proxy before it."""


class Response(Struct, frozen=True):
    """An answer; the server adds Content-Length, Date and Connection."""

    status: int
    head: bytes
    """The answer's own header lines in order, each ended by CR LF."""
    body: bytes


DROPPED = Response(0, b"", b"")
"""Instead of an answer: the connection is closed when those before it are out."""
