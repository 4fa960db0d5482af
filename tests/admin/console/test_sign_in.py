"""In with a key, out again; and nothing without either."""

import asyncio
from ipaddress import ip_network

import httpx
import pytest

from conftest import ALICE, Start
from console_visitor import Page, Visitor, key_of
from numberkeep.storage import identities


def test_nothing_is_shown_to_who_has_not_signed_in(served: Visitor) -> None:
    for path in ("/", "/numbers", "/numbers?text=x"):
        page = served.get(path)
        assert page.path == "/sign-in"
        assert "Secret access key" in page.text
    assert served.post("/numbers/change", "/sign-in", number="+12065550100", change="delete").path == "/sign-in"


def test_a_key_of_a_users_opens(served: Visitor) -> None:
    page = served.sign_in(*key_of(served.service))
    assert (page.status, page.path) == (200, "/numbers")
    assert "alice of 111111111111" in page.text
    cookie = next(line for line in served.client.get("/numbers").request.headers["cookie"].split("; "))
    assert "alice" not in cookie
    assert served.get("/sign-in").path == "/numbers"


def test_what_a_cookie_is_like(served: Visitor) -> None:
    csrf = served.get("/sign-in").csrf
    id, secret = key_of(served.service)
    form = {"csrf": csrf, "access_key_id": id, "secret_access_key": secret}
    answer = served.client.post("/sign-in", data=form, follow_redirects=False)
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Max-Age=43200" in cookie
    assert "Secure" not in cookie


def test_the_cookie_is_secure_if_a_trusted_proxy_says_that_the_request_was(start: Start) -> None:
    for proxies, secure in (((ip_network("127.0.0.0/8"),), True), ((), False)):
        service = start(dev=False, verify=True, trusted_proxies=proxies)
        url = f"http://127.0.0.1:{service.app.admin_port}/sign-in"
        cookie = httpx.get(url, headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]
        assert ("Secure" in cookie) is secure


@pytest.mark.parametrize("wrong", ["", "x", "secret"])
def test_a_wrong_secret_does_not(served: Visitor, wrong: str) -> None:
    page = served.sign_in(key_of(served.service)[0], wrong)
    assert page.status == 403
    assert "no active access key" in page.text
    assert served.get("/numbers").path == "/sign-in"


@pytest.mark.parametrize("id", ["AKIANOBODY", "", "test", "123456789012", "ASIAX"])
def test_no_key_is_no_key(served: Visitor, id: str) -> None:
    assert served.sign_in(id, "").status == 403
    assert served.sign_in(id, "secret").status == 403


def test_a_key_that_is_disabled_or_deleted_is_out(served: Visitor) -> None:
    service = served.service
    id, secret = key_of(service)
    assert served.sign_in(id, secret).path == "/numbers"
    service.run(service.app.store.transact(ALICE, identities.set_key_status, id, "Inactive"))
    service.run(asyncio.sleep(1.1))  # the keyring keeps what it has read for a second
    assert served.get("/numbers").path == "/sign-in"
    assert served.sign_in(id, secret).status == 403


def test_out_again(served: Visitor) -> None:
    served.sign_in(*key_of(served.service))
    assert served.post("/sign-out").path == "/sign-in"
    assert served.get("/numbers").path == "/sign-in"


def test_attempts_are_throttled(served: Visitor) -> None:
    pages = [served.sign_in("AKIANOBODY", "x").status for _ in range(7)]
    assert pages == [403] * 5 + [429] * 2
    assert served.sign_in(*key_of(served.service)).status == 429


def test_who_is_right_is_not_throttled(served: Visitor) -> None:
    key = key_of(served.service)
    for _ in range(7):
        assert served.sign_in(*key).status == 200


def test_a_form_without_the_token_is_refused(served: Visitor) -> None:
    id, secret = key_of(served.service)
    csrf = served.get("/sign-in").csrf
    assert csrf
    for wrong in ("", "x", csrf[:-1]):
        form = {"csrf": wrong, "access_key_id": id, "secret_access_key": secret}
        page = Page(served.client.post("/sign-in", data=form))
        assert page.status == 403
        assert "not of this session" in page.text
    stranger = httpx.post(f"{served.client.base_url}/sign-in", data={"csrf": csrf, "access_key_id": id})
    assert stranger.status_code == 403


@pytest.mark.parametrize("body", [b"csrf=" + b"x" * 70_000, b"\xff", b"&".join([b"a=1"] * 2000)])
def test_a_form_that_is_none_is_refused(served: Visitor, body: bytes) -> None:
    served.get("/sign-in")
    assert served.client.post("/sign-in", content=body).status_code == 400


def test_light_or_dark(visitor: Visitor) -> None:
    assert 'data-theme="auto"' in visitor.get("/numbers").source
    page = visitor.post("/theme", theme="dark", back="/numbers")
    assert page.path == "/numbers"
    assert 'data-theme="dark"' in page.source
    assert 'data-theme="dark"' in visitor.post("/theme", theme="x", back="//evil.example/").source
    for elsewhere in ("//evil.example", "/\\evil.example", "https://evil.example"):
        assert visitor.post("/theme", theme="auto", back=elsewhere).path == "/numbers"


def test_in_dev_another_account_is_looked_at(visitor: Visitor) -> None:
    visitor.service.seed({"E164PhoneNumber": "+12065550100", "ProductType": "VoiceConnector"})
    other = {"E164PhoneNumber": "+12065550177", "ProductType": "VoiceConnector"}
    visitor.service.seed(other, account_id="222222222222")
    page = visitor.get("/accounts")
    assert "222222222222" in page.text
    assert "123456789012" in page.text
    page = visitor.post("/accounts", "/accounts", account="222222222222")
    assert "This is account 222222222222 now." in page.text
    assert "206-555-0177" in page.text
    assert "206-555-0100" not in page.text
    assert "This is account" not in visitor.get("/numbers").text, "it is said once"
    assert visitor.post("/accounts", "/accounts", account="x").status == 400


def test_served_there_is_no_switch(served: Visitor) -> None:
    served.sign_in(*key_of(served.service))
    assert served.get("/accounts").status == 404
