"""What runs the service somewhere else: as far as it can be tried without an engine for containers or systemd."""

import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from conftest import SECRET_KEY
from numberkeep import config, supervisor
from numberkeep.cli import main

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
UNIT = ROOT / "deploy" / "numberkeep.service"
PAGE = (ROOT / "docs" / "deploying.md").read_text()
COMPOSE = {name: yaml.safe_load((ROOT / name).read_text()) for name in ("compose.yaml", "compose.test.yaml")}
VARIABLES = {value for name, value in vars(config).items() if name.endswith("_VARIABLE")}
HARDENED = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges:true"],
    "tmpfs": ["/tmp"],
}


def instructions(name: str) -> list[str]:
    """The arguments of all of the Dockerfile's instructions of that name."""
    return re.findall(rf"^{name} (.*)$", DOCKERFILE, re.M)


def understood(arguments: list[str]) -> dict[str, Any]:
    """What the command line makes of a command, which is not run. Raises click's errors."""
    command: click.Command = main
    context = None
    while isinstance(command, click.Group):
        context = command.make_context("numberkeep", list(arguments), context)
        _name, command, arguments = command.resolve_command(context, context._protected_args + context.args)
        assert command
    return command.make_context("numberkeep", list(arguments), context).params


def test_images_are_of_a_version() -> None:
    images = [line.split()[0] for line in instructions("FROM")]
    images += [service["image"] for file in COMPOSE.values() for service in file["services"].values()]
    images += re.findall(r"image: (\S+)", PAGE)
    for image in images:
        image = re.sub(r"\$\{\w+:-(.*)\}", r"\1", image)
        assert image == "numberkeep" or re.fullmatch(r"[a-z]+:\d+(\.\d+)?(-slim)?", image), image


def test_the_image_is_nobodys_of_the_machine() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert DOCKERFILE.index("USER 10001") > DOCKERFILE.index("install --directory")
    assert not re.search(r"curl|wget|apt", DOCKERFILE)


