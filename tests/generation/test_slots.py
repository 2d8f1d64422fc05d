"""Places at backends: no more than allowed, in order of arrival, and none is lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import anyio
import pytest

from swarm.accounts.user import User
from swarm.generation.slots import Slots

pytestmark = pytest.mark.anyio


def user(name: str, most: int) -> User:
    return cast(User, SimpleNamespace(id=name, max_simultaneous=most))


async def test_a_user_has_so_many_places_and_others_have_their_own() -> None:
    slots, ann, bob = Slots(), user("ann", 2), user("bob", 1)
    order: list[int] = []
    held = 0

    async def work(number: int) -> None:
        nonlocal held
        async with slots.one(ann):
            held += 1
            assert held <= 2
            order.append(number)
            await anyio.sleep(0)
            held -= 1

    async with slots.one(ann), slots.one(ann), anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(work, number)
        await anyio.sleep(0.01)
        assert order == []
        with anyio.fail_after(1):
            async with slots.one(bob):
                pass
        ann.__dict__["max_simultaneous"] = 3  # one more, from the next place that is given back
        group.cancel_scope.cancel()
    with anyio.fail_after(1):
        async with slots.one(ann), slots.one(ann), slots.one(ann):
            pass


async def test_first_come_first_served() -> None:
    slots, ann = Slots(), user("ann", 1)
    order: list[int] = []

    async def work(number: int) -> None:
        async with slots.one(ann):
            order.append(number)

    async with anyio.create_task_group() as group, slots.one(ann):
        for number in range(100):
            group.start_soon(work, number)
        await anyio.sleep(0.01)
    assert order == list(range(100))


async def test_one_who_is_cancelled_while_waiting_takes_no_place() -> None:
    slots, ann = Slots(), user("ann", 1)
    async with slots.one(ann):
        with anyio.move_on_after(0.01):
            async with slots.one(ann):
                pass
    with anyio.fail_after(1):
        async with slots.one(ann):
            pass


async def test_one_who_is_cancelled_in_the_moment_of_its_turn_gives_it_on() -> None:
    slots, ann = Slots(), user("ann", 1)
    scope = anyio.CancelScope()
    served: list[str] = []

    async def cancelled() -> None:
        with scope:
            async with slots.one(ann):
                served.append("cancelled")

    async def patient() -> None:
        async with slots.one(ann):
            served.append("patient")

    async with anyio.create_task_group() as group:
        async with slots.one(ann):
            group.start_soon(cancelled)
            await anyio.sleep(0.01)
            group.start_soon(patient)
            await anyio.sleep(0.01)
        scope.cancel()  # its place was given in this same step of the loop
    assert "patient" in served
