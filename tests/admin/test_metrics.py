"""What /metrics tells is what has happened, of all processes, and holds up nobody."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from conftest import Service, Start
from numberkeep.admin import metrics as metrics_module
from numberkeep.metrics import COUNTERS, GAUGES, HISTOGRAMS
from receiver import SECRET, Receiver

from .. import test_cli

ROOT = Path(__file__).parent.parent.parent
E164 = "+12065550100"
SEED = {"E164PhoneNumber": E164, "ProductType": "VoiceConnector"}

Samples = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture(autouse=True)
def always_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the store is counted anew for every page."""
    monkeypatch.setattr(metrics_module, "KEPT_SECONDS", 0)
    monkeypatch.setattr(metrics_module, "KEPT_TIMES", 0)


def samples(families: Any) -> Samples:
    """By name and the values of labels, in the order in which the metric has them."""
    order = {
        f"numberkeep_{name}": (*family.labels, "le") for name, family in {**COUNTERS, **HISTOGRAMS, **GAUGES}.items()
    }
    return {
        (
            sample.name.removeprefix("numberkeep_"),
            tuple(sample.labels[label] for label in order[family.name] if label in sample.labels),
        ): sample.value
        for family in families
        for sample in family.samples
    }


def scrape(service: Service) -> Samples:
    answer = httpx.get(f"http://127.0.0.1:{service.app.admin_port}/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    return samples(parse(answer.text))


def rises(before: Samples, after: Samples, name: str) -> Samples:
    """By how much the samples of a metric have risen, of those that have."""
    return {
        labels: value - before.get((one, labels), 0)
        for (one, labels), value in after.items()
        if one == name and value != before.get((one, labels), 0)
    }  # type: ignore[return-value]


def test_requests_are_counted_by_what_came_of_them(service: Service) -> None:
    chime = service.client()
    service.seed(SEED)
    before = scrape(service)
    chime.get_phone_number(PhoneNumberId=E164)
    chime.get_phone_number(PhoneNumberId=E164)
    chime.update_phone_number(PhoneNumberId=E164, ProductType="BusinessCalling")
    with pytest.raises(ClientError):
        chime.get_phone_number(PhoneNumberId="+12065550199")
    service.client("sts").get_caller_identity()
    httpx.get(f"{service.url}/nowhere")
    httpx.get(f"{service.url}/", headers={"Host": "a b"})  # which never becomes a request
    after = scrape(service)
    assert rises(before, after, "requests_total") == {
        ("GetPhoneNumber", "200", ""): 2,
        ("GetPhoneNumber", "404", "NotFoundException"): 1,
        ("UpdatePhoneNumber", "200", ""): 1,
        ("sts:GetCallerIdentity", "200", ""): 1,
        ("none", "404", "UnknownOperationException"): 1,
        ("none", "400", "MalformedHttpRequestException"): 1,
    }
    assert rises(before, after, "request_duration_seconds_count") == {
        ("GetPhoneNumber",): 3,
        ("UpdatePhoneNumber",): 1,
        ("sts:GetCallerIdentity",): 1,
        ("none",): 1,
    }
    assert sum(rises(before, after, "commit_group_size_count").values()) >= 1


def test_a_request_takes_as_long_as_its_client_waits(start: Start) -> None:
    service = start()
    service.seed(SEED)
    fault = {"operation": "GetPhoneNumber", "delay_ms": 300}
    service.admin.post("/faults", json=fault).raise_for_status()
    service.client().get_phone_number(PhoneNumberId=E164)
    found = scrape(service)
    assert found["request_duration_seconds_sum", ("GetPhoneNumber",)] >= 0.295  # loops count in milliseconds
    assert found["request_duration_seconds_bucket", ("GetPhoneNumber", "0.25")] == 0
    assert found["request_duration_seconds_bucket", ("GetPhoneNumber", "+Inf")] == 1


def test_names_that_strangers_make_up_are_no_labels(service: Service) -> None:
    for action in ("GetEverything", "x" * 500):
        httpx.post(service.url, data={"Action": action, "Version": "2011-06-15"})
        httpx.request("PURGE", f"{service.url}/{action}")
    assert not [labels for _, labels in scrape(service) for label in labels if "Everything" in label or "xx" in label]


def test_numbers_and_what_is_pending_and_due_are_counted(service: Service) -> None:
    chime = service.client()
    service.seed(SEED, {**SEED, "E164PhoneNumber": "+12065550101"})
    chime.update_phone_number(PhoneNumberId=E164, CallingName="Acme")
    chime.delete_phone_number(PhoneNumberId="+12065550101")
    found = scrape(service)
    assert found["store_up", ()] == 1
    assert found["numbers", ("Unassigned",)] == 1
    assert found["numbers", ("ReleaseInProgress",)] == 1
    assert found["numbers", ("Assigned",)] == 0
    assert found["pending", ("set_calling_name",)] == 1
    assert found["pending", ("release",)] == 1
    assert found["due", ("release",)] == found["oldest_due_seconds", ("release",)] == 0
    before = found
    service.advance("72h")
    after = scrape(service)
    assert after["pending", ("set_calling_name",)] == 0
    # It answers Pending first, and 72 hours later Done; the first may be before the first scrape.
    assert rises(before, after, "carrier_calls_total")["set_calling_name", "done"] == 1


def test_a_store_that_cannot_be_read_is_told(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    service = start(database=path)
    assert scrape(service)["store_up", ()] == 1
    for name in ("store.sqlite3", "store.sqlite3-wal"):
        (tmp_path / name).rename(tmp_path / f"elsewhere-{name}")
    path.write_bytes(b"nonsense " * 1000)
    found = scrape(service)
    assert found["store_up", ()] == 0
    assert not [name for name, _ in found if name == "numbers"]


def test_the_store_is_counted_seldom(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "KEPT_SECONDS", 1.5)
    service = start()
    assert scrape(service)["numbers", ("Unassigned",)] == 0
    service.seed(SEED)
    assert scrape(service)["numbers", ("Unassigned",)] == 0
    end = time.monotonic() + 20
    while scrape(service)["numbers", ("Unassigned",)] == 0:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_openmetrics_is_spoken_too(service: Service) -> None:
    url = f"http://127.0.0.1:{service.app.admin_port}/metrics"
    answer = httpx.get(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert samples(parse_openmetrics(answer.text))["store_up", ()] == 1


def test_every_metric_is_told_and_documented(service: Service) -> None:
    answer = httpx.get(f"http://127.0.0.1:{service.app.admin_port}/metrics")
    told: dict[str, Metric] = {family.name: family for family in parse(answer.text)}
    types = {f"numberkeep_{name}": "counter" for name in COUNTERS}
    types |= {f"numberkeep_{name}": "histogram" for name in HISTOGRAMS}
    types |= {f"numberkeep_{name}": "gauge" for name in GAUGES}
    assert {name: family.type for name, family in told.items()} == types
    page = (ROOT / "docs" / "metrics.md").read_text()
    documented = re.findall(r"^\| `(numberkeep_\w+)` \| ([^|]*)\|", page, re.M)
    families = {**COUNTERS, **HISTOGRAMS, **GAUGES}
    expected = {
        f"numberkeep_{name}" + "_total" * (name in COUNTERS): ", ".join(f"`{label}`" for label in family.labels)
        for name, family in families.items()
    }
    assert {name: labels.strip() for name, labels in documented} == expected


def test_the_dashboard_asks_for_what_there_is() -> None:
    dashboard = json.loads((ROOT / "docs" / "grafana" / "numberkeep.json").read_text())
    known = {f"numberkeep_{name}_total" for name in COUNTERS} | {f"numberkeep_{name}" for name in GAUGES}
    known |= {f"numberkeep_{name}_{part}" for name in HISTOGRAMS for part in ("bucket", "sum", "count")}
    families = {**COUNTERS, **HISTOGRAMS, **GAUGES}
    labels = {label for family in families.values() for label in family.labels} | {"le", "instance", "job"}
    asked: set[str] = set()
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            asked |= set(re.findall(r"\bnumberkeep_\w+", target["expr"]))
            for by in re.findall(r"by \(([^)]*)\)", target["expr"]):
                assert set(re.split(r",\s*", by)) <= labels, target["expr"]
    assert asked - known == set()
    unused = {name for name in known if name not in asked and not name.endswith(("_sum", "_count", "_bucket"))}
    assert unused == set(), "the dashboard shows all there is"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


def test_deliveries_are_counted(start: Start, tmp_path: Path) -> None:
    with Receiver() as receiver:
        secret = tmp_path / "secret"
        secret.write_text(SECRET)
        routing = tmp_path / "carriers.toml"
        routing.write_text(
            'default = "sim"\n[carriers.sim]\nkind = "simulated"\norder_seconds = 0\n'
            f'[subscribers.crm]\nurl = "{receiver.url}"\nsecret_file = "secret"\n'
        )
        service = start(carriers=routing)
        before = scrape(service)
        service.client().create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=[E164])
        wait_for(lambda: rises(before, scrape(service), "deliveries_total").get(("delivered",), 0) >= 1)
        assert rises(before, scrape(service), "carrier_calls_total") == {("order", "done"): 1}


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_page_tells_of_all_workers_and_no_count_falls(postgres_server: Any, postgres_template: str) -> None:
    """Though workers are replaced meanwhile: what they have counted is not lost, and not counted twice."""
    with postgres_server.database(postgres_template) as database:
        key = test_cli.create_key(database)
        options = ("--database", database, "--trail", "none", "--rate", "0", "--workers", "3")
        with test_cli.running("serve", *options) as (supervisor, url, admin):
            page = f"{admin.removesuffix('/_numberkeep')}/metrics"
            label = ("requests_total", ("ListPhoneNumbers", "200", ""))
            asked, latest = 0, 0.0
            for round in range(3):
                old = set(children(supervisor.pid))
                for _ in range(10):
                    client = test_cli.client(url, *key)  # a connection of its own, so to any of the workers
                    client.list_phone_numbers()
                    client.close()
                    asked += 1
                    told = samples(parse(httpx.get(page).text)).get(label, 0)
                    assert latest <= told <= asked
                    latest = told
                wait_for(lambda asked=asked: samples(parse(httpx.get(page).text)).get(label, 0) == asked)
                if round < 2:
                    supervisor.send_signal(test_cli.signal.SIGHUP)
                    wait_for(lambda old=old: len(children(supervisor.pid) - old) == 3 == len(children(supervisor.pid)))
            supervisor.terminate()
            assert supervisor.wait(30) == 0


def children(pid: int) -> set[int]:
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
