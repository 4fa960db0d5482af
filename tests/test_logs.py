"""What is said on standard error, for programs."""

import json
import logging
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import test_cli
from conftest import Start
from numberkeep.logs import JsonLines


def record(message: str, *args: object, **more: Any) -> logging.LogRecord:
    logger = logging.getLogger("numberkeep.somewhere")
    return logger.makeRecord(logger.name, logging.WARNING, "file", 1, message, args, **{"exc_info": None, **more})


def test_a_record_is_an_object_on_a_line() -> None:
    made = record("request %s\nfailed: %s", "abc", "\udce4\x00", extra={"request_id": "abc"})
    made.created = 1_572_373_530.392
    line = JsonLines().format(made)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2019-10-29T18:25:30.392Z",
        "level": "WARNING",
        "logger": "numberkeep.somewhere",
        "message": "request abc\nfailed: \\udce4\x00",
        "request_id": "abc",
    }


def test_a_traceback_is_part_of_it() -> None:
    try:
        raise ValueError("the cause")
    except ValueError as error:
        made = record("failed", exc_info=(ValueError, error, error.__traceback__))
    told = json.loads(JsonLines().format(made))
    assert told["exception"].startswith("Traceback")
    assert told["exception"].endswith("ValueError: the cause")


def test_serve_says_all_as_json(tmp_path: Path) -> None:
    options = ["--database", f"sqlite:///{tmp_path / 'store'}", "--log-format", "json", "--trail", "none"]
    command = [*test_cli.PROGRAM, "serve", *options, "--port", "0", "--admin-port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        first = json.loads(process.stderr.readline())
        assert first["message"].startswith("Numberkeep answers the Amazon Chime API at http://127.0.0.1:")
        assert first["level"] == "INFO"
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert all(json.loads(line)["message"] for line in process.stderr)


def test_what_keeps_serve_from_starting_is_json_too(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.write_text("nonsense " * 1000)
    ended = test_cli.run(
        "serve", "--database", f"sqlite:///{store}", "--log-format", "json", "--port", "0", "--admin-port", "0"
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert json.loads(line)["level"] == "ERROR"
    assert "cannot be opened" in json.loads(line)["message"]


def test_the_id_that_a_client_was_told_is_in_the_log(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    service = start()

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the cause")

    service.app.store._pool = type("Broken", (), {"search": fail})()  # type: ignore[attr-defined]
    chime = service.client()
    with pytest.raises(chime.exceptions.ServiceFailureException) as failed:
        chime.search_available_phone_numbers(AreaCode="206")
    told = [json.loads(JsonLines().format(record)) for record in caplog.records]
    assert [line["request_id"] for line in told if "the cause" in line.get("exception", "")] == [
        failed.value.response["ResponseMetadata"]["RequestId"]
    ]
