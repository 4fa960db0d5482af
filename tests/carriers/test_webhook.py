"""Systems of the operator's own, over real HTTP: they are asked, they call back, and they are told what happens."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from standardwebhooks import Webhook

from conftest import Service, Start
from numberkeep.cli import main
from numberkeep.domain.caller import root_of
from numberkeep.storage import store
from receiver import SECRET, Receiver, write_carriers

ACCOUNT = "123456789012"
E164, OTHER = "+12065550100", "+12065550101"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one


@pytest.fixture
def carried(start: Start, receiver: Receiver, tmp_path: Path) -> Service:
    """A service whose numbers the receiver serves."""
    text = (
        f'default = "own"\n[carriers.own]\nkind = "webhook"\nurl = "{receiver.url}/numbers"\nsecret_file = "secret"\n'
    )
    return start(database=tmp_path / "store.sqlite3", carriers=write_carriers(tmp_path, text + "sells = true\n"))


@pytest.fixture
def told(start: Start, receiver: Receiver, tmp_path: Path) -> Service:
    """A service that tells the receiver what happens to the numbers of one area code."""
    text = (
        'default = "simulated"\n[carriers.simulated]\nkind = "simulated"\n[subscribers.crm]\nnumbers = "+1206"\n'
        f'url = "{receiver.url}/events"\nsecret_file = "secret"\n'
    )
    return start(database=tmp_path / "store.sqlite3", carriers=write_carriers(tmp_path, text))


def order(service: Service, *e164s: str) -> str:
    made = service.client().create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=e164s)
    return str(made["PhoneNumberOrder"]["PhoneNumberOrderId"])


def status_of(service: Service, order_id: str) -> str:
    made = service.client().get_phone_number_order(PhoneNumberOrderId=order_id)
    return str(made["PhoneNumberOrder"]["Status"])


def number(service: Service, e164: str = E164) -> dict[str, Any]:
    found: dict[str, Any] = service.client().get_phone_number(PhoneNumberId=e164)["PhoneNumber"]
    return found


def run(service: Service, *command: str) -> Any:
    """What a command says about the service's store."""
    where = ["--database", f"sqlite:///{service.app.settings.database}", "--account", ACCOUNT]
    result = CliRunner().invoke(main, [*command, *where, "--output", "json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def call_back(
    service: Service,
    message: dict[str, Any],
    *,
    secret: str = SECRET,
    age: timedelta = timedelta(),
    name: str = "own",
    type: str = "number.settled",
    **more: str,
) -> httpx.Response:
    """Say what came of a change, as its carrier does."""
    body = json.dumps({"type": type, "data": {**message["data"], **more}})
    at = datetime.now(UTC) - age
    signed = Webhook(secret).sign("msg_1", at, body)
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signed}
    return service.admin.post(f"/carriers/{name}/answers", content=body, headers=headers)


def test_a_carrier_is_asked_for_every_change(carried: Service, receiver: Receiver) -> None:
    order_id = order(carried, E164)
    carried.advance("1s")
    assert status_of(carried, order_id) == "Successful"
    carried.client().update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    carried.advance("1s")
    assert number(carried)["CallingName"] == "Acme"
    listed = list(reversed(run(carried, "deliveries", "list")))
    carried.client().delete_phone_number(PhoneNumberId=E164)
    carried.advance("7d")
    kinds = ["number.order", "number.set_calling_name", "number.release"]
    assert receiver.told() == [(kind, E164) for kind in kinds]
    named = receiver.taken[1]
    assert named["data"] == {
        "id": named["id"],
        "account_id": ACCOUNT,
        "e164_phone_number": E164,
        "requested_at": named["timestamp"],
        "calling_name": "Acme",
    }
    assert [(one["type"], one["status"], one["attempts"]) for one in listed] == [
        (kind, "Delivered", 1) for kind in kinds[:2]
    ]
    assert [one["message_id"] for one in listed] == [message["id"] for message in receiver.taken[:2]]


def test_a_carrier_may_refuse(carried: Service, receiver: Receiver) -> None:
    receiver.answer = lambda message: (200, {"status": "refused", "reason": "ported away"})
    order_id = order(carried, E164)
    carried.advance("1s")
    assert (status_of(carried, order_id), number(carried)["Status"]) == ("Failed", "AcquireFailed")
    history = run(carried, "numbers", "history", E164)
    assert history[0]["change"]["reason"] == [None, "ported away"]


