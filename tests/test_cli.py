"""The program as its users start it: a process of its own."""

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

from certificates import make_certificate

PROGRAM = [sys.executable, "-m", "numberkeep"]
ACCOUNT = "123456789012"


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **environment}
    )


@contextmanager
def running(*arguments: str, **options: Any) -> Iterator[tuple["subprocess.Popen[str]", str, str]]:
    """A started program, the URL of its API and that of its admin port, once it says that it is ready."""
    command = [*options.pop("program", PROGRAM), *arguments, "--port", "0", "--admin-port", "0"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE if arguments[0] == "serve" else None}
    with subprocess.Popen(command, text=True, **{**pipes, **options}) as process:
        says = process.stderr or process.stdout
        assert says
        try:
            api = next(filter(None, (re.search(r" at (https?://\S+)", line) for line in says)), None)
            admin = re.search(r"http://\S+", says.readline())
            assert api, "the program ended before it was ready"
            assert admin
            yield process, api[1], admin[0].removesuffix("/health")
        finally:
            process.kill()


def client(url: str, key_id: str = ACCOUNT, secret: str = "secret", **options: Any) -> Any:
    return boto3.client(
        options.pop("name", "chime"),
        endpoint_url=url,
        region_name=options.pop("region_name", "us-east-1"),
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        config=Config(retries={"total_max_attempts": 1}, **options),
    )


def test_dev_says_where_it_is_and_what_to_try(tmp_path: Path) -> None:
    with running("dev", "--data", str(tmp_path)) as (process, url, admin):
        assert process.stdout
        assert process.stdout.readline().startswith("Console: http://")
        assert process.stdout.readline() == "Try:\n"
        command = "".join(process.stdout.readline() for _ in range(3)).replace("\\\n", "")
        assert "aws chime update-phone-number" in command
        assert f"--endpoint-url {url}" in command
        assert "--phone-number-id +12065550100" in command
        number = client(url).update_phone_number(PhoneNumberId="+12065550100", ProductType="BusinessCalling")
        assert number["PhoneNumber"]["ProductType"] == "BusinessCalling"
        assert httpx.get(f"{admin}/health").json()["status"] == "ok"
    assert (tmp_path / "numberkeep.sqlite3").exists()


def test_dev_listens_on_loopback_only(tmp_path: Path) -> None:
    with running("dev", "--memory") as (process, url, admin):
        listening = subprocess.run(["cat", f"/proc/{process.pid}/net/tcp"], capture_output=True, text=True).stdout
        ports = {int(re.findall(r":(\d+)", address)[-1]) for address in (url, admin.removesuffix("/_numberkeep"))}
        found = {
            int(port, 16): address
            for address, port in re.findall(r"\d+: ([0-9A-F]{8}):([0-9A-F]{4}) 00000000:0000 0A", listening)
        }
        assert {found[port] for port in ports} == {"0100007F"}


def test_dev_in_memory_leaves_nothing(tmp_path: Path) -> None:
    with running("dev", "--memory", "--empty", cwd=tmp_path) as (process, url, _):
        assert client(url).list_phone_numbers()["PhoneNumbers"] == []
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert list(tmp_path.iterdir()) == []


def test_any_key_is_an_account_in_dev(tmp_path: Path) -> None:
    with running("dev", "--memory") as (_, url, _):
        for key_id, count in [("test", 6), (ACCOUNT, 6), ("210987654321", 0), ("AKIAIOSFODNN7EXAMPLE", 6)]:
            assert len(client(url, key_id).list_phone_numbers()["PhoneNumbers"]) == count, key_id


def test_dev_verifies_when_it_is_told_to(tmp_path: Path) -> None:
    with running("dev", "--memory", "--verify") as (process, url, _):
        assert process.stdout
        text = "".join(process.stdout.readline() for _ in range(4))
        key_id, secret = re.findall(r"AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY)=(\S+)", text)
        assert client(url, key_id, secret).list_phone_numbers()["PhoneNumbers"]
        for wrong in [(key_id, "wrong"), ("test", "test")]:
            with pytest.raises(ClientError, match=r"InvalidSignature|UnrecognizedClient"):
                client(url, *wrong).list_phone_numbers()


