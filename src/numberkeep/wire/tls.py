"""TLS on the AWS API's port."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

from .connection import Connection

_RECORD_BYTES = 16 * 1024  # which a record of TLS has at most


class Tls(asyncio.Transport, asyncio.Protocol):
    """TLS between a connection and its socket: the transport of the one, and the protocol of the other.

    Those of asyncio and uvloop cannot end one side alone, which is how a refused peer comes to read why; drop what is
    yet to be answered when the peer ends its side; do not tell of a peer before it has shaken hands, so that it is not
    counted; and log each that fails to.
    """

    __slots__ = ("_begun", "_connection", "_deaf", "_incoming", "_outgoing", "_ready", "_socket", "_tls")

    _socket: asyncio.Transport

    def __init__(self, connection: Connection, context: ssl.SSLContext) -> None:
        super().__init__()
        self._connection = connection
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._begun = False  # the peer has said something
        self._ready = False  # hands are shaken
        self._deaf = False  # one side has ended, and what else comes is not read

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = transport  # type: ignore[assignment]  # uvloop's is not of that class
        self._connection.connection_made(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)
        del self._connection  # or the two would keep each other

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
        # Without a close_notify before it someone else may have cut the stream. A request tells its own length, so one
        # that is cut is not taken for another, and those before it can be answered.
        self._deaf = True
        return self._ready and self._connection.eof_received()

    def pause_writing(self) -> None:
        if self._ready:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        if self._ready:
            self._connection.resume_writing()

    # What the connection calls

    def write(self, data: "bytes | bytearray | memoryview[Any]") -> None:
        if not self._ready:
            return  # it is closed before hands were shaken
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

    # What is done

    def _shake_hands(self) -> bool:
        """Go on with the handshake; whether it is done."""
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError:
            self._deaf = True
            self.close()  # after the alert that says why
            return False
        self._flush()
        self._ready = True
        self._connection.advance()
        return not self._deaf

    def _read(self) -> None:
        """Hand on what can be decrypted of all that has arrived."""
        incoming, tls = self._incoming, self._tls
        pieces = []
        try:
            while incoming.pending or tls.pending():  # to be told that nothing is left costs more than to ask
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
        """End our side of TLS, if it has begun."""
        if self._ready:
            with suppress(ssl.SSLError):  # SSLWantReadError, since the peer has not ended its own
                self._tls.unwrap()
        self._flush()

    def _flush(self) -> None:
        """Send what TLS has to say."""
        data = self._outgoing.read()
        if data:
            self._socket.write(data)


def tls_context(cert: Path, key: Path) -> ssl.SSLContext:
    """What TLS is spoken with: 1.2 at least, with the certificate chain in `cert` and its private `key`, both PEM.

    Raises OSError if a file cannot be read and ssl.SSLError if it does not hold what it should; each says which. To
    renew the certificate, put another context in the place of `Server.tls`. A `load_cert_chain` of the same one does
    too, but if it fails it leaves none, and a certificate whose key is of another type stands beside the old one.
    """

    def refuse_to_ask() -> str:
        raise OSError(f"The private key {key} is encrypted, and there is no password for it.")

    for path in (cert, key):
        path.open("rb").close()  # ssl would not say which one it is
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
