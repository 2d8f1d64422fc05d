"""What one server keeps on disk, opened."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from swarm.accounts.accounts import Accounts
from swarm.accounts.opening import open_accounts
from swarm.base.backup import keep_copy, mend
from swarm.base.database import Database
from swarm.catalog.catalog import Catalog
from swarm.catalog.sets import sets_with
from swarm.catalog.trash import Trash
from swarm.catalog.wildcards import WildcardStore
from swarm.declarations import Declarations
from swarm.outputs.index import HistoryIndex
from swarm.outputs.places import Places
from swarm.outputs.store import OutputStore
from swarm.queue.deliveries import DeliveryStore
from swarm.queue.jobs import JobStore
from swarm.settings.file import keep_good, load_settings
from swarm.settings.live import SettingsStore
from swarm.settings.options import LaunchOptions
from swarm.settings.server import PathSettings


@dataclass(frozen=True, kw_only=True)
class Files:
    """The databases of one server: `promises` fsyncs every commit, `index` can be rebuilt from what is on disk.

    `notices`: what people should be told about how they were found.
    """

    promises: Database
    index: Database
    notices: tuple[str, ...] = ()

    @staticmethod
    def opened(data_dir: Path) -> Files:
        """Open both. A damaged one is set aside and its last copy taken; `notices` says so. Blocking."""
        backups, now = data_dir / "Backups", datetime.now()
        paths = data_dir / "swarm.db", data_dir / "index.db"
        mended = [mend(path, backups, now) for path in paths]
        return Files(
            promises=Database(paths[0], durable=True, before_changes=partial(keep_copy, paths[0], backups, now)),
            index=Database(paths[1], durable=False),
            notices=tuple(filter(None, mended)),
        )

    def close(self) -> None:
        self.promises.close()
        self.index.close()


@dataclass(frozen=True, kw_only=True)
class Stores:
    """What is kept on disk."""

    settings: SettingsStore
    accounts: Accounts
    trash: Trash
    catalog: Catalog
    wildcards: WildcardStore
    outputs: OutputStore
    queue: JobStore
    deliveries: DeliveryStore
    notices: tuple[str, ...] = ()


def _catalog(options: LaunchOptions, known: Declarations, files: Files, paths: PathSettings) -> Catalog:
    sets = sets_with(paths.model_folders)
    home = paths.download_to_root_id
    return Catalog(options.models_dirs, known.architectures, files.index, time.time, sets, home)


def open_stores(options: LaunchOptions, known: Declarations, files: Files) -> Stores:
    """Blocking: reads settings and migrates databases."""
    settings = load_settings(options.settings_file)
    keep_good(options.settings_file)
    trash = Trash(options.data_dir / "Trash", time.time)
    settings_file = None if options.lock_settings else options.settings_file
    settings_store = SettingsStore(settings, settings_file)
    accounts = open_accounts(
        files.promises,
        roles_file=options.data_dir / "Roles.fds",
        permissions=known.permissions.values(),
        settings=lambda: settings_store.current,
        local_id=options.user_id,
        clock=time.time,
        keeps_sessions=options.persist,
    )
    return Stores(
        settings=settings_store,
        accounts=accounts,
        trash=trash,
        catalog=_catalog(options, known, files, settings.paths),
        wildcards=WildcardStore(options.data_dir / settings.paths.wildcards_folder, trash),
        outputs=OutputStore(
            options.output_dir,
            append_user=settings.paths.append_user_name_to_output_path,
            index=HistoryIndex(files.index),
            clock=time.time,
            places=Places(files.index, time.time),
            max_bytes=settings.paths.max_disk_bytes_per_user,
        ),
        queue=JobStore(files.promises, time.time),
        deliveries=DeliveryStore(files.index, time.time),
        notices=files.notices,
    )