def create_key(database: str, account: str = ACCOUNT) -> tuple[str, str]:
    made = run(
        "keys", "create", "--account", account, "--name", "alice", "--output", "json", NUMBERKEEP_DATABASE=database
    )
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)
    assert key["Arn"] == f"arn:aws:iam::{account}:user/alice"
    return key["AccessKeyId"], key["SecretAccessKey"]


def test_a_key_is_made_for_people_too(database: str) -> None:
    made = run("keys", "create", "--database", database, "--account", ACCOUNT, "--name", "alice")
    assert re.fullmatch(r"AWS_ACCESS_KEY_ID=AKIA[A-Z2-7]{16}\nAWS_SECRET_ACCESS_KEY=[\w-]{40}\n", made.stdout)
    assert "not shown again" in made.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--account", "12", "--name", "alice"], "twelve digits"),
        (["--account", ACCOUNT, "--name", "al ice"], "1 to 64 letters"),
        (["--account", ACCOUNT, "--name", "alice", "--database", "mysql://x"], "sqlite:///FILE"),
        (["--account", ACCOUNT, "--name", "alice", "--database", "sqlite:////nowhere/at/all"], "/nowhere/at does not"),
        (["--account", ACCOUNT, "--name", "alice", "--database", "sqlite:///:memory:"], "dev --memory"),
        (["--account", ACCOUNT, "--name", "alice", "--database", "sqlite:////proc/version"], "cannot be opened"),
    ],
)
def test_a_key_that_cannot_be_made(database: str, arguments: list[str], message: str) -> None:
    made = run("keys", "create", *arguments, NUMBERKEEP_DATABASE=database)
    assert made.returncode != 0
    assert message in made.stderr
    assert "Traceback" not in made.stderr


def test_serve_knows_its_keys(database: str) -> None:
    key_id, secret = create_key(database)
    with running("serve", "--database", database) as (_, url, admin):
        chime = client(url, key_id, secret)
        assert chime.list_phone_numbers()["PhoneNumbers"] == [], "no demonstration in production"
        late = create_key(database, "210987654321")
        assert client(url, *late).list_phone_numbers()["PhoneNumbers"] == []
        cases: list[tuple[str, str, dict[str, Any], str]] = [
            (key_id, "wrong", {}, "InvalidSignatureException"),
            ("AKIAUNKNOWN", secret, {}, "UnrecognizedClientException"),
            (key_id, secret, {"region_name": "mars-north-1"}, "InvalidSignatureException"),
        ]
        for one_id, one_secret, options, error in cases:
            with pytest.raises(ClientError) as refused:
                client(url, one_id, one_secret, **options).list_phone_numbers()
            assert refused.value.response["Error"]["Code"] == error
        assert httpx.get(f"{admin}/health").status_code == 200
        assert httpx.get(f"{admin}/clock").status_code == 404
        assert httpx.post(f"{admin}/reset").status_code == 404


def test_a_second_interrupt_waits_for_nobody(tmp_path: Path) -> None:
    with running("dev", "--memory", "--empty") as (process, url, admin):
        fault = {"operation": "*", "delay_ms": 60_000}
        httpx.post(f"{admin}/faults", json=fault).raise_for_status()
        with ThreadPoolExecutor() as threads:
            asked = threads.submit(client(url).list_phone_numbers)
            while httpx.get(f"{admin}/faults").json()["faults"][0]["fired"] == 0:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            time.sleep(0.5)
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            assert process.wait(30) == 0
            assert time.monotonic() - began < 8
            with pytest.raises(ConnectionClosedError):
                asked.result()


