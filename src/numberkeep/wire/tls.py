"""TLS on the AWS API's port."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

from .connection import Connection

_RECORD_BYTES = 16 * 1024  # the most in a TLS record


class Tls(asyncio.Transport, asyncio.Protocol):
    """TLS between a connection and its socket: the transport of the one, and the protocol of the other.

    The TLS of asyncio and uvloop cannot close one side alone, as is needed for a refused peer to read why; drops
    unanswered requests when the peer closes its side; does not report a peer before its handshake, so that it is not
    counted; and logs each failed handshake.
    """

    __slots__ = ("_begun", "_connection", "_deaf", "_incoming", "_outgoing", "_ready", "_socket", "_tls")

    _socket: asyncio.Transport

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        super().__init__()
        self._connection = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._begun = False  # the peer has sent something
        self._ready = False  # the handshake is done
        self._deaf = False  # one side is closed, and further input is discarded

    # Called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = transport  # type: ignore[assignment]  # uvloop's is not of that class
        self._connection.connection_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)
        del self._connection  # or the two would keep each other alive

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._connection.ignore(len(data))
        elif not self._begun and data[:1].isalpha():
            self._connection.lay_bare(self._socket, data)
        else:
            self._begun = True
            self._incoming.write(data)
            if self._ready or self._shake_hands():
                self._read()

    def eof_received(self) -> bool:
        # Without a close_notify before it, someone else may have cut the stream. A request states its own length, so
        # one that was cut is not taken for another, and those before it can be answered.
        self._deaf = True
        return self._ready and self._connection.eof_received()

    def pause_writing(self) -> None:
        if self._ready:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        if self._ready:
            self._connection.resume_writing()

    # Called by the connection

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        if not self._ready:
            return  # it is closed before the handshake was done
        left = memoryview(data)
        try:
            while left:
                left = left[self._tls.write(left) :]
        except ssl.SSLError:
            self._socket.abort()
            return
        self._flush()

    def write_eof(self) -> None:
        if not self._ready:
            self.close()
            return
        self._deaf = True
        self._say_goodbye()
        self._socket.write_eof()

    def close(self) -> None:
        self._say_goodbye()
        self._socket.close()

    def abort(self) -> None:
        self._socket.abort()

    def pause_reading(self) -> None:
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        self._socket.resume_reading()

    def get_write_buffer_size(self) -> int:
        return self._socket.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket.get_extra_info(name, default)

    # The handshake and the records

    def _shake_hands(self) -> bool:
        """Continue the handshake; return whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError:
            self._deaf = True
            self.close()  # after sending the alert that says why
            return False
        self._flush()
        self._ready = True
        self._connection.advance()
        return not self._deaf

    def _read(self) -> None:
        """Pass on what can be decrypted of all that has arrived."""
        incoming, tls = self._incoming, self._tls
        pieces = []
        try:
            while incoming.pending or tls.pending():  # asking costs less than an SSLWantReadError
                piece = tls.read(_RECORD_BYTES)
                if not piece:
                    self._deaf = True  # a close_notify
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            self._flush()
            self._socket.abort()
            return
        if self._outgoing.pending:
            self._flush()
        ended = self._deaf
        if pieces:
            self._connection.data_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended:
            self._connection.eof_received()

    def _say_goodbye(self) -> None:
        """Close our side of TLS, if it has begun."""
        if self._ready:
            with suppress(ssl.SSLError):  # SSLWantReadError, since the peer has not closed its own
                self._tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        """Send the pending output of TLS."""
        data = self._outgoing.read()
        if data:
            self._socket.write(data)


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return a context for TLS 1.2 or later, with the certificate chain in `cert` and its private `key`, both PEM.

    Raises OSError if a file cannot be read and ssl.SSLError if it does not hold what it should; each says which. To
    renew the certificate, replace `Server.tls` by another context. `load_cert_chain` on the old one works too, but if
    it fails it leaves no certificate, and one whose key is of another type is added instead of replacing the old one.
    """

    def refuse_to_ask() -> str:
        raise OSError(f"The private key {key} is encrypted, and there is no password for it.")

    for path in (cert, key):
        path.open("rb").close()  # ssl would not say which file it is
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(cert, key, refuse_to_ask)
    except ssl.SSLError as error:
        if error.reason in ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
            message = f"The private key {key} is not that of the certificate {cert}."
        else:
            message = f"{cert} must hold a certificate and {key} its private key, in PEM: {error}."
        raise ssl.SSLError(ssl.SSL_ERROR_SSL, message) from error
    return context
