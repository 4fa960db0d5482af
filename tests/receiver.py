"""A stand-in for an operator's own system: takes signed messages over HTTP, and answers as a test says."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

Answer = tuple[int, Any]


class Receiver:
    """``with Receiver() as receiver``: `taken` are the messages so far; `answer` is called with each."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], Answer] = lambda message: (200, {"status": "done"})
        self.headers: dict[str, str] = {}
        """Additional headers of the answers."""
        self.traceparents: list[str] = []
        """The trace headers of the messages that had one."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                message = Webhook(SECRET).verify(body, dict(self.headers))
                message["id"] = self.headers["webhook-id"]
                receiver.traceparents += filter(None, [self.headers.get("traceparent")])
                receiver.taken.append(message)
                status, answer = receiver.answer(message)
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {**receiver.headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def told(self) -> list[tuple[str, str]]:
        """The types of the messages and the numbers they were about, in order."""
        return [(message["type"], message["data"].get("e164_phone_number", "")) for message in self.taken]


def write_carriers(directory: Path, text: str) -> Path:
    """Make a carriers file, with a secret beside it."""
    (directory / "secret").write_text(f"{SECRET}\n")
    path = directory / "carriers.toml"
    path.write_text(text)
    return path
