"""The AWS API's HTTP server, down to its sockets.

It speaks HTTP/1.1 with one kind of peer, the AWS SDK: every request is answered, in order, and nothing is negotiated.
The bytes of a head are parsed here, because signatures cover them and limits count them; llhttp (through httptools)
gets the same bytes, checks their syntax and decodes chunked bodies. It is fed exactly one request at a time, so that
the two parsers cannot disagree about where a request ends.

Where RFC 9112 leaves the choice to the server, a request is refused, since requests that two programs read differently
can be smuggled: a folded header line (5.2) is refused although SigV4 could sign one, as are a bare CR or LF for a line
end (2.2), more than one space in the request line (3), a Content-Length written twice (6.3), and an empty Host. An
``Upgrade`` is ignored (RFC 9110 7.8). After a refusal the connection is closed.

TLS is a layer between a connection and its socket, and changes nothing of this.
"""

BACKLOG = 1024
"""How many connections may wait to be accepted."""
