"""Login tokens and passwords: only hashes are kept, and only the right text fits (swarm-core 2.4, 2.5, 5.13)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm.accounts.passwords import Passwords
from swarm.accounts.tokens import TokenStore
from swarm.accounts.userdata import UserData
from swarm.base.database import Database
from swarm.base.errors import BadInput, Refused


class Clock:
    """A clock the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "swarm.db", durable=True)
    yield database
    database.close()


def test_a_token_stands_for_its_user_until_it_is_revoked(database: Database) -> None:
    clock = Clock()
    store = TokenStore(database, clock)
    text = store.create("änna", address="1.2.3.4", agent="bot")
    assert re.fullmatch(r"[0-9a-f]+\.[0-9a-f]{32}\.[0-9a-f]{32}", text)
    user, id, secret = text.split(".")
    clock.now = 2000.0
    token = TokenStore(database, clock).check(f"{user.upper()}.{id}.{secret}")
    assert token is not None and (token.id, token.user_id, token.agent) == (id, "änna", "bot")
    assert (token.created, token.last_active) == (1000.0, 2000.0)
    assert token.to_wire(is_current=True) == {
        **{"id": id, "created": 1000, "last_active": 2000, "user_agent": "bot"},
        **{"origin_address": "1.2.3.4", "is_current": True},
    }
    stored = database.read("SELECT * FROM tokens")
    assert secret not in repr(stored)
    assert not store.revoke("bert", id) and store.revoke("änna", id) and not store.revoke("änna", id)
    assert store.check(text) is None


def test_no_other_text_is_a_token(database: Database) -> None:
    store = TokenStore(database, Clock())
    user, id, secret = store.create("anna", address="", agent="").split(".")
    zeros = "0" * 32
    wrong = [f"{user}.{id}.{zeros}", f"{user}.{zeros}.{secret}", f"{b'bert'.hex()}.{id}.{secret}"]
    for text in (*wrong, "", "a.b.c", f"{user}0.{id}.{secret}", f"ff.{id}.{secret}", "x" * 5000, f"{user}.{id}"):
        assert store.check(text) is None, text
    assert [token.to_wire(is_current=False)["user_agent"] for token in store.of_user("anna")] == ["unknown"]


def test_a_password_is_changed_with_the_old_one(database: Database) -> None:
    clock = Clock()
    data = UserData(database, clock)
    passwords = Passwords(data, clock)
    assert not passwords.is_set("anna") and not passwords.matches("anna", "")
    passwords.change("anna", "whatever", "correct horse")
    assert passwords.matches("anna", "correct horse") and not passwords.matches("anna", "wrong horse")
    assert str(data.get("anna", "password")).startswith("$argon2id$")
    with pytest.raises(Refused, match=r"Incorrect old password\. Refused\."):
        passwords.change("anna", "wrong horse", "another one")
    passwords.change("anna", "correct horse", "__swarmdoprehash:swarmclientpw:anna:pw")
    hashed = hashlib.sha256(b"swarmclientpw:anna:pw").hexdigest()
    assert passwords.matches("anna", hashed) and passwords.matches("anna", "__swarmdoprehash:swarmclientpw:anna:pw")


def test_bad_passwords_and_hasty_changes_are_refused(database: Database) -> None:
    clock = Clock()
    passwords = Passwords(UserData(database, clock), clock)
    with pytest.raises(BadInput, match=r"New password must be at least 8 characters long\."):
        passwords.change("anna", "", "1234567")
    with pytest.raises(BadInput, match=r"New password is too long\."):
        passwords.change("anna", "", "x" * 501)
    passwords.change("anna", "", "12345678")
    for _ in range(4):
        with pytest.raises(Refused, match="Incorrect"):
            passwords.change("anna", "guess", "12345678")
    with pytest.raises(Refused, match="Rate-limit hit"):
        passwords.change("anna", "12345678", "12345679")
    passwords.change("bert", "", "12345678")
    clock.now += 61
    passwords.change("anna", "12345678", "12345679")