@pytest.mark.parametrize("answer", [b"", {}, {"status": "pending"}])
def test_a_carrier_may_call_back(carried: Service, receiver: Receiver, answer: Any) -> None:
    receiver.answer = lambda message: (202, answer)
    order_id = order(carried, E164)
    carried.advance("1s")
    (message,) = receiver.taken
    assert status_of(carried, order_id) == "Processing"
    assert call_back(carried, message, status="done").status_code == 204
    assert status_of(carried, order_id) == "Successful"
    assert call_back(carried, message, status="done").status_code == 404, "it is settled"
    by = run(carried, "numbers", "history", E164)[0]["arn"]
    assert by == f"arn:aws:chime::{ACCOUNT}:carrier/own"


def test_who_is_pending_is_asked_again(carried: Service, receiver: Receiver) -> None:
    receiver.answer = lambda message: (200, {"status": "pending", "ask_again_seconds": 60})
    order_id = order(carried, E164)
    carried.advance("119s")
    assert len(receiver.taken) == 2
    receiver.answer = lambda message: (200, {"status": "done"})
    carried.advance("1s")
    assert status_of(carried, order_id) == "Successful"
    assert len({message["id"] for message in receiver.taken}) == 1, "it is the same change"


def test_nobody_else_may_call_back(carried: Service, receiver: Receiver) -> None:
    receiver.answer = lambda message: (202, {})
    order_id = order(carried, E164)
    carried.advance("1s")
    (message,) = receiver.taken
    another = "whsec_" + "A" * 32
    assert call_back(carried, message, status="done", secret=another).status_code == 401
    assert call_back(carried, message, status="done", age=timedelta(minutes=6)).status_code == 401
    assert call_back(carried, message, status="done", name="other").status_code == 401
    assert carried.admin.post("/carriers/own/answers", json=message).status_code == 401
    assert call_back(carried, message, status="done", id="another").status_code == 404
    assert call_back(carried, message, status="done", account_id="1" * 12).status_code == 404
    assert call_back(carried, message, status="perhaps").status_code == 400
    assert call_back(carried, message, status="done", e164_phone_number="x").status_code == 400
    assert call_back(carried, message, status="done", more="x" * 70_000).status_code == 400
    assert status_of(carried, order_id) == "Processing"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((500, b"out of order"), "HTTP 500 out of order"),
        ((302, b""), "HTTP 302"),
        ((500, b"\0oops\n"), "HTTP 500 oops"),
        ((200, {"status": "x" * 100_000}), "the answer is none: Invalid enum value"),
        ((200, b"done"), "the answer is none: "),
        ((200, {"status": "perhaps"}), "the answer is none: Invalid enum value"),
        ((200, b"x" * 1_100_000), "the answer has more than 1048576 bytes"),
    ],
)
def test_what_is_no_answer_is_asked_for_again(carried: Service, receiver: Receiver, answer: Any, why: str) -> None:
    answers = [answer, answer, (200, {"status": "done"})]
    receiver.headers = {"location": f"{receiver.url}/elsewhere"}
    receiver.answer = lambda message: answers.pop(0)
    order_id = order(carried, E164)
    deadline = time.monotonic() + 30
    while not (pending := run(carried, "pending", "list"))[0]["failure"] and time.monotonic() < deadline:
        time.sleep(0.02)
    assert why in pending[0]["failure"]
    (noted,) = run(carried, "deliveries", "list")
    assert (noted["status"], why in noted["failure"]) == ("Pending", True)
    carried.advance("10s")
    assert status_of(carried, order_id) == "Successful"
    assert len({message["id"] for message in receiver.taken}) == 1
    (noted,) = run(carried, "deliveries", "list")
    assert (noted["status"], noted["attempts"], noted["failure"]) == ("Delivered", 3, None)


def test_a_carrier_that_is_not_there_is_asked_until_the_change_has_failed(carried: Service, receiver: Receiver) -> None:
    receiver.__exit__()
    order_id = order(carried, E164)
    carried.advance("1d")
    assert status_of(carried, order_id) == "Failed"
    reason = run(carried, "numbers", "history", E164)[0]["change"]["reason"][1]
    assert "failed to answer 20 times" in reason
    assert "ConnectError" in reason
    (noted,) = run(carried, "deliveries", "list")
    assert (noted["status"], noted["attempts"]) == ("Failed", 20)
    receiver.__init__()  # type: ignore[misc] - for the fixture's end
    receiver.__enter__()


