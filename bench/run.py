"""Measure Numberkeep, nginx and moto, in turns, under the same load. README.md says what the table means."""

import argparse
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import platform
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.parse import quote

import psycopg

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))
from postgres import PostgresServer  # noqa: E402

REPLAY = Path(__file__).with_name("replay.lua")
COMMANDS = Path(sys.executable).parent
"""Where this environment's numberkeep and moto_server are."""

ACCOUNT_ID = "123456789012"
NUMBERS = [f"+1206555{line:04}" for line in range(10_000)]
OTHER_TYPE = {"BusinessCalling": "VoiceConnector", "VoiceConnector": "BusinessCalling"}
PAGE_SIZE = 99
MOTO_APPLICATIONS = 100


class Operation(NamedTuple):
    """What is measured, and what moto has that compares."""

    name: str
    of_moto: str | None


OPERATIONS = {
    "updates": Operation("UpdatePhoneNumber", "UpdateApplication"),
    "reads": Operation("GetPhoneNumber", "GetApplication"),
    "lists": Operation("ListPhoneNumbers", None),
}


class Failure(Exception):
    """Nothing was measured, or what was measured means nothing; the text says why."""


class Run(NamedTuple):
    """What one server did in one round."""

    requests_per_second: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


# Requests


class Signer:
    """Makes requests as boto3 does: its headers in its order, signed (SigV4) at the moment the signer was made."""

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
    """The body of the answer to `request`, which must be a good one."""
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
    """A server that is running, and the requests it is measured with."""

    name: str

    def __init__(self, command: Sequence[str], port: int, directory: Path, stack: ExitStack) -> None:
        self.port = port
        self.pid = start([*on_core(0), *command], port, directory / f"{self.name}.log", stack)

    def requests(self) -> list[bytes]:
        """What to send in the next run, in this order, again and again."""
        raise NotImplementedError

    def check(self, answered: int, sent: int) -> None:
        """Raise Failure if the last run did not do what its answers said."""


class Numberkeep(Server):
    """``numberkeep serve`` on a copy of the prepared store."""

    name = "numberkeep"

    def __init__(self, operation: str, store: "Store", directory: Path, stack: ExitStack) -> None:
        location = self._location(store, directory, stack)
        self._key = self._key_of(store)
        self._operation = operation
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
        return str(directory / "trail.log")

    def _key_of(self, store: "Store") -> tuple[str, str]:
        return store.limited_key

    def requests(self) -> list[bytes]:
        pages = list(self._pages())
        types = {item["E164PhoneNumber"]: item["ProductType"] for _, items in pages for item in items}
        # In no order that the store knows, and always in the same.
        numbers = random.Random(0).sample(sorted(types), len(types))
        sign = self._signer()
        match self._operation:
            case "reads":
                return [sign("GET", path_of(number)) for number in numbers]
            case "lists":
                return [sign("GET", "/phone-numbers", query) for query, items in pages if len(items) == PAGE_SIZE]
        # Every request changes its number: to the other type than it has now, and the next time back.
        self._changes_before = self._changes()
        flips = [(number, OTHER_TYPE[types[number]]) for number in numbers]
        flips += [(number, types[number]) for number in numbers]
        return [sign("POST", path_of(number), body=json.dumps({"ProductType": to})) for number, to in flips]

    def check(self, answered: int, sent: int) -> None:
        if self._operation == "updates":
            changes = self._changes() - self._changes_before
            if not answered <= changes <= sent:
                raise Failure(
                    f"{self.name}: {answered} of {sent} updates were answered, {changes} numbers were changed."
                )

    def _signer(self) -> Signer:
        return Signer(self.port, "chime", *self._key)

    def _pages(self) -> Iterator[tuple[str, list[dict[str, str]]]]:
        """Every page of ListPhoneNumbers: its query and its items."""
        sign = self._signer()
        query: str | None = f"max-results={PAGE_SIZE}"
        while query:
            page = json.loads(ask(self.port, sign("GET", "/phone-numbers", query)))
            yield query, page["PhoneNumbers"]
            token = page["NextToken"]
            query = token and f"max-results={PAGE_SIZE}&next-token={quote(token, safe='')}"

    def _changes(self) -> int:
        """How many changes the store's history has."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM phone_number_history").fetchone()[0])


class Bare(Numberkeep):
    """The same without a trail, for a user who may do everything: what authorization and the trail cost."""

    name = "bare"

    def _trail(self, directory: Path) -> str:
        return "none"

    def _key_of(self, store: "Store") -> tuple[str, str]:
        return store.key


class Log(Numberkeep):
    """The same with a log instead of a store: log_server.py says how."""

    name = "log"

    def _program(self, directory: Path) -> list[str]:
        self._log = directory / "updates.log"
        self._log.unlink(missing_ok=True)
        return ["env", f"LOG={self._log}", sys.executable, str(Path(__file__).with_name("log_server.py"))]

    def _changes(self) -> int:
        with self._log.open("rb") as log:
            return sum(1 for _ in log)


class Postgresql(Numberkeep):
    """The same with a PostgreSQL of its own, which has the other core, beside the load."""

    name = "postgresql"

    def _location(self, store: "Store", directory: Path, stack: ExitStack) -> str:
        server = stack.enter_context(PostgresServer(durable=True))
        for process in (server.process_id, *map(int, _children(server.process_id))):
            subprocess.run([*on_core(1)[:1], "-pc", *on_core(1)[2:], str(process)], check=True, capture_output=True)
        self._url = stack.enter_context(server.database())
        copy = ["copy", "--from", f"sqlite:///{store.database}", "--to", self._url]
        subprocess.run([f"{COMMANDS}/numberkeep", *copy], check=True, capture_output=True)
        return self._url

    def _changes(self) -> int:
        with psycopg.connect(self._url) as connection:
            return int(connection.execute("SELECT count(*) FROM phone_number_history").fetchone()[0])


class Nginx(Server):
    """nginx, which answers the same requests at once, with as many bytes as Numberkeep does."""

    name = "nginx"

    def __init__(self, numberkeep: Numberkeep, directory: Path, stack: ExitStack) -> None:
        self._requests = numberkeep.requests
        port = free_port()
        # A parameter may have 4 KB at most, so that the body is put together of pieces.
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
    """moto's AppConfig: no phone numbers, but REST-JSON with a state as well; in memory, signatures unread."""

    name = "moto"

    def __init__(self, operation: str, directory: Path, stack: ExitStack) -> None:
        self._operation = operation
        port = free_port()
        super().__init__([f"{COMMANDS}/moto_server", "-H", "127.0.0.1", "-p", str(port)], port, directory, stack)
        create = self._signer()("POST", "/applications", body=json.dumps({"Name": "bench"}))
        self._paths = [f"/applications/{json.loads(ask(port, create))['Id']}" for _ in range(MOTO_APPLICATIONS)]

    def requests(self) -> list[bytes]:
        sign = self._signer()
        if self._operation == "reads":
            return [sign("GET", path) for path in self._paths]
        bodies = [json.dumps({"Description": text}) for text in ("BusinessCalling", "VoiceConnector")]
        return [sign("PATCH", path, body=body) for body in bodies for path in self._paths]

    def _signer(self) -> Signer:
        return Signer(self.port, "appconfig", "test", "test")


