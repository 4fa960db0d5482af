"""Keys, users, roles and policies at the shell."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from numberkeep.cli import main

ACCOUNT = "123456789012"
READ_ONLY = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "chime:Get*", "Resource": "*"}}


class Shell:
    """Runs commands on one store."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.database = directory / "numbers.sqlite3"
        self._environment = {"NUMBERKEEP_DATABASE": f"sqlite:///{self.database}"}

    def __call__(self, *arguments: str, account: str | None = ACCOUNT, **environment: str) -> Result:
        of_account = ["--account", account] if account else []
        return CliRunner().invoke(main, [*arguments, *of_account], env={**self._environment, **environment})

    def succeed(self, *arguments: str, **options: Any) -> str:
        result = self(*arguments, **options)
        assert result.exit_code == 0, result.output
        return result.stdout

    def fail(self, *arguments: str, **options: Any) -> str:
        result = self(*arguments, **options)
        assert result.exit_code != 0
        assert "Traceback" not in result.output
        return result.stderr

    def json(self, *arguments: str, **options: Any) -> Any:
        return json.loads(self.succeed(*arguments, "--output", "json", **options))

    def key(self, name: str = "alice", *options: str) -> dict[str, str]:
        return self.json("keys", "create", "--name", name, *options)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_the_first_user_may_do_everything_and_the_others_nothing(shell: Shell) -> None:
    shell.key("alice")
    shell.key("bob")
    users = {user["user_name"]: user["policies"] for user in shell.json("users", "list")}
    assert users == {"alice": ["AdministratorAccess"], "bob": []}


def test_a_key_lives(shell: Shell) -> None:
    key = shell.key()
    key_id = key["AccessKeyId"]
    (listed,) = shell.json("keys", "list")
    assert (listed["access_key_id"], listed["status"], listed["last_used_at"]) == (key_id, "Active", None)
    assert key["SecretAccessKey"] not in shell.succeed("keys", "list")
    shell.succeed("keys", "disable", key_id)
    assert shell.json("keys", "list")[0]["status"] == "Inactive"
    shell.succeed("keys", "enable", key_id)
    assert shell.json("keys", "list")[0]["status"] == "Active"
    shell.succeed("keys", "delete", key_id)
    assert shell.json("keys", "list") == []
    for verb in ("disable", "enable", "delete", "rotate"):
        assert "no access key" in shell.fail("keys", verb, key_id)


def test_a_secret_is_nowhere_to_be_read(shell: Shell) -> None:
    key = shell.key()
    for path in shell.directory.iterdir():
        assert key["SecretAccessKey"].encode() not in path.read_bytes()


def test_another_accounts_key_is_not_there(shell: Shell) -> None:
    key_id = shell.key()["AccessKeyId"]
    assert "no access key" in shell.fail("keys", "delete", key_id, account="210987654321")


def test_a_user_has_two_keys_at_most(shell: Shell) -> None:
    first, second = shell.key()["AccessKeyId"], shell.key()["AccessKeyId"]
    assert "has 2 access keys" in shell.fail("keys", "create", "--name", "alice")
    assert "has another active key" in shell.fail("keys", "rotate", first)
    shell.succeed("keys", "disable", second)
    third = shell.json("keys", "rotate", first)["AccessKeyId"]
    assert {key["access_key_id"] for key in shell.json("keys", "list")} == {first, third}


def test_a_key_is_rotated(shell: Shell) -> None:
    old = shell.key()["AccessKeyId"]
    result = shell("keys", "rotate", old, "--output", "json")
    new = json.loads(result.stdout)["AccessKeyId"]
    assert f"numberkeep keys delete --account {ACCOUNT} {old}" in result.stderr
    assert {key["access_key_id"]: key["status"] for key in shell.json("keys", "list")} == {
        old: "Active",
        new: "Active",
    }


