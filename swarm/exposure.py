"""Before a server is opened to other machines: somebody must be able to log in, or say aloud that nobody needs to."""

from __future__ import annotations

from swarm.accounts.accounts import Accounts
from swarm.base.errors import Refused
from swarm.settings.closed import is_closed, is_loopback
from swarm.settings.live import SettingsStore
from swarm.settings.options import LaunchOptions

_HOW = (
    "Give its owner a password with --owner-password-file FILE (- reads it from the standard input), which also has "
    "everyone log in from then on. To open the server to everyone who can reach it, say --insecure-no-auth."
)
_BANNER = "Everyone who can reach this server can use it, and its files: it was started with --insecure-no-auth."


def secure(options: LaunchOptions, accounts: Accounts, settings: SettingsStore) -> tuple[str, ...]:
    """Take over the owner's password if one was given; returns what people must be told. Blocking.

    Raises Refused when the server would be open to other machines without anyone having said so.
    """
    if options.owner_password is not None:
        accounts.secure_owner(options.owner_password)
        settings.change({"userauthorization.authorizationrequired": True})
        accounts.follow(settings.current)
    now = settings.current
    about = now.user_authorization
    is_near = is_loopback(options.host)
    if (
        about.authorization_required
        and not accounts.passwords.anyone()
        and not (is_near and about.allow_localhost_bypass)
    ):
        raise Refused(f"Everyone has to log in on this server, but nobody has a password. {_HOW}")
    if is_near:
        return ()
    if not is_closed(now):
        if options.insecure_no_auth:
            return (_BANNER,)
        raise Refused(f"At {options.host} other machines can reach this server, and it has no accounts yet. {_HOW}")
    return ()
