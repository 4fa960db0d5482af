"""Numbers out of a store into a file, and out of a file into a store."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from conftest import ALICE, Do, Start
from numberkeep.cli import main
from numberkeep.config import shell_user
from numberkeep.domain.phone_number import Association
from receiver import write_carriers

ACCOUNT = "123456789012"
HEADER = "E164PhoneNumber,ProductType,Name\n"
ROW = "+12065550100,VoiceConnector,Desk\n"


def numbers(database: str, *arguments: str, account: str = ACCOUNT) -> Result:
    command, *rest = arguments
    return CliRunner().invoke(main, ["numbers", command, "--database", database, "--account", account, *rest])


def exported(database: str, account: str = ACCOUNT) -> dict[str, dict[str, Any]]:
    result = numbers(database, "export", "--format", "json", account=account)
    assert result.exit_code == 0, result.stderr
    return {row["E164PhoneNumber"]: row for row in map(json.loads, result.stdout.splitlines())}


def check(database: str) -> None:
    result = CliRunner().invoke(main, ["check", "--database", database])
    assert result.exit_code == 0, result.stdout


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "numbers.csv"


@pytest.mark.parametrize("name", ["numbers.csv", "numbers.jsonl"])
def test_what_is_exported_can_be_imported(database: str, put: Do, tmp_path: Path, name: str) -> None:
    put("+12065550100", name="Front desk, left\nside", calling_name="Acme", calling_name_status="UpdateSucceeded")
    held = (Association("VoiceConnectorId", "abcdef1ghij2klmno3pqr4", "2020-01-01T00:00:00.000Z"),)
    put("+12065550101", status="Assigned", associations=held)
    put("+12065550102", status="ReleaseInProgress", deletion_timestamp="2030-01-01T00:00:00.000Z")
    file, other = tmp_path / name, f"sqlite:///{tmp_path}/other"
    result = numbers(database, "export", "--file", str(file), account=ALICE.account_id)
    assert (result.exit_code, result.stderr) == (0, f"3 numbers are in {file}.\n")
    result = numbers(other, "import", str(file))
    assert (result.exit_code, result.stdout) == (0, "3 added, 0 there already, 0 refused.\n")
    assert exported(other) == exported(database, ALICE.account_id)
    assert exported(other)["+12065550100"]["Name"] == "Front desk, left\nside"
    check(other)
    result = numbers(other, "import", str(file))
    assert (result.exit_code, result.stdout) == (0, "0 added, 3 there already, 0 refused.\n")


def test_a_user_s_number_is_exported_too(database: str, put: Do, tmp_path: Path) -> None:
    at = "2020-01-01T00:00:00.000Z"
    held = (Association("AccountId", "a", at), Association("UserId", "u", at))
    put("+12065550100", product_type="BusinessCalling", status="Assigned", associations=held)
    file = tmp_path / "numbers.csv"
    numbers(database, "export", "--file", str(file), account=ALICE.account_id)
    with file.open(newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert (row["AssociationName"], row["AssociationValue"]) == ("AccountId UserId", "a u")
    again = numbers(database, "import", str(file), account=ALICE.account_id)
    assert again.stdout == "0 added, 1 there already, 0 refused.\n"


def test_a_file_that_cannot_be_written_is_named(database: str, put: Do, tmp_path: Path) -> None:
    put("+12065550100")
    result = numbers(database, "export", "--file", f"{tmp_path}/nowhere/numbers.csv")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path}/nowhere/numbers.csv cannot be written: No such file or directory.\n"


def test_an_export_that_fails_leaves_the_one_before(
    database: str, put: Do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("+12065550100")
    file = tmp_path / "numbers.csv"
    file.write_text("what was exported yesterday")
    file.chmod(0o640)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("numberkeep.cli.transfer.rows.write", fail)
        failed = numbers(database, "export", "--file", str(file))
    assert failed.stderr == f"Error: {file} cannot be written: No space left on device.\n"
    assert file.read_text() == "what was exported yesterday"
    assert os.listdir(tmp_path).count("numbers.csv") == 1
    assert numbers(database, "export", "--file", str(file)).exit_code == 0
    assert file.read_text().startswith("E164PhoneNumber,")
    assert file.stat().st_mode & 0o777 == 0o640
    assert [name for name in os.listdir(tmp_path) if name.startswith(".numbers")] == []


def test_an_export_into_a_pipe(database: str) -> None:
    assert CliRunner().invoke(main, ["migrate", "up", "--database", database]).exit_code == 0
    command = [sys.executable, "-m", "numberkeep", "numbers", "export", "--database", database, "--account", ACCOUNT]
    options = ("--format", "csv", "--file", "/dev/stdout")
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout[:16]) == (0, "E164PhoneNumber,")


def test_an_export_is_as_private_as_the_one_before(
    database: str, put: Do, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while it is written."""
    put("+12065550100")
    file = tmp_path / "numbers.csv"
    file.touch(0o600)
    modes: list[int] = []

    def look(*_: object) -> int:
        modes.extend(one.stat().st_mode & 0o777 for one in tmp_path.glob(".numbers*"))
        return 0

    monkeypatch.setattr("numberkeep.cli.transfer.rows.write", look)
    assert numbers(database, "export", "--file", str(file)).exit_code == 0
    assert (modes, file.stat().st_mode & 0o777) == ([0o600], 0o600)