def test_without_a_secret_key_nothing_works_and_it_is_said_what_does(shell: Shell) -> None:
    said = shell.fail("keys", "create", "--name", "alice", NUMBERKEEP_SECRET_KEY="")
    assert "numberkeep keys init FILE" in said
    assert not shell.database.exists()
    assert "64 hexadecimal digits" in shell.fail("keys", "create", "--name", "alice", NUMBERKEEP_SECRET_KEY="abc")
    assert "abc" not in shell.fail("keys", "create", "--name", "alice", NUMBERKEEP_SECRET_KEY="abc")


def test_the_secret_key_is_turned_over(shell: Shell) -> None:
    file = shell.directory / "secret.key"
    shell.succeed("keys", "init", str(file), account=None)
    assert "already: keep it, or name another" in shell.fail("keys", "init", str(file), account=None)
    environment = {"NUMBERKEEP_SECRET_KEY": "", "NUMBERKEEP_SECRET_KEY_FILE": str(file)}
    shell.key("alice")  # with another key, of the environment
    assert "sealed with another key" in shell.fail("keys", "rekey", account=None, **environment)
    shell.database.unlink()
    shell.json("keys", "create", "--name", "alice", **environment)
    old = file.read_text().split()
    result = shell("keys", "rekey", account=None, **environment)
    assert "1 secrets are sealed with the new key" in result.stderr
    new = file.read_text().split()
    assert (len(new), new[1:]) == (len(old) + 1, old)
    file.write_text(new[0])
    shell.json("keys", "create", "--name", "alice", **environment)


def test_an_older_store_is_not_sealed_anew(shell: Shell) -> None:
    file = shell.directory / "secret.key"
    shell.succeed("keys", "init", str(file), account=None)
    environment = {"NUMBERKEEP_SECRET_KEY": "", "NUMBERKEEP_SECRET_KEY_FILE": str(file)}
    assert "There is no store" in shell.fail("keys", "rekey", account=None, **environment)
    shell.json("keys", "create", "--name", "alice", **environment)
    with closing(sqlite3.connect(shell.database)) as store:
        store.execute("PRAGMA user_version = 3")
    before = file.read_text()
    assert "run `numberkeep migrate up` first" in shell.fail("keys", "rekey", account=None, **environment)
    assert file.read_text() == before


def test_users_and_roles(shell: Shell) -> None:
    assert shell.succeed("users", "create", "--name", "alice") == f"arn:aws:iam::{ACCOUNT}:user/alice\n"
    assert "has a user alice already" in shell.fail("users", "create", "--name", "alice")
    assert "A user's name must be" in shell.fail("users", "create", "--name", "a b")
    assert shell.succeed("roles", "create", "--name", "ops") == f"arn:aws:iam::{ACCOUNT}:role/ops\n"
    assert "has a role ops already" in shell.fail("roles", "create", "--name", "ops")
    (role,) = shell.json("roles", "list")
    assert (role["trusted"], role["longest_session_seconds"]) == ([ACCOUNT], 3600)
    shell.key("alice")
    shell.succeed("users", "delete", "--name", "alice")
    shell.succeed("roles", "delete", "--name", "ops")
    assert shell.json("users", "list") == shell.json("roles", "list") == shell.json("keys", "list") == []
    assert "Could not find User" in shell.fail("users", "delete", "--name", "alice")
    assert "Could not find Role" in shell.fail("roles", "delete", "--name", "ops")


