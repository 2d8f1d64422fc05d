"""What the command line decided, with every default filled in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """Where the server listens, where its files are, and how it starts. Nothing here changes while it runs.

    `models_dirs`: model roots, the first receives downloads. `launch_mode`: `none`, or `web` to open a browser.
    `user_id`: who callers are when they do not say. `persist` False keeps sessions in memory only. `lock_settings`:
    changed settings are not saved. `require_control_within`: minutes, 0 for never; see AdminTakeControl.
    `extensions_dir`: None for the folder beside the program. `grace_seconds`: how long the end waits for pictures that
    are being made. `json_logs`: log lines as JSON objects.
    `owner_password`: to be set for `user_id`, with accounts from then on. `insecure_no_auth`: other machines may use
    the server without any.
    """

    data_dir: Path
    models_dirs: tuple[Path, ...]
    output_dir: Path
    settings_file: Path
    backends_file: Path
    host: str = "localhost"
    port: int = 7801
    launch_mode: str = "none"
    loglevel: str = "Info"
    user_id: str = "local"
    persist: bool = True
    lock_settings: bool = False
    require_control_within: float = 0.0
    extensions_dir: Path | None = None
    grace_seconds: float = 30.0
    json_logs: bool = False
    owner_password: str | None = field(default=None, repr=False)
    insecure_no_auth: bool = False

    @staticmethod
    def under(folder: Path, *, persist: bool = True) -> LaunchOptions:
        """Options that keep everything inside one folder, under the usual names."""
        data = folder / "Data"
        return LaunchOptions(
            data_dir=data,
            models_dirs=(folder / "Models",),
            output_dir=folder / "Output",
            settings_file=data / "Settings.fds",
            backends_file=data / "Backends.fds",
            persist=persist,
        )
