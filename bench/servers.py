"""The servers that are measured, and the requests they are measured with."""

import hashlib
import hmac
import http.client
import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import psutil
import psycopg

from numberkeep.operations import pages

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))
from postgres import PostgresServer  # noqa: E402 - what the tests start, too

COMMANDS = Path(sys.executable).parent
"""The directory of this environment's numberkeep and moto_server."""
CORES = sorted(os.sched_getaffinity(0))
SECRET_KEY = {"NUMBERKEEP_SECRET_KEY": "0" * 64}
"""The key that seals the stores' secrets, in the environment of every server."""

ACCOUNT_ID = "123456789012"
NUMBERS = [f"+1206555{line:04}" for line in range(10_000)]
OTHER_TYPE = {"BusinessCalling": "VoiceConnector", "VoiceConnector": "BusinessCalling"}
PAGE_SIZE = 99
MOTO_APPLICATIONS = 100


class Operation(NamedTuple):
    """An operation that is measured, and the comparable one of moto."""

    name: str
    of_moto: str | None


OPERATIONS = {
    "updates": Operation("UpdatePhoneNumber", "UpdateApplication"),
    "reads": Operation("GetPhoneNumber", "GetApplication"),
    "lists": Operation("ListPhoneNumbers", None),
}


class Failure(Exception):
    """Nothing was measured, or the result would mean nothing; the text says why."""


# Requests