class Store(NamedTuple):
    """A store with the numbers in it, and keys to it: of a user who may do everything, and of one with a policy."""

    database: Path
    key: tuple[str, str]
    limited_key: tuple[str, str]


def prepare(directory: Path) -> Store:
    """A new store: the numbers are put in by the controls of ``numberkeep dev``."""
    port = free_port()
    ports = ["--port", str(free_port()), "--admin-port", str(port)]
    with ExitStack() as stack:
        command = [f"{COMMANDS}/numberkeep", "dev", "--empty", "--data", str(directory), *ports]
        start(command, port, directory / "dev.log", stack)
        body = json.dumps([{"E164PhoneNumber": number, "ProductType": "VoiceConnector"} for number in NUMBERS])
        head = f"POST /_numberkeep/numbers HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        ask(port, (head + body).encode())
    database = directory / "numberkeep.sqlite3"
    give_secret_key()
    policy = directory / "policy.json"
    actions = [f"chime:{operation.name}" for operation in OPERATIONS.values()]
    policy.write_text(json.dumps({"Statement": {"Effect": "Allow", "Action": actions, "Resource": "*"}}))
    key = create_key(database, "everything")
    return Store(database, key, create_key(database, "limited", "--policy", str(policy)))


def give_secret_key() -> None:
    """Let what is started from here on keep secrets."""
    os.environ["NUMBERKEEP_SECRET_KEY"] = "0" * 64


def create_key(database: Path, name: str, *options: str) -> tuple[str, str]:
    create = ["keys", "create", "--database", f"sqlite:///{database}", "--account", ACCOUNT_ID, "--name", name]
    output = subprocess.check_output([f"{COMMANDS}/numberkeep", *create, "--output", "json", *options], timeout=60)
    key = json.loads(output)
    return key["AccessKeyId"], key["SecretAccessKey"]


def start(command: Sequence[str], port: int, log: Path, stack: ExitStack, pause_seconds: float = 0.02) -> int:
    """Start a server that `stack` will stop, and wait until it listens at `port`; its process id."""
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
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


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port of loopback that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def path_of(number: str) -> str:
    return f"/phone-numbers/{quote(number)}"


