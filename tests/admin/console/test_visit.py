"""What befalls a request that goes wrong, or whose part of a page cannot be had."""

import asyncio
import threading

import pytest

from console_visitor import Visitor
from numberkeep.admin.console import deletion_queue
from numberkeep.admin.console.visit import patiently
from numberkeep.domain.errors import Awaited


def test_a_page_that_fails_says_so_and_no_more(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a secret of the implementation's")

    visitor.service.seed(
        {"E164PhoneNumber": "+12065550100", "ProductType": "VoiceConnector", "Status": "ReleaseInProgress"}
    )
    monkeypatch.setattr(deletion_queue, "why_not_restore", fail)
    for _ in range(2):
        page = visitor.get("/deletion-queue")
        assert page.status == 500
        assert "the cause is in the service's log" in page.text
        assert "implementation" not in page.source


def test_a_part_of_a_page_is_no_sign_in(served: Visitor) -> None:
    answer = served.client.get("/numbers", headers={"HX-Request": "true"})
    assert answer.headers["hx-refresh"] == "true"
    assert "Secret access key" not in answer.text


def test_a_page_that_is_not_there_is_told_in_the_console(visitor: Visitor, served: Visitor) -> None:
    wanted = {"Accept": "text/html,*/*;q=0.8"}
    answer = visitor.client.get("/number", headers=wanted)
    assert answer.status_code == 404
    assert "There is no page /number." in answer.text
    assert "To the numbers" in answer.text
    answer = visitor.client.get("/_numberkeep/clocks")
    assert answer.status_code == 404
    assert answer.json()["message"].startswith("There is nothing at /_numberkeep/clocks on the admin port")
    assert served.client.get("/dev", headers=wanted, follow_redirects=False).headers["location"] == "/sign-in"


def test_what_is_still_being_read_is_waited_for() -> None:
    async def run() -> str:
        loop, asked = asyncio.get_running_loop(), []

        def read() -> str:
            asked.append(1)
            if len(asked) < 3:
                raise Awaited(lambda resume: threading.Timer(0.01, loop.call_soon_threadsafe, [resume]).start())  # type: ignore[arg-type]
            return "read"

        return await patiently(read)

    assert asyncio.run(run()) == "read"