def test_a_port_that_is_taken_makes_no_store(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        ended = run("dev", "--data", str(tmp_path), "--port", str(taken.getsockname()[1]), "--admin-port", "0")
    assert ended.returncode == 1
    assert list(tmp_path.iterdir()) == []


def test_what_began_empty_stays_so(tmp_path: Path) -> None:
    for options, count in ((["--empty"], 0), ([], 0)):
        with running("dev", "--data", str(tmp_path), *options) as (_, url, _):
            assert len(client(url).list_phone_numbers()["PhoneNumbers"]) == count
    with running("dev", "--data", str(tmp_path / "other")) as (_, url, _):
        assert len(client(url).list_phone_numbers()["PhoneNumbers"]) > 0


def test_serve_refuses_a_store_whose_clock_was_moved(tmp_path: Path) -> None:
    with running("dev", "--data", str(tmp_path)) as (_, _, admin):
        httpx.post(f"{admin}/clock", json={"advance": "49h"}).raise_for_status()
    with running("dev", "--data", str(tmp_path)) as (process, _, _):
        assert process.stdout
        assert any(line.startswith("Clock: 2 days, 1:00:") for line in process.stdout), "and dev says that it is ahead"
    ended = run(
        "serve", "--database", f"sqlite:///{tmp_path / 'numberkeep.sqlite3'}", "--port", "0", "--admin-port", "0"
    )
    assert ended.returncode != 0
    assert "clock was moved by numberkeep dev" in ended.stderr


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_a_port_that_is_taken_is_said(option: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        other = "--admin-port" if option == "--port" else "--port"
        port = taken.getsockname()[1]
        ended = run("dev", "--memory", option, str(port), other, "0")
    assert ended.returncode != 0
    assert ended.stderr == f"Error: Cannot listen on 127.0.0.1:{port}: Address already in use (see {option}).\n"


def test_a_host_that_is_not_known_is_said(tmp_path: Path) -> None:
    ended = run("serve", "--database", f"sqlite:///{tmp_path / 'store'}", "--host", "nowhere.invalid", "--port", "0")
    assert ended.returncode != 0
    assert re.search(r"Cannot listen on nowhere\.invalid:0: [\w ]+ \(see --port\)\.", ended.stderr)
    assert "Unknown error" not in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dev", "--memory", "--port", "99999"], "not in the range"),
        (["dev", "--data", "/proc/version"], "cannot be a directory"),
        (["dev", "--data", "x", "--memory"], "--memory keeps nothing"),
        (["dev", "--port", "9", "--admin-port", "9"], "--port and --admin-port are both 9"),
        (["serve", "--database", "sqlite:///x", "--order-seconds", "nan"], "not a valid integer"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_line(arguments: list[str], message: str) -> None:
    ended = run(*arguments)
    assert ended.returncode == 2
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_store_has_one_server(tmp_path: Path) -> None:
    with running("dev", "--data", str(tmp_path)):
        ended = run("dev", "--data", str(tmp_path), "--port", "0", "--admin-port", "0")
        assert ended.returncode != 0
        assert "is served by another process already" in ended.stderr
    with running("dev", "--data", str(tmp_path)) as (_, url, _):
        assert client(url).list_phone_numbers()["PhoneNumbers"]


def test_a_terminated_server_ends_and_keeps_what_it_has(database: str) -> None:
    key_id, secret = create_key(database)
    with running("serve", "--database", database) as (process, url, _):
        chime = client(url, key_id, secret)
        chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550100"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr
        assert "stopping" in process.stderr.read()
        with pytest.raises(EndpointConnectionError):
            chime.list_phone_numbers()
    with running("serve", "--database", database) as (_, url, _):
        assert len(client(url, key_id, secret).list_phone_numbers()["PhoneNumbers"]) == 1


def test_what_is_answered_outlives_a_kill(database: str) -> None:
    key_id, secret = create_key(database)
    settled: dict[str, str] = {}
    with running("serve", "--database", database, "--order-seconds", "0") as (process, url, _):
        chime = client(url, key_id, secret)
        e164s = [f"+1206555{n:04}" for n in range(100, 150)]
        chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=e164s)
        until = time.monotonic() + 30
        while chime.list_phone_numbers(Status="AcquireInProgress")["PhoneNumbers"] and time.monotonic() < until:
            time.sleep(0.05)
        for n in range(100):
            product_type = ("BusinessCalling", "SipMediaApplicationDialIn")[n // 50]
            answer = chime.update_phone_number(PhoneNumberId=e164s[n % 50], ProductType=product_type)["PhoneNumber"]
            settled[answer["E164PhoneNumber"]] = answer["ProductType"]
            if n == 80:
                process.kill()
                break
    with running("serve", "--database", database) as (_, url, _):
        numbers = client(url, key_id, secret).list_phone_numbers(MaxResults=99)["PhoneNumbers"]
        assert {number["E164PhoneNumber"]: number["ProductType"] for number in numbers} == settled


def test_the_version_is_told() -> None:
    assert re.fullmatch(r"numberkeep, version \d+\.\d+\.\d+\n", run("--version").stdout)


def test_serve_keeps_a_trail_on_standard_output(database: str) -> None:
    key_id, secret = create_key(database)
    with running("serve", "--database", database) as (process, url, _):
        client(url, key_id, secret).list_phone_numbers()
        with pytest.raises(ClientError):
            client(url, key_id, "wrong").list_phone_numbers()
        assert process.stdout
        records = [json.loads(process.stdout.readline()) for _ in range(2)]
    assert [record["eventName"] for record in records] == ["ListPhoneNumbers"] * 2
    assert [record["errorCode"] for record in records] == [None, "InvalidSignatureException"]
    assert records[0]["userIdentity"]["userName"] == "alice"
    assert records[0]["sourceIPAddress"] == "127.0.0.1"
    assert secret not in json.dumps(records)


def test_serve_keeps_a_trail_in_a_file(database: str, tmp_path: Path) -> None:
    key_id, secret = create_key(database)
    trail = tmp_path / "trail.log"
    options = ["--trail", str(trail), "--trail-file-bytes", "1024", "--trail-files", "2"]
    with running("serve", "--database", database, *options) as (process, url, _):
        for _ in range(4):
            client(url, key_id, secret).list_phone_numbers()
            time.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    kept = [path for path in (trail, Path(f"{trail}.1"), Path(f"{trail}.2")) if path.exists()]
    assert len(kept) == 3
    assert all(json.loads(line)["eventName"] for path in kept for line in path.read_text().splitlines())


def test_serve_believes_its_proxy_and_nobody_else(database: str) -> None:
    def claim(request: Any, **_: Any) -> None:
        request.headers["X-Forwarded-For"] = "192.0.2.7"

    key_id, secret = create_key(database)
    for trusted, seen in (["--trusted-proxy", "127.0.0.0/8"], "192.0.2.7"), ([], "127.0.0.1"):
        with running("serve", "--database", database, *trusted) as (process, url, _):
            chime = client(url, key_id, secret)
            chime.meta.events.register("before-send", claim)
            chime.list_phone_numbers()
            assert process.stdout
            assert json.loads(process.stdout.readline())["sourceIPAddress"] == seen


def test_serve_speaks_tls_and_reads_its_certificate_again(database: str, tmp_path: Path) -> None:
    key_id, secret = create_key(database)
    cert, key = make_certificate(tmp_path)
    options = ["--tls-cert", str(cert), "--tls-key", str(key), "--trail", "none"]
    with running("serve", "--database", database, *options) as (process, url, _):
        assert url.startswith("https://")

        def names() -> str:
            address = url.removeprefix("https://").split(":")
            return ssl.get_server_certificate((address[0], int(address[1])))

        chime = boto3.client(
            "chime",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            verify=str(cert),
        )
        assert chime.list_phone_numbers()["PhoneNumbers"] == []
        assert names() == cert.read_text()
        make_certificate(tmp_path)  # another one, in the same files
        process.send_signal(signal.SIGHUP)
        until = time.monotonic() + 20
        while names() != cert.read_text():
            assert time.monotonic() < until
            time.sleep(0.05)
        cert.write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert "BEGIN CERTIFICATE" in names(), "what cannot be read is not used"


def test_a_start_is_not_ended_by_who_wants_the_certificate_read_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x?sslmode=disable"
        command = [
            sys.executable,
            "-m",
            "numberkeep",
            "serve",
            "--database",
            database,
            "--port",
            "0",
            "--admin-port",
            "0",
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            silent.settimeout(30)
            asking, _ = silent.accept()
            process.send_signal(signal.SIGHUP)
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.5)
            process.kill()
            asking.close()


def test_a_secret_key_of_dev_that_is_damaged_is_said(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("nonsense")
    command = [sys.executable, "-m", "numberkeep", "dev", "--data", str(tmp_path), "--port", "0", "--admin-port", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: A secret key has 64 hexadecimal digits")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tls-cert", "/dev/null"], "go together"),
        (["--tls-cert", "/dev/null", "--tls-key", "/dev/null"], "certificate cannot be used"),
        (["--trusted-proxy", "here"], "does not appear to be an IPv4 or IPv6"),
        (["--quota", "wishes=3"], "is no quota"),
        (["--trail", "/nowhere/trail.log"], "trail cannot be written"),
    ],
)
def test_serve_says_what_it_cannot_do(database: str, options: list[str], message: str) -> None:
    ended = run("serve", "--database", database, "--port", "0", "--admin-port", "0", *options)
    assert ended.returncode != 0
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_serve_limits_what_an_account_asks(database: str) -> None:
    key_id, secret = create_key(database)
    with running("serve", "--database", database, "--trail", "none", "--rate", "0.01") as (_, url, _):
        chime = client(url, key_id, secret)
        chime.list_phone_numbers()
        with pytest.raises(chime.exceptions.ThrottledClientException, match="Rate exceeded"):
            chime.list_phone_numbers()
        chime.list_phone_number_orders()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell: str) -> None:
    assert f"_NUMBERKEEP_COMPLETE={shell}_complete" in run("completion", shell).stdout
    word = {"COMP_WORDS": "numberkeep num", "COMP_CWORD": "num" if shell == "fish" else "1"}
    offered = run(_NUMBERKEEP_COMPLETE=f"{shell}_complete", **word)
    assert "numbers" in offered.stdout