class Signer:
    """Makes requests like boto3's: its headers in its order, signed (SigV4) with the time at which the signer was
    made."""

    def __init__(self, port: int, service: str, access_key_id: str, secret_access_key: str) -> None:
        self._host = f"127.0.0.1:{port}"
        self._date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        self._scope = f"{self._date[:8]}/us-east-1/{service}/aws4_request"
        self._credential = f"{access_key_id}/{self._scope}"
        self._key = f"AWS4{secret_access_key}".encode()
        for element in self._scope.split("/"):
            self._key = hmac.digest(self._key, element.encode(), "sha256")

    def __call__(self, method: str, path: str, query: str = "", body: str = "") -> bytes:
        """The bytes of a request; `path` and `query` are encoded, and `query` is sorted."""
        headers = {"host": self._host, "x-amz-date": self._date}
        if body:
            headers = {"content-type": "application/json", **headers}
        names = ";".join(headers)
        canonical = [method, quote(path), query, *(f"{name}:{value}" for name, value in headers.items()), "", names]
        digest = hashlib.sha256("\n".join([*canonical, _sha256(body)]).encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{self._date}\n{self._scope}\n{digest}"
        signature = hmac.digest(self._key, text.encode(), "sha256").hex()
        lines = [
            f"{method} {path}{'?' if query else ''}{query} HTTP/1.1",
            f"Host: {self._host}",
            "Accept-Encoding: identity",
            *(["Content-Type: application/json"] if body else []),
            "User-Agent: Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux#6.1.0 md/arch#x86_64 lang/python#3.13.0"
            " md/pyimpl#CPython m/N,E,b,Z,e cfg/retry-mode#standard Botocore/1.44.5",
            f"X-Amz-Date: {self._date}",
            f"Authorization: AWS4-HMAC-SHA256 Credential={self._credential}, SignedHeaders={names},"
            f" Signature={signature}",
            "amz-sdk-invocation-id: 063335e1-0e1f-451d-8388-7bc8a85aca71",
            "amz-sdk-request: attempt=1; max=3",
            *([f"Content-Length: {len(body)}"] if body else []),
        ]
        return "\r\n".join([*lines, "", body]).encode()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def ask(port: int, request: bytes) -> bytes:
    """Send `request`, and return the body of the answer, which must be a good one."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as peer:
        peer.sendall(request)
        with closing(http.client.HTTPResponse(peer)) as response:
            response.begin()
            body = response.read()
            if response.status not in (200, 201):
                raise Failure(f"{request.splitlines()[0]!r} was answered {response.status}: {body[:300]!r}")
            return body


# Servers


class Server:
    """A running server, and the requests that it is measured with."""

    name: str

    def __init__(self, command: Sequence[str], port: int, directory: Path, stack: ExitStack) -> None:
        self.port = port
        self.pid = start([*on_core(0), *command], port, directory / f"{self.name}.log", stack)

    def requests(self) -> list[bytes]:
        """The requests to send in the next run, in this order, again and again."""
        raise NotImplementedError

    def check(self, answered: int, sent: int) -> None:
        """Raise Failure if the last run did not do what its answers said."""


class Numberkeep(Server):
    """``numberkeep serve`` on a copy of the prepared store, with a trail, for a user with a policy."""

    name = "numberkeep"

    def __init__(self, kind: str, store: "Store", directory: Path, stack: ExitStack) -> None:
        location = self._location(store, directory, stack)
        self._key = self._key_of(store)
        # The part of a transaction that is needed to seal a page's token, as the store does it.
        self._sealing: Any = SimpleNamespace(account_id=ACCOUNT_ID, token_secret=store.token_secret)
        self.kind = kind
        self._changes_before = 0
        port = free_port()
        options = ["--database", location, "--port", str(port), "--admin-port", str(free_port())]
        options += ["--rate", "0", "--trail", self._trail(directory)]
        super().__init__([*self._program(directory), "serve", *options], port, directory, stack)
        self.answer_bytes = len(ask(self.port, self.requests()[0]))

    def _location(self, store: "Store", directory: Path, stack: ExitStack) -> str:
        self._database = directory / f"{self.name}.sqlite3"
        for file in directory.glob(f"{self._database.name}*"):
            file.unlink()
        shutil.copyfile(store.database, self._database)
        return f"sqlite:///{self._database}"

    def _program(self, directory: Path) -> list[str]:
        return [f"{COMMANDS}/numberkeep"]

    def _trail(self, directory: Path) -> str:
        return str(directory / f"{self.name}-trail.log")

    def _key_of(self, store: "Store") -> tuple[str, str]:
        return store.limited_key

    def requests(self) -> list[bytes]:
        types = self._product_types()
        # The order is unrelated to the store's, and the same in every run.
        dice = random.Random(0)
        numbers = sorted(types)
        if self.kind == "lists":
            return self._pages_after(dice.sample(numbers[: -PAGE_SIZE - 1], len(numbers) - PAGE_SIZE - 1))
        return self._of_numbers(dice.sample(numbers, len(numbers)), types)

    def _pages_after(self, numbers: Iterable[str]) -> list[bytes]:
        """Requests for a full page after each of `numbers`: hardly any page is requested twice in a run."""
        sign = self._signer()
        scope = ["ListPhoneNumbers", None, None, None, None]
        tokens = (pages.token(self._sealing, scope, number) for number in numbers)
        return [sign("GET", "/phone-numbers", _query(token)) for token in tokens]

    def _of_numbers(self, numbers: Sequence[str], types: Mapping[str, str]) -> list[bytes]:
        """Requests about each of `numbers`, which have these product types."""
        sign = self._signer()
        if self.kind == "reads":
            return [sign("GET", path_of(number)) for number in numbers]
        # Every request changes its number: to the product type that it does not have, and next time back.
        self._changes_before = self._changes()
        flips = [(number, OTHER_TYPE[types[number]]) for number in numbers]
        flips += [(number, types[number]) for number in numbers]
        return [sign("POST", path_of(number), body=json.dumps({"ProductType": to})) for number, to in flips]

    def check(self, answered: int, sent: int) -> None:
        if self.kind == "updates":
            changes = self._changes() - self._changes_before
            if not answered <= changes <= sent:
                raise Failure(
                    f"{self.name}: {answered} of {sent} updates were answered, but {changes} numbers were changed."
                )

    def _signer(self) -> Signer:
        return Signer(self.port, "chime", *self._key)

    def _product_types(self) -> dict[str, str]:
        """The product type of every number, read from the server."""
        return {item["E164PhoneNumber"]: item["ProductType"] for page in self._pages() for item in page}

    def _pages(self) -> Iterator[list[dict[str, str]]]:
        """The numbers on every page of ListPhoneNumbers."""
        sign = self._signer()
        query: str | None = f"max-results={PAGE_SIZE}"
        while query:
            page = json.loads(ask(self.port, sign("GET", "/phone-numbers", query)))
            yield page["PhoneNumbers"]
            query = page["NextToken"] and _query(page["NextToken"])

    def _changes(self) -> int:
        """How many changes are in the store's history."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM phone_number_history").fetchone()[0])


def _query(token: str) -> str:
    return f"max-results={PAGE_SIZE}&next-token={quote(token, safe='')}"


class Bare(Numberkeep):
    """The same server without a trail, for a user who may do everything: shows what authorization and the trail
    cost."""

    name = "bare"

    def _trail(self, directory: Path) -> str:
        return "none"

    def _key_of(self, store: "Store") -> tuple[str, str]:
        return store.key


class Log(Numberkeep):
    """The same server with a log for a store: see log_server.py."""

    name = "log"

    def _program(self, directory: Path) -> list[str]:
        self._log = directory / "updates.log"
        self._log.unlink(missing_ok=True)
        return ["env", f"LOG={self._log}", sys.executable, str(Path(__file__).with_name("log_server.py"))]

    def _product_types(self) -> dict[str, str]:
        """The product types in the file, updated by those in the log: as they would be read after a crash."""
        types = super()._product_types()
        with self._log.open("rb") as log:
            for line in log:
                _, _, _, number, _, _, _, change = json.loads(line)
                _, types[number] = json.loads(change)["product_type"]
        return types

    def _changes(self) -> int:
        with self._log.open("rb") as log:
            return sum(1 for _ in log)


class Postgresql(Numberkeep):
    """The same server on PostgreSQL, whose processes run on the other core, next to the load.

    The database is on the server at `url`, as a user who may create databases; or on a PostgreSQL of its own.
    """

    name = "postgresql"

    def __init__(self, kind: str, store: "Store", directory: Path, stack: ExitStack, url: str | None) -> None:
        self._url = url
        super().__init__(kind, store, directory, stack)

    def _location(self, store: "Store", directory: Path, stack: ExitStack) -> str:
        url = self._url
        if url is None:
            url = start_postgres(stack).url("postgres")
        admin = stack.enter_context(psycopg.connect(url, autocommit=True))
        admin.execute("CREATE DATABASE numberkeep_bench")
        stack.callback(admin.execute, "DROP DATABASE numberkeep_bench WITH (FORCE)")
        self._url = urlsplit(url)._replace(path="/numberkeep_bench").geturl()
        copy = ["copy", "--from", f"sqlite:///{store.database}", "--to", self._url]
        subprocess.run([f"{COMMANDS}/numberkeep", *copy], check=True, stdout=subprocess.DEVNULL)
        return self._url

    def _changes(self) -> int:
        with psycopg.connect(str(self._url)) as connection:
            row = connection.execute("SELECT count(*) FROM phone_number_history").fetchone()
            return int(row[0]) if row else 0


class Nginx(Server):
    """nginx, which answers the same requests at once, with as many bytes as Numberkeep."""

    name = "nginx"

    def __init__(self, numberkeep: Numberkeep, directory: Path, stack: ExitStack) -> None:
        self._requests = numberkeep.requests
        port = free_port()
        # A parameter can have 4 KB at most, so the body is composed of pieces.
        pieces, rest = divmod(numberkeep.answer_bytes, 1000)
        config = directory / "nginx.conf"
        config.write_text(f"""
            daemon off;
            master_process off;
            pid {directory}/nginx.pid;
            error_log stderr;
            events {{}}
            http {{
                access_log off;
                server_tokens off;
                keepalive_requests 1000000000;
                client_body_temp_path {directory};
                proxy_temp_path {directory};
                fastcgi_temp_path {directory};
                uwsgi_temp_path {directory};
                scgi_temp_path {directory};
                server {{
                    listen 127.0.0.1:{port};
                    default_type application/json;
                    add_header x-amzn-RequestId 063335e1-0e1f-451d-8388-7bc8a85aca71;
                    set $piece {"x" * 1000};
                    location / {{ return 200 "{"${piece}" * pieces}{"x" * rest}"; }}
                }}
            }}
        """)
        super().__init__(["nginx", "-p", str(directory), "-c", str(config)], port, directory, stack)
        answer_bytes = len(ask(port, self.requests()[0]))
        if answer_bytes != numberkeep.answer_bytes:
            raise Failure(f"nginx answers {answer_bytes} bytes instead of {numberkeep.answer_bytes}.")

    def requests(self) -> list[bytes]:
        return self._requests()


class Moto(Server):
    """moto's AppConfig: it knows no phone numbers, but is REST-JSON with state too; in memory, without checking
    signatures."""

    name = "moto"

    def __init__(self, kind: str, directory: Path, stack: ExitStack) -> None:
        self._kind = kind
        port = free_port()
        super().__init__([f"{COMMANDS}/moto_server", "-H", "127.0.0.1", "-p", str(port)], port, directory, stack)
        create = self._signer()("POST", "/applications", body=json.dumps({"Name": "bench"}))
        self._paths = [f"/applications/{json.loads(ask(port, create))['Id']}" for _ in range(MOTO_APPLICATIONS)]

    def requests(self) -> list[bytes]:
        sign = self._signer()
        if self._kind == "reads":
            return [sign("GET", path) for path in self._paths]
        bodies = [json.dumps({"Description": text}) for text in ("BusinessCalling", "VoiceConnector")]
        return [sign("PATCH", path, body=body) for body in bodies for path in self._paths]

    def _signer(self) -> Signer:
        return Signer(self.port, "appconfig", "test", "test")


class Store(NamedTuple):
    """A store with numbers, and two keys to it: of a user who may do everything, and of one with a policy."""

    database: Path
    key: tuple[str, str]
    limited_key: tuple[str, str]

    @property
    def token_secret(self) -> bytes:
        """The secret that the store seals its page tokens with."""
        with closing(sqlite3.connect(self.database)) as connection:
            sql = "SELECT value FROM store WHERE name = 'token_secret'"
            return bytes.fromhex(connection.execute(sql).fetchone()[0])


def prepare(directory: Path, numbers: Sequence[str] = NUMBERS) -> Store:
    """Make a new store in `directory`, with numbers that are added by the controls of ``numberkeep dev``."""
    port = free_port()
    ports = ["--port", str(free_port()), "--admin-port", str(port)]
    with ExitStack() as stack:
        command = [f"{COMMANDS}/numberkeep", "dev", "--empty", "--data", str(directory), *ports]
        start(command, port, directory / "dev.log", stack)
        body = json.dumps([{"E164PhoneNumber": number, "ProductType": "VoiceConnector"} for number in numbers])
        head = f"POST /_numberkeep/numbers HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        ask(port, (head + body).encode())
    database = directory / "numberkeep.sqlite3"
    policy = directory / "policy.json"
    actions = [f"chime:{operation.name}" for operation in OPERATIONS.values()]
    policy.write_text(json.dumps({"Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}))
    key = _create_key(database, "everything")
    return Store(database, key, _create_key(database, "limited", "--policy", str(policy)))


def _create_key(database: Path, name: str, *options: str) -> tuple[str, str]:
    create = ["keys", "create", "--database", f"sqlite:///{database}", "--account", ACCOUNT_ID, "--name", name]
    output = subprocess.check_output(
        [f"{COMMANDS}/numberkeep", *create, "--output", "json", *options],
        env={**os.environ, **SECRET_KEY},
        timeout=60,
    )
    key = json.loads(output)
    return key["AccessKeyId"], key["SecretAccessKey"]


def start(command: Sequence[str], port: int, log: Path, stack: ExitStack, pause_seconds: float = 0.02) -> int:
    """Start a server that `stack` will stop, wait until it listens at `port`, and return its process id."""
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command, env={**os.environ, **SECRET_KEY}, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr
        )
    stack.callback(_stop, process)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(pause_seconds)
        else:
            return process.pid
    raise Failure(f"{' '.join(map(str, command))} does not listen. It said:\n{log.read_text()[-2000:]}")


def start_postgres(stack: ExitStack) -> PostgresServer:
    """Start a durable PostgreSQL on the second core; `stack` will stop it."""
    server = stack.enter_context(PostgresServer(durable=True))
    postmaster = psutil.Process(server.process_id)
    for process in (postmaster, *postmaster.children()):  # so that the processes it starts later are there too
        process.cpu_affinity(CORES[-1:])
    return server


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port on the loopback interface that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def path_of(number: str) -> str:
    """The path of a number in the API."""
    return f"/phone-numbers/{quote(number)}"


def on_core(index: int) -> list[str]:
    """The beginning of a command that binds it to one of the two cores."""
    return ["taskset", "-c", str(CORES[index])] if shutil.which("taskset") and len(CORES) > 1 else []
