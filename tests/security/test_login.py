"""Guessing passwords, and finding out who has an account: as slow and as silent as it should be."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator
from itertools import count

import httpx2
import psutil
import pytest

from swarm.settings.authorization import AuthorizationSettings, RegistrationSettings
from swarm.settings.file import save_settings
from swarm.settings.server import ServerSettings
from tests.conftest import World
from tests.support.accounts import PASSWORD, Owner
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port, options_for, server_in_thread

SAMPLES = int(os.environ.get("SWARM_LOGIN_SAMPLES", "30"))
FORGERIES = int(os.environ.get("SWARM_LOGIN_FORGERIES", "400"))
FAILED = {"error_id": "invalid_login"}
RULES = RegistrationSettings(allow_registration=True, simple_password_registration=True)
NEAR_PROXY = AuthorizationSettings(authorization_required=True, trusted_proxies="127.0.0.1", registration=RULES)
"""A proxy on this machine is believed, so that a test can be many addresses."""


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    world = World(tmp_path_factory.mktemp("login"))
    world.backends(StepMilliseconds=0)
    save_settings(ServerSettings(user_authorization=NEAR_PROXY), world.data / "Settings.fds")
    with server_in_thread(options_for(world.folder)) as base, Owner(base) as client:
        yield client


ADDRESSES = count(1)


def new_address() -> dict[str, str]:
    """Headers of a caller that nobody has seen before."""
    number = next(ADDRESSES)
    return {"X-Forwarded-For": f"198.{18 + number // 65536 % 2}.{number // 256 % 256}.{number % 256}"}


def login(client: SwarmClient, name: str, password: str, **headers: str) -> httpx2.Response:
    return client.raw("Login", {"username": name, "password": password}, **(headers or new_address()))


@pytest.mark.case("T61")
@pytest.mark.parametrize("length", [8, 500])
def test_names_that_exist_take_as_long_as_names_that_do_not(owner: Owner, length: int) -> None:
    """Known and unknown names in turn, so that whatever else the machine does meets both alike."""
    names = [f"known{number}{length}" for number in range(SAMPLES // 10 + 1)]
    for name in names:
        assert owner.post("AdminAddUser", name=name, password=PASSWORD, role="user") == {"success": True}
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for number in range(SAMPLES):
        known = names[number % len(names)]
        for name in (known, f"un{known}"):
            begun = time.perf_counter()
            answer = login(owner, name, "x" * length)
            seconds[name == known].append(time.perf_counter() - begun)
            assert (answer.status_code, answer.json(), answer.cookies.get("swarm_token")) == (200, FAILED, None)
    many = SAMPLES >= 1000  # with few, and other work on the machine, the quicker half says more than the middle
    typical = [statistics.quantiles(each, n=4)[1 if many else 0] for each in seconds.values()]
    assert max(typical) / min(typical) < (1.05 if many else 1.5)


@pytest.mark.case("T61")
def test_lengths_that_no_password_has_are_told_by_nobodys_name(owner: Owner) -> None:
    owner.post("AdminAddUser", name="lengthy", password=PASSWORD, role="user")
    for name in ("lengthy", "nobody"):
        for password in ("", "short", "x" * 501, "x" * 50_000):
            assert login(owner, name, password).json() == FAILED


PASSWORDS = [
    "0123456789" * 7 + "ab",  # 72 bytes, where bcrypt stops reading
    "0123456789" * 7 + "abc",
    "y" * 500,
    "  led by blanks",
    "and followed  ",
    "\N{BEAR FACE}\N{BEAR FACE} \N{CAT FACE}\N{CAT FACE} zoo",
    "caf\N{LATIN SMALL LETTER E WITH ACUTE} au lait",
    "tab\tand\nline",
    "per%cent {braces} ${x}",
]


@pytest.mark.case("T62")
@pytest.mark.parametrize("password", PASSWORDS, ids=range(len(PASSWORDS)))
def test_a_password_counts_to_its_last_letter(owner: Owner, password: str) -> None:
    name = f"exact{PASSWORDS.index(password)}"
    assert owner.post("AdminAddUser", name=name, password=password, role="user") == {"success": True}
    others = [
        password[:-1],
        password + "x",
        password.swapcase(),
        password.strip(),
        password.replace("caf\u00e9", "cafe\u0301"),
    ]
    for other in dict.fromkeys(each for each in others if each != password):
        assert login(owner, name, other).json() == FAILED, other
    assert login(owner, name, password).json() == {"success": "true"}


@pytest.mark.case("T62")
@pytest.mark.parametrize(
    "password", ["", "short", "1234567", "password", "PASSWORD1", "12345678", "z" * 501, "z" * 512]
)
def test_passwords_that_nobody_may_have(owner: Owner, password: str) -> None:
    for body in ({"name": "weak", "password": password, "role": "user"},):
        assert "error" in owner.post("AdminAddUser", **body)
    register = owner.raw("RegisterBasic", {"username": "weak", "password": password}, **new_address()).json()
    assert register == {"error_id": "invalid_input"}
    if password:  # blank takes the password away
        owner.post("AdminAddUser", name="strong", password=PASSWORD, role="user")
        assert "error" in owner.post("AdminSetUserPassword", name="strong", password=password)
        assert login(owner, "strong", PASSWORD).json() == {"success": "true"}
    assert "weak" not in owner.post("AdminListUsers")["users"]


@pytest.mark.case("T60")
@pytest.mark.parametrize("name", ["Local", "LOCAL", "Owner", "aDmin", "\uff2focal", "l\u200bocal", "local!", " local "])
def test_nobody_takes_a_name_that_looks_like_one_of_ours(owner: Owner, name: str) -> None:
    before = owner.post("AdminListUsers")["users"]
    answer = owner.raw("RegisterBasic", {"username": name, "password": PASSWORD}, **new_address()).json()
    after = owner.post("AdminListUsers")["users"]
    if answer == {"success": "true"}:  # letters of other scripts are dropped, what is left is a name of its own
        assert set(after) - set(before) == {"ocal"}
    else:
        assert answer == {"error_id": "username_exists"} and after == before


@pytest.mark.case("T70")
def test_forged_addresses_gain_no_attempts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The limit counts who is connected. Even the right password is refused once it is reached."""
    world = World(tmp_path_factory.mktemp("forged"))
    world.backends(StepMilliseconds=0)
    closed = AuthorizationSettings(authorization_required=True)
    save_settings(ServerSettings(user_authorization=closed), world.data / "Settings.fds")
    with server_in_thread(options_for(world.folder)) as base, Owner(base) as owner:
        owner.post("AdminAddUser", name="alice", password=PASSWORD, role="user")
        answers = []
        for number in range(FORGERIES):
            address = f"203.0.{number // 256 % 256}.{number % 256}"
            names = {"X-Forwarded-For": address, "Forwarded": f"for={address}", "X-Real-IP": address}
            also = {"CF-Connecting-IP": address, "True-Client-IP": address, "X-Client-IP": address}
            answers.append(login(owner, f"alice{number % 7}", "not her password", **names, **also).json()["error_id"])
        assert answers == ["invalid_login"] * 5 + ["ratelimit"] * (FORGERIES - 5)
        assert login(owner, "alice", PASSWORD, **new_address()).json() == {"error_id": "ratelimit"}


