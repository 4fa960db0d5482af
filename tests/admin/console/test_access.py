"""Access: users, keys and policies, and no secret."""

import pytest

from conftest import ALICE, BOB
from console_visitor import Visitor, key_of
from numberkeep.admin.console import access
from numberkeep.domain.identity import AttachedPolicy
from numberkeep.storage import identities

DOCUMENT = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"chime:Get*","Resource":"*"}}'


def test_in_dev_there_may_be_none(visitor: Visitor) -> None:
    page = visitor.get("/access")
    assert "There are no roles." in page.text


def test_who_has_which_keys_and_may_do_what(served: Visitor) -> None:
    service = served.service
    id, secret = key_of(service)
    other, other_secret = key_of(service, AttachedPolicy("GetOnly", DOCUMENT), "gus")
    strange, _ = key_of(service, name="bob", account=BOB)
    run = service.app.store.transact
    service.run(run(ALICE, identities.set_key_status, other, "Inactive"))
    service.run(run(ALICE, identities.create_role, "auditor", ["111111111111"], 3600))
    served.sign_in(id, secret)
    page = served.get("/access")
    for text in ("alice", id, "active", "gus", other, "inactive", "GetOnly", '"chime:Get*"', "AdministratorAccess",
                 "managed", "never used", "auditor", "arn:aws:iam::111111111111:role/auditor"):  # fmt: skip
        assert text in page.text, text
    for text in (secret, other_secret, "sealed", strange, "bob"):
        assert text not in page.source, text


def test_who_may_not_see_it(served: Visitor) -> None:
    served.sign_in(*key_of(served.service, AttachedPolicy("AmazonChimeFullAccess"), "rita"))
    page = served.get("/access")
    assert page.status == 403
    assert "No policy of rita allows iam:ListUsers." in page.text


def test_page_after_page(served: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "PAGE_USERS", 2)
    key = key_of(served.service, name="a")
    for name in ("b", "c"):
        key_of(served.service, name=f"user-{name}")
    served.sign_in(*key)
    page = served.get("/access")
    assert "user-b" in page.text
    assert "user-c" not in page.text
    page = served.get("/access", after="user-b")
    assert "user-c" in page.text
    assert "user-b" not in page.text