def test_serve_is_told_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "numberkeep.toml"
    file.write_text(f'database = "sqlite:///{tmp_path}/store"\ntrail = ["{tmp_path}/trail"]\n')
    with running("--config", str(file), "serve", stderr=subprocess.PIPE):
        assert (tmp_path / "store").exists()
        assert (tmp_path / "trail").exists()


def test_who_serves_waits_for_no_more_than_serving_takes() -> None:
    """What is imported late is not imported by the way."""
    known = modules_after("numberkeep.cli.serving")
    assert "numberkeep.app" in known
    late = {"psycopg", "jinja2", "standardwebhooks", "prometheus_client", "boto3", "opentelemetry"}
    assert not known & {*late, "numberkeep.maintenance", "numberkeep.storage.copying", "numberkeep.cli.doctor"}


def test_who_asks_at_the_shell_waits_for_no_service() -> None:
    known = modules_after("numberkeep.cli.numbers, numberkeep.cli.access, numberkeep.cli.pending")
    assert "numberkeep.session" in known
    assert not known & {"numberkeep.app", "numberkeep.admin", "numberkeep.wire.server", "uvicorn", "psycopg", "boto3"}


def modules_after(name: str) -> set[str]:
    """What is imported with a module."""
    code = f"import sys, {name}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