def test_only_what_is_built_goes_to_the_engine() -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {name for line in instructions("COPY") if "--from" not in line for name in line.split()[:-1]}
    assert copied == sent
    assert (ROOT / ".dockerignore").read_text().startswith("*\n")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the first stage makes, by its own steps, in a directory that has only what is copied there."""
    directory = tmp_path_factory.mktemp("image")
    place = directory / "opt"
    stage = DOCKERFILE.split("\nFROM ")[0]
    for instruction, rest in re.findall(r"^(RUN|COPY) (.*)$", stage, re.M):
        if instruction == "COPY":
            *sources, _ = rest.split()
            for source in sources:
                into = directory / source
                copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copyfile
                copy(ROOT / source, into)
        else:
            step = rest.replace("/opt/numberkeep", str(place)).replace(" --no-cache-dir", "")
            environment = {**os.environ, "PIP_NO_COMPILE": "1"}  # which takes most of the time
            subprocess.run(
                ["sh", "-ec", step], cwd=directory, env=environment, check=True, capture_output=True, timeout=500
            )
    return place


def test_the_image_serves_with_nothing_else_to_write_and_is_healthy(image: Path, tmp_path: Path) -> None:
    """As the container is run: the state, and /tmp."""
    state, temporary = tmp_path / "state", tmp_path / "tmp"
    state.mkdir()
    temporary.mkdir()
    environment = {
        "PATH": f"{image}/bin:/usr/bin:/bin",
        "TMPDIR": str(temporary),
        "NUMBERKEEP_DATABASE": f"sqlite:///{state}/numbers.sqlite3",
        "NUMBERKEEP_SECRET_KEY": SECRET_KEY,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    files = set(image.rglob("*"))
    (command,) = instructions("CMD")[-1:]
    ports = ["--port", "0", "--host", "127.0.0.1", "--admin-port"]
    healthy = yaml.safe_load(instructions("HEALTHCHECK")[0].partition("CMD ")[2])
    arguments = [*yaml.safe_load(command), *ports]

    def is_healthy(port: str) -> bool:
        check = [part.replace("8001", port) for part in healthy]
        return subprocess.run(check, env=environment, stderr=-1, cwd=state).returncode == 0

    (entry,) = yaml.safe_load(instructions("ENTRYPOINT")[0])
    with subprocess.Popen(
        [f"{image}/bin/{entry}", *arguments, "0"], env=environment, cwd=state, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        said = process.stderr.readline() + process.stderr.readline()
        port = re.findall(r":(\d+)/_numberkeep", said)[0]
        assert is_healthy(port)
        process.send_signal(signal.SIGSTOP)  # it is there, and does not answer
        began = time.monotonic()
        assert not is_healthy(port)
        assert time.monotonic() - began < 20
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not is_healthy(port)
    assert set(image.rglob("*")) == files
    assert {path.name for path in state.iterdir()} >= {"numbers.sqlite3"}


@pytest.mark.parametrize(
    ("file", "name"), [(file, name) for file, parsed in COMPOSE.items() for name in parsed["services"]]
)
def test_what_compose_runs_is_understood(file: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    service = COMPOSE[file]["services"][name]
    if service["image"] != "numberkeep":
        return
    for setting, value in HARDENED.items():
        assert service[setting] == value
    for variable, value in service.get("environment", {}).items():
        assert variable in VARIABLES | {"PGPASSWORD"}, variable
        monkeypatch.setenv(variable, value)
    assert understood(service["command"])
    if "stop_grace_period" in service:
        assert int(service["stop_grace_period"].rstrip("s")) > supervisor.STOP_SECONDS


def test_the_service_waits_for_the_schema_and_the_schema_for_the_database() -> None:
    services = COMPOSE["compose.yaml"]["services"]
    assert services["serve"]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["postgres"]["healthcheck"]["test"][1] == "pg_isready"
    assert [port.partition(":")[0] for port in services["serve"]["ports"]] == ["127.0.0.1"]


def test_the_tests_reach_dev_on_loopback() -> None:
    services = COMPOSE["compose.test.yaml"]["services"]
    assert services["tests"]["network_mode"] == "service:numberkeep"
    assert "ports" not in services["numberkeep"]


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(UNIT)
    return parser["Service"]


def test_the_unit_runs_what_there_is_and_gives_it_time_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    service = unit()
    program, *arguments = shlex.split(service["ExecStart"])
    assert program == "/opt/numberkeep/bin/numberkeep"
    lines = (ROOT / "deploy" / "numberkeep.env").read_text().splitlines()
    for name, _, value in (line.partition("=") for line in lines if line and not line.startswith("#")):
        assert name in VARIABLES
        monkeypatch.setenv(name, value.replace("/var/lib/numberkeep", str(UNIT.parent)))
    settings = understood(arguments)
    assert int(service["TimeoutStopSec"]) > supervisor.STOP_SECONDS + settings["stop_delay"]
    assert service["EnvironmentFile"] == "/etc/numberkeep/numberkeep.env"
    expected = {
        "ProtectSystem": "strict",
        "NoNewPrivileges": "yes",
        "StateDirectory": "numberkeep",
        "KillMode": "mixed",
    }
    assert {name: service[name] for name in expected} == expected


def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd-analyze is not here")
    program = tmp_path / "numberkeep"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/numberkeep/bin/numberkeep", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True, timeout=60)
    found = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert found == []
    assert done.returncode == 0, done.stderr


def test_recipes_for_ci_are_yaml_that_runs_what_there_is() -> None:
    recipes = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.S)]
    assert len(recipes) == 2
    github, gitlab = recipes
    steps = "\n".join(step.get("run", "") for step in github["jobs"]["test"]["steps"])
    for script, variables in (
        (steps, github["jobs"]["test"]["env"]),
        ("\n".join(gitlab["test"]["script"]), gitlab["test"]["variables"]),
    ):
        (started,) = re.findall(r"^numberkeep (.*) &$", script, re.M)
        assert understood(shlex.split(started))["memory"]
        assert "/_numberkeep/ready" in script
        assert variables == COMPOSE["compose.test.yaml"]["services"]["tests"]["environment"]


def test_commands_of_the_page_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBERKEEP_DATABASE", f"sqlite:///{ROOT}/store")
    text = PAGE.replace("\\\n", "")
    found = re.findall(r"(?:compose run --rm serve|/opt/numberkeep/bin/numberkeep) (\w+ .*)", text)
    assert len(found) == 3
    for command in found:
        assert understood(shlex.split(command))