@pytest.mark.case("T76")
def test_a_flood_of_logins_costs_two_hashes_at_a_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    """From as many addresses as it likes. A hash takes 19 MiB: twenty at once would show."""
    world = World(tmp_path_factory.mktemp("flood"))
    world.backends(StepMilliseconds=0)
    save_settings(ServerSettings(user_authorization=NEAR_PROXY), world.data / "Settings.fds")
    server = ServerProcess(world.folder, free_port(), log=world.folder / "log")
    try:
        server.wait_until_up()
        with Owner(server.base) as owner:
            calm = seconds_of_calls(owner, 50)
            process = psutil.Process(server.child.pid)
            before = most = process.memory_info().rss
            flood = [threading.Thread(target=log_in_often, args=(server.base, f"nobody{n}", 4)) for n in range(12)]
            for thread in flood:
                thread.start()
            during: list[float] = []
            while any(thread.is_alive() for thread in flood):
                during += seconds_of_calls(owner, 1)
                most = max(most, process.memory_info().rss)
            for thread in flood:
                thread.join()
    finally:
        server.stop()
    assert most - before < 120 * 2**20
    assert len(during) > 5
    assert statistics.median(during) < max(10 * statistics.median(calm), 0.25)


def seconds_of_calls(client: SwarmClient, times: int) -> list[float]:
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        assert "status" in client.post("GetCurrentStatus")
        taken.append(time.perf_counter() - begun)
    return taken


def log_in_often(base: str, name: str, times: int) -> None:
    with SwarmClient(base) as client:
        for _ in range(times):
            assert login(client, name, "a wrong password").json()["error_id"] in ("invalid_login", "ratelimit")
