"""Keys of users for other people's services: kept for downloads and the like, never shown again (swarm-core 5.17)."""

from __future__ import annotations

from swarm.accounts.userdata import UserData
from swarm.base.errors import BadInput

KEY_TYPES = ("stability_api", "civitai_api", "huggingface_api")
_PREFIX = "api_key:"
_LONGEST = 4000


class ApiKeys:
    """The keys, by user and type. Every method blocks on the disk."""

    def __init__(self, data: UserData) -> None:
        self._data = data

    def set(self, user_id: str, key_type: str, key: str) -> None:
        """Keep a key; `none` forgets it. Raises BadInput for a type nobody uses, and for what is too long for a key."""
        if key_type not in KEY_TYPES:
            raise BadInput(f"Invalid key type '{key_type}'.")
        if key == "none":
            self._data.remove(user_id, _PREFIX + key_type)
        elif len(key) > _LONGEST:
            raise BadInput(f"A key has at most {_LONGEST} letters.")
        else:
            self._data.set(user_id, _PREFIX + key_type, key)

    def get(self, user_id: str, key_type: str) -> str | None:
        """The key, for use with its service only."""
        key = self._data.get(user_id, _PREFIX + key_type)
        return key if isinstance(key, str) else None

    def updated(self, user_id: str, key_type: str) -> float | None:
        """When the key was set, in unix seconds; None when there is none."""
        return self._data.changed(user_id, _PREFIX + key_type)
