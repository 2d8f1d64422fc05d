"""The denoiser's blocks compiled while nobody waits, attention by a named kernel: the same pictures, no trace left."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import torch

from swarm.backends.process import EngineProcess
from swarm.engine.attending import attention
from swarm.engine.compiling import Regions
from swarm.engine.device import choose_device
from swarm.engine.worker import OVERDUE
from swarm.features.step_caching import Patience
from swarm.features.torch_compile import repeated_blocks
from swarm.jobs.events import ImageDone
from swarm.jobs.frames import Ping, encode, read
from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, Bench, new_bench

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore::DeprecationWarning:torch")]
BASE: dict[str, Any] = {"steps": 2, "cfgscale": 5.0, "width": 64, "height": 64}
COUNTING: dict[str, Any] = {**BASE, "torchcompile": "counting"}


class Count:
    """A compiler that leaves code as it is. `graphs`: what it was given; `runs`: how often that ran."""

    graphs = 0
    runs = 0


def _counting(graph: Any, _examples: Any) -> Callable[..., Any]:
    Count.graphs += 1

    def run(*given: Any) -> Any:
        Count.runs += 1
        return graph.forward(*given)

    return run


@pytest.fixture
def count() -> Iterator[type[Count]]:
    if "counting" not in torch._dynamo.list_backends(()):
        torch._dynamo.register_backend(_counting, name="counting")
    torch._dynamo.reset()
    Count.graphs = Count.runs = 0
    yield Count
    torch._dynamo.reset()


def regions(bench: Bench, file: ModelFile) -> Regions:
    return bench.models.loaded(file, {}).regions


def told_to_the_server(bench: Bench) -> tuple[int, int]:
    """What the engine's next sign of life says of its blocks, as the server understands it."""
    server = EngineProcess([], lambda _sentence: None, clock=lambda: 0.0)
    bench.mailbox.read_from(io.BytesIO(b"".join(encode(Ping(number=1)))))
    pong = bench.mailbox.outbox.get()
    assert pong is not None
    server._hear(read(io.BytesIO(b"".join(encode(pong))).read))
    return server.blocks


def until_done(bench: Bench, id: str) -> torch.Tensor:
    """Turn until a picture is out, and no further."""
    while not any(isinstance(event, ImageDone) for event in bench.events(id)):
        assert bench.turn()
    found: torch.Tensor = bench.pixels(id)
    return found


def test_blocks_are_compiled_when_nobody_waits(
    fresh: Bench, files: Mapping[str, ModelFile], count: type[Count]
) -> None:
    bench, file = fresh, files[SD]
    plain = bench.picture(file, 3, **BASE)
    first = until_done(bench, bench.submit(file, (3,), **COUNTING))
    assert count.graphs == count.runs == 0, "a picture waited for the compiler"
    assert torch.equal(first, plain)
    known = regions(bench, file)
    blocks = len(list(repeated_blocks(bench.models.loaded(file, {}).components.denoiser)))
    waiting = known.waiting
    assert waiting >= blocks

    assert bench.turn()
    assert (known.waiting, known.ready) == (waiting - 1, 1), "one block at a time"
    late = until_done(bench, bench.submit(file, (3,), **COUNTING))
    assert known.ready == 1, "a picture that comes meanwhile is made first"
    assert count.runs > 0, "what is compiled already is used"
    assert (late - plain).abs().max() <= 1.0

    bench.finish()
    assert known.waiting == 0
    assert told_to_the_server(bench) == (known.ready, 0)
    assert count.graphs < blocks / 2, "blocks of one size share what was compiled"
    count.runs, graphs = 0, count.graphs
    again = until_done(bench, bench.submit(file, (3,), **COUNTING))
    assert count.runs == blocks * BASE["steps"]
    assert count.graphs == graphs
    assert (again - plain).abs().max() <= 1.0

    count.runs = 0
    until_done(bench, bench.submit(file, (3,), **{**COUNTING, "width": 96}))
    assert (count.runs, count.graphs) == (0, graphs), "another size is made uncompiled first"
    bench.finish()
    assert torch.equal(bench.picture(file, 3, **BASE), plain), "nothing stays behind"
    assert known.waiting == 0