def test_a_carrier_is_asked_what_it_sells(
    carried: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for_sale = [f"+1206555{line:04}" for line in (103, 101, 102)]
    receiver.answer = lambda message: (
        200,
        {"numbers": for_sale} if message["type"] == "numbers.search" else {"status": "done"},
    )
    chime = carried.client()
    found = chime.search_available_phone_numbers(AreaCode="206", MaxResults=2)
    assert found["E164PhoneNumbers"] == sorted(for_sale)[:2]
    assert receiver.taken[0]["data"] == {"area_code": "206", "country": "US"}
    more = chime.search_available_phone_numbers(AreaCode="206", MaxResults=2, NextToken=found["NextToken"])
    assert more["E164PhoneNumbers"] == sorted(for_sale)[2:]
    assert len(receiver.taken) == 1, "what was offered is remembered for a while"
    order(carried, sorted(for_sale)[0])
    assert chime.search_available_phone_numbers(AreaCode="206")["E164PhoneNumbers"] == sorted(for_sale)[1:]
    receiver.answer = lambda message: (503, b"")
    with monkeypatch.context() as hasty:
        hasty.setattr("numberkeep.carriers.webhook.FAILED_OFFERS_SECONDS", 1)
        assert chime.search_available_phone_numbers(AreaCode="253")["E164PhoneNumbers"] == []
    receiver.answer = lambda message: (200, {"numbers": ["+12535550101"]})
    until = time.monotonic() + 10
    while not (found := chime.search_available_phone_numbers(AreaCode="253")["E164PhoneNumbers"]):
        assert time.monotonic() < until, "who has failed is asked again soon"
        time.sleep(0.1)
    assert found == ["+12535550101"]


def test_a_seller_that_fails_holds_up_no_search_of_another_s(start: Start, receiver: Receiver, tmp_path: Path) -> None:
    """Though that one takes its time: what the first had, nothing, is still known when the second answers."""
    seller = 'kind = "webhook"\nsecret_file = "secret"\nsells = true\n'
    text = f'default = "own"\n[carriers.own]\n{seller}url = "{receiver.url}"\n'
    text += f'[carriers.away]\n{seller}url = "http://127.0.0.1:9"\n[[routes]]\nnumbers = "+1253"\ncarrier = "away"\n'
    service = start(database=tmp_path / "store.sqlite3", carriers=write_carriers(tmp_path, text))

    def answer(message: Any) -> tuple[int, Any]:
        time.sleep(3)
        return 200, {"numbers": [E164]}

    receiver.answer = answer
    assert service.client().search_available_phone_numbers(AreaCode="206")["E164PhoneNumbers"] == [E164]
    assert len(receiver.taken) == 1


def test_a_carrier_is_asked_once_by_all_who_search_for_the_same(carried: Service, receiver: Receiver) -> None:
    together = threading.Barrier(4)

    def answer(message: Any) -> tuple[int, Any]:
        time.sleep(0.5)
        return 200, {"numbers": [E164]}

    receiver.answer = answer

    def search(_: int) -> Any:
        chime = carried.client()
        together.wait()
        return chime.search_available_phone_numbers(AreaCode="206")["E164PhoneNumbers"]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(search, range(4))) == [[E164]] * 4
    assert [message["type"] for message in receiver.taken] == ["numbers.search"]