def on_core(index: int) -> list[str]:
    """What begins a command that is to have one of the two cores for itself."""
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[index])] if shutil.which("taskset") and len(cores) > 1 else []


# Measuring


def measure(server: Server, connections: int, seconds: int) -> Run:
    """Put a load on `server` for some seconds. Raises Failure unless every answer is a good one."""
    requests = server.requests()
    wrk = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(REPLAY)]
    before = _cpu_seconds(server.pid)
    output = subprocess.run(
        [*on_core(1), *wrk, f"http://127.0.0.1:{server.port}/"],
        input=b"\0".join(requests),
        stdout=subprocess.PIPE,
        timeout=seconds + 60,
        check=True,
    ).stdout
    cpu_seconds = _cpu_seconds(server.pid) - before
    counted = json.loads(output.splitlines()[-1])
    answered = counted["answered"]
    if counted["refused"] or counted["broken"] or not answered:
        raise Failure(
            f"{server.name}: of {counted['sent']} requests {answered} were answered, {counted['refused']} of them with"
            f" an error; {counted['broken']} connections broke."
        )
    _wait_until_idle(server.pid)  # requests that wrk has left behind do not count, and do not disturb who is next
    server.check(answered, counted["sent"])
    return Run(answered / counted["seconds"], cpu_seconds / answered * 1e6, counted["p50_ms"], counted["p99_ms"])


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def _wait_until_idle(pid: int) -> None:
    for _ in range(100):
        before = _cpu_seconds(pid)
        time.sleep(0.1)
        if _cpu_seconds(pid) - before < 0.02:
            return
    raise Failure(f"The process {pid} is still busy ten seconds after the last request.")


def _cpu_seconds(pid: int) -> float:
    """What the process has used up to now, all its threads together."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def compare(
    kind: str,
    connections: int,
    rounds: int,
    seconds: int,
    warm_up: bool,
    with_postgresql: bool,
    store: Store,
    directory: Path,
) -> dict[str, list[Run]]:
    """The runs of every server by its name, all under the same load, in turns."""
    with ExitStack() as stack:
        numberkeep = Numberkeep(kind, store, directory, stack)
        servers: list[Server] = [numberkeep, Bare(kind, store, directory, stack)]
        if kind == "updates":
            servers.append(Log(kind, store, directory, stack))
        if with_postgresql:
            servers.append(Postgresql(kind, store, directory, stack))
        if shutil.which("nginx"):
            servers.append(Nginx(numberkeep, directory, stack))
        if OPERATIONS[kind].of_moto and (COMMANDS / "moto_server").exists():
            servers.append(Moto(kind, directory, stack))
        if warm_up:
            for server in servers:
                measure(server, connections, 1)
        runs: dict[str, list[Run]] = {server.name: [] for server in servers}
        for _ in range(rounds):
            for server in servers:
                runs[server.name].append(measure(server, connections, seconds))
    return runs


# Reporting

Results = dict[tuple[str, int], dict[str, list[Run]]]
"""By kind of operation and number of connections: the runs of every server."""


def rate(runs: Sequence[Run]) -> float:
    """The median of the requests answered in a second."""
    return median(run.requests_per_second for run in runs)


def table(results: Results) -> Iterator[str]:
    """The lines of the table."""
    yield (
        f"{'operation':<18}{'conns':>6}  {'server':<11}{'req/s':>8} {'(min-max)':<16}{'CPU us':>8}{'p50 ms':>9}"
        f"{'p99 ms':>9}{'x nginx':>9}{'x moto':>8}"
    )
    for (kind, connections), by_server in results.items():
        for name, runs in by_server.items():
            rates = [run.requests_per_second for run in runs]
            operation = OPERATIONS[kind].of_moto if name == "moto" else OPERATIONS[kind].name
            ratios = ""
            if name == "numberkeep":
                ratios = _ratio(runs, by_server.get("nginx"), 9, 3) + _ratio(runs, by_server.get("moto"), 8, 1)
            yield (
                f"{operation:<18}{connections:>6}  {name:<11}{median(rates):>8.0f} "
                f"{f'({min(rates):.0f}-{max(rates):.0f})':<16}{median(run.cpu_us for run in runs):>8.1f}"
                f"{median(run.p50_ms for run in runs):>9.2f}{median(run.p99_ms for run in runs):>9.2f}{ratios}"
            ).rstrip()


def _ratio(runs: Sequence[Run], others: Sequence[Run] | None, width: int, digits: int) -> str:
    return f"{rate(runs) / rate(others):>{width}.{digits}f}" if others else f"{'-':>{width}}"


class Goal(NamedTuple):
    """How many times as many requests a second one server is to answer as another."""

    kind: str
    connections: int
    ours: str
    times: float
    theirs: str


GOALS = (
    Goal("updates", 32, "numberkeep", 0.8, "log"),
    Goal("updates", 128, "numberkeep", 0.8, "log"),
    Goal("updates", 32, "numberkeep", 25, "moto"),
    Goal("updates", 32, "numberkeep", 30, "moto"),
    Goal("reads", 32, "numberkeep", 0.25, "nginx"),
    Goal("reads", 32, "numberkeep", 0.33, "nginx"),
    Goal("lists", 32, "numberkeep", 0.08, "nginx"),
    Goal("updates", 32, "numberkeep", 0.9, "bare"),
    Goal("reads", 32, "numberkeep", 0.9, "bare"),
    Goal("updates", 32, "postgresql", 0.6, "numberkeep"),
)
SLOWEST_TIMES = 4
"""How many times the median wait for an update the 99th percentile may be, at 32 connections."""


def goals(results: Results) -> Iterator[str]:
    """A line for each goal that was measured: met or not, and by how much."""
    for goal in GOALS:
        runs = results.get((goal.kind, goal.connections), {})
        if goal.ours in runs and goal.theirs in runs:
            ours, theirs = rate(runs[goal.ours]), rate(runs[goal.theirs])
            what = f"{goal.kind} at {goal.connections}: {goal.ours} at least {goal.times:g} x {goal.theirs}"
            yield f"{_verdict(ours >= goal.times * theirs)}: {what}: {ours / theirs:.2f} x"
    if runs := results.get(("updates", 32), {}).get("numberkeep", []):
        times = median(run.p99_ms / run.p50_ms for run in runs)
        yield (f"{_verdict(times <= SLOWEST_TIMES)}: updates at 32: p99 at most {SLOWEST_TIMES} x p50: {times:.2f} x")


def _verdict(is_met: bool) -> str:
    return "met" if is_met else "NOT MET"


def note(text: str) -> None:
    """Tell whoever is watching."""
    print(text, file=sys.stderr, flush=True)


def machine(directory: Path) -> str:
    """What the figures are of."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    return (
        f"{os.cpu_count()} x {model.partition(': ')[2] or platform.machine()}, {_file_system(directory)},"
        f" Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, load {os.getloadavg()[0]:.2f}"
    )


