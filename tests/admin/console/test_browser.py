"""The console in a real browser: with the keyboard alone, on a narrow screen, light and dark; and axe finds nothing.

Chromium is Debian's, Playwright drives it, axe-core comes from npm. SCREENSHOTS=1 has those of the docs made anew.
"""

import os
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, Page, expect, sync_playwright

from clients.packages import archive_from_npm
from conftest import Service, Start
from console_visitor import key_of
from numberkeep.config import Settings
from numberkeep.domain.caller import Caller
from numberkeep.storage import identities

AXE = "axe-core@4.10.3"
IMAGES = Path(__file__).parents[3] / "docs" / "images"
CONNECTOR = "abcdef1ghij2klmno3pqr4"
NARROW = {"width": 360, "height": 740}
WIDE = {"width": 1280, "height": 900}


@pytest.fixture(scope="module")  # its event loop runs until it ends, and whoever comes then has another
def chromium() -> Iterator[Browser]:
    """A browser. Skips the test that asks if there is none; on a CI machine (CI is set) that is a failure."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not path:
        give_up = pytest.fail if os.environ.get("CI") else pytest.skip
        give_up(
            "THE CONSOLE WAS NOT TRIED IN A BROWSER: chromium is not installed; on Debian, apt-get install chromium"
        )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def axe(programs: Path) -> str:
    """The script that checks a page for what keeps people out."""
    with tarfile.open(archive_from_npm(programs, AXE)) as archive:
        script = archive.extractfile("package/axe.min.js")
        assert script
        return script.read().decode()


@pytest.fixture(scope="module")
def dev() -> Iterator[Service]:
    one = Service(Settings(port=0, admin_port=0, dev=True, empty=True, verify=False))
    one.start()
    yield one
    one.stop()


@pytest.fixture
def service(dev: Service) -> Service:
    """In dev, with a few numbers."""
    dev.admin.post("/reset").raise_for_status()
    voice = {"ProductType": "VoiceConnector"}
    dev.seed(
        {"E164PhoneNumber": "+12065550100", "CallingName": "Acme", "Name": "Front desk", **voice},
        {"E164PhoneNumber": "+12065550101", "Name": "Sales", **voice},
        {"E164PhoneNumber": "+12065550102", **voice,
         "Associations": [{"Name": "VoiceConnectorId", "Value": CONNECTOR}]},
        {"E164PhoneNumber": "+13125550100", "ProductType": "BusinessCalling", "CallingName": "Chicago office"},
        {"E164PhoneNumber": "+18885550100", **voice},
        {"E164PhoneNumber": "+442079460100", "ProductType": "SipMediaApplicationDialIn", "Name": "London"},
        {"E164PhoneNumber": "+15035550100", "ProductType": "SipMediaApplicationDialIn", "Status": "ReleaseInProgress"},
    )  # fmt: skip
    return dev


class Screen:
    """A page in a browser, and all that went wrong in it."""

    def __init__(self, browser: Browser, service: Service, **options: Any) -> None:
        base = f"http://127.0.0.1:{service.app.admin_port}"
        self.context = browser.new_context(base_url=base, viewport=options.pop("viewport", WIDE), **options)
        self.page: Page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.wrong: list[str] = []
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("requestfailed", lambda request: self._failed(request))

    def _failed(self, request: Any) -> None:
        if "ERR_ABORTED" not in (request.failure or ""):  # a search that the next letter has overtaken
            self.wrong.append(f"{request.url}: {request.failure}")

    def go(self, path: str) -> Page:
        self.page.goto(path)
        return self.page


@pytest.fixture
def screen(chromium: Browser, service: Service) -> Iterator[Screen]:
    """A wide one."""
    one = Screen(chromium, service)
    yield one
    one.context.close()
    assert not one.wrong


def paths(service: Service) -> list[str]:
    """Every page."""
    chime = service.client()
    service.admin.post("/faults", json={"operation": "GetAccount", "error": "InternalFailure"}).raise_for_status()
    service.admin.post("/snapshots", json={"name": "seeded"}).raise_for_status()
    account = Caller("123456789012", "arn:aws:iam::123456789012:root", "")
    if not service.run(service.app.store.ask(account, identities.keys)):
        key_of(service, account=account)
    order = chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=["+12065550142"])
    return [
        "/numbers",
        "/numbers?text=nothing",
        "/numbers/+12065550100",
        "/numbers/+15035550100",
        "/orders",
        "/orders/new?country=US&area_code=206",
        f"/orders/{order['PhoneNumberOrder']['PhoneNumberOrderId']}",
        "/deletion-queue",
        "/pending",
        "/voice-connectors",
        "/sip-rules",
        "/trends",
        "/requests",
        "/access",
        "/dev",
        "/accounts",
    ]


RULES = {
    "light": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "dark": ["color-contrast"],  # nothing else is different
}


def violations(page: Page, axe: str, colours: str) -> list[str]:
    """What axe finds on a page: which rule is broken, and where."""
    page.evaluate(axe)
    run = "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']}).then(told => told.violations)"
    found = page.evaluate(run, RULES[colours])
    return [f"{one['id']} ({one['impact']}): {node['target']} {node['failureSummary']}" for one in found
            for node in one["nodes"]]  # fmt: skip


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_axe_finds_nothing(chromium: Browser, service: Service, axe: str, colours: Any) -> None:
    one = Screen(chromium, service, color_scheme=colours, bypass_csp=True)  # axe comes into the page as text
    found = {}
    for path in paths(service):
        one.go(path)
        if wrong := violations(one.page, axe, colours):
            found[path] = wrong
    one.page.goto("/numbers")
    one.page.check("input[data-all]")
    one.page.click("text=Change the selected")
    if wrong := violations(one.page, axe, colours):
        found["selected"] = wrong
    one.context.close()
    assert not found


def test_no_page_is_wider_than_a_phone(chromium: Browser, service: Service) -> None:
    one = Screen(chromium, service, viewport=NARROW)
    for path in paths(service):
        page = one.go(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], path
    one.context.close()
    assert not one.wrong


def test_everything_works_without_javascript(chromium: Browser, service: Service) -> None:
    one = Screen(chromium, service, java_script_enabled=False)
    page = one.go("/numbers")
    page.fill("input[name=text]", "front")
    page.click("button:text('Search')")
    expect(page.get_by_role("row")).to_have_count(2)
    page.check("input[value='+12065550100']")
    page.click("text=Change the selected")
    page.get_by_label("New name").fill("Reception")
    page.click("text=Change names")
    expect(page.get_by_role("status")).to_have_text("Done for 1 of 1.")
    one.context.close()


def test_search_as_you_type(screen: Screen) -> None:
    page = screen.go("/numbers")
    expect(page.get_by_role("row")).to_have_count(8)
    box = page.get_by_label("Search")
    box.press_sequentially("chicago", delay=20)
    expect(page.get_by_role("row")).to_have_count(2)
    expect(box).to_be_focused()
    expect(page).to_have_url(re.compile("text=chicago"))
    box.fill("")
    page.get_by_label("Country").select_option("GB")
    expect(page.get_by_role("row")).to_have_count(2)
    expect(page.get_by_text("London")).to_be_visible()
    page.get_by_role("link", name="1 Assigned").click()
    expect(page.get_by_text("No number is like that.")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("London")).to_be_visible()


def test_many_are_changed_at_once(screen: Screen) -> None:
    page = screen.go("/numbers?country=US")
    page.get_by_label("Select all on this page").check()
    page.get_by_role("button", name="Change the selected").click()
    expect(page.get_by_text("It is possible for 4 of 6 now.").first).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("status")).to_have_text("Done for 4 of 6.")
    expect(page.get_by_text("disassociate it, or disable the SIP rule")).to_be_visible()


def test_with_the_keyboard_alone(screen: Screen, service: Service) -> None:
    """From the address bar to another calling name, without a mouse."""
    page = screen.go("/numbers")
    press = page.keyboard.press
    press("Tab")
    expect(page.get_by_text("Skip to the page")).to_be_focused()
    press("Enter")
    for _ in range(30):
        press("Tab")
        if page.evaluate("document.activeElement.name") == "text":
            break
    page.keyboard.type("front")
    expect(page.get_by_role("row")).to_have_count(2)
    for _ in range(30):
        press("Tab")
        if page.evaluate("document.activeElement.className") == "number":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px", "who uses the keyboard sees where they are"
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("+1 206-555-0100")
    for _ in range(60):
        press("Tab")
        if page.evaluate("document.activeElement.closest('label')?.innerText") == "Calling name":
            break
    press("Control+A")
    page.keyboard.type("Numberkeep")
    press("Enter")
    expect(page.get_by_role("status")).to_contain_text("The calling name is asked for.")
    number = service.client().get_phone_number(PhoneNumberId="+12065550100")["PhoneNumber"]
    assert number["CallingNameStatus"] == "UpdateInProgress"


def test_an_order_is_watched_until_it_settles(screen: Screen, service: Service) -> None:
    page = screen.go("/orders")
    page.get_by_role("link", name="New order").click()
    page.get_by_label("Area code").fill("206")
    page.get_by_role("button", name="Search").click()
    page.get_by_label("+1 206-555-0103").check()
    page.get_by_role("button", name="Order", exact=True).click()
    expect(page.locator("#order")).to_contain_text("Processing")
    service.advance("5s")
    expect(page.locator("#order").get_by_role("status")).to_have_text("Successful")
    expect(page.locator("#order")).to_contain_text("Acquired")


def test_the_clock_is_turned_by_a_button(screen: Screen, service: Service) -> None:
    service.client().update_phone_number(PhoneNumberId="+12065550100", CallingName="Numberkeep")
    page = screen.go("/dev")
    page.get_by_role("button", name="Advance 72h").click()
    expect(page.get_by_role("status")).to_contain_text("72h have passed.")
    page.goto("/numbers?text=numberkeep")
    expect(page.get_by_role("row")).to_have_count(2)


def test_everything_that_can_be_done_to_a_number(screen: Screen, service: Service) -> None:
    page = screen.go("/numbers/+13125550100")

    def do(card: str, button: str, said: str) -> None:
        page.locator(".card", has=page.get_by_role("heading", name=card, exact=True)).get_by_role(
            "button", name=button, exact=True
        ).click()
        expect(page.get_by_role("status").first).to_contain_text(said)

    page.get_by_label("Name", exact=True).fill("Chicago")
    do("Name", "Change the name", "The name is changed.")
    page.get_by_label("Product type").select_option("VoiceConnector")
    do("Product type", "Change the product type", "It has the product type VoiceConnector now.")
    page.get_by_label("Voice Connector or group").select_option(f"VoiceConnectorId {CONNECTOR}")
    do("Assignment", "Assign", "It is assigned to VoiceConnectorId")
    expect(page.get_by_role("button", name="Delete")).to_be_disabled()
    do("Assignment", "Take it away", "It is free now.")
    do("Delete", "Delete", "It is deleted.")
    do("Restore", "Restore", "It is restored.")
    page.get_by_label("Calling name").fill("")
    do("Calling name", "Ask for it", "The calling name is asked for.")
    expect(page.locator(".timeline > li")).to_have_count(8)
    number = service.client().get_phone_number(PhoneNumberId="+13125550100")["PhoneNumber"]
    assert (number["Status"], number["CallingNameStatus"]) == ("Unassigned", "UpdateInProgress")


def test_out_of_the_deletion_queue(screen: Screen) -> None:
    page = screen.go("/deletion-queue")
    page.get_by_label("Select +1 503-555-0100").check()
    page.get_by_role("button", name="Restore the selected").click()
    expect(page.get_by_role("status")).to_have_text("Done for 1 of 1.")
    page.goto("/deletion-queue")
    expect(page.get_by_text("It is empty.")).to_be_visible()


def test_a_rule_is_disabled_and_enabled(screen: Screen, service: Service) -> None:
    voice = service.client("chime-sdk-voice")
    host = voice.list_voice_connectors()["VoiceConnectors"][0]["OutboundHostName"]
    endpoints = [{"LambdaArn": "arn:aws:lambda:us-east-1:123456789012:function:one"}]
    application = voice.create_sip_media_application(AwsRegion="us-east-1", Name="one", Endpoints=endpoints)
    id = application["SipMediaApplication"]["SipMediaApplicationId"]
    target = {"SipMediaApplicationId": id, "Priority": 1, "AwsRegion": "us-east-1"}
    voice.create_sip_rule(
        Name="Trunk", TriggerType="RequestUriHostname", TriggerValue=host, TargetApplications=[target]
    )
    page = screen.go("/sip-rules")
    page.get_by_role("button", name="Disable Trunk").click()
    expect(page.get_by_role("status")).to_have_text("The SIP rule Trunk is disabled.")
    page.get_by_role("button", name="Enable Trunk").click()
    expect(page.get_by_role("status")).to_have_text("The SIP rule Trunk is enabled.")


def test_faults_snapshots_and_accounts(screen: Screen, service: Service) -> None:
    """What dev has."""
    page = screen.go("/dev")
    page.get_by_label("Operation").select_option("GetPhoneNumber")
    page.get_by_label("Error").select_option("ServiceFailureException")
    page.get_by_role("button", name="Add request fault").click()
    expect(page.get_by_text("fired 0 times")).to_be_visible()
    page.get_by_role("button", name="Remove fault").click()
    expect(page.get_by_text("None is in force.")).to_be_visible()
    page.get_by_label("What they are asked for").select_option("order")
    page.get_by_label("What they do").select_option("refuse")
    page.get_by_role("button", name="Add carrier fault").click()
    expect(page.get_by_text("fired 0 times")).to_be_visible()
    page.get_by_label("Name", exact=True).fill("now")
    page.get_by_role("button", name="Take a snapshot").click()
    page.get_by_label("Another duration").fill("1h")
    page.get_by_role("button", name="Advance", exact=True).click()
    page.get_by_role("button", name="Reset").click()
    expect(page.get_by_text("None is in force.")).to_be_visible()
    page.get_by_role("button", name="Restore now").click()
    expect(page.get_by_text("fired 0 times")).to_be_visible()
    page.get_by_role("button", name="Delete now").click()
    expect(page.get_by_role("button", name="Delete now")).to_have_count(0)
    assert len(service.client().list_phone_numbers()["PhoneNumbers"]) == 6
    page.goto("/accounts")
    page.get_by_label("Another account").fill("222222222222")
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("status").first).to_have_text("This is account 222222222222 now.")
    expect(page.get_by_text("No number is like that.")).to_be_visible()


def test_trends_can_be_read_and_looked_at(screen: Screen) -> None:
    page = screen.go("/trends")
    plot = page.get_by_role("img", name=re.compile("Numbers at the end of each day"))
    expect(plot).to_be_visible()
    assert plot.locator("rect").count() == 3, "three statuses today, and nothing before"
    page.get_by_text("The figures").first.click()
    expect(page.get_by_role("region", name="Figures: Numbers")).to_be_visible()


def test_signing_in_and_out(chromium: Browser, start: Start, axe: str) -> None:
    service = start(dev=False, verify=True)
    id, secret = key_of(service)
    one = Screen(chromium, service, bypass_csp=True)
    page = one.go("/numbers")
    assert not violations(page, axe, "light")
    expect(page.get_by_label("Access key id")).to_be_focused()
    page.keyboard.type(id)
    page.keyboard.press("Tab")
    page.keyboard.type("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("There is no active access key of that id with that secret.")
    page.get_by_label("Access key id").fill(id)
    page.get_by_label("Secret access key").fill(secret)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Numbers")
    page.goto("/access")
    assert not violations(page, axe, "light")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    page.goto("/access")
    expect(page.get_by_role("heading", level=1)).to_have_text("Sign in")
    one.context.close()
    assert [text for text in one.wrong if "403" not in text] == []


def test_light_and_dark(screen: Screen) -> None:
    page = screen.go("/numbers")
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.get_by_role("button", name="Colours: auto").click()
    page.get_by_role("button", name="Colours: light").click()
    expect(page.get_by_role("button", name="Colours: dark")).to_be_visible()
    assert page.evaluate(colour) != light


def test_nothing_is_fetched_from_elsewhere_or_runs_inline(chromium: Browser, service: Service) -> None:
    one = Screen(chromium, service)
    asked: list[str] = []
    one.page.on("request", lambda request: asked.append(request.url))
    for path in paths(service):
        page = one.go(path)
        assert page.locator("[style], style, script:not([src])").count() == 0, path
    assert all(url.startswith(f"http://127.0.0.1:{service.app.admin_port}/") for url in asked)
    with pytest.raises(Error, match="Content Security Policy"):
        one.page.add_script_tag(content="document.title = 'taken over'")
    one.context.close()


def some_weeks(service: Service) -> None:
    """Numbers come and go, and many requests are made; the snapshot `seeded` is what there was before."""
    service.admin.post("/snapshots", json={"name": "seeded"}).raise_for_status()
    chime = service.client()
    for day in range(24):
        offered = chime.search_available_phone_numbers(Country="US", AreaCode="206", MaxResults=8)["E164PhoneNumbers"]
        chime.create_phone_number_order(ProductType="VoiceConnector", E164PhoneNumbers=offered[: day % 5 + 2])
        service.advance("1h")
        found = chime.list_phone_numbers(Status="Unassigned")["PhoneNumbers"]
        for number in found[: day % 3]:
            chime.delete_phone_number(PhoneNumberId=number["PhoneNumberId"])
        service.advance("23h")


@pytest.mark.skipif("SCREENSHOTS" not in os.environ, reason="docs/images is made with SCREENSHOTS=1")
def test_screenshots(chromium: Browser, service: Service) -> None:
    IMAGES.mkdir(exist_ok=True)
    some_weeks(service)
    one = Screen(chromium, service)
    one.go("/trends").screenshot(path=IMAGES / "console-trends.png")
    one.context.close()
    service.admin.post("/snapshots/seeded/restore").raise_for_status()
    for name, path, options in (
        ("numbers", "/numbers", {}),
        ("number", "/numbers/+12065550100", {}),
        ("numbers-dark", "/numbers", {"color_scheme": "dark"}),
        ("numbers-narrow", "/numbers", {"viewport": NARROW}),
        ("dev", "/dev", {}),
        ("requests", "/requests?only=refused", {}),
        ("order-new", "/orders/new?country=US&area_code=206", {}),
    ):
        one = Screen(chromium, service, **options)
        one.go(path).screenshot(path=IMAGES / f"console-{name}.png")
        one.context.close()
