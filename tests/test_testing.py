"""A service in a test's own process: ``with numberkeep.running() as nk:``."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import httpsession
from botocore.config import Config
from botocore.exceptions import ClientError

import numberkeep
from numberkeep.testing import Numberkeep, Refused

E164 = "+12065550100"


@pytest.fixture(scope="module")
def shared() -> Iterator[Numberkeep]:
    with numberkeep.running() as one:
        yield one


@pytest.fixture
def nk(shared: Numberkeep) -> Numberkeep:
    shared.reset()
    return shared


def test_a_name_takes_three_days(nk: Numberkeep) -> None:
    assert nk.seed(E164, {"E164PhoneNumber": "+18005550100", "ProductType": "VoiceConnector"}) == [
        "%2B12065550100",
        "%2B18005550100",
    ]
    for name in ("chime", "chime-sdk-voice"):
        assert len(nk.client(name).list_phone_numbers()["PhoneNumbers"]) == 2
    nk.client().update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    nk.advance("71h")
    assert nk.client().get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["CallingNameStatus"] == "UpdateInProgress"
    nk.advance(hours=1)
    assert nk.client().get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["CallingName"] == "Acme"
    last = nk.history(E164)[0]
    assert last["change"]["calling_name"] == [None, "Acme"]
    assert len(nk.history(E164)) == 3


def test_time_passes_as_it_is_told(nk: Numberkeep) -> None:
    def ahead() -> timedelta:
        before = datetime.fromisoformat(nk.time)
        yield_to = [lambda: nk.advance("1h"), lambda: nk.advance(timedelta(hours=1)), lambda: nk.advance(minutes=60)]
        for act in yield_to:
            act()
        return datetime.fromisoformat(nk.time) - before

    assert timedelta(hours=3) <= ahead() < timedelta(hours=3, minutes=1)
    with pytest.raises(TypeError, match="not both"):
        nk.advance("1h", hours=1)
    with pytest.raises(Refused, match="duration such as"):
        nk.advance("soon")
    with pytest.raises(Refused, match="duration such as"):
        nk.advance(hours=-1)


def test_accounts_have_inventories_of_their_own(nk: Numberkeep) -> None:
    nk.seed(E164, account="1" * 12)
    assert nk.client().list_phone_numbers()["PhoneNumbers"] == []
    assert len(nk.client(account="1" * 12).list_phone_numbers()["PhoneNumbers"]) == 1
    assert nk.history(E164) == []
    assert len(nk.history(E164, account="1" * 12)) == 1


def test_what_is_asked_for_goes_wrong(nk: Numberkeep) -> None:
    nk.seed(E164)
    fault = nk.fault("GetPhoneNumber", error="ServiceFailureException")
    with pytest.raises(ClientError, match="ServiceFailureException"):
        nk.client(config=None).get_phone_number(PhoneNumberId=E164)
    assert fault.fired >= 1
    fault.remove()
    nk.client().get_phone_number(PhoneNumberId=E164)
    nk.fault(change="set_calling_name", carrier="refuse")
    nk.client().update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    nk.advance(days=4)
    assert nk.client().get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["CallingNameStatus"] == "UpdateFailed"
    with pytest.raises(Refused, match="operation cannot be 'Nothing': it must be one of"):
        nk.fault("Nothing", error="ServiceFailureException")


def test_a_fault_that_is_gone_says_so(nk: Numberkeep) -> None:
    fault = nk.fault("GetPhoneNumber", error="ServiceFailureException")
    nk.reset()
    with pytest.raises(Refused, match=f"There is no fault {fault.id} any more"):
        _ = fault.fired
    assert fault.id in repr(fault)


def test_an_error_says_what_it_is_told_to(nk: Numberkeep) -> None:
    nk.fault("UpdatePhoneNumber", error="BadRequestException", message="No.", code="PhoneNumberAssociationsExist")
    with pytest.raises(ClientError) as refused:
        nk.client().update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    assert refused.value.response["Code"] == "PhoneNumberAssociationsExist"
    assert refused.value.response["Message"] == "No."
    with pytest.raises(Refused, match="message and code go with error"):
        nk.fault("UpdatePhoneNumber", drop="before", message="No.")


def test_clients_of_anybodys_come_here_and_nowhere_else(nk: Numberkeep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAREAL")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "real")
    monkeypatch.delenv("AWS_REGION", raising=False)
    before = dict(os.environ)
    nk.seed(E164)
    with nk.redirect():
        assert boto3.client("chime").get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["E164PhoneNumber"] == E164
        assert boto3.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert dict(os.environ) == before
    assert boto3.client("chime", "us-east-1").meta.endpoint_url == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("ask", "error", "why"),
    [
        (lambda nk: nk.client(account="1"), Refused, "twelve digits. It is '1'"),
        (lambda nk: nk.seed(E164, account="abc"), Refused, "twelve digits"),
        (lambda nk: nk.history(E164, account="abc"), Refused, "twelve digits"),
        (lambda nk: nk.seed([E164]), TypeError, "one by one"),
        (lambda nk: nk.advance(72), TypeError, "hours=72"),
        (lambda nk: nk.advance(), TypeError, "hours=72"),
        (lambda nk: nk.restore("a/b"), Refused, "a/b"),
        (lambda nk: nk.requests(operation="GetPhoneNumbr"), Refused, "did you mean GetPhoneNumber[?]"),
        (lambda nk: nk.control("GET", "history"), Refused, "number is missing"),
        (
            lambda nk: Numberkeep("", "http://127.0.0.1:9").reset(),
            Refused,
            "Nobody answers at http://127.0.0.1:9: .*Is `numberkeep dev` running[?]",
        ),
    ],
)
def test_misuse_is_told(nk: Numberkeep, ask: Any, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        ask(nk)


@pytest.mark.parametrize(
    ("service", "options", "host"),
    [
        ("chime", {}, "chime.us-east-1.amazonaws.com"),
        ("chime-sdk-voice", {}, "voice-chime.us-east-1.amazonaws.com"),
        ("chime-sdk-voice", {"use_fips_endpoint": True}, "voice-chime-fips.us-east-1.amazonaws.com"),
        ("sts", {}, "sts.amazonaws.com"),
    ],
)
def test_a_client_that_was_made_before_does_not_ask_aws(
    nk: Numberkeep, service: str, options: dict[str, Any], host: str
) -> None:
    keys = {"aws_access_key_id": "AKIA", "aws_secret_access_key": "x"}
    early = boto3.client(service, region_name="us-east-1", config=Config(**options), **keys)
    if service == "sts":  # which is not the same in all versions
        host = early.meta.endpoint_url.removeprefix("https://")
    ask = early.get_caller_identity if service == "sts" else early.list_phone_numbers
    send = httpsession.URLLib3Session.send
    with nk.redirect(), pytest.raises(Refused, match=f"would ask {re.escape(host)}: make it in the test"):
        ask()
    with nk.redirect():
        assert httpsession.URLLib3Session.send is not send
        assert boto3.client(service).meta.endpoint_url == nk.url
    assert httpsession.URLLib3Session.send is send


def test_an_account_may_be_a_number(nk: Numberkeep) -> None:
    nk.seed(E164, account=111111111111)  # type: ignore[arg-type]
    assert len(nk.client(account=111111111111).list_phone_numbers()["PhoneNumbers"]) == 1  # type: ignore[arg-type]
    assert len(nk.control("GET", f"history?account=111111111111&number={E164}")["changes"]) == 1


def test_requests_are_told(nk: Numberkeep) -> None:
    with pytest.raises(ClientError):
        nk.client().get_phone_number(PhoneNumberId=E164)
    (request,) = nk.requests(operation="GetPhoneNumber", limit=1)
    assert (request["status"], request["error"]) == (404, "NotFoundException")


def test_everything_comes_back(nk: Numberkeep) -> None:
    nk.seed(E164)
    nk.snapshot("seeded")
    nk.client().delete_phone_number(PhoneNumberId=E164)
    nk.advance(days=8)
    nk.restore("seeded")
    assert nk.client().get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["Status"] == "Unassigned"
    with pytest.raises(Refused, match="There is no snapshot other; there are seeded"):
        nk.restore("other")


def test_what_is_no_number_is_refused(nk: Numberkeep) -> None:
    with pytest.raises(Refused, match=r"E\.164"):
        nk.seed(E164, "x")
    assert nk.client().list_phone_numbers()["PhoneNumbers"] == [], "all or none"


def test_several_run_side_by_side_and_other_carriers_serve_them(tmp_path: Path, nk: Numberkeep) -> None:
    carriers = tmp_path / "carriers.toml"
    carriers.write_text('default = "quick"\n[carriers.quick]\nkind = "simulated"\ncalling_name_hours = 1\n')
    nk.seed(E164)
    with numberkeep.running(carriers=carriers, empty=False) as other:
        other.client().update_phone_number(PhoneNumberId=E164, CallingName="Other")
        other.advance(hours=1)
        assert other.client().get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["CallingName"] == "Other"
        url = other.url
    assert nk.client().get_phone_number(PhoneNumberId=E164)["PhoneNumber"]["CallingNameStatus"] == "Unassigned"
    assert url != nk.url


def test_nobody_waits_for_the_service_who_does_not_use_it() -> None:
    script = "import numberkeep.pytest_plugin, sys; print([n for n in sys.modules if n.startswith('numberkeep.')])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "['numberkeep.pytest_plugin']"
