"""Checks the project's own rules: which package may import which, where the clock and randomness are, where tests
are."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "numberkeep"
MODULES = sorted(SOURCE.rglob("*.py"))

MAY_IMPORT = {
    "domain": set(),
    "world": {"domain"},
    "config": set(),
    "logs": {"domain"},
    "tracing": {"aws", "domain"},
    "metrics": set(),
    "storage": {"domain", "metrics", "world"},
    "carriers": {"domain"},
    "operations": {"domain", "storage"},
    "settling": {"domain", "storage", "carriers"},
    "worker": {"domain", "metrics", "storage", "carriers", "settling", "world"},
    "aws": {"domain", "metrics"},
    "admin": {
        "aws",
        "carriers",
        "domain",
        "keyring",
        "metrics",
        "operations",
        "proxies",
        "sealing",
        "settling",
        "storage",
        "worker",
        "world",
    },
    "proxies": set(),
    "wire": {"aws", "proxies"},
    "keyring": {"aws", "domain", "sealing", "storage", "world"},
    "sealing": set(),
    "trail": set(),
    "supervisor": {"config"},
    "app": {
        "aws",
        "admin",
        "carriers",
        "config",
        "domain",
        "keyring",
        "metrics",
        "opening",
        "operations",
        "proxies",
        "sealing",
        "storage",
        "tracing",
        "trail",
        "wire",
        "worker",
        "world",
    },
    "opening": {"carriers", "config", "domain", "metrics", "sealing", "storage", "wire", "world"},
    "session": {"carriers", "config", "domain", "opening", "storage", "world"},
    "maintenance": {"carriers", "config", "opening", "sealing", "storage", "world"},
    "cli": {
        "app",
        "aws",
        "carriers",
        "config",
        "domain",
        "keyring",
        "logs",
        "maintenance",
        "opening",
        "operations",
        "sealing",
        "session",
        "settling",
        "storage",
        "supervisor",
        "world",
    },
    "testing": {"app", "config", "domain", "world"},
    "pytest_plugin": {"testing"},
    "__init__": {"testing"},
    "__main__": {"cli"},
}

AWS_MAY_IMPORT_OF_DOMAIN = {"errors", "caller", "identity"}

BANNED = {
    "datetime.now": "tx.now",
    "datetime.utcnow": "tx.now",
    "time.time": "world.World",
    "time.sleep": "a moment at which something is due",
    "uuid.uuid4": "tx.new_id()",
    "random.random": "world.World.random",
    "os.environ": "config",
    "os.getenv": "config",
}
MAY_USE = {"world": {"time.time"}, "config": {"os.environ"}, "testing": {"os.environ"}}
"""The one module that may use a thing that is banned elsewhere."""

IMPORTED_LATE = {
    "aws_account",
    "carriers.webhook",
    "cryptography.x509",
    "jinja2",
    "prometheus",
    "psycopg.conninfo",
    "serving",
    "storage.postgres",
    "storage.postgres_schema",
    "testing",
    "tracing",
}
"""Modules that only some users need, and whose import would delay every start."""

LONGEST_FUNCTION_LINES = 70


def package_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[tuple[ast.stmt, list[str]]]:
    """Every import of one of our own modules in a module, as its parts: ``["storage", "sqlite"]``."""
    here = ("numberkeep", *path.relative_to(SOURCE).with_suffix("").parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "numberkeep":
                    yield node, alias.name.split(".")[1:]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                parts = [*here[: -node.level], *(node.module.split(".") if node.module else [])]
            else:
                parts = (node.module or "").split(".")
            if parts[0] == "numberkeep":
                for alias in node.names:
                    yield node, [*parts[1:], alias.name]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_follow_the_order_of_the_house(path: Path) -> None:
    package = package_of(path)
    for node, parts in imports_of(path):
        assert parts[0] == package or parts[0] in MAY_IMPORT[package], (
            f"{path}:{node.lineno}: {package} may not import {parts[0]}"
        )
        if package == "aws" and parts[0] == "domain":
            assert parts[1] in AWS_MAY_IMPORT_OF_DOMAIN, f"{path}:{node.lineno}: aws may not import domain.{parts[1]}"


def test_the_order_has_no_cycle() -> None:
    finished: set[str] = set()

    def visit(package: str, above: tuple[str, ...]) -> None:
        assert package not in above, f"{' -> '.join((*above, package))} is a cycle"
        if package not in finished:
            for other in MAY_IMPORT[package]:
                visit(other, (*above, package))
            finished.add(package)

    for package in MAY_IMPORT:
        visit(package, ())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_is_imported_inside_a_function(path: Path) -> None:
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                names = {node.module} if isinstance(node, ast.ImportFrom) else set()
                names |= {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
                for name in names - IMPORTED_LATE:
                    pytest.fail(f"{path}: {function.name} imports {name}")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_the_clock_the_dice_and_the_environment_have_one_place(path: Path) -> None:
    allowed = MAY_USE.get(package_of(path), set())
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and (name := ast.unparse(node)) in BANNED and name not in allowed:
            pytest.fail(f"{path}:{node.lineno}: {name} is banned here; use {BANNED[name]}")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_functions_are_short(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            lines = node.end_lineno - node.lineno + 1
            assert lines <= LONGEST_FUNCTION_LINES, f"{path}:{node.lineno}: {node.name} has {lines} lines"


def test_every_module_says_what_it_is() -> None:
    for path in MODULES:
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_tests_mirror_the_code() -> None:
    """The tests of a module are in ``tests/<package>/test_<module>.py``; a package of tests that has no counterpart in
    the source is one of those named here."""
    others = {"clients", "fuzz", "parity", "simulation"}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        parts = path.relative_to(ROOT / "tests").parts
        if parts[0] in others or path.stem in (
            "test_tidy",
            "test_docs",
            "test_deploy",
            "test_postgres_support",
            "test_browser",
        ):
            continue
        module = path.stem.removeprefix("test_")
        directory = SOURCE.joinpath(*parts[:-1])
        assert (directory / f"{module}.py").exists() or (directory / module).is_dir(), f"{path} tests no module"
