"""`scripts/mutate`: rules are broken on purpose, one at a time, to see that the simulation finds each of them.

A break is made in a copy of the source, in a temporary directory. One that is not found is a hole in the tests.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
SOURCE = ROOT / "src"
SEEDS = 60
STEPS = 150


class Break(NamedTuple):
    """Something that the program must do and does no longer."""

    rule: str
    file: str
    """Below ``src/numberkeep``."""
    old: str
    """What stands there once."""
    new: str


BREAKS = [
    Break(
        "a number that another account owns is not acquired",
        "storage/phone_numbers.py",
        "    return bool(row[0] == tx.account_id)",
        "    return True",
    ),
    Break(
        "a number that is released belongs to nobody",
        "storage/phone_numbers.py",
        "        (*of_number, change_id),\n    )\n    disclaim(tx, number.e164_phone_number)",
        "        (*of_number, change_id),\n    )",
    ),
    Break(
        "a number that was not acquired belongs to nobody",
        "settling.py",
        "        phone_numbers.disclaim(tx, e164)\n",
        "",
    ),
    Break(
        "a change names the one before it",
        "storage/phone_numbers.py",
        "_remember(tx, number, told, was.change_id)",
        "_remember(tx, number, told, None)",
    ),
    Break(
        "what is remembered of a row is what was written",
        "storage/phone_numbers.py",
        "    tx.known[key] = structs.replace(number, change_id=change_id)",
        "    tx.known[key] = number",
    ),
    Break(
        "the history of a number that comes back goes on",
        "storage/phone_numbers.py",
        "    departed = _departed(tx, [number.e164_phone_number for number in numbers])",
        "    departed = dict[str, int]()",
    ),
    Break(
        "a number that is assigned anew leaves what held it",
        "storage/phone_numbers.py",
        'tx.write("DELETE FROM phone_number_associations WHERE account_id = ? AND e164_phone_number = ?", key)',
        "pass",
    ),
    Break(
        "a history tells of associations",
        "storage/phone_numbers.py",
        '        changed["associations"] = (was.associations, number.associations)\n',
        "",
    ),
    Break(
        "a deleted number is released in the end",
        "operations/phone_numbers.py",
        '        pending_changes.put(tx, number.e164_phone_number, "release", due_at=str(number.deletion_timestamp))',
        "        pass",
    ),
    Break(
        "a restored number is not released",
        "operations/phone_numbers.py",
        '    pending_changes.delete(tx, number.e164_phone_number, "release")\n',
        "",
    ),
    Break(
        "a calling name that was asked for is settled",
        "operations/phone_numbers.py",
        '        pending_changes.put(tx, number.e164_phone_number, "set_calling_name", due_at=tx.now)',
        "        pass",
    ),
    Break(
        "a restored number has no deletion timestamp",
        "domain/phone_number.py",
        'return self._move("restore", now, deletion_timestamp=None)',
        'return self._move("restore", now)',
    ),
    Break(
        "a calling name that failed is requested no longer",
        "domain/phone_number.py",
        'return self._calling_name("fail", now, requested_calling_name=None)',
        'return self._calling_name("fail", now)',
    ),
    Break(
        "a number that nothing holds is Unassigned",
        "domain/phone_number.py",
        'status = self.status if left else self._target("unassign")',
        "status = self.status",
    ),
    Break(
        "an ordered number knows its order",
        "operations/phone_number_orders.py",
        "            order_id=order.phone_number_order_id,\n",
        "",
    ),
    Break(
        "an order is settled with its last number",
        "domain/phone_number_order.py",
        '    if "Processing" in statuses:',
        '    if statuses == {"Processing"}:',
    ),
    Break(
        "a Voice Connector that has numbers is not deleted",
        "operations/voice_connectors.py",
        '    if phone_numbers.is_held_by(tx, "VoiceConnectorId", voice_connector_id):',
        "    if False:",
    ),
    Break(
        "what is pending of a number goes with it",
        "settling.py",
        "        pending_changes.delete_all(tx, e164)\n",
        "",
    ),
    Break(
        "an answer counts for who has claimed the change",
        "settling.py",
        "    if not pending_changes.is_claimed(tx, change):\n        return\n    if noted:\n",
        "    if noted:\n",
    ),
    Break(
        "a message waits for those before it",
        "settling.py",
        "    if deliveries.is_first(tx, delivery):\n",
        "    if True:\n",
    ),
    Break(
        "a change keeps its key",
        "settling.py",
        "    return change.change_key or",
        "    return f'{of_number} {change.attempts}' or",
    ),
]


def run(source: Path) -> "subprocess.CompletedProcess[str]":
    """The simulation with that source."""
    command = [sys.executable, "-m", "simulation", "--seeds", str(SEEDS), "--steps", str(STEPS)]
    environment = {**os.environ, "PYTHONPATH": f"{source}:{ROOT / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


def outcome(one: Break) -> tuple[bool, str]:
    """Whether a break was found, and what was said of it."""
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "src")
        shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
        file = source / "numberkeep" / one.file
        text = file.read_text()
        assert text.count(one.old) == 1, f"{one.file} does not have what is to be broken: {one.old}"
        file.write_text(text.replace(one.old, one.new))
        done = run(source)
    if done.returncode == 0:
        return False, "nothing"
    said = re.search(r"rule='([^']+)'", done.stderr) or re.search(r'rule="([^"]+)"', done.stderr)
    return True, said[1] if said else next(iter(re.findall(r"^(\w*(?:Error|Exception).*)$", done.stderr, re.M)), "?")


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/mutate", description=__doc__)
    parser.add_argument("words", nargs="*", help="those whose rule or file has such a word; all if none is given")
    words = parser.parse_args().words
    sound = run(SOURCE)
    if sound.returncode:
        print(f"The source as it is breaks a rule already:\n{sound.stderr}", file=sys.stderr)
        return 1
    missed = 0
    for one in BREAKS:
        if words and not any(word in one.rule or word in one.file for word in words):
            continue
        began = time.monotonic()
        found, how = outcome(one)
        missed += not found
        seconds = time.monotonic() - began
        print(f"{'found' if found else 'MISSED':<7}{seconds:>5.0f} s  {one.rule} ({one.file}): {how[:90]}", flush=True)
    print(f"{missed} were missed." if missed else "All were found.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