def test_what_somebody_mends_is_not_overwritten(database: str, file: Path) -> None:
    """Not by the same import, said again."""
    file.write_text(HEADER + "+12065550100,Fax,\n")
    mended = file.with_name("numbers.csv.errors.csv")
    assert str(mended) in numbers(database, "import", str(file)).stderr
    mended.write_text("somebody's work")
    again = numbers(database, "import", str(file))
    assert "numbers.csv.errors-2.csv" in again.stderr
    assert "Fax" in file.with_name("numbers.csv.errors-2.csv").read_text()
    assert mended.read_text() == "somebody's work"
    assert numbers(database, "import", "--errors", str(mended), str(file)).exit_code == 1
    assert "Fax" in mended.read_text(), "a file that is named is taken"


def test_imported_numbers_are_the_operator_s_doing(database: str, file: Path) -> None:
    file.write_text(HEADER + ROW + "+12065550101,BusinessCalling,\n")
    assert numbers(database, "import", str(file)).exit_code == 0
    told = [
        json.loads(numbers(database, "history", e164, "--output", "json").stdout)
        for e164 in ("+12065550100", "+12065550101")
    ]
    assert [change["change"]["status"] for (change,) in told] == [[None, "Unassigned"]] * 2
    assert {change["arn"] for (change,) in told} == {f"arn:aws:chime::{ACCOUNT}:shell/{shell_user()}"}
    assert len({change["request_id"] for (change,) in told}) == 1
    check(database)


def test_rows_that_break_a_rule_are_mended_and_fed_in_again(database: str, file: Path) -> None:
    file.write_text(HEADER + ROW + "+442079460100,VoiceConnector,London\n+12065550101,Fax,Fax\n+12065550102,Voice\n")
    result = numbers(database, "import", str(file))
    assert (result.exit_code, result.stdout) == (1, "1 added, 0 there already, 3 refused.\n")
    errors = file.with_name("numbers.csv.errors.csv")
    assert str(errors) in result.stderr
    with errors.open(newline="") as lines:
        header, london, fax, short = csv.reader(lines)
    assert header == ["E164PhoneNumber", "ProductType", "Name", "error"]
    assert london[:3] == ["+442079460100", "VoiceConnector", "London"]
    assert "SipMediaApplicationDialIn" in london[3]
    assert "Fax" in fax[3]
    assert "there are BusinessCalling, VoiceConnector, SipMediaApplicationDialIn." in fax[3]
    assert short == ["+12065550102", "Voice", "", "The row has 2 cells, the header 3."]
    mended = errors.read_text().replace("+442079460100,VoiceConnector", "+442079460100,SipMediaApplicationDialIn")
    errors.write_text(mended.replace("Fax,Fax", "BusinessCalling,Fax"))
    result = numbers(database, "import", str(errors), "--errors", str(file.with_name("left.csv")))
    assert (result.exit_code, result.stdout) == (1, "2 added, 0 there already, 1 refused.\n")
    assert file.with_name("left.csv").read_text().splitlines()[0] == "E164PhoneNumber,ProductType,Name,error"
    check(database)


