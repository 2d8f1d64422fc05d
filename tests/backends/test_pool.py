"""The list of backends: starting, failing, coming back, editing, remembering."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.backends.backend import BackendContext, BackendStatus, BackendType, setting
from swarm.backends.dispatch import Dispatcher
from swarm.backends.pool import BackendPool
from swarm.backends.types.fake import FAKE, FakeBackend, FakeSettings
from swarm.base.errors import BadInput, Crashed, NotFound, Refused
from swarm.base.registry import Registry
from tests.backends.support import job, make_pool, running_pool, unheard, until

pytestmark = pytest.mark.anyio
RUNNING, ERRORED, WAITING = BackendStatus.RUNNING, BackendStatus.ERRORED, BackendStatus.WAITING


async def test_the_default_backends_are_made_once_and_remembered(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"MaxUsages": 7}) as pool:
        await pool.edit(0, {"StepMilliseconds": "5"}, "Mine")
    async with running_pool(tmp_path, {}, {}) as pool:
        (instance,) = pool.instances()
        assert (instance.title, instance.settings.step_milliseconds, instance.backend.max_usages) == ("Mine", 5, 7)


async def test_numbers_go_on_from_the_highest(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}, {}) as pool:
        await pool.delete(0)
        assert (await pool.add("fake")).id == 2
        assert [one.id for one in pool.instances()] == [1, 2]
        with pytest.raises(Refused, match=r"^Invalid backend type: magic$"):
            await pool.add("magic")


async def test_a_failing_start_is_tried_four_times(tmp_path: Path) -> None:
    starts: list[int] = []

    class Counting(FakeBackend):
        def __init__(self, context: BackendContext, settings: FakeSettings) -> None:
            super().__init__(context, settings)
            starts.append(context.id)

    kind = BackendType(id="counting", label="C", description="", settings=FakeSettings, make=Counting, fast=True)
    pool = make_pool(tmp_path)
    pool.types = Registry([("here", kind), ("there", FAKE)])
    async with pool.running():
        instance = await pool.add("counting")
        await until(instance, RUNNING)
        starts.clear()
        await pool.edit(0, {"FailStart": "No device."}, "")
        await until(instance, ERRORED)
        assert instance.message == "No device."
        assert len(starts) == 4
        assert pool.status()["status"] == "errored"
        await pool.edit(0, {"FailStart": ""}, "")
        await until(instance, RUNNING)
        assert pool.status() == {"status": "running", "class": "", "message": "", "any_loading": False}


async def test_a_backend_whose_code_is_broken_does_not_end_the_server(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(FakeBackend):
        async def start(self, lost: Any) -> None:
            raise ZeroDivisionError

    kind = BackendType(id="broken", label="B", description="", settings=FakeSettings, make=Broken, fast=True)
    pool = make_pool(tmp_path, {})
    pool.types = Registry([("here", kind), ("there", FAKE)])
    async with pool.running():
        broken = await pool.add("broken")
        await until(broken, ERRORED)
        await until(pool.instances()[0], RUNNING)
    assert "ZeroDivisionError" in caplog.text


async def test_slow_kinds_start_one_after_another(tmp_path: Path) -> None:
    at_once = 0
    most = 0

    class Slow(FakeBackend):
        async def start(self, lost: Any) -> None:
            nonlocal at_once, most
            at_once += 1
            most = max(most, at_once)
            await anyio.sleep(0.005)
            at_once -= 1

    kind = BackendType(id="slow", label="S", description="", settings=FakeSettings, make=Slow)
    pool = make_pool(tmp_path)
    pool.types = Registry([("here", kind)])
    async with pool.running():
        added = [await pool.add("slow") for _ in range(3)]
        for instance in added:
            await until(instance, RUNNING)
    assert most == 1


async def test_a_lost_backend_comes_back(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}) as pool:
        (instance,) = pool.instances()
        dispatch = Dispatcher(pool, pool.clock)
        with pytest.raises(Crashed):
            async with dispatch.lease(job(), needs=frozenset(), loading=unheard) as lent:
                async for _ in lent.backend.generate(job("fake-crash")):
                    pass
        assert instance.status is WAITING
        async with dispatch.lease(job(), needs=frozenset(), loading=unheard) as lent:  # waits for it
            assert lent.status is RUNNING
        assert instance.boots == 2


async def test_a_lost_backend_that_may_not_restart_is_errored_until_somebody_does(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"AutoRestart": False}) as pool:
        (instance,) = pool.instances()
        with pytest.raises(Crashed):
            async for _ in instance.backend.generate(job("fake-crash")):
                pass
        assert instance.status is ERRORED
        assert instance.message == "The fake backend was asked to crash."
        assert await pool.restart("0") == 1
        await until(instance, RUNNING)


async def test_changes_wait_for_running_jobs_and_keep_new_ones_out(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}) as pool, anyio.create_task_group() as group:
        (instance,) = pool.instances()
        dispatch = Dispatcher(pool, pool.clock)
        async with dispatch.lease(job(), needs=frozenset(), loading=unheard):
            group.start_soon(pool.edit, 0, {"MaxUsages": 9}, "Edited")
            await anyio.sleep(0.01)
            assert instance.title == ""
            assert not instance.can_serve
        with anyio.fail_after(5):
            while instance.mod_count == 0:
                await anyio.sleep(0.001)
        await until(instance, RUNNING)
        assert (instance.title, instance.backend.max_usages, instance.mod_count) == ("Edited", 9, 1)


async def test_a_change_that_is_called_off_leaves_the_backend_as_it_was(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}) as pool:
        (instance,) = pool.instances()
        instance.usages += 1
        with anyio.move_on_after(0.01):
            await pool.edit(0, {"MaxUsages": 9}, "Edited")
        instance.usages -= 1
        assert instance.can_serve
        assert instance.title == ""


async def test_a_backend_can_move_to_a_free_number(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}, {}) as pool:
        with pytest.raises(Refused, match=r"^Backend ID 1 is already in use.$"):
            await pool.edit(0, {}, "", new_id=1)
        await pool.edit(0, {}, "", new_id=8)
        assert [one.id for one in pool.instances()] == [1, 8]
        with pytest.raises(NotFound, match=r"^Invalid backend ID 0$"):
            await pool.edit(0, {}, "")


async def test_switching_off_and_on(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}) as pool:
        (instance,) = pool.instances()
        assert await pool.toggle(0, False)
        assert not await pool.toggle(0, False)
        assert pool.status()["status"] == "all_disabled"
        assert pool.supported_features() == []
        assert await pool.toggle(0, True)
        await until(instance, RUNNING)
    async with running_pool(tmp_path) as pool:
        assert pool.instances()[0].enabled


async def test_a_start_under_way_can_be_interrupted(tmp_path: Path) -> None:
    async with make_pool(tmp_path, {"StartMilliseconds": 60_000}).running() as pool:
        (instance,) = pool.instances()
        await until(instance, BackendStatus.LOADING)
        with anyio.fail_after(2):
            assert await pool.delete(0)
        assert pool.status()["status"] == "empty"


async def test_memory_is_freed_where_there_is_some(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}, {}) as pool:
        wanted = job(wants="a").model
        assert wanted is not None
        await pool.instances()[0].backend.load(wanted)
        assert await pool.free_memory() == 1
        assert await pool.free_memory(backend="1") == 0
        assert await pool.free_memory(backend="7") is None


async def test_backends_of_unknown_types_survive_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "Backends.fds"
    file.write_text("3:\n\ttype: other_kind\n\ttitle: Keep me\n\tenabled: true\n\tsettings:\n\t\tAddress: http://x\n")
    async with running_pool(tmp_path) as pool:
        assert pool.instances() == []
        assert (await pool.add("fake")).id == 4
    assert "Keep me" in file.read_text()
    assert "http\\c//x" in file.read_text() or "http://x" in file.read_text()


async def test_an_unreadable_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "Backends.fds").write_text("{{{")
    async with running_pool(tmp_path, {}) as pool:
        assert len(pool.instances()) == 1
    assert (tmp_path / "Backends.fds.bad").read_text() == "{{{"


async def test_settings_that_do_not_fit_are_refused_and_change_nothing(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}) as pool:
        with pytest.raises(BadInput, match=r"^The setting 'MaxUsages' cannot be 'many'.$"):
            await pool.edit(0, {"MaxUsages": "many"}, "")
        assert pool.instances()[0].can_serve


def test_a_pool_can_be_made_before_the_event_loop(tmp_path: Path) -> None:
    pool = make_pool(tmp_path, {})
    dispatch = Dispatcher(pool, pool.clock)

    async def use() -> None:
        async with pool.running():
            async with dispatch.lease(job(), needs=frozenset(), loading=unheard) as instance:
                assert instance.id == 0
            await pool.edit(0, {}, "x")

    anyio.run(use)


@dataclass(frozen=True, kw_only=True)
class SecretSettings:
    """Settings with something to hide."""

    address: str = setting("", "Where it is.")
    api_key: str = setting("", "The key.", secret=True)


async def test_a_secret_that_comes_back_masked_stays(tmp_path: Path) -> None:
    def make(context: BackendContext, settings: Any) -> FakeBackend:
        return FakeBackend(context, FakeSettings())

    kind = BackendType(id="secretive", label="S", description="", settings=SecretSettings, make=make, fast=True)
    pool: BackendPool = make_pool(tmp_path)
    pool.types = Registry([("here", kind)])
    async with pool.running():
        instance = await pool.add("secretive")
        await pool.edit(0, {"ApiKey": "hunter2"}, "")
        await pool.edit(0, {"ApiKey": "\t<secret>", "Address": "http://x"}, "")
        assert instance.settings == SecretSettings(address="http://x", api_key="hunter2")
