"""Parsing the head of a request, and refusing what is invalid."""

import re

from httptools import HttpParserError, HttpParserInvalidMethodError

from ..aws.errors import Refusal

CHUNKED = -1
"""Stands for the length of a chunked body."""

_URL = re.compile(r"http://([^/?#]*)(.*)", re.IGNORECASE)
# RFC 3986 3.2.2, with at least one character; an address in brackets is not examined.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?")


def malformed(message: str) -> Refusal:
    """Return a 400: for what HTTP does not allow, or what two programs could read differently."""
    return Refusal(400, "MalformedHttpRequestException", message)


def too_many_headers(message: str) -> Refusal:
    """Return a 431: for a head beyond a limit."""
    return Refusal(431, "RequestHeaderFieldsTooLargeException", message)


def too_large(limit: int) -> Refusal:
    """Return a 413: for a body beyond a limit."""
    return Refusal(413, "RequestEntityTooLargeException", f"The body of a request has at most {limit} bytes.")


def as_refusal(error: Refusal | HttpParserError) -> Refusal:
    """Return the refusal for an error raised here or by llhttp."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, HttpParserInvalidMethodError):
        return Refusal(501, "NotImplementedException", "The method of the request is not known.")
    return malformed(f"The request breaks the syntax of HTTP: {error}.")


def check_line_ends(data: bytes) -> None:
    """Refuse a head that would never end because its lines do not end in CR LF."""
    ends = data.count(b"\r\n")
    if data.count(b"\n") != ends or data.count(b"\r", 0, len(data) - 1) != ends:
        raise malformed("A line must end in CR LF.")


def check_host(host: str) -> None:
    """Refuse an invalid value of a Host header."""
    if not _HOST.fullmatch(host):
        raise malformed("A host must be a name or an address, with at most a port.")


def request_line(line: str) -> tuple[str, str, bool]:
    """Return the method, the target, and whether the version is 1.1 rather than 1.0."""
    try:
        method, target, version = line.rstrip("\r").split(" ")
    except ValueError:
        raise malformed("A request line must be a method, a target and a version, one space apart.") from None
    if version == "HTTP/1.1":
        modern = True
    elif version == "HTTP/1.0":
        modern = False
    elif re.fullmatch(r"HTTP/[0-9]\.[0-9]", version):
        raise Refusal(505, "HttpVersionNotSupportedException", "The version of HTTP must be 1.1 or 1.0.")
    else:
        raise malformed("A request line must end in the version of HTTP.")
    if method == "CONNECT":
        raise malformed("CONNECT is for proxies.")
    return method, target, modern


def headers_of(lines: list[str]) -> dict[str, str]:
    """Return the headers in `lines`, between the request line and the two empty lines at the end.

    llhttp checks that each has a name, a colon, nothing forbidden and CR LF.
    """
    headers: dict[str, str] = {}
    for line in lines[1:-2]:
        name, value = _known_lines.get(line) or _header(line)
        if name not in headers:
            headers[name] = value
        elif name == "host":
            raise malformed("A request must not have two Host headers.")
        elif name != "authorization":
            headers[name] += "," + value
    return headers


_known_lines: dict[str, tuple[str, str]] = {}
_MOST_KNOWN_LINES = 2048
_LONGEST_KNOWN_LINE = 200


def _header(line: str) -> tuple[str, str]:
    """Return the name and value of a header line. Most lines recur, so they are parsed once and cached."""
    name, _, value = line.partition(":")
    header = (name.lower(), value.strip(" \t\r"))
    if len(line) <= _LONGEST_KNOWN_LINE:
        if len(_known_lines) >= _MOST_KNOWN_LINES:
            _known_lines.clear()
        _known_lines[line] = header
    return header


def path_and_query(method: str, target: str, headers: dict[str, str]) -> str:
    """Return the path and query of a `target` that is a URL, whose host replaces Host, or ``*``."""
    if target == "*" and method == "OPTIONS":
        return target
    url = _URL.fullmatch(target)
    if not url:
        raise malformed("A request target must be a path or an http URL.")
    host, rest = url.groups()
    check_host(host)
    headers["host"] = host
    return rest if rest.startswith("/") else "/" + rest


def closes(connection: str, modern: bool) -> bool:
    """Return whether a Connection header with this value makes its request the last one."""
    options = {option.strip(" \t") for option in connection.lower().split(",")}
    return "close" in options or not (modern or "keep-alive" in options)


def body_length(headers: dict[str, str], modern: bool, limit: int) -> int:
    """Return how many bytes follow the head, at most `limit`, or CHUNKED (RFC 9112 6.3)."""
    coding = headers.get("transfer-encoding")
    length = headers.get("content-length")
    if coding is not None:
        if length is not None:
            raise malformed("A request must not have both Content-Length and Transfer-Encoding.")
        if not modern:
            raise malformed("An HTTP/1.0 request must not have a Transfer-Encoding.")
        *codings, final = (coding.strip(" \t") for coding in coding.lower().split(","))
        if final != "chunked" or final in codings:
            raise malformed("The final Transfer-Encoding must be chunked, once.")
        if codings:
            raise Refusal(501, "NotImplementedException", "The Transfer-Encoding must be chunked alone.")
        return CHUNKED
    if length is None:
        return 0
    if not length.isdecimal():
        raise malformed("A Content-Length must be one decimal number.")
    if len(length) > 18 or (size := int(length)) > limit:
        raise too_large(limit)
    return size
