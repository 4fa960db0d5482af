"""What is wrong with a set-up."""

import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from certificates import make_certificate
from conftest import Start
from numberkeep.cli import main
from numberkeep.config import Location
from numberkeep.storage.copying import side_of
from receiver import write_carriers

from .. import test_cli

FREE = ("--port", "0", "--admin-port", "0")


def found(*options: str, exit_code: int = 0) -> dict[str, tuple[str, str, str]]:
    result = CliRunner().invoke(main, ["doctor", *(options or FREE), "--output", "json"])
    assert result.exit_code == exit_code, result.output
    return {one["check"]: (one["status"], one["found"], one["advice"]) for one in json.loads(result.stdout)}


@pytest.fixture
def made(database: str) -> str:
    """A store with an access key."""
    command = ["keys", "create", "--database", database, "--account", "123456789012", "--name", "alice"]
    assert CliRunner().invoke(main, command).exit_code == 0
    return database


def test_a_sound_set_up(made: str, location: object) -> None:
    looked = found("--database", made, *FREE)
    assert {status for status, _, _ in looked.values()} == {"ok"}
    assert looked["secret key"][1] == "it opens the secrets of 1 access keys"
    expected = {"python", "packages", "port", "admin-port", "options", "certificate", "carriers", "database", "clock",
                "secret key"}  # fmt: skip
    files = {"directory", "disk", "store", "integrity"} if isinstance(location, Path) else set()
    assert looked.keys() == expected | files
    text = CliRunner().invoke(main, ["doctor", "--database", made, *FREE])
    assert all(line.startswith("ok ") for line in text.stdout.splitlines())


def test_options_that_serve_refuses(tmp_path: Path) -> None:
    """Nothing less than what it would say itself."""
    database, cert = f"sqlite:///{tmp_path}/none", tmp_path / "cert.pem"
    cert.write_text("")
    for options, said in (
        (["--workers", "3"], "--workers: a SQLite file has one writer"),
        (["--tls-cert", str(cert)], "--tls-cert and --tls-key go together."),
        (["--standby", "postgresql://x"], "--standby: a SQLite file has none"),
        (["--port", "9", "--admin-port", "9"], "--port and --admin-port are both 9"),
    ):
        looked = found("--database", database, *FREE, *options, exit_code=1)
        assert (looked["options"][0], looked["options"][1][: len(said)]) == ("problem", said)
        refused = CliRunner().invoke(main, ["serve", "--database", database, *FREE, *options])
        assert (refused.exit_code, said in refused.stderr) == (2, True)
    status, said, _ = found("--database", database, *FREE, "--region", "moon-1")["options"]
    assert (status, said) == ("warning", "AWS has no Chime endpoint in moon-1")


def test_a_store_that_was_served_with_carriers_needs_them(tmp_path: Path, made: str, location: Location) -> None:
    """Else the simulated carrier would provide what is another's."""
    file = tmp_path / "carriers.toml"
    file.write_text('default = "desk"\n[carriers.desk]\nkind = "manual"\n')
    options = ("--trail", "none", "--database", made)
    with test_cli.running("serve", *options, "--carriers", str(file)):
        pass
    said = "The store was last served with a carriers file (carriers desk), and none is given"
    refused = test_cli.run("serve", *options, "--port", "0", "--admin-port", "0")
    assert (refused.returncode, said in refused.stderr) == (1, True)
    assert found("--database", made, *FREE, exit_code=1)["carriers"][0] == "problem"
    with closing(side_of(location)) as side, side.transaction():
        side.execute("DELETE FROM store WHERE name = 'subscribers'")
        side.execute('INSERT INTO store VALUES (\'subscribers\', \'{"crm": {"from": "another version"}}\')')
    refused = test_cli.run("serve", *options, "--port", "0", "--admin-port", "0")
    assert "(carriers desk; subscribers crm)" in refused.stderr
    file.write_text('default = "lab"\n[carriers.lab]\nkind = "simulated"\n')
    with test_cli.running("serve", *options, "--carriers", str(file)):
        assert found("--database", made, *FREE, "--carriers", str(file))["carriers"][0] == "ok"


def test_no_database_and_none_that_is_there(tmp_path: Path) -> None:
    assert found(exit_code=1)["database"][:2] == ("problem", "none is named")
    there = found("--database", f"sqlite:///{tmp_path}/none", *FREE)
    assert there["database"] == ("ok", "there is no store yet; it will be made", "")
    assert there["secret key"][0] == "ok"
    unkeyed = found("--database", f"sqlite:///{tmp_path}/none", "--secret-key-file", str(tmp_path / "no.key"), *FREE,
                    exit_code=1)  # fmt: skip
    assert unkeyed["secret key"][0] == "problem", "before there is a store, too"
    assert not (tmp_path / "none").exists()
    url = "postgresql://me:secret@127.0.0.1:9/none"
    status, said, advice = found("--database", url, *FREE, exit_code=1)["database"]
    assert (status, "secret" in said, advice[:17]) == ("problem", False, "Is the server the")


