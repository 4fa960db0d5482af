"""Runs a service in a test's own process, and controls it: ``with numberkeep.running() as nk:``."""

import asyncio
import json
import os
import re
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Self, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import uvloop

from .app import App
from .config import Settings
from .domain.caller import check_account_id
from .domain.errors import BadRequest
from .world import World

T = TypeVar("T")

ACCOUNT = "123456789012"
"""The account of requests whose access key is not an account id."""
REGION = "us-east-1"
_open = build_opener(ProxyHandler({})).open  # a proxy would look for the service on its own machine
SECONDS = 60
"""How long the service may take for one call: years may pass in it."""


_ASIDE = ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")
"""Variables that would lead a client elsewhere, or give it credentials that are not for a test."""
_NOTHING_ELSE = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
"""Variables that keep a client from the user's own configuration, which could lead it elsewhere."""


_NO_PROXY = ("NO_PROXY", "no_proxy")
_AT_AWS = re.compile(
    r"(?:(?:service\.|voice-)?chime|sts)(?:-fips)?\..*(?:amazonaws\.com(?:\.cn)?|api\.aws|aws\.amazon\.com)"
)
"""The hosts of the services that clients should ask of Numberkeep."""


class Refused(Exception):
    """The service refused what it was asked for; the text says why."""


class AppThread:
    """A service on its own thread, with its own event loop."""

    def __init__(self, settings: Settings, world: World | None = None) -> None:
        self.app = App(settings, world)
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=uvloop.run, args=(self._run(),), name="numberkeep", daemon=True)

    def start(self) -> None:
        """Start the service, and return once it answers requests. Raises what kept it from starting."""
        self._thread.start()
        self._started.wait()
        if self._failure:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Stop the service, and return once it has ended. Does nothing if it was not started."""
        if self._thread.is_alive() and not self._failure:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the service's event loop, and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(SECONDS)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            async with self.app:
                self._started.set()
                await self._stopping.wait()
        except BaseException as error:
            self._failure = error
        finally:
            self._started.set()


class Fault:
    """A fault that a test asked for."""

    def __init__(self, numberkeep: "Numberkeep", id: str) -> None:
        self._numberkeep = numberkeep
        self.id = id

    @property
    def fired(self) -> int:
        """How many times it has fired so far."""
        faults = self._numberkeep.control("GET", "faults")["faults"]
        for fault in faults:
            if fault["id"] == self.id:
                return int(fault["fired"])
        raise Refused(f"There is no fault {self.id} any more: it was removed, or everything was reset or restored.")

    def __repr__(self) -> str:
        return f"<fault {self.id} of {self._numberkeep.url}>"

    def remove(self) -> None:
        """Have the fault fire no more."""
        self._numberkeep.control("DELETE", f"faults/{self.id}")


class Numberkeep:
    """A running `numberkeep dev`, as a test sees it.

    Raises `Refused` for whatever the service refuses, such as an invalid number or duration.
    """

    def __init__(self, url: str, admin_url: str) -> None:
        """`url` is that of the AWS API, `admin_url` that of the admin port; the service may run anywhere."""
        self.url = url
        self.admin_url = admin_url

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that lead AWS clients to this service."""
        return {
            "AWS_ENDPOINT_URL_CHIME": self.url,
            "AWS_ENDPOINT_URL_CHIME_SDK_VOICE": self.url,
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",  # any will do
            "AWS_DEFAULT_REGION": REGION,
            "AWS_REGION": REGION,
        }

    def changed_environment(self) -> dict[str, str | None]:
        """The changes to the environment that lead AWS clients to this service; None is a variable to be removed."""
        direct = {name: ",".join(filter(None, ("127.0.0.1", os.environ.get(name)))) for name in _NO_PROXY}
        return {**dict.fromkeys(_ASIDE), **_NOTHING_ELSE, **self.environment, **direct}

    @staticmethod
    def changed_attributes() -> Iterator[tuple[Any, str, Any]]:
        """Yield the attributes to set in what this process has imported, each as an object, a name and the new value:
        boto3 forgets credentials that it remembers, and clients that were made before do not ask AWS itself."""
        if boto3 := sys.modules.get("boto3"):
            yield boto3, "DEFAULT_SESSION", None
        if httpsession := sys.modules.get("botocore.httpsession"):
            session = httpsession.URLLib3Session
            yield session, "send", _guarded(session.send)

    @contextmanager
    def redirect(self) -> Iterator[None]:
        """Lead all AWS clients that this process makes during the block to this service, with no other credentials.

        This sets environment variables, and restores them afterwards. A client that was made before, and would ask AWS
        itself for Chime or STS, raises `Refused` meanwhile.
        """
        changes = self.changed_environment()
        with ExitStack() as stack:
            stack.callback(_set_environment, {name: os.environ.get(name) for name in changes})
            _set_environment(changes)
            for owner, name, value in self.changed_attributes():
                stack.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, value)
            yield

    def client(self, service: str = "chime", account: str = ACCOUNT, **options: Any) -> Any:
        """Make a boto3 client of ``chime`` or ``chime-sdk-voice`` for an account; `options` are those of
        `boto3.client`."""
        boto3 = _boto3()
        given = {
            "endpoint_url": self.url,
            "region_name": REGION,
            "aws_access_key_id": _account(account),
            "aws_secret_access_key": "test",
            **options,
        }
        return boto3.session.Session().client(service, **given)

    def seed(self, *numbers: str | Mapping[str, Any], account: str = ACCOUNT) -> list[str]:
        """Put numbers into an account's inventory, all or none, and return their ids.

        A number is its E.164 text, with the product type VoiceConnector, or an object like PhoneNumber in the API's
        answers, with at least E164PhoneNumber.
        """
        if not all(isinstance(one, str | Mapping) for one in numbers):
            raise TypeError("seed takes numbers one by one, each its E.164 or an object: seed(*numbers)")
        seeds = [{"E164PhoneNumber": one} if isinstance(one, str) else one for one in numbers]
        seeds = [{"ProductType": "VoiceConnector", **one} for one in seeds]
        seeded = self.control("POST", f"numbers?account={_account(account)}", seeds)
        return list(seeded["PhoneNumberIds"])

    def advance(self, duration: str | timedelta | None = None, **units: float) -> str:
        """Let time pass: ``"72h"``, a timedelta, or ``hours=72``. Returns the service's time, once all that has become
        due is done."""
        if not isinstance(duration, str):
            if not isinstance(duration, timedelta | None) or (duration is None and not units):
                raise TypeError('advance takes "72h", a timedelta, or units of time: hours=72')
            seconds = ((duration or timedelta()) + timedelta(**units)).total_seconds()
            duration = f"{seconds:f}s"
        elif units:
            raise TypeError("advance takes a duration or units of time, not both")
        return str(self.control("POST", "clock", {"advance": duration})["time"])

    @property
    def time(self) -> str:
        """The service's time, as AWS writes it."""
        return str(self.control("GET", "clock")["time"])

    def fault(self, operation: str | None = None, **fault: Any) -> Fault:
        """Add a fault: ``fault("UpdatePhoneNumber", error="ThrottledClientException", count=1)``,
        ``fault("*", drop="after")``, ``fault(change="order", carrier="refuse")``."""
        given = {"operation": operation, **fault} if operation else fault
        return Fault(self, str(self.control("POST", "faults", given)["id"]))

    def history(self, number: str, account: str = ACCOUNT) -> list[dict[str, Any]]:
        """All changes of a number, the latest first: `changed_at`, `arn`, `request_id`, and `change`, which maps the
        name of each member that changed to its old and its new value."""
        query = urlencode({"number": number, "account": _account(account)})
        return list(self.control("GET", f"history?{query}")["changes"])

    def requests(self, **choice: str | int) -> list[dict[str, Any]]:
        """The last requests with answers, the latest first; `choice`: `operation`, `account`, `number`, `limit`."""
        return list(self.control("GET", f"requests?{urlencode(choice)}")["requests"])

    def snapshot(self, name: str = "snapshot") -> None:
        """Take a snapshot: keep everything as it is now, under a name."""
        self.control("POST", "snapshots", {"name": name})

    def restore(self, name: str = "snapshot") -> None:
        """Restore everything as it was when the snapshot was taken."""
        self.control("POST", f"snapshots/{quote(name, safe='')}/restore")

    def reset(self) -> None:
        """Begin again as at the start: no faults, the real time, and no numbers, or the demonstration inventory."""
        self.control("POST", "reset")

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Call the admin port at ``/_numberkeep/``, and return its answer. Raises Refused, also if nobody answers."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.admin_url}/_numberkeep/{path}", data, method=method)  # noqa: S310 - our own
        try:
            with _open(request, timeout=SECONDS) as answer:
                text = answer.read()
        except HTTPError as error:
            raise Refused(json.loads(error.read())["message"]) from None
        except (URLError, TimeoutError, ConnectionError) as error:
            reason = getattr(error, "reason", error)
            raise Refused(f"Nobody answers at {self.admin_url}: {reason}. Is `numberkeep dev` running?") from error
        return json.loads(text) if text else None