def test_blocks_left_out_are_left_out_compiled(
    fresh: Bench, files: Mapping[str, ModelFile], count: type[Count]
) -> None:
    """Step caching and compiling at once."""
    asked = {**COUNTING, "steps": 6, "stepcaching": "fast"}
    first_block = fresh.models.loaded(files[SD], {}).first_block
    assert first_block is not None
    first_block._chain.patience = {"fast": Patience(change=1e9, in_a_row=1)}
    plain = fresh.picture(files[SD], 3, **asked)
    count.runs = 0
    again = fresh.picture(files[SD], 3, **asked)
    blocks = len(list(repeated_blocks(fresh.models.loaded(files[SD], {}).components.denoiser)))
    assert 3 * blocks < count.runs < 6 * blocks
    assert (again - plain).abs().max() <= 1.0


def test_other_pictures_that_come_first_change_nothing(
    fresh: Bench, files: Mapping[str, ModelFile], count: type[Count]
) -> None:
    """Blocks are compiled as they were when they were called, whatever the model was used for since."""
    fresh.submit(files[SD], (3,), **COUNTING)
    fresh.submit(files[SD], (3,), **BASE)
    fresh.finish()
    count.runs = 0
    fresh.picture(files[SD], 3, **COUNTING)
    blocks = len(list(repeated_blocks(fresh.models.loaded(files[SD], {}).components.denoiser)))
    assert count.runs == blocks * BASE["steps"]


def test_a_busy_engine_compiles_at_long_last(files: Mapping[str, ModelFile], count: type[Count]) -> None:
    """One block, and then none for as long again; never where pictures must not switch."""
    for switches in (True, False):
        now = [0.0]
        bench = new_bench(clock=lambda now=now: now[0])  # type: ignore[misc]
        bench.worker._switches = switches
        with torch.inference_mode():
            id = bench.submit(files[SD], (3,), **{**COUNTING, "steps": 4})
            known = regions(bench, files[SD])
            while not known.waiting:
                bench.turn()
            now[0] += OVERDUE + 1
            bench.turn()
            assert known.ready == switches
            until_done(bench, id)
            assert known.ready == switches


def test_what_cannot_be_compiled_runs_as_it_is(
    fresh: Bench, files: Mapping[str, ModelFile], caplog: pytest.LogCaptureFixture
) -> None:
    plain = fresh.picture(files[SD], 3, **BASE)
    asked = {**BASE, "torchcompile": "no such compiler"}
    assert torch.equal(fresh.picture(files[SD], 3, **asked), plain)
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"The model '{files[SD].name}' runs uncompiled from now on: 'no such compiler' could not compile it "
        "(Invalid backend: 'no such compiler', see `torch._dynamo.list_backends()` for available backends)."
    ]
    assert torch.equal(fresh.picture(files[SD], 4, **asked), fresh.picture(files[SD], 4, **BASE))
    assert regions(fresh, files[SD]).waiting == 0
    assert len(caplog.records) == 1, "it is said once"


def test_the_real_compiler_makes_the_same_picture(fresh: Bench, files: Mapping[str, ModelFile]) -> None:
    plain = fresh.picture(files[SD], 3, **BASE)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    fresh.picture(files[SD], 3, **BASE, torchcompile="inductor")
    assert torch._dynamo.utils.counters["inductor"], "nothing was compiled"
    assert (fresh.picture(files[SD], 3, **BASE, torchcompile="inductor") - plain).abs().max() <= 1.0
    assert regions(fresh, files[SD]).waiting == 0
    assert torch.equal(fresh.picture(files[SD], 3, **BASE), plain)
    torch._dynamo.reset()


def test_networks_that_name_no_blocks_have_those_of_their_lists() -> None:
    class Unnamed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Linear(2, 2)
            self.blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])

    network = Unnamed()
    assert list(repeated_blocks(network)) == list(network.blocks)


def test_attention_uses_the_kernel_that_is_named() -> None:
    device = choose_device(0, "float32")
    numbers = torch.zeros(1, 2, 64, 64)
    try:
        found = attention.use("math", device)
        assert {"flash", "math"} <= set(found)
        assert _kernel(numbers) == "math"
        attention.use("auto", device)
        assert _kernel(numbers) == "flash"
    finally:
        attention.use("auto", device)


def test_a_kernel_that_does_not_run_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    device = choose_device(0, "float32")
    attention.use("cudnn", device)
    assert "cudnn" in caplog.text
    assert "does not run on CPU" in caplog.text
    assert _kernel(torch.zeros(1, 2, 64, 64)) == "flash"


def _kernel(numbers: torch.Tensor) -> str:
    names = {int(getattr(torch.nn.attention.SDPBackend, name)): short for name, short in _NAMES.items()}
    return names[torch._fused_sdp_choice(numbers, numbers, numbers)]


_NAMES = {"MATH": "math", "FLASH_ATTENTION": "flash", "EFFICIENT_ATTENTION": "efficient"}
