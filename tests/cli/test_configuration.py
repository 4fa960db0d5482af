"""What `serve` is told, and by what."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from numberkeep.cli import main, serve
from numberkeep.cli.configuration import settings_of

ROOT = Path(__file__).parent.parent.parent


def invoke(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(main, arguments, env=environment)


def shown(*arguments: str, **environment: str) -> dict[str, tuple[object, str]]:
    result = invoke(*arguments, "--output", "json", **environment)
    assert result.exit_code == 0, result.stderr
    return {row["setting"]: (row["value"], row["from"]) for row in json.loads(result.stdout)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "numberkeep.toml"


def test_what_counts_before_what(file: Path) -> None:
    file.write_text('port = 9000\nadmin-port = 9001\nrate = 0.5\ntrail = ["none", "stdout"]\nquota = ["sip_rules=7"]\n')
    found = shown(
        *("--config", str(file), "config", "show", "--admin-port", "9003"),
        NUMBERKEEP_RATE="5",
        NUMBERKEEP_ADMIN_PORT="9002",
        NUMBERKEEP_REGION="eu-west-1 eu-west-2",
    )
    assert found["admin-port"] == (9003, "flag")
    assert found["rate"] == (5.0, "environment")
    assert found["region"] == (["eu-west-1", "eu-west-2"], "environment")
    assert found["port"] == (9000, "file")
    assert found["trail"] == (["none", "stdout"], "file")
    assert found["quota"] == (["sip_rules=7"], "file")
    assert found["host"] == ("127.0.0.1", "default")
    assert shown("config", "show", NUMBERKEEP_CONFIG=str(file))["port"] == (9000, "file")


def test_a_store_is_shown_as_it_is_given(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/numbers.sqlite3"
    assert shown("config", "show", "--database", url)["database"] == (url, "flag")


def test_a_wrong_value_is_said_to_be_the_file_s(file: Path) -> None:
    file.write_text("port = 70000\n")
    result = invoke("--config", str(file), "config", "show")
    assert result.exit_code == 2
    assert f"The configuration {file} says so." in result.stderr
    assert invoke("--config", str(file), "config", "show", "--port", "8000").exit_code == 0
    assert "says so" not in invoke("--config", str(file), "config", "show", "--port", "70001").stderr


def test_passwords_are_not_shown() -> None:
    url = "postgresql://me:secret@db.example/numbers"
    result = invoke("config", "show", "--database", url, NUMBERKEEP_STANDBY=url)
    assert result.stdout.count("postgresql://me@db.example/numbers") == 2
    assert "secret@" not in result.output


def test_no_help_shows_a_password(file: Path) -> None:
    file.write_text('database = "postgresql://me:secret@db.example/numbers"\nstandby = "postgresql://me:secret@x/y"\n')
    for command in (["serve"], ["config", "show"], ["doctor"], ["keys", "rotate"], ["numbers", "list"], ["backup"]):
        result = invoke("--config", str(file), *command, "--help")
        assert (result.exit_code, "secret@" in result.output) == (0, False)


def test_other_commands_take_what_is_theirs(file: Path, database: str) -> None:
    file.write_text(f'database = "{database}"\nport = 1\n')
    assert invoke("--config", str(file), "migrate", "up").exit_code == 0
    assert invoke("--config", str(file), "users", "list", "--account", "123456789012").exit_code == 0
    assert invoke("users", "list", "--account", "123456789012").exit_code == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 'red'", "'colour', which is no setting"),
        ("admin_port = 1", "'admin_port', which is no setting"),
        ("port = [1]", "port must be one"),
        ("trail = 'none'", "trail must be a list"),
        ("quota = {a = 1}", "quota must be a list"),
        ("port = ", "cannot be read"),
        ("port = 'x'", "not a valid integer"),
    ],
)
def test_what_makes_no_sense_is_refused(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    result = invoke("--config", str(file), "config", "show")
    assert (result.exit_code, said in result.stderr) == (2, True), result.stderr


def test_the_table_is_that_of_the_options() -> None:
    section = (ROOT / "docs" / "running.md").read_text().partition("## numberkeep serve\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `--")]
    documented = {name: default.strip() for cell, default, *_ in rows for name in re.findall(r"`--([a-z-]+)`", cell)}
    settings = settings_of(serve)
    assert documented.keys() == settings.keys()
    for name, option in settings.items():
        assert option.envvar == "NUMBERKEEP_" + name.replace("-", "_").upper()
        if re.fullmatch(r"[\d.]+", documented[name]):
            assert str(option.default).removesuffix(".0") == documented[name], name
