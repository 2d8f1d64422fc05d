"""Login tokens and passwords: only hashes are kept, and only the right text fits (swarm-core 2.4, 2.5, 5.13)."""

from __future__ import annotations

import hashlib
import re
import time
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
    passwords.change("anna", "correct horse", "__swarmdoprehash:swarmclientpw:anna:staple battery")
    hashed = hashlib.sha256(b"swarmclientpw:anna:staple battery").hexdigest()
    assert passwords.matches("anna", hashed) and passwords.matches(
        "anna", "__swarmdoprehash:swarmclientpw:anna:staple battery"
    )


def test_bad_passwords_and_hasty_changes_are_refused(database: Database) -> None:
    clock = Clock()
    passwords = Passwords(UserData(database, clock), clock)
    with pytest.raises(BadInput, match=r"New password must be at least 8 characters long\."):
        passwords.change("anna", "", "1234567")
    with pytest.raises(BadInput, match=r"New password is too long\."):
        passwords.change("anna", "", "x" * 501)
    passwords.change("anna", "", "23571113")
    for _ in range(4):
        with pytest.raises(Refused, match="Incorrect"):
            passwords.change("anna", "guess", "23571113")
    with pytest.raises(Refused, match="Rate-limit hit"):
        passwords.change("anna", "23571113", "23571117")
    passwords.change("bert", "", "23571113")
    clock.now += 61
    passwords.change("anna", "23571113", "23571117")


def test_a_name_that_nobody_has_takes_as_long_as_a_wrong_password(database: Database) -> None:
    clock = Clock()
    passwords = Passwords(UserData(database, clock), clock)
    passwords.change("anna", "", "correct horse")

    def seconds(name: str) -> float:
        start = time.perf_counter()
        assert not passwords.matches(name, "wrong horse")
        return time.perf_counter() - start

    known, unknown = (min(seconds(name) for _ in range(7)) for name in ("anna", "nobody"))
    assert 0.6 < unknown / known < 1.7


def test_a_proven_token_is_known_without_the_disk_until_it_is_revoked(database: Database) -> None:
    clock = Clock()
    store = TokenStore(database, clock)
    text = store.create("anna", address="", agent="")
    other = store.create("anna", address="", agent="")
    assert store.proven(text) is None
    token = store.check(text)
    assert token is not None and store.proven(text) == token and store.exists(token.id)
    clock.now += 61
    assert store.proven(text) is None and store.check(text) is not None
    assert store.revoke_all("anna", but=token.id) == 1
    assert store.check(other) is None and store.check(text) is not None
    assert store.revoke("anna", token.id)
    assert store.proven(text) is None and store.check(text) is None and not store.exists(token.id)
