"""What is sent to the device once and asked for again and again, and what comes from it when it is ready."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from swarm.engine.components import Row
from swarm.engine.device import choose_device
from swarm.engine.once import Copies, Numbers, Once, OncePerPrompts, let_go
from swarm.jobs.stage import Conditioning
from tests.engine.far import ELSEWHERE, FAR
from tests.engine.waits import Waits

pytestmark = pytest.mark.torch
NEAR = choose_device(0, "auto")


def row(told: Conditioning, *, size: tuple[float, ...] = (), side: int = 2) -> Row:
    return Row(x=torch.zeros(1, 4, side, side), timestep=1.0, sigma=1.0, conditioning=told, size=size)


def test_only_the_latest_are_kept() -> None:
    asked: list[int] = []

    def twice(number: int) -> int:
        asked.append(number)
        return 2 * number

    once = Once(twice, 2)
    assert [once(number) for number in (1, 2, 1, 3, 1, 2)] == [2, 4, 2, 6, 2, 4]
    assert asked == [1, 2, 3, 2]


def test_what_is_kept_is_let_go() -> None:
    class Holder:
        def __init__(self) -> None:
            self.number = 3
            self.once: Once[int, object] = Once(lambda _number: object())
            self.prompts: OncePerPrompts[object] = OncePerPrompts(lambda _rows: object())
            self.copies = Copies(FAR)

    holder, told, hint = Holder(), Conditioning(tokens=1), torch.rand(2)
    before = holder.once(1), holder.prompts([row(told)]), holder.copies(hint)
    let_go(holder)
    after = holder.once(1), holder.prompts([row(told)]), holder.copies(hint)
    assert all(one is not other for one, other in zip(before, after, strict=True))


def test_numbers_are_the_same_tensor_while_they_are_the_same() -> None:
    numbers = Numbers(NEAR)
    first = numbers([3.0, 0.1])
    assert torch.equal(first, torch.tensor([3.0, 0.1]))
    assert numbers(value for value in (3.0, 0.1)) is first
    assert numbers([0.1, 3.0]) is not first
    assert Numbers(NEAR, torch.float16)([(1.0, 2.0), (3.0, 4.0)]).shape == (2, 2)


def test_prompts_are_made_anew_for_other_prompts_sizes_and_latents() -> None:
    made: list[Row] = []

    def first_of(rows: Sequence[Row]) -> Row:
        made.append(rows[0])
        return rows[0]

    kept = OncePerPrompts(first_of)
    one, other = Conditioning(tokens=1), Conditioning(tokens=2)
    first = kept([row(one), row(other)])
    assert kept([row(one), row(other)]) is first
    calls: list[list[Row]] = [[row(other), row(one)], [row(one)], [row(one, size=(1.0,))], [row(one, side=4)]]
    for rows in calls:
        assert kept(rows) is rows[0]
    assert len(made) == 5


def test_copies_belong_to_one_tensor() -> None:
    copies = Copies(FAR)
    hint = torch.rand(1, 3, 4, 4)
    first = copies(hint)
    assert (first.device, first.dtype) == (ELSEWHERE, FAR.compute)
    assert copies(hint) is first
    assert copies(hint.clone()) is not first


WAYS: dict[str, Any] = {
    "numbers": lambda: torch.tensor([1.0, 2.0], device=ELSEWHERE),
    "one number": lambda: torch.tensor(1.0, device=ELSEWHERE),
    "like another": lambda: torch.zeros(2, device=ELSEWHERE).new_tensor([1.0]),
    "a move": lambda: torch.ones(2).to(ELSEWHERE),
    "a move of one number": lambda: torch.ones(()).to(ELSEWHERE),
    "a copy": lambda: torch.zeros(2, device=ELSEWHERE).copy_(torch.ones(2)),
    "places from the processor": lambda: torch.zeros(2, device=ELSEWHERE)[torch.tensor([0])],
    "places as numbers": lambda: torch.zeros(2, device=ELSEWHERE)[[0, 1]],
}


@pytest.mark.parametrize("way", WAYS)
def test_what_a_gpu_is_waited_for_is_noted(way: str) -> None:
    with torch.inference_mode(), Waits() as waits:
        WAYS[way]()
    assert len(waits.found) == 1
    assert "test_once.py" in waits.found[0]


def test_what_it_is_not_waited_for_is_not() -> None:
    with torch.inference_mode(), Waits() as waits:
        there = FAR.sent(torch.ones(2)) * 2.0 + torch.tensor(1.0)
        there[0:1].mul_(3.0)
        torch.full((2,), 0.5, device=ELSEWHERE)
        torch.ones(2).to(torch.float16)
    assert not waits.found


def test_what_is_on_the_processor_is_here_at_once() -> None:
    tensor = torch.ones(2)
    fetched = NEAR.fetched(tensor)
    assert fetched.is_here
    assert fetched.tensor is tensor
    assert NEAR.sent(tensor) is tensor
    assert NEAR.sent(tensor, torch.float16).dtype is torch.float16
