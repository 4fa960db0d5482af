"""Orders of phone numbers at the shell."""

import csv
import json

from click.testing import CliRunner, Result

from conftest import ALICE, Do
from numberkeep.cli import main


def orders(database: str, command: str, *options: str) -> Result:
    account = ("--account", ALICE.account_id)
    return CliRunner().invoke(main, ["orders", command, "--database", database, *account, *options])


def test_orders_and_how_far_they_have_come(database: str, do: Do, seconds: list[float]) -> None:
    ids = []
    for e164s in (["+12065550100"], ["+12065550101", "+12065550102"]):
        order = do("create_phone_number_order", product_type="VoiceConnector", e164_phone_numbers=e164s)
        ids.insert(0, order["PhoneNumberOrder"].phone_number_order_id)
        seconds[0] += 1
    listed = csv.DictReader(orders(database, "list", "--output", "csv").stdout.splitlines())
    assert [(row["phone_number_order_id"], row["numbers"]) for row in listed] == [(ids[0], "2"), (ids[1], "1")]
    assert len(json.loads(orders(database, "list", "--limit", "1", "--output", "json").stdout)) == 1
    assert orders(database, "list").stdout.splitlines()[1].startswith(ids[0])
    shown = json.loads(orders(database, "show", ids[0], "--output", "json").stdout)
    assert shown["ordered_phone_numbers"][1] == {"e164_phone_number": "+12065550102", "status": "Processing"}
    lines = orders(database, "show", ids[0]).stdout.splitlines()
    assert "ordered_phone_numbers  +12065550101 Processing" in lines
    assert lines[lines.index("ordered_phone_numbers  +12065550101 Processing") + 1].strip() == "+12065550102 Processing"
    other = orders(database, "show", "none")
    assert (other.exit_code, "Could not find PhoneNumberOrder" in other.stderr) == (1, True)
