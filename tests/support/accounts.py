"""People with accounts on a running server, as they come from another machine: nobody is let in for being near."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from swarm.settings.authorization import AuthorizationSettings
from swarm.settings.file import save_settings
from swarm.settings.server import ServerSettings
from tests.support.client import SwarmClient

PASSWORD = "a long walk home"
FAR = {"X-Forwarded-For": "203.0.113.7"}
"""What says that a call does not come from this machine."""


def accounts_mode(data: Path, **changes: Any) -> None:
    """Settings of a server with accounts, and with `changes` to UserAuthorization."""
    about = replace(AuthorizationSettings(authorization_required=True), **changes)
    save_settings(ServerSettings(user_authorization=about), data / "Settings.fds")


class Member(SwarmClient):
    """A client that is not on the server's machine, with a login of its own if it has a token."""

    def __init__(self, base: str, token: str | None = None) -> None:
        super().__init__(base)
        self.http.headers.update(FAR)
        self.token = token
        if token is not None:
            self.http.headers["Cookie"] = f"swarm_token={token}"


class Owner(SwarmClient):
    """The owner, on the server's own machine."""

    def invite(self, name: str, role: str, password: str = PASSWORD) -> Member:
        """A new account with its own login, made by the owner as them: logins from one address are counted."""
        made = self.post("AdminAddUser", name=name, password=password, role=role)
        assert made == {"success": True}, made
        return self.member(name)

    def member(self, name: str) -> Member:
        """A further login of an account."""
        session = self.raw("GetNewSession", {"impersonateUser": name}).json()["session_id"]
        token = self.raw("CreateAuthToken", {"session_id": session, "reason": "test"}).json().get("token")
        if token is None:  # the role may not make one: log in as people do
            with Member(self.base) as visitor:
                answer = visitor.raw("Login", {"username": name, "password": PASSWORD})
            token = answer.cookies["swarm_token"]
        return Member(self.base, token)
