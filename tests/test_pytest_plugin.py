"""The plugin in test runs of its own, as people have it who install the package."""

import os

import pytest

pytest_plugins = ["pytester"]

TESTS = """
    import os
    import boto3
    import pytest

    E164 = "+12065550100"


    def names():  # code under test, which makes a client of its own
        numbers = boto3.client("chime").list_phone_numbers()["PhoneNumbers"]
        return [number.get("CallingName") for number in numbers]


    @pytest.mark.parametrize("turn", range(6))
    def test_every_test_begins_with_nothing(numberkeep, turn):
        assert names() == []
        assert numberkeep.requests(operation="ListPhoneNumbers")[1:] == []
        numberkeep.seed(E164)
        boto3.client("chime-sdk-voice").update_phone_number(PhoneNumberId=E164, CallingName="Acme")
        numberkeep.advance(hours=72)
        numberkeep.fault("GetPhoneNumber", drop="before")
        assert names() == ["Acme"]


    def test_one_that_sets_a_variable_too(monkeypatch, numberkeep):
        monkeypatch.setenv("AWS_REGION", "eu-west-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL_CHIME", numberkeep.url)
        assert names() == []


    profile = os.environ.pop("AWS_PROFILE")
    early = boto3.client("chime", region_name="us-east-1", aws_access_key_id="AKIA", aws_secret_access_key="x")
    os.environ["AWS_PROFILE"] = profile


    def test_a_client_of_before_does_not_ask_aws(numberkeep):
        with pytest.raises(Exception, match="was made before Numberkeep was there would ask chime[.]us-east-1"):
            early.list_phone_numbers()


    def test_others_are_left_alone():
        assert "AWS_REGION" not in os.environ
        assert "AWS_ENDPOINT_URL_CHIME" not in os.environ
        assert os.environ["AWS_PROFILE"] == "production"


    def test_a_coroutine_may_use_it(numberkeep):
        import asyncio

        async def ask():
            numberkeep.seed(E164)
            return await asyncio.to_thread(names)

        assert asyncio.run(ask()) == [None]
"""


@pytest.fixture
def tests(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of production")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    home = pytester.mkdir("home")
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text("[default]\nignore_configured_endpoint_urls = true\nregion = eu-west-1\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("AWS_ENDPOINT_URL_CHIME", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    pytester.makepyfile(TESTS)
    return pytester


def test_the_fixture_is_there_for_who_installs_the_package(tests: pytest.Pytester) -> None:
    result = tests.runpytest_subprocess("-q", "-W", "error")
    result.assert_outcomes(passed=10)


def test_several_processes_have_a_service_each(tests: pytest.Pytester) -> None:
    result = tests.runpytest_subprocess("-q", "-n", "2")
    result.assert_outcomes(passed=10)


def test_it_is_told_of(tests: pytest.Pytester) -> None:
    result = tests.runpytest_subprocess("--fixtures", "-q")
    result.stdout.fnmatch_lines(["numberkeep -- *", "*empty inventory*"])
    assert os.environ["AWS_PROFILE"] == "production"
