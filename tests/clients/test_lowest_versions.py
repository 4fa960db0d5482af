"""The oldest versions that pyproject.toml says will do, do."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from .packages import from_pip

ROOT = Path(__file__).parent.parent.parent
TESTS = (
    "test_testing.py",
    "carriers/test_webhook.py",
    "cli/test_configuration.py",
    "cli/test_transfer.py",
    "admin/test_connection.py",
    "admin/test_metrics.py",
    "admin/console/test_sign_in.py",
)
"""Which have something to do with each of the packages."""


def test_the_oldest_versions_do(programs: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["aws"]]
    oldest = [re.sub(r">=([0-9.]+)$", r"==\1", one) for one in wanted]
    assert all("==" in one for one in oldest)
    packages = from_pip(programs, *oldest)
    tests = [str(ROOT / "tests" / one) for one in TESTS]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default", "-k", "not postgresql"]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    path = os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, *tests], cwd=ROOT, env={**variables, "PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