@pytest.mark.parametrize("name", ["x" * 257, "Größe", "=cmd|calc", "<b>x</b>"])
def test_a_name_that_the_api_refuses_is_refused(database: str, file: Path, name: str) -> None:
    file.write_text(HEADER + ROW + f"+12065550101,VoiceConnector,{name}\n")
    result = numbers(database, "import", str(file))
    assert (result.exit_code, result.stdout) == (1, "1 added, 0 there already, 1 refused.\n")
    assert list(exported(database)) == ["+12065550100"]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ('+12065550101,VoiceConnector,"US\n+12065550102,VoiceConnector,US\n', "a quote is opened and never closed"),
        ('+12065550101,VoiceConnector,"U"S\n', "expected after"),
    ],
)
def test_a_quote_that_is_wrong_swallows_no_row(database: str, file: Path, row: str, why: str) -> None:
    file.write_text(f"E164PhoneNumber,ProductType,Country\n+12065550100,VoiceConnector,US\n{row}")
    result = numbers(database, "import", str(file))
    assert result.exit_code == 1
    assert "The row that begins in line 3 is no CSV: " in result.stderr
    assert why in result.stderr


def test_what_the_api_would_say_of_a_name_is_told_in_words(database: str, file: Path) -> None:
    file.write_text("E164PhoneNumber,ProductType,Name,CallingName\n+12065550100,VoiceConnector,a*b,\n"
                    "+12065550101,VoiceConnector,,x\n")  # fmt: skip
    assert numbers(database, "import", str(file)).exit_code == 1
    errors = file.with_name("numbers.csv.errors.csv").read_text()
    assert "Name must be at most 256 letters" in errors
    assert "CallingName must be 2 to 15 letters" in errors


def test_a_row_that_is_no_utf_8_is_kept_as_it_was(database: str, file: Path) -> None:
    latin = "+12065550101,VoiceConnector,Größe\n".encode("latin-1")
    file.write_bytes(HEADER.encode() + latin + ROW.encode())
    assert numbers(database, "import", str(file)).stdout == "1 added, 0 there already, 1 refused.\n"
    errors = file.with_name("numbers.csv.errors.csv").read_bytes()
    assert latin.strip() + b",The row is not in UTF-8." in errors


def test_a_pipe_is_imported(database: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "numberkeep", "numbers", "import", "--account", ACCOUNT, "--database", database]
    sent = (HEADER + ROW + "+12065550101,Fax,\n").encode()
    done = subprocess.run([*command, "--format", "csv", "-"], input=sent, capture_output=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, b"1 added, 0 there already, 1 refused.\n")
    assert "Fax" in (tmp_path / "numbers.errors.csv").read_text()
    sent = b'{"E164PhoneNumber": "+12065550100", "ProductType": "VoiceConnector", "Name": "Desk"}\n'
    command += ["--format", "json", "/dev/stdin"]
    done = subprocess.run(command, input=sent, capture_output=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, b"0 added, 1 there already, 0 refused.\n")
    done = subprocess.run(command, input=b"7\n", capture_output=True, cwd=tmp_path)
    assert (done.returncode, (tmp_path / "numbers.errors.jsonl").exists()) == (1, True)


@pytest.mark.parametrize("form", ["lines", "array"])
def test_json_comes_as_lines_or_as_an_array(database: str, tmp_path: Path, form: str) -> None:
    rows: list[Any] = [
        {"E164PhoneNumber": f"+1206555{n:04}", "ProductType": "VoiceConnector", "Name": "n" * 100} for n in range(1200)
    ]
    rows += [{"E164PhoneNumber": "+12065559999", "Colour": "red"}, 7]
    file = tmp_path / "numbers.json"
    lines = map(json.dumps, rows)
    file.write_text("\n".join(lines) + "\n{oops\n" if form == "lines" else json.dumps(rows, indent=2))
    result = numbers(database, "import", str(file))
    refused = 3 if form == "lines" else 2
    assert (result.exit_code, result.stdout) == (1, f"1200 added, 0 there already, {refused} refused.\n")
    errors = [json.loads(line) for line in file.with_name("numbers.json.errors.jsonl").read_text().splitlines()]
    assert errors[0].keys() == {"E164PhoneNumber", "Colour", "error"}
    assert [one.get("line") for one in errors[1:]] == [7, "{oops"][: refused - 1]


def test_a_line_of_json_that_is_no_utf_8_is_told(database: str, tmp_path: Path) -> None:
    file = tmp_path / "numbers.jsonl"
    file.write_bytes('{"E164PhoneNumber": "+12065550100", "Name": "Größe"}\n'.encode("latin-1"))
    assert numbers(database, "import", str(file)).exit_code == 1
    assert "The line is not in UTF-8." in file.with_name("numbers.jsonl.errors.jsonl").read_text()


