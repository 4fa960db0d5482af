"""A browser without a window: it keeps cookies, follows links, and fills in forms."""

import html
import re
from typing import Any

import httpx
from msgspec.structs import replace

from conftest import ALICE, Service
from numberkeep.domain.caller import Caller
from numberkeep.domain.identity import AttachedPolicy
from numberkeep.keyring import new_key
from numberkeep.opening import sealer_of
from numberkeep.storage import phone_numbers
from numberkeep.storage.tx import Tx


class Page:
    """An answer of the console."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.path = answer.url.raw_path.decode()
        self.headers = answer.headers
        self.source = answer.text
        self.text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())
        found = re.search(r'name="csrf" value="([^"]*)"', answer.text)
        self.csrf = found[1] if found else ""

    def section(self, id: str) -> str:
        """The text of the element with this id, up to its end tag at the beginning of a line."""
        found = re.search(rf'<(\w+) [^>]*id="{id}".*?\n</\1>', self.source, re.S)
        assert found, f"there is no {id}"
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", found[0])).split())


class Visitor:
    """A person at the console of a service."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.client = httpx.Client(
            base_url=f"http://127.0.0.1:{service.app.admin_port}", follow_redirects=True, timeout=60
        )

    def get(self, path: str, **parameters: Any) -> Page:
        return Page(self.client.get(path, params=parameters or None))

    def post(self, path: str, on: str = "/numbers", **form: Any) -> Page:
        """Submit a form of the page at `on`."""
        return Page(self.client.post(path, data={"csrf": self.get(on).csrf, **form}))

    def sign_in(self, access_key_id: str, secret: str) -> Page:
        return self.post("/sign-in", "/sign-in", access_key_id=access_key_id, secret_access_key=secret)


def rename(service: Service, e164: str, name: str, account: Caller) -> None:
    """Give a number a name that the API would refuse: pages must not rely on the API for that."""

    def update(tx: Tx) -> None:
        number = phone_numbers.get(tx, e164)
        phone_numbers.replace(tx, number, replace(number, name=name))

    service.run(service.app.store.transact(account, update))


def key_of(
    service: Service, policy: AttachedPolicy | None = None, name: str = "alice", account: Caller = ALICE
) -> tuple[str, str]:
    """Make a key for a user, who is created if there is none of that name. Returns its id and its secret."""
    key, secret = service.run(service.app.store.transact(account, new_key, sealer_of(None), name, policy))
    return key.access_key_id, secret