def test_policies(shell: Shell) -> None:
    file = shell.directory / "readers.json"
    file.write_text(json.dumps(READ_ONLY))
    shell.succeed("users", "create", "--name", "alice")
    shell.succeed("users", "create", "--name", "bob")
    simulate = ("policies", "simulate", "--user", "bob", "--action")
    assert shell.succeed(*simulate, "chime:GetPhoneNumber") == "ImplicitDeny\n"
    shell.succeed("policies", "attach", "--user", "bob", "--policy", str(file))
    assert shell.succeed(*simulate, "chime:GetPhoneNumber") == "Allow\n"
    assert shell.succeed(*simulate, "chime:DeletePhoneNumber") == "ImplicitDeny\n"
    number = f"arn:aws:chime::{ACCOUNT}:phone-number/+1206*"
    denied = shell.directory / "denied.json"
    denied.write_text(json.dumps({"Statement": {"Effect": "Deny", "Action": "chime:Get*", "Resource": number}}))
    attached = shell("policies", "attach", "--user", "bob", "--policy", str(denied))
    assert (attached.exit_code, f"no request is about {number}" in attached.stderr) == (0, True)
    asked = shell(
        *simulate, "chime:GetPhoneNumber", "--resource", f"arn:aws:chime::{ACCOUNT}:phone-number/+12065550100"
    )
    assert (asked.stdout, "decided for *" in asked.stderr) == ("Allow\n", True), "as the server decides it"
    connector = f"arn:aws:chime:us-east-1:{ACCOUNT}:vc/abcdef1ghij2klmno3pqr4"
    denied.write_text(json.dumps({"Statement": {"Effect": "Deny", "Action": "chime:Get*", "Resource": connector}}))
    assert shell("policies", "attach", "--user", "bob", "--policy", str(denied)).stderr == ""
    assert shell.succeed(*simulate, "chime:GetVoiceConnector", "--resource", connector) == "ExplicitDeny\n"
    assert "no action of Amazon Chime's" in shell.fail(*simulate, "chime:UpdatePhoneNumbr")
    role = f"arn:aws:iam::{ACCOUNT}:role/ops"
    denied.write_text(json.dumps({"Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role}}))
    shell.succeed("policies", "attach", "--user", "bob", "--policy", str(denied))
    assert shell(*simulate, "sts:AssumeRole", "--resource", role).output == "Allow\n"
    shell.succeed("policies", "detach", "--user", "bob", "--policy", "denied")
    assert json.loads(shell.succeed("policies", "show", "--user", "bob", "--policy", "readers")) == READ_ONLY
    assert shell.json("policies", "list", "--user", "bob") == [{"policy": "readers", "kind": "own"}]
    shell.succeed("policies", "detach", "--user", "bob", "--policy", "readers")
    assert "has no policy readers" in shell.fail("policies", "detach", "--user", "bob", "--policy", "readers")
    shell.succeed("roles", "create", "--name", "ops")
    shell.succeed("policies", "attach", "--role", "ops", "--policy", "AmazonChimeReadOnly")
    assert shell.json("policies", "list", "--role", "ops") == [{"policy": "AmazonChimeReadOnly", "kind": "managed"}]
    assert "Give --user or --role" in shell.fail("policies", "list")
    assert "Could not find User" in shell.fail("policies", "list", "--user", "eve")


def test_a_policy_that_is_refused_is_not_attached(shell: Shell) -> None:
    file = shell.directory / "wrong.json"
    file.write_text(json.dumps({**READ_ONLY, "Statement": {**READ_ONLY["Statement"], "Principal": "*"}}))  # type: ignore[dict-item]
    said = shell.fail("keys", "create", "--name", "alice", "--policy", str(file))
    assert re.search(r"wrong.json is refused\. Statement.*Principal", said, re.DOTALL)
    assert not shell.database.exists()
    assert "no managed policy" in shell.fail("keys", "create", "--name", "alice", "--policy", "AmazonEverything")


def test_a_store_without_its_key_is_not_served(shell: Shell) -> None:
    shell.key()
    said = shell.fail("serve", "--port", "0", "--admin-port", "0", account=None, NUMBERKEEP_SECRET_KEY="f" * 64)
    assert "sealed with another key" in said


def test_a_key_under_another_secret_key_is_not_made(shell: Shell) -> None:
    """It would be of no use, and no server would start."""
    shell.key("alice")
    said = shell.fail("keys", "create", "--name", "bob", NUMBERKEEP_SECRET_KEY="f" * 64)
    assert "sealed with another key" in said
    assert [user["user_name"] for user in shell.json("users", "list")] == ["alice"]
