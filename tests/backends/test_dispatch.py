"""Lending backends: order, refusals, loads, cancellation."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio
import pytest

from swarm.backends.backend import BackendStatus
from swarm.backends.dispatch import Dispatcher
from swarm.backends.instance import BackendInstance
from swarm.backends.pool import BackendPool
from swarm.base.errors import BackendError, Crashed, UserError
from swarm.features.swarm import EXACT_BACKEND_ID, INTERNAL_BACKEND_TYPE, NO_LOAD_MODELS
from swarm.jobs.job import Job
from tests.backends.support import job, make_pool, running_pool, unheard

pytestmark = pytest.mark.anyio
NOTHING: frozenset[str] = frozenset()


def dispatcher(pool: BackendPool, **options: Any) -> Dispatcher:
    return Dispatcher(pool, pool.clock, **options)


class Order:
    """Runs jobs through leases and remembers who came when."""

    def __init__(self, dispatch: Dispatcher) -> None:
        self.dispatch = dispatch
        self.served: list[str] = []
        self.backends: list[int] = []
        self.loading: list[int] = []

    async def take(self, wanted: Job, seconds: float = 0.0) -> None:
        async with self.dispatch.lease(wanted, needs=NOTHING, loading=self.loading.append) as instance:
            self.served.append(wanted.user_id)
            self.backends.append(instance.id)
            await anyio.sleep(seconds)


async def refused(dispatch: Dispatcher, wanted: Job, needs: frozenset[str] = NOTHING) -> str:
    """The sentence this job is turned down with; nobody else waits."""
    sentence = await refused_quietly(dispatch, wanted, needs)
    assert len(dispatch) == 0
    return sentence


async def refused_quietly(dispatch: Dispatcher, wanted: Job, needs: frozenset[str] = NOTHING) -> str:
    with pytest.raises((UserError, BackendError)) as caught:
        async with dispatch.lease(wanted, needs=needs, loading=unheard):
            pass
    return str(caught.value)


async def test_places_are_lent_until_they_are_full(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"MaxUsages": 2}) as pool:
        dispatch = dispatcher(pool)
        (instance,) = pool.instances()
        order = Order(dispatch)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(order.take, job(), 0.02)
            await anyio.sleep(0.01)
            assert instance.usages == 2
            assert len(dispatch) == 3
        assert instance.usages == 0
        assert instance.last_used > 0


async def test_a_user_who_comes_second_does_not_wait_for_the_whole_list_of_the_first(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"MaxUsages": 1}) as pool:
        order = Order(dispatcher(pool))
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(order.take, job(user="ann"), 0.002)
            await anyio.sleep(0.01)
            begun = len(order.served)
            group.start_soon(order.take, job(user="bob"), 0.002)
        assert order.served.index("bob") <= begun + 2


async def test_one_users_jobs_keep_their_order(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"MaxUsages": 1}) as pool:
        dispatch = dispatcher(pool)
        served: list[str] = []

        async def take(wanted: Job) -> None:
            async with dispatch.lease(wanted, needs=NOTHING, loading=unheard):
                served.append(wanted.id)
                await anyio.sleep(0)

        jobs = [job(seeds=(number,)) for number in range(30)]
        async with anyio.create_task_group() as group:
            for one in jobs:
                group.start_soon(take, one)
        assert served == [one.id for one in jobs]


async def test_work_goes_to_the_least_used_backend(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}, {}) as pool:
        order = Order(dispatcher(pool))
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(order.take, job(), 0.01)
        assert sorted(order.backends) == [0, 0, 1, 1]


async def test_a_model_is_loaded_before_the_job_and_the_waiting_hear_of_it(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"LoadMilliseconds": 10, "MaxUsages": 2}) as pool:
        order = Order(dispatcher(pool))
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(order.take, job(wants="a.safetensors"))
        assert pool.instances()[0].backend.current_model == "a.safetensors"
        assert order.loading == [1, 1, 1, -1, -1, -1]
        await order.take(job(wants="a.safetensors"))
        assert len(order.loading) == 6


async def test_two_models_go_to_two_backends(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"LoadMilliseconds": 5}, {"LoadMilliseconds": 5}) as pool:
        order = Order(dispatcher(pool))
        async with anyio.create_task_group() as group:
            for name in ("a", "b", "a", "b"):
                group.start_soon(order.take, job(wants=name), 0.01)
        assert {one.backend.current_model for one in pool.instances()} == {"a", "b"}
        assert sorted(order.backends) == [0, 0, 1, 1]


async def test_a_wanted_model_is_not_swapped_out_for_every_single_job(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"LoadMilliseconds": 10, "MaxUsages": 1}) as pool:
        order = Order(dispatcher(pool))
        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(order.take, job(wants="ab"[number % 2]), 0.001)
        assert len(order.served) == 20
        assert order.loading.count(1) < 40  # far fewer loads than one for each job


async def test_those_who_were_there_when_a_backend_went_away_are_tried_again_one_by_one(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"MaxUsages": 4, "StepMilliseconds": 1}) as pool:
        dispatch = dispatcher(pool)
        (instance,) = pool.instances()
        crashes: Counter[str] = Counter()
        company: list[int] = []

        async def carry(wanted: Job) -> None:
            while crashes[wanted.id] < 3:
                try:
                    async with dispatch.lease(wanted, needs=NOTHING, loading=unheard) as lent:
                        if crashes[wanted.id]:
                            company.append(lent.usages)
                        boots = lent.boots
                        async for _ in lent.backend.generate(wanted):
                            if lent.boots != boots or lent.status is not BackendStatus.RUNNING:
                                raise Crashed("It is gone.")
                    return
                except Crashed:
                    crashes[wanted.id] += 1

        innocent = [job(f"cat {number}") for number in range(3)]
        guilty = job("fake-crash")
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                for one in (*innocent, guilty):
                    group.start_soon(carry, one)
                for number in range(20):
                    group.start_soon(carry, job(f"later {number}", user="bob"))
        assert crashes[guilty.id] == 3
        assert all(crashes[one.id] <= 1 for one in innocent)
        assert set(company) == {1}
        assert not instance.works_alone
        assert instance.usages == 0


async def test_a_job_that_loads_nothing_takes_any_backend(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"FailLoad": "never"}) as pool:
        wanted = job(wants="a")
        pretending = Job(
            id="x", input=wanted.input.having(NO_LOAD_MODELS, True), model=wanted.model, seeds=(1,), user_id="ann"
        )
        order = Order(dispatcher(pool))
        await order.take(pretending)
        assert order.served == ["ann"]


async def test_cancelling_a_waiter_leaves_nothing_behind(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"MaxUsages": 1, "LoadMilliseconds": 30}) as pool:
        dispatch = dispatcher(pool)
        (instance,) = pool.instances()
        order = Order(dispatch)
        with anyio.move_on_after(0.01):
            await order.take(job(wants="a"))
        assert order.loading == [1, -1]
        assert len(dispatch) == 0
        assert instance.usages == 0
        await order.take(job(wants="a"))
        assert order.served == ["ann"]


async def test_a_lease_ends_when_its_job_is_cancelled_or_fails(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"MaxUsages": 1}) as pool:
        dispatch = dispatcher(pool)
        (instance,) = pool.instances()
        with anyio.move_on_after(0.01):
            await Order(dispatch).take(job(), 10)
        assert instance.usages == 0
        with pytest.raises(ZeroDivisionError):
            async with dispatch.lease(job(), needs=NOTHING, loading=unheard):
                raise ZeroDivisionError
        assert instance.usages == 0


async def test_a_place_lent_at_the_moment_of_cancelling_is_given_back(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"MaxUsages": 1}) as pool:
        dispatch = dispatcher(pool)
        (instance,) = pool.instances()
        async with anyio.create_task_group() as group:
            with anyio.CancelScope() as second:

                async def hold_then_cancel() -> None:
                    async with dispatch.lease(job(), needs=NOTHING, loading=unheard):
                        await anyio.sleep(0.01)
                    second.cancel()  # the place has just gone to the waiter, which has not run yet

                group.start_soon(hold_then_cancel)
                await anyio.sleep(0.002)
                await Order(dispatch).take(job(), 10)
        assert instance.usages == 0
        assert len(dispatch) == 0


async def test_refusals_are_the_documented_sentences(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}) as pool:
        dispatch = dispatcher(pool)
        head = "No backends match the settings of the request given! Backends refused for the following reason(s):\n- "
        assert await refused(dispatch, job(), frozenset({"freeu", "comfyui"})) == (
            head + "Request requires flag 'freeu' which is not present on the backend"
        )
        typed = job().input.having(INTERNAL_BACKEND_TYPE, "other")
        assert await refused(dispatch, Job(id="x", input=typed, model=None, seeds=(1,))) == (
            head + "Specific backend type requested in advanced parameters did not match"
        )
        numbered = job().input.having(EXACT_BACKEND_ID, "7")
        assert await refused(dispatch, Job(id="x", input=numbered, model=None, seeds=(1,))) == (
            head + "Specific backend ID# requested in advanced parameters did not match"
        )
        pool.instances()[0].backend.model_names = {"Stable-Diffusion": frozenset({"b"})}  # type: ignore[misc]
        assert await refused(dispatch, job(wants="a.safetensors")) == (
            head + "Request requires model 'a.safetensors' but the backend does not have that model"
        )


async def test_flags_that_follow_the_model_never_block(tmp_path: Path) -> None:
    needs = frozenset({"sdxl", "comfyui"})
    async with running_pool(tmp_path, {}) as pool, dispatcher(pool).lease(job(), needs=needs, loading=unheard) as lent:
        assert lent.id == 0


async def test_without_backends_the_job_is_refused_at_once(tmp_path: Path) -> None:
    async with running_pool(tmp_path) as pool:
        assert await refused(dispatcher(pool), job()) == "No backends available!"


async def test_a_job_waits_for_a_backend_that_is_starting(tmp_path: Path) -> None:
    async with make_pool(tmp_path, {"StartMilliseconds": 20}).running() as pool:
        order = Order(dispatcher(pool))
        await order.take(job())
        assert order.served == ["ann"]


async def test_a_flag_may_be_brought_by_a_backend_that_has_yet_to_say_what_it_can(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}) as pool:
        late = await pool.add("fake")
        await pool.edit(late.id, {"StartMilliseconds": 20, "Features": ""}, "")
        assert late.is_coming
        needs = frozenset({"freeu"})
        assert "flag 'freeu'" in await refused(dispatcher(pool), job(), needs)
        assert late.can_serve  # it was waited for


async def test_when_the_last_hope_fails_to_start_the_waiting_are_refused(tmp_path: Path) -> None:
    async with make_pool(tmp_path, {"FailStart": "No device.", "StartMilliseconds": 5}).running() as pool:
        assert await refused(dispatcher(pool), job()) == "No backends available!"


async def test_a_model_that_cannot_be_loaded_is_refused_with_the_reasons(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"FailLoad": "The file is torn."}, {"FailLoad": "Too big."}) as pool:
        dispatch = dispatcher(pool)
        for _ in range(2):  # and the next request tries afresh
            assert await refused(dispatch, job(wants="a")) == (
                "All available backends failed to load the model 'a'.\n\n"
                "Possible reason: The file is torn.\n\nPossible reason: Too big."
            )


async def test_a_backend_that_cannot_load_it_is_passed_over(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"FailLoad": "Too big."}, {}) as pool:
        order = Order(dispatcher(pool))
        await order.take(job(wants="a"))
        assert order.backends == [1]


async def test_another_requests_bad_file_beside_the_same_model_costs_nobody_else(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"LoadMilliseconds": 5}) as pool:
        dispatch = dispatcher(pool)
        order = Order(dispatch)
        sound = job(wants="a", user="ann")
        assert sound.model is not None
        torn = replace(sound.model, companions=(("t5xxl", replace(sound.model, name="fake-torn")),))
        refusals: list[str] = []

        async def spoil() -> None:
            refusals.append(await refused_quietly(dispatch, replace(job(wants="a", user="bob"), model=torn)))

        async with anyio.create_task_group() as group:
            group.start_soon(spoil)
            await anyio.sleep(0)
            group.start_soon(order.take, sound)
        assert order.served == ["ann"]
        assert refusals == [
            "All available backends failed to load the model 'a'.\n\n"
            "Possible reason: A file that completes the model is torn."
        ]


async def test_waiting_too_long_is_a_timeout(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"MaxUsages": 1}) as pool:
        dispatch = dispatcher(pool, timeout_minutes=0.01 / 60)
        async with dispatch.lease(job(), needs=NOTHING, loading=unheard):
            assert await refused(dispatch, job()) == "Timeout! All backends are occupied with other tasks."


async def test_stopping_refuses_the_waiting(tmp_path: Path) -> None:
    sentences: list[str] = []
    async with anyio.create_task_group() as group, running_pool(tmp_path, {"MaxUsages": 1}) as pool:
        dispatch = dispatcher(pool)

        async def wait() -> None:
            sentences.append(await refused(dispatch, job()))

        async with dispatch.lease(job(), needs=NOTHING, loading=unheard):
            group.start_soon(wait)
            await anyio.sleep(0.01)
            pool.closing = True
            pool.status_changed()
    assert sentences == ["Backend handler is shutting down."]


async def test_selecting_loads_on_every_backend(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}, {}) as pool:
        dispatch = dispatcher(pool)
        wanted = job(wants="a").model
        assert wanted is not None
        assert await dispatch.select(wanted, "1")
        assert [one.backend.current_model for one in pool.instances()] == [None, "a"]
        assert await dispatch.select(wanted)
        assert [one.backend.current_model for one in pool.instances()] == ["a", "a"]
        assert not await dispatch.select(wanted, "9")


async def test_a_disabled_backend_serves_nobody(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}) as pool:
        await pool.toggle(0, False)
        assert pool.instances()[0].status is BackendStatus.DISABLED
        assert await refused(dispatcher(pool), job()) == "No backends available!"


async def test_a_lease_costs_far_less_than_a_millisecond_even_with_a_long_line(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {"MaxUsages": 4}) as pool:
        order = Order(dispatcher(pool))
        started = perf_counter()
        async with anyio.create_task_group() as group:
            for number in range(2000):
                group.start_soon(order.take, job(user=f"user{number % 20}"))
        assert (perf_counter() - started) / 2000 < 0.002
        assert len(order.served) == 2000


def test_instances_name_themselves(tmp_path: Path) -> None:
    pool = make_pool(tmp_path)
    instance = BackendInstance(
        3,
        pool.types["fake"],
        None,
        title="Left card",
        enabled=True,
        backend=None,  # type: ignore[arg-type]
    )
    assert str(instance) == "Backend 3 (Left card)"