def test_a_dry_run_changes_nothing(database: str, file: Path, tmp_path: Path) -> None:
    file.write_text(HEADER + ROW + "+12065550101,Fax,\n")
    CliRunner().invoke(main, ["migrate", "up", "--database", database])
    for where in (database, f"sqlite:///{tmp_path}/none"):
        result = numbers(where, "import", "--dry-run", str(file))
        assert (result.exit_code, result.stdout) == (1, "1 would be added, 0 there already, 1 refused.\n")
    assert not (tmp_path / "none").exists()
    assert exported(database) == {}


def test_an_import_that_is_killed_goes_on(database: str, file: Path) -> None:
    count = 5_000
    e164s = [f"+1206{n:07}" for n in range(2_200_000, 2_200_000 + count)]
    lines = [HEADER, *(f"{e164},VoiceConnector,\n" for e164 in e164s)]
    file.write_text("".join(lines))
    half = file.with_name("half.csv")
    os.mkfifo(half)
    command = [sys.executable, "-m", "numberkeep", "numbers", "import", "--account", ACCOUNT, "--database", database]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*command, str(half)], **pipes) as process, half.open("w") as pipe:
        pipe.writelines(lines[: count // 2])
        pipe.flush()
        while not json.loads(numbers(database, "list", "--limit", "1", "--output", "json").stdout or "[]"):
            assert process.poll() is None
        process.kill()
    assert process.returncode == -signal.SIGKILL
    there = len(exported(database))
    assert 0 < there < count
    done = subprocess.run([*command, str(file)], capture_output=True, text=True, timeout=120)
    assert done.stdout == f"{count - there} added, {there} there already, 0 refused.\n"
    assert list(exported(database)) == e164s
    check(database)


def test_numbers_are_imported_while_the_server_serves(start: Start, tmp_path: Path, file: Path) -> None:
    service = start(database=tmp_path / "store.sqlite3")
    file.write_text(HEADER + ROW)
    assert numbers(f"sqlite:///{tmp_path}/store.sqlite3", "import", str(file)).exit_code == 0
    voice = service.client("chime-sdk-voice")
    assert voice.get_phone_number(PhoneNumberId="+12065550100")["PhoneNumber"]["Name"] == "Desk"


def test_subscribers_are_told_of_what_is_imported(database: str, file: Path, tmp_path: Path) -> None:
    text = (
        'default = "simulated"\n[carriers.simulated]\nkind = "simulated"\n[subscribers.crm]\n'
        'url = "http://127.0.0.1:9"\nsecret_file = "secret"\n'
    )
    carriers = write_carriers(tmp_path, text)
    file.write_text(HEADER + ROW)
    assert numbers(database, "import", str(file), "--carriers", str(carriers)).exit_code == 0
    command = ["deliveries", "list", "--database", database, "--account", ACCOUNT, "--output", "json"]
    (told,) = json.loads(CliRunner().invoke(main, command).stdout)
    assert (told["receiver"], told["type"], told["e164_phone_number"]) == ("crm", "phone_number.added", "+12065550100")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must name the columns"),
        ("ProductType\nVoiceConnector\n", "E164PhoneNumber and ProductType among them"),
        ("E164PhoneNumber\n+12065550100\n", "E164PhoneNumber and ProductType among them"),
        ("E164PhoneNumber;ProductType\n+12065550100;VoiceConnector\n", "The columns are separated by commas."),
        ("E164PhoneNumber,Colour\n+12065550100,red\n", "'Colour' is not known"),
    ],
)
def test_a_file_that_is_something_else_is_refused(database: str, file: Path, text: str, said: str) -> None:
    file.write_bytes(text.encode("latin-1"))
    result = numbers(database, "import", str(file))
    assert (result.exit_code, said in result.stderr) == (1, True)


def test_the_name_tells_the_format_or_an_option_does(database: str, tmp_path: Path) -> None:
    file = tmp_path / "numbers.txt"
    file.write_text(HEADER + ROW)
    result = numbers(database, "import", str(file))
    assert (result.exit_code, "--format csv" in result.stderr) == (2, True)
    assert numbers(database, "import", str(file), "--format", "csv").exit_code == 0
    result = numbers(database, "import", str(file), "--format", "csv", "--errors", str(file))
    assert (result.exit_code, "--errors" in result.stderr) == (2, True)
    (tmp_path / "broken.json").write_text('[{"E164PhoneNumber": "+12065550100"}, {oops}]')
    result = numbers(database, "import", str(tmp_path / "broken.json"))
    assert (result.exit_code, "This is no JSON" in result.stderr) == (1, True)