class Running(Numberkeep):
    """A `Numberkeep` that runs in this process: a context manager."""

    def __init__(self, **settings: Any) -> None:
        given = {"port": 0, "admin_port": 0, "dev": True, "empty": True, "verify": False, **settings}
        self._thread = AppThread(Settings(**given))

    def __enter__(self) -> Self:
        self._thread.start()
        super().__init__(f"http://127.0.0.1:{self._thread.app.port}", f"http://127.0.0.1:{self._thread.app.admin_port}")
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.stop()


def running(*, carriers: str | Path | None = None, empty: bool = True) -> Running:
    """Run a service on free ports of the loopback interface, with an inventory in memory.

    `carriers` is a file as for ``--carriers``. If `empty` is False, there is a demonstration inventory.
    """
    return Running(carriers=Path(carriers) if carriers else None, empty=empty)


def _guarded(send: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Wrap botocore's sending of a request: raises Refused if that would go to AWS."""

    def guarded(session: Any, request: Any) -> Any:
        host = urlsplit(request.url).hostname or ""
        if _AT_AWS.fullmatch(host):
            raise Refused(
                f"A client that was made before Numberkeep was there would ask {host}: make it in the test, or"
                " where it is used."
            )
        return send(session, request)

    return guarded


def _set_environment(changes: Mapping[str, str | None]) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _account(account: str) -> str:
    """Check an account id. Raises Refused for anything else, which would be taken for another account's key."""
    try:
        return check_account_id(str(account))
    except BadRequest as error:
        raise Refused(f"{error} It is {account!r}.") from None


def _boto3() -> ModuleType:
    try:
        return import_module("boto3")
    except ImportError as error:
        raise ImportError("Numberkeep makes clients with boto3: pip install boto3") from error