def test_subscribers_are_told_in_order_what_happens(told: Service, receiver: Receiver) -> None:
    order(told, E164, "+12535550100")
    told.advance("4s")
    chime = told.client()
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    told.advance("72h")
    chime.update_phone_number(PhoneNumberId=E164, ProductType="BusinessCalling")
    chime.delete_phone_number(PhoneNumberId=E164)
    chime.restore_phone_number(PhoneNumberId=E164)
    chime.delete_phone_number(PhoneNumberId=E164)
    told.advance("7d")
    happened = "ordered acquired changed calling_name_settled changed deleted restored deleted changed released"
    assert receiver.told() == [(f"phone_number.{event}", E164) for event in happened.split()]
    assert receiver.taken[4]["data"]["change"]["product_type"] == ["VoiceConnector", "BusinessCalling"]
    assert receiver.taken[4]["data"]["arn"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert len({message["id"] for message in receiver.taken}) == 10


def test_a_message_that_does_not_arrive_holds_up_those_about_the_same_number(told: Service, receiver: Receiver) -> None:
    """And no others; nothing is lost, and the order stays."""
    lost = threading.Event()
    receiver.answer = lambda message: (
        (200, b"") if lost.is_set() or message["data"]["e164_phone_number"] == OTHER else (500, b"")
    )
    for e164 in (E164, OTHER):
        told.seed({"E164PhoneNumber": e164, "ProductType": "VoiceConnector"})
    for name in ("one", "two"):
        for e164 in (E164, OTHER):
            told.client("chime-sdk-voice").update_phone_number(PhoneNumberId=e164, Name=name)
    told.advance("1s")

    def arrived(e164: str) -> list[str]:
        return [
            one["type"]
            for one in reversed(run(told, "deliveries", "list", "--status", "Delivered"))
            if one["e164_phone_number"] == e164
        ]

    expected = ["phone_number.added", "phone_number.changed", "phone_number.changed"]
    assert arrived(OTHER) == expected
    assert arrived(E164) == []
    assert {message["type"] for message in receiver.taken if message["data"]["e164_phone_number"] == E164} == {
        expected[0]
    }
    waiting = run(told, "deliveries", "list", "--status", "Waiting")
    assert [one["e164_phone_number"] for one in waiting] == [E164, E164]
    lost.set()
    told.advance("1h")
    assert arrived(E164) == expected


def test_a_message_that_was_given_up_can_be_sent_again(told: Service, receiver: Receiver) -> None:
    receiver.answer = lambda message: (500, b"")
    told.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    told.advance("1d")
    (failed,) = run(told, "deliveries", "list", "--status", "Failed")
    assert failed["attempts"] == 20
    receiver.answer = lambda message: (200, b"")
    options = ["--database", f"sqlite:///{told.app.settings.database}", "--account", ACCOUNT]
    assert CliRunner().invoke(main, ["deliveries", "retry", *options, failed["message_id"]]).exit_code == 0
    told.advance("1s")
    (one,) = run(told, "deliveries", "list")
    assert (one["status"], one["message_id"]) == ("Delivered", failed["message_id"])
    assert one["data"] == receiver.taken[-1]["data"]
    again = CliRunner().invoke(main, ["deliveries", "retry", *options, failed["message_id"]])
    assert (again.exit_code, "no message" in again.stderr) == (1, True)
    told.advance("8d")
    assert run(told, "deliveries", "list") == [], "what is over is forgotten"


def test_a_subscriber_that_is_named_no_longer_is_sent_nothing_again(told: Service, receiver: Receiver) -> None:
    receiver.answer = lambda message: (500, b"")
    told.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    told.advance("1m")
    assert [one["status"] for one in run(told, "deliveries", "list", "--failing")] == ["Pending"]
    told.advance("1d")
    told.run(told.app.store.transact(root_of(""), store.put, store.SUBSCRIBERS, "{}"))
    options = ["--database", f"sqlite:///{told.app.settings.database}", "--account", ACCOUNT]
    again = CliRunner().invoke(main, ["deliveries", "retry", *options, "--receiver", "crm"])
    assert (again.exit_code, "There is no subscriber crm any more" in again.stderr) == (1, True)
    assert [one["status"] for one in run(told, "deliveries", "list", "--failing")] == ["Failed"]


def test_a_question_that_was_answered_otherwise_fails_no_more(carried: Service, receiver: Receiver) -> None:
    receiver.answer = lambda message: (500, b"")
    order(carried, E164, OTHER)
    carried.advance("10s")
    where = ["--database", f"sqlite:///{carried.app.settings.database}", "--account", ACCOUNT]
    assert CliRunner().invoke(main, ["pending", "settle", *where, E164, "--succeed"]).exit_code == 0
    message = next(one for one in receiver.taken if one["data"]["e164_phone_number"] == OTHER)
    assert call_back(carried, message, type="x", status="done").status_code == 400
    assert call_back(carried, message, status="done").status_code == 204
    listed = run(carried, "deliveries", "list")
    assert {(one["status"], one["failure"]) for one in listed} == {("Failed", "somebody has said what came of it")}


def test_a_carrier_that_is_mended_is_asked_now(carried: Service, receiver: Receiver) -> None:
    receiver.answer = lambda message: (500, b"")
    order(carried, E164)
    carried.advance("30m")
    options = ["--database", f"sqlite:///{carried.app.settings.database}", "--account", ACCOUNT]
    wrong = CliRunner().invoke(main, ["pending", "retry", *options])
    assert (wrong.exit_code, "either a number or, with --all" in wrong.stderr) == (2, True)
    receiver.answer = lambda message: (200, {"status": "done"})
    carried.advance("1s")
    assert number(carried)["Status"] == "AcquireInProgress", "it is asked later and later"
    sql = "UPDATE pending_changes SET due_at = '2999-01-01T00:00:00.000Z'"  # the clock of dev is ahead of the shell's
    carried.run(carried.app.store.transact(root_of(""), lambda tx: tx.write(sql, ())))
    again = CliRunner().invoke(main, ["pending", "retry", *options, E164])
    assert again.output == "1 change is asked for again.\n", again.stderr
    carried.advance("1s")
    assert number(carried)["Status"] == "Unassigned"
    nothing = CliRunner().invoke(main, ["pending", "retry", *options, "--all"])
    assert (nothing.exit_code, "Nothing is pending of any number" in nothing.stderr) == (1, True)


def test_an_order_says_what_it_is_for(carried: Service, receiver: Receiver) -> None:
    order_id = order(carried, E164)
    carried.advance("1s")
    (message,) = receiver.taken
    assert (message["data"]["product_type"], message["data"]["order_id"]) == ("VoiceConnector", order_id)


def test_a_secret_is_exchanged_for_another(start: Start, tmp_path: Path) -> None:
    """With both in the file either side may be the first."""
    other = "whsec_" + base64.b64encode(b"another secret of 24 bytes").decode()
    with Receiver() as receiver:
        text = f'default = "own"\n[carriers.own]\nkind = "webhook"\nurl = "{receiver.url}"\nsecret_file = "secret"\n'
        carriers = write_carriers(tmp_path, text)
        (tmp_path / "secret").write_text(f"{other}\n{SECRET}\n")
        receiver.answer = lambda message: (202, b"")
        service = start(database=tmp_path / "store", carriers=carriers)
        order(service, E164)
        service.advance("1s")
        assert receiver.told() == [("number.order", E164)], "who knows the old one alone takes it"
        for secret, status in ((other, 204), (SECRET, 404)):
            assert call_back(service, receiver.taken[0], secret=secret, status="done").status_code == status


def test_the_log_tells_when_a_subscriber_fails_and_when_it_is_back(
    told: Service, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Not of every message: there may be a hundred thousand."""
    receiver.answer = lambda message: (500, b"")
    told.seed(*({"E164PhoneNumber": f"+1206555010{n}", "ProductType": "VoiceConnector"} for n in range(5)))
    told.advance("1m")
    assert caplog.text.count("crm fails, and is asked again") == 1
    assert "answers again" not in caplog.text
    receiver.answer = lambda message: (200, b"")
    told.advance("1h")
    assert caplog.text.count("crm answers again; it was asked") == 1


def test_messages_to_a_subscriber_that_is_named_no_longer_are_given_up(
    told: Service, receiver: Receiver, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answer = lambda message: (500, b"")
    told.seed({"E164PhoneNumber": E164, "ProductType": "VoiceConnector"})
    told.advance("1s")
    told.stop()
    without = start(database=told.app.settings.database)
    assert "`numberkeep deliveries retry --receiver crm` sends them" in caplog.text
    without.advance("1h")
    (one,) = run(without, "deliveries", "list")
    assert (one["status"], one["failure"]) == ("Failed", "there is no subscriber crm any more")
    assert one["attempts"] < 5


def test_all_messages_to_a_subscriber_can_be_sent_again(
    told: Service, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("numberkeep.cli.deliveries.MESSAGES_AT_ONCE", 2)
    receiver.answer = lambda message: (500, b"")
    told.seed(*({"E164PhoneNumber": f"+1206555010{n}", "ProductType": "VoiceConnector"} for n in range(5)))
    told.advance("1d")
    receiver.answer = lambda message: (200, b"")
    options = ["--database", f"sqlite:///{told.app.settings.database}", "--account", ACCOUNT]
    for neither_or_both in ([], [""], ["msg_1", "--receiver", "crm"]):
        assert CliRunner().invoke(main, ["deliveries", "retry", *options, *neither_or_both]).exit_code == 2
    result = CliRunner().invoke(main, ["deliveries", "retry", *options, "--receiver", "crm"])
    assert (result.exit_code, result.stdout) == (0, "5 messages are sent again.\n")
    told.advance("1s")
    assert [one["status"] for one in run(told, "deliveries", "list")] == ["Delivered"] * 5
    result = CliRunner().invoke(main, ["deliveries", "retry", *options, "--receiver", "crm"])
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: The account {ACCOUNT} has no message to crm that was given up.\n",
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("url = 'ftp://x'", "carriers.own: Expected `str` matching regex '^https?://"),
        ("url = 'https://a b/'", "The url of own, https://a b/, cannot be used: 'a%20b' is no host."),
        ("url = 'https://x:port/'", "The url of own, https://x:port/, cannot be used: Invalid port: 'port'."),
        ("url = 'https://xn--a.com/'", "The url of own, https://xn--a.com/, cannot be used: Codepoint"),
        ("secret_file = 'nowhere'", "nowhere, cannot be used: [Errno 2]"),
        ("secret_file = 'empty'", "empty, cannot be used: it must hold whsec_ and 24 random bytes"),
        ("secret_file = 'broken'", "broken, cannot be used: it must hold whsec_ and 24 random bytes"),
        (
            "[subscribers.own]\nurl = 'http://x'\nsecret_file = 'secret'",
            "own is the name of a carrier and of a subscriber",
        ),
        (
            "[subscribers.crm]\nurl = 'http://x'\nsecret_file = 'secret'\nevents = ['phone_number.eaten']",
            "subscribers.crm: Invalid enum value 'phone_number.eaten' - at `$.events[0]`",
        ),
    ],
)
def test_what_is_wrong_with_the_file_is_told_at_the_start(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "empty").write_text("whsec_")
    (tmp_path / "broken").write_text("whsec_abc")
    given = {"url": "'http://x'", "secret_file": "'secret'"}
    lines = [f"{name} = {value}" for name, value in given.items() if not text.startswith(name)]
    path = write_carriers(tmp_path, "\n".join(['default = "own"', "[carriers.own]", 'kind = "webhook"', *lines, text]))
    result = CliRunner().invoke(main, ["dev", "--memory", "--carriers", str(path), "--port", "0", "--admin-port", "0"])
    assert result.exit_code == 1
    assert why in result.stderr


def test_who_does_not_answer_holds_up_nobody_else(start: Start, receiver: Receiver, tmp_path: Path) -> None:
    """A subscriber takes a hundred messages and says nothing; a carrier that answers is asked all the same."""
    end = threading.Event()

    def answer(message: dict[str, Any]) -> Any:
        if message["type"].startswith("phone_number."):
            end.wait(60)
        return 200, {"status": "done"}

    receiver.answer = answer
    text = (
        f'default = "own"\n[carriers.own]\nkind = "webhook"\nurl = "{receiver.url}/numbers"\nsecret_file = "secret"\n'
        f'[subscribers.crm]\nurl = "{receiver.url}/events"\nsecret_file = "secret"\n'
    )
    service = start(carriers=write_carriers(tmp_path, text))
    service.seed(*[{"E164PhoneNumber": f"+1253555{n:04}", "ProductType": "VoiceConnector"} for n in range(100, 350)])
    deadline = time.monotonic() + 20
    while len(receiver.taken) < 20 and time.monotonic() < deadline:
        time.sleep(0.02)
    order_id = order(service, E164)
    while status_of(service, order_id) == "Processing" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert status_of(service, order_id) == "Successful"
    end.set()


def test_no_secret_of_an_address_is_logged(
    start: Start, receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether somebody refuses there, or nobody is there."""
    caplog.set_level("INFO")
    text = f'default = "own"\n[[routes]]\nnumbers = "{OTHER}"\ncarrier = "away"\n'
    for name, address in (("own", receiver.url), ("away", "http://127.0.0.1:9")):
        url = address.replace("://", "://me:hunter2@")
        text += f'[carriers.{name}]\nkind = "webhook"\nurl = "{url}/?token=s3cr3t"\nsecret_file = "secret"\n'
    service = start(carriers=write_carriers(tmp_path, text))
    receiver.answer = lambda message: (500, b"")
    order(service, E164, OTHER)
    service.advance("1m")
    assert "own fails" in caplog.text
    assert "away fails" in caplog.text
    assert "hunter2" not in caplog.text
    assert "s3cr3t" not in caplog.text


def test_subscribers_are_told_of_what_is_done_at_the_shell(told: Service, receiver: Receiver) -> None:
    """While the server runs, by a command that knows nothing of them."""
    order(told, "+12065550198")
    where = ["--database", f"sqlite:///{told.app.settings.database}", "--account", ACCOUNT]
    settled = CliRunner().invoke(main, ["pending", "settle", *where, "+12065550198", "--succeed"])
    assert settled.exit_code == 0, settled.output
    told.advance("1s")
    assert receiver.told() == [(f"phone_number.{event}", "+12065550198") for event in ("ordered", "acquired")]
