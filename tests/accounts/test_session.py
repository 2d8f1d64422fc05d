"""Sessions outlive the server, and end after 31 days (swarm-core 2.2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.access.permissions import INSTALL, USE_TOKENIZER, VIEW_BACKENDS_LIST
from swarm.access.role import default_roles
from swarm.accounts.session import SessionStore
from swarm.accounts.user import UserStore
from swarm.base.database import Database
from swarm.settings.user import UserSettings

DAY = 24 * 3600.0


class Clock:
    """A clock the test moves."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def users(clock: Clock) -> UserStore:
    roles = default_roles([INSTALL, USE_TOKENIZER, VIEW_BACKENDS_LIST])
    return UserStore(roles=roles, defaults=UserSettings(), local_id="local", clock=clock)


def test_a_session_survives_a_restart(tmp_path: Path, users: UserStore, clock: Clock) -> None:
    first = Database(tmp_path / "users.db", durable=True)
    made = SessionStore(first, users, clock).create("bob", "1.2.3.4" * 30)
    first.close()
    second = Database(tmp_path / "users.db", durable=True)
    store = SessionStore(second, users, clock)
    assert store.live(made.id) is None
    found = store.find(made.id)
    assert found is not None and found is store.live(made.id)
    assert (found.user.id, len(found.origin), found.origin[-3:]) == ("bob", 103, "...")
    assert store.find(made.id.upper()) is None
    second.close()


def test_without_a_database_sessions_end_with_the_server(users: UserStore, clock: Clock) -> None:
    made = SessionStore(None, users, clock).create("local", "")
    later = SessionStore(None, users, clock)
    assert later.find(made.id) is None
    assert later.purge() == 0


def test_old_records_are_purged_and_live_ones_kept(tmp_path: Path, users: UserStore, clock: Clock) -> None:
    database = Database(tmp_path / "users.db", durable=False)
    yesterday = SessionStore(database, users, clock)
    ids = [yesterday.create("local", "").id for _ in range(3)]
    today = SessionStore(database, users, clock)
    clock.now += 30 * DAY
    assert today.find(ids[0]) is not None
    clock.now += 2 * DAY
    assert today.purge() == 2
    assert [SessionStore(database, users, clock).find(each) is not None for each in ids] == [True, False, False]
    database.close()


def test_sessions_that_do_not_call_rest_on_disk(tmp_path: Path, users: UserStore, clock: Clock) -> None:
    database = Database(tmp_path / "users.db", durable=False)
    store = SessionStore(database, users, clock, most_live=20)
    first, watched = store.create("local", "1.2.3.4"), store.create("local", "")
    with watched.watched(lambda: None):
        made = []
        for _ in range(100):
            clock.now += 1
            made.append(store.create("local", "").id)
            assert len(store.of_user("local")) <= 20
        assert store.live(watched.id) is watched
        assert store.live(made[-1]) is not None and store.live(made[0]) is None and store.live(first.id) is None
        assert store.has_origin("1.2.3.4")
        back = store.find(first.id)
        assert back is not None and back.origin == "1.2.3.4" and len(store.of_user("local")) <= 20
        assert all(store.find(each) is not None for each in made)
        store.end_user("local")
        assert not any(store.find(each) for each in [first.id, watched.id, *made])
        assert watched.has_ended
    database.close()


def test_sessions_that_are_nowhere_else_stay(users: UserStore, clock: Clock) -> None:
    store = SessionStore(None, users, clock, most_live=5)
    made = [store.create("local", "").id for _ in range(20)]
    assert all(store.find(each) is not None for each in made)


def test_sessions_of_a_user_and_removal(tmp_path: Path, users: UserStore, clock: Clock) -> None:
    database = Database(tmp_path / "users.db", durable=False)
    store = SessionStore(database, users, clock)
    mine = [store.create("bob", ""), store.create("bob", "")]
    store.create("alice", "")
    assert store.of_user("bob") == mine
    store.remove(mine[0].id)
    assert store.find(mine[0].id) is None
    assert store.of_user("bob") == mine[1:]
    database.close()


def test_users_are_made_once_and_named_safely(users: UserStore) -> None:
    assert users.get_or_create("bob") is users.get_or_create("bob")
    assert users.find("alice") is None
    assert users.caller(None).id == "local"
    assert users.caller("").id == "_"
    assert users.caller("a/b\\c:d").id == "abcd"
    assert len(users.caller("x" * 500).id) == 120


def test_request_ids_count_up_from_1001(users: UserStore) -> None:
    bob = users.get_or_create("bob")
    assert [bob.next_request_id() for _ in range(3)] == [1001, 1002, 1003]
    assert users.get_or_create("alice").next_request_id() == 1001


def test_roles_decide_what_a_user_may_do(clock: Clock) -> None:
    roles = default_roles([INSTALL, USE_TOKENIZER, VIEW_BACKENDS_LIST])

    def user(*ids: str) -> UserStore:
        return UserStore(roles=roles, defaults=UserSettings(roles=ids), local_id="local", clock=clock)

    owner, guest, nobody = (user(*ids).caller(None) for ids in [("owner",), ("guest",), ("unknown",)])
    assert owner.permission_ids() == ["*", "install", "use_tokenizer", "view_backends_list"]
    assert guest.permission_ids() == ["use_tokenizer"]
    assert nobody.permission_ids() == [] and nobody.max_simultaneous == 1
    assert (owner.permits(INSTALL), guest.permits(INSTALL)) == (True, False)
    assert owner.max_simultaneous == 32
