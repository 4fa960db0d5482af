"""The AWS API's sockets.

HTTP/1.1 for one kind of peer, the AWS SDK: every request is answered, in order, and nothing is negotiated.
The bytes of a head are read here, because signatures are made over them and because every limit is set in
them; llhttp (through httptools) sees the same bytes and judges their syntax, and takes chunked bodies apart.
It is fed one request at a time and to the byte, so the two cannot come to disagree about where one ends.

What RFC 9112 leaves to a server is decided towards refusing, since what two programs read differently is how
requests are smuggled: a folded header line (5.2) is refused although SigV4 could sign one, as are a bare CR
or LF for a line end (2.2), more than one space in the request line (3), a Content-Length written twice (6.3),
and an empty Host. An ``Upgrade`` is ignored (RFC 9110 7.8). After a refusal the connection is closed.

TLS stands between a connection and its socket, and changes nothing of this.
"""

BACKLOG = 1024
"""Connections that wait to be accepted."""