def test_ports(start: Start, made: str) -> None:
    service = start()
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        looked = found("--database", made, "--port", port, "--admin-port", "0", exit_code=1)
        assert looked["port"][0] == "problem"
        assert "--port" in looked["port"][2]
    ours = ("--port", str(service.app.port), "--admin-port", str(service.app.admin_port))
    looked = found("--database", made, *ours)
    assert "Numberkeep answers" in looked["port"][1]
    assert "Numberkeep answers" in looked["admin-port"][1]


def test_where_the_trail_goes(made: str, tmp_path: Path) -> None:
    looked = found("--database", made, "--trail", "stdout", "--trail", str(tmp_path / "trail"), *FREE)
    assert looked["trail"] == ("ok", str(tmp_path / "trail"), "")
    looked = found("--database", made, "--trail", str(tmp_path / "none" / "trail"), *FREE, exit_code=1)
    assert looked["trail"][:2] == ("problem", f"{tmp_path}/none/trail cannot be written")


def test_secrets_that_others_can_read(tmp_path: Path, database: str) -> None:
    text = '[subscribers.crm]\nurl = "http://127.0.0.1:9"\nsecret_file = "secret"\n'
    carriers = write_carriers(tmp_path, f'default = "lab"\n[carriers.lab]\nkind = "simulated"\n{text}')
    (tmp_path / "secret").chmod(0o644)
    looked = found("--database", database, "--carriers", str(carriers), *FREE)
    assert (looked["carriers"][0], looked["secret of crm"][0]) == ("ok", "warning")
    (tmp_path / "secret").chmod(0o600)
    assert found("--database", database, "--carriers", str(carriers), *FREE)["secret of crm"][0] == "ok"
    file = tmp_path / "numberkeep.toml"
    file.write_text('database = "postgresql://me:secret@127.0.0.1:9/none"\n')
    file.chmod(0o640)
    looked_at = CliRunner().invoke(main, ["--config", str(file), "doctor", *FREE])
    assert f"warning  configuration: {file} has the mode 640" in looked_at.stdout


def test_another_secret_key(made: str, tmp_path: Path) -> None:
    key = tmp_path / "secret.key"
    CliRunner().invoke(main, ["keys", "init", str(key)])
    looked = found("--database", made, "--secret-key-file", str(key), *FREE, exit_code=1)
    assert looked["secret key"][0] == "problem"
    assert looked["secret key file"][0] == "ok"
    key.chmod(0o644)
    looked = found("--database", made, "--secret-key-file", str(key), *FREE, exit_code=1)
    assert looked["secret key file"] == ("warning", f"{key} has the mode 644", looked["secret key file"][2])


def test_a_store_that_others_can_read_or_of_another_version(tmp_path: Path) -> None:
    path = tmp_path / "store"
    database = f"sqlite:///{path}"
    CliRunner().invoke(main, ["migrate", "up", "--database", database])
    path.chmod(0o640)
    assert found("--database", database, *FREE)["store"][0] == "warning"
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 99")
    assert found("--database", database, *FREE, exit_code=1)["database"][0] == "problem"


def test_a_clock_that_is_behind_the_store(tmp_path: Path) -> None:
    path = tmp_path / "store"
    made = f"sqlite:///{path}"
    CliRunner().invoke(main, ["migrate", "up", "--database", made])
    with closing(sqlite3.connect(path)) as file, file:
        change = (2_000_000_000_000 << 20, *["x"] * 5)
        file.execute("INSERT INTO phone_number_history VALUES ('1', ?, NULL, ?, ?, ?, ?, ?)", change)
    assert "ahead of this machine's clock" in found("--database", made, *FREE, exit_code=1)["clock"][1]
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("DELETE FROM phone_number_history")
        file.execute("INSERT INTO store VALUES ('clock_offset_seconds', '60')")
    looked = CliRunner().invoke(main, ["doctor", "--database", made, *FREE])
    assert "problem  clock: the store's clock was moved by numberkeep dev" in looked.stdout


def test_carriers_and_certificate(made: str, tmp_path: Path) -> None:
    carriers = tmp_path / "carriers.toml"
    carriers.write_text("colour = 1\n")
    cert, key = make_certificate(tmp_path)
    files = ("--carriers", str(carriers), "--tls-cert", str(cert), "--tls-key", str(key))
    looked = found("--database", made, *files, *FREE, exit_code=1)
    assert (looked["carriers"][0], looked["certificate"][1][:15]) == ("problem", f"{cert} is valid"[:15])
    carriers.write_text('default = "own"\n[carriers.own]\nkind = "webhook"\nurl = "http://x"\nsecret_file = "none"\n')
    unread = found("--database", made, *files, *FREE, exit_code=1)["carriers"]
    assert (unread[0], "secret_file of own" in unread[1]) == ("problem", True)
    key.write_text("nonsense")
    assert found("--database", made, *files, *FREE, exit_code=1)["certificate"][0] == "problem"