def _file_system(directory: Path) -> str:
    return subprocess.check_output(["stat", "-f", "-c", "%T", directory], text=True).strip()


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=OPERATIONS, default=list(OPERATIONS), help="leave the others out")
    parser.add_argument("--connections", nargs="+", type=int, default=[1, 32, 128], metavar="N")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each server, in turns (5)")
    parser.add_argument("--seconds", type=int, default=3, help="of a run (3)")
    parser.add_argument("--postgresql", action="store_true", help="beside the others, with a PostgreSQL of its own")
    parser.add_argument("--quick", action="store_true", help="one round of a second: shows that all works, no more")
    options = parser.parse_args()
    if options.quick:
        options.rounds = options.seconds = 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that servers are stopped, files deleted
    try:
        run(options)
    except (Failure, subprocess.SubprocessError) as error:
        sys.exit(f"bench: {error}")


def run(options: argparse.Namespace) -> None:
    """Measure all that `options` ask for, and print the table."""
    with ExitStack() as stack:
        lock = stack.enter_context(Path(__file__).open())
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure("Another benchmark is running; two would measure each other.") from None
        build = ROOT / "build"
        build.mkdir(exist_ok=True)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=build)))
        if _file_system(directory) in ("tmpfs", "ramfs"):
            raise Failure(f"{directory} is in memory; what is durable has to be measured on a disk.")
        if not shutil.which("wrk"):
            raise Failure("wrk, which makes the load, is missing. On Debian: apt-get install wrk")
        if not shutil.which("nginx"):
            note("NO NGINX: its rows are left out. On Debian: apt-get install nginx")
        if not (COMMANDS / "moto_server").exists():
            note("NO MOTO: its rows are left out. pip install --group test")
        if not on_core(0):
            note("NOT PINNED: server and load share the cores (taskset is missing, or there is one core only).")
        print(machine(directory))
        store_directory = directory / "store"
        store_directory.mkdir()
        store = prepare(store_directory)
        results: Results = {}
        for kind in options.only:
            for connections in options.connections:
                note(f"{OPERATIONS[kind].name} at {connections} connections ...")
                results[kind, connections] = compare(
                    kind,
                    connections,
                    options.rounds,
                    options.seconds,
                    not options.quick,
                    options.postgresql,
                    store,
                    directory,
                )
        print("", *table(results), "", *goals(results), sep="\n")


if __name__ == "__main__":
    main()
