"""Fixtures for all tests: stores, and whole services on ports of their own."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import boto3
import httpx
import msgspec
import pytest
from botocore.config import Config
from hypothesis import settings
from msgspec.structs import replace

from numberkeep.carriers.routing import carriers_of, simulated_only
from numberkeep.config import Location, Settings
from numberkeep.domain.caller import Caller
from numberkeep.domain.number_plan import describe
from numberkeep.domain.phone_number import PhoneNumber
from numberkeep.opening import open_store
from numberkeep.operations import OPERATIONS
from numberkeep.storage import phone_numbers, postgres_schema
from numberkeep.storage.driver import Driver
from numberkeep.storage.tx import Tx
from numberkeep.testing import AppThread
from numberkeep.world import World
from patroni_cluster import PatroniCluster
from pgbouncer import PgBouncer
from postgres import PostgresServer

settings.register_profile("numberkeep", deadline=None)  # a busy machine is not a failure
settings.load_profile("numberkeep")


class Service(AppThread):
    """A running service: ``url`` is that of the AWS API, ``admin`` is a client of the admin port."""

    def start(self) -> None:
        super().start()
        self.url = f"http://127.0.0.1:{self.app.port}"
        self.admin = httpx.Client(base_url=f"http://127.0.0.1:{self.app.admin_port}/_numberkeep", timeout=60)

    def stop(self) -> None:
        if hasattr(self, "admin"):
            self.admin.close()
        super().stop()

    def client(self, name: str = "chime", account_id: str = "123456789012", **options: Any) -> Any:
        """A boto3 client of the service. It does not retry, so that a test sees every answer."""
        return boto3.client(
            name,
            endpoint_url=options.pop("endpoint_url", self.url),
            region_name=options.pop("region_name", "us-east-1"),
            aws_access_key_id=options.pop("access_key_id", account_id),
            aws_secret_access_key=options.pop("secret_access_key", "secret"),
            config=Config(retries={"total_max_attempts": 1}, **options),
        )

    def advance(self, duration: str) -> None:
        """Let this much of the service's time pass."""
        self.admin.post("/clock", json={"advance": duration}).raise_for_status()

    def seed(self, *numbers: dict[str, Any], account_id: str = "123456789012") -> None:
        """Put numbers into an account's inventory."""
        answer = self.admin.post("/numbers", params={"account": account_id}, json=list(numbers))
        assert answer.status_code == 201, answer.text


SECRET_KEY = "5ec2e7" + "0" * 58


@pytest.fixture(autouse=True)
def secret_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The key with which `serve` and `keys` seal secrets."""
    monkeypatch.setenv("NUMBERKEEP_SECRET_KEY", SECRET_KEY)
    monkeypatch.delenv("NUMBERKEEP_SECRET_KEY_FILE", raising=False)


Start = Callable[..., Service]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a service with other settings than `service` has: ``start(verify=True)``."""
    services: list[Service] = []

    def start_one(world: World | None = None, **settings: Any) -> Service:
        given = {"port": 0, "admin_port": 0, "dev": True, "empty": True, "verify": False, **settings}
        services.append(Service(Settings(**given), world))
        services[-1].start()
        return services[-1]

    yield start_one
    for service in services:
        service.stop()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_service(request: pytest.FixtureRequest) -> Iterator[Service]:
    with ExitStack() as stack:
        database = None
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            database = stack.enter_context(server.database(request.getfixturevalue("postgres_template")))
        one = Service(Settings(port=0, admin_port=0, database=database, dev=True, empty=True, verify=False))
        one.start()
        stack.callback(one.stop)
        yield one


@pytest.fixture
def service(shared_service: Service) -> Service:
    """A service in dev with an empty store: in memory, or on PostgreSQL."""
    shared_service.admin.post("/reset").raise_for_status()
    return shared_service


POOL = carriers_of(simulated_only(4))
"""The numbers that can be ordered."""

ALICE = Caller("111111111111", "arn:aws:iam::111111111111:user/alice", "AKIAALICE")
BOB = Caller("222222222222", "arn:aws:iam::222222222222:user/bob", "AKIABOB")


@pytest.fixture
def seconds() -> list[float]:
    """The time, as the only item of a list."""
    return [1_572_373_530.392]


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "store.sqlite3")


@pytest.fixture
def world(seconds: list[float]) -> World:
    """A world whose clock stands still, and whose random numbers are the same each time."""
    return World(clock=lambda: seconds[0], seed=1)


@pytest.fixture(scope="session")
def programs(pytestconfig: pytest.Config) -> Path:
    """The directory where other programs are kept between runs."""
    assert pytestconfig.cache
    return pytestconfig.cache.mkdir("clients")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server, started when a test first asks for it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[str]:
    """The address of an empty PostgreSQL database."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(scope="session")
def pgbouncer(postgres_server: PostgresServer, programs: Path) -> Iterator[PgBouncer]:
    """A PgBouncer in front of `postgres_server`."""
    with PgBouncer(postgres_server, programs) as one:
        yield one


@pytest.fixture(scope="module")
def postgres_cluster(programs: Path) -> Iterator[PatroniCluster]:
    """Three PostgreSQL nodes, one of which is the leader."""
    with PatroniCluster(programs) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_template(postgres_server: PostgresServer) -> Iterator[str]:
    """The name of a database on `postgres` that is an empty store."""
    with postgres_server.database() as url:
        postgres_schema.migrate(url, "5ec2e7" + "0" * 58)
        yield url.rpartition("/")[2]


@pytest.fixture(params=["sqlite", "postgresql"])
def location(request: pytest.FixtureRequest) -> Iterator[Location]:
    """The location of a store that is empty or not made yet, on either engine."""
    if request.param == "sqlite":
        yield request.getfixturevalue("tmp_path") / "store.sqlite3"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    with server.database(request.getfixturevalue("postgres_template")) as url:
        yield url


@pytest.fixture
def database(location: Location) -> str:
    """`location` in the form that --database takes."""
    return location if isinstance(location, str) else f"sqlite:///{location}"


@pytest.fixture
def storage(location: Location, world: World) -> Iterator[Driver]:
    """An empty store."""
    with ExitStack() as stack:
        yield open_store(location, world, POOL, stack)


Do = Callable[..., Any]


@pytest.fixture
def do(storage: Driver) -> Do:
    """Run an operation: ``do("get_phone_number", phone_number_id="+12065550100")``."""

    def run(operation: str, caller: Caller = ALICE, **arguments: Any) -> Any:
        answer = asyncio.run(storage.transact(caller, OPERATIONS[operation], **arguments))
        return msgspec.json.decode(answer) if isinstance(answer, bytes) else answer

    return run


@pytest.fixture
def put(storage: Driver) -> Do:
    """Put numbers into an inventory: ``put("+12065550100", status="Assigned")``."""

    def run(*e164s: str, caller: Caller = ALICE, **details: Any) -> None:
        def insert(tx: Tx) -> None:
            for e164 in e164s:
                plan = describe(e164)
                number = PhoneNumber(e164, plan.country, plan.type, "VoiceConnector", "Unassigned", tx.now, tx.now)
                phone_numbers.claim(tx, e164)
                phone_numbers.insert(tx, replace(number, **details))

        asyncio.run(storage.transact(caller, insert))

    return run
