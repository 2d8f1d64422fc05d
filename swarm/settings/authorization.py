"""Settings of accounts: whether callers must log in, and how new accounts come about (swarm-core 4.4)."""

from __future__ import annotations

from dataclasses import dataclass, field

from swarm.settings.setting import setting, setting_meta


@dataclass(frozen=True, kw_only=True)
class RegistrationSettings:
    """Whether people may make accounts for themselves."""

    allow_registration: bool = setting(False, "AllowRegistration", "Let visitors make accounts for themselves.")
    simple_password_registration: bool = setting(
        False, "SimplePasswordRegistration", "Let them do so with a name and a password."
    )
    new_user_default_role: str = setting(
        "user", "NewUserDefaultRole", "Id of the role that accounts have which were given no other."
    )
    register_notice: str = setting(
        "Choose a name and a password.", "RegisterNotice", "What the page for new accounts says, as plain text."
    )


@dataclass(frozen=True, kw_only=True)
class AuthorizationSettings:
    """Who callers are."""

    authorization_required: bool = setting(
        False, "AuthorizationRequired", "Have everyone log in. Off, callers are whoever they say they are."
    )
    allow_localhost_bypass: bool = setting(
        True,
        "AllowLocalhostBypass",
        "Take callers from this machine for its owner, without a login. Switch it off when a proxy on this machine "
        "passes on calls from elsewhere without the header X-Forwarded-For.",
    )
    instance_title: str = setting("Local", "InstanceTitle", "Name of this server, shown on the login page.")
    login_notice: str = setting("Log in to go on.", "LoginNotice", "What the login page says, as plain text.")
    allow_simple_password_login: bool = setting(
        True, "AllowSimplePasswordLogin", "Let people log in with a name and a password."
    )
    trusted_proxies: str = setting(
        "",
        "TrustedProxies",
        "Addresses of proxies whose X-Forwarded-For is believed when logins are counted, separated by commas.",
    )
    registration: RegistrationSettings = field(
        default_factory=RegistrationSettings,
        metadata=setting_meta("Registration", "Whether people may make accounts for themselves."),
    )
