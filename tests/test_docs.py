"""The docs say what the code does."""

import os
import re
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest

import test_cli
from numberkeep.aws.errors import SHAPES
from numberkeep.cli import main

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
TUTORIAL = ROOT / "docs" / "tutorial.md"
MAKE_DOCS = runpy.run_path(str(ROOT / "scripts" / "make-docs"))


@pytest.mark.parametrize("name", MAKE_DOCS["PAGES"])
def test_pages_drawn_from_the_code_are_up_to_date(name: str) -> None:
    written = (ROOT / "docs" / name).read_text()
    drawn_for = re.search(r"botocore (\d\S+)\.", written)
    if drawn_for and drawn_for[1] != version("botocore"):
        pytest.skip(f"{name} was drawn for botocore {drawn_for[1]}; run scripts/make-docs with it")
    assert written == "\n".join(MAKE_DOCS["PAGES"][name]()) + "\n", "run .venv/bin/python scripts/make-docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def commands(group: click.Group, above: str = "") -> "list[tuple[str, click.Command]]":
    found: list[tuple[str, click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command
        if isinstance(command, click.Group):
            found += commands(command, f"{above}{name} ")
        else:
            found.append((above + name, command))
    return found


@pytest.mark.parametrize(("name", "command"), commands(main))
def test_every_command_and_option_is_documented(name: str, command: click.Command) -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    assert f"numberkeep {name}" in text
    for option in command.params:
        if isinstance(option, click.Option):
            for spelling in option.opts:
                assert f"`{spelling}" in text, f"numberkeep {name} {spelling} is in no page of docs/"
            assert option.help, f"{name} {option.name} has no help"


@pytest.mark.parametrize("name", ["run", "growth", "worker", "start", "snapshots", "drivers", "check"])
def test_every_benchmark_and_option_is_documented(name: str) -> None:
    script = (ROOT / "scripts" / "bench").read_text()
    text = (ROOT / "bench" / "README.md").read_text()
    assert name in script
    assert f"scripts/bench {name}".removesuffix(" run") in text
    for option in re.findall(r'add_argument\(\s*"(--[a-z-]+)"', (ROOT / "bench" / f"{name}.py").read_text()):
        assert option in text, f"scripts/bench {name} {option} is not in bench/README.md"


def test_every_error_is_documented() -> None:
    """Whatever the service refuses with, and the status that it has."""
    text = (ROOT / "docs" / "errors.md").read_text()
    for name, status in SHAPES.values():
        assert f"| `{name}` | {status} |" in text, name
    for path in (ROOT / "src" / "numberkeep").rglob("*.py"):
        for status, name in re.findall(r'Refusal\((\d+), "(\w+Exception)"', path.read_text()):
            assert f"| `{name}` | {status} |" in text, name


def test_every_endpoint_of_the_admin_port_is_documented() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    paths = {
        path
        for module in (ROOT / "src" / "numberkeep" / "admin").glob("*.py")
        for path in re.findall(r'Route\(\s*"(/[^"]+)"', module.read_text())
    }
    assert len(paths) > 10
    for path in paths:
        fixed, *names = re.split(r"\{\w+\}", path)
        assert re.search(r"[^`\s]+".join(map(re.escape, (fixed, *names))), text), path


def test_every_decision_is_listed() -> None:
    index = (ROOT / "docs" / "decisions" / "index.md").read_text()
    for page in (ROOT / "docs" / "decisions").glob("0*.md"):
        assert f"[{page.read_text().splitlines()[0].removeprefix('# ')}]({page.name})" in index


def test_the_readme_comes_to_a_first_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands are run as they stand, but for the ports; the programs that they name are there."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    text = (ROOT / "README.md").read_text()
    programs, update, clock, _ = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for line in programs.splitlines():
        assert os.access(ROOT / line.split()[0], os.X_OK), line
    with test_cli.running("dev") as (_, url, admin):
        commands = (update + clock).replace("http://127.0.0.1:8000", url)
        commands = commands.replace("http://127.0.0.1:8001/_numberkeep", admin)
        assert ":800" not in commands
        done = subprocess.run(["bash", "-ec", commands], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert re.findall(r'"CallingNameStatus": "(\w+)"', done.stdout)[-2:] == ["UpdateInProgress", "UpdateSucceeded"]
    assert re.findall(r'"CallingName": "(\w+)"', done.stdout)[-1] == "phonenumber2"


def test_the_readme_s_test_passes(tmp_path: Path) -> None:
    (text,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "test_name.py").write_text(text)
    done = subprocess.run([sys.executable, "-m", "pytest"], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout


def test_the_readme_comes_to_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commands are run as they stand, but for the ports, and end when it serves."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    *_, commands = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    commands = commands.replace("numberkeep serve", "exec numberkeep serve --port 0 --admin-port 0")
    with subprocess.Popen(["bash", "-ec", commands], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert any("answers the Amazon Chime API at" in line for line in process.stderr)
        process.terminate()
        assert process.wait(30) == 0


def test_the_tutorial_comes_to_green_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are written and its commands run, one after the other; what it installs is here already."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    runs = 0
    for kind, title, text in re.findall(r'```(\w+)(?: title="(.+?)")?\n(.*?)```', TUTORIAL.read_text(), re.DOTALL):
        if kind == "python":
            with (tmp_path / title).open("a") as file:
                file.write(f"{text}\n\n")
        elif "pip install" not in text:
            done = subprocess.run(["bash", "-ec", text], cwd=tmp_path, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout
            runs += 1
            assert f"{runs} passed" in done.stdout
    assert runs == 3


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}  # that MkDocs has a successor
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert (tmp_path / "site" / "tutorial" / "index.html").exists()
