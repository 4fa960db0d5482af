"""Who may come to the admin port, by which name, and what a browser may do with a page."""

import httpx
import pytest

from conftest import Service, Start


def status(service: Service, host: str, path: str = "/numbers") -> int:
    url = f"http://127.0.0.1:{service.app.admin_port}{path}"
    return httpx.get(url, headers={"Host": host}).status_code


@pytest.mark.parametrize("path", ["/numbers", "/_numberkeep/clock", "/_numberkeep/health", "/static/console.css"])
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8001", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.2", "0.0.0.0",
     "localhost@evil.example", "localhost:8001:1", "", "[::1", "127.0.0.1:8001, evil.example"],
)  # fmt: skip
def test_in_dev_only_this_machine_is_a_host(service: Service, host: str, path: str) -> None:
    assert status(service, host, path) == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:8001", "LOCALHOST", "127.0.0.1:1", "[::1]", "[::1]:8001"])
def test_in_dev_this_machine_is_a_host_by_any_of_its_names(service: Service, host: str) -> None:
    assert status(service, host) == 200
    assert status(service, host, "/_numberkeep/clock") == 200


def test_a_control_is_not_reached_by_another_name(service: Service) -> None:
    url = f"http://127.0.0.1:{service.app.admin_port}/_numberkeep/reset"
    service.seed({"E164PhoneNumber": "+12065550100", "ProductType": "VoiceConnector"})
    assert httpx.post(url, headers={"Host": "evil.example"}).status_code == 403
    assert service.client().list_phone_numbers()["PhoneNumbers"]


def test_served_it_has_any_name(start: Start) -> None:
    assert status(start(dev=False, verify=True), "numbers.example.com", "/sign-in") == 200


def test_a_page_runs_nothing_that_is_not_here(service: Service) -> None:
    headers = httpx.get(f"http://127.0.0.1:{service.app.admin_port}/numbers").headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
