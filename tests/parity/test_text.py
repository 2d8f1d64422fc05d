"""Words become the same conditioning, and so the same picture, as in ComfyUI with SwarmUI's nodes.

The conditionings that the recorded pictures were drawn with were put together as SwarmUI's workflows do it: chunks and
weights by ComfyUI's rules of 2025 (the words of one weight are cut as one), `[a|b]` and `<break>` by its own text node,
regions by its masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import save_file  # noqa: E402

from swarm.jobs.job import ModelFile  # noqa: E402
from tests.engine.conftest import SD, XL, Bench  # noqa: E402
from tests.parity.recorded import DETERMINISTIC, expected, largest_difference  # noqa: E402

pytestmark = pytest.mark.torch

SETTINGS: Mapping[str, Any] = {
    "negativeprompt": "blurry",
    "steps": 6,
    "cfgscale": 6.0,
    "sampler": "euler",
    "scheduler": "normal",
    "modelspecificenhancements": False,
}
SEED = 7
LONG = "a very long prompt about a red fox in deep snow under tall pines, masterpiece, best quality, "
REGIONS = "<region:0.1,0.2,0.4,0.5,0.8>a red boat<region:0.4,0.1,0.5,0.6>two palms<region:0.6,0.6,0.3,0.3,-0.5>fog"
PROMPTS: Mapping[str, Mapping[str, Any]] = {
    "weights": {"prompt": "a (red:1.4) fox [in] ((snow)) (a (b:0.5) c:1.2)", "negativeprompt": "(blurry:-1.3)"},
    "unbalanced": {"prompt": ":) a (cat:1.5) (sits", "negativeprompt": r"\(bad\) ((bad)"},
    "long": {"prompt": LONG * 5 + "(end:1.3)" + " mountains" * 71},
    "uneven": {"prompt": LONG * 4, "negativeprompt": LONG * 6},
    "break": {"prompt": "a fox <break> some (snow:1.2)<break>"},
    "alternate": {"prompt": "a [cat|dog|hen] there [now]", "scheduler": "karras"},
    "alternate simple": {"prompt": "a [cat|dog] there", "scheduler": "simple"},
    "fromto": {"prompt": "a [cat:dog:0.5] there", "negativeprompt": "[x:2]", "sampler": "heun"},
    "regions": {"prompt": f"a wide beach{REGIONS}"},
    "background": {
        "prompt": f"a wide beach{REGIONS}<region:background>deep sea",
        "globalregionfactor": 0.2,
        "width": 96,
    },
    "zero": {"prompt": "a fox", "negativeprompt": "", "zeronegative": True},
}
CASES: Mapping[str, Mapping[str, Any]] = {
    **{f"sd {name}": {"family": SD, **values} for name, values in PROMPTS.items()},
    **{f"xl {name}": {"family": XL, **values} for name, values in PROMPTS.items()},
    "sd inversion": {"family": SD, "prompt": "a <embed:style> cat, (<embed:style>:1.3), more"},
    "sd inversion against": {"family": SD, "prompt": "a cat", "negativeprompt": "<embed:style>, bad"},
    "xl inversion": {"family": XL, "prompt": "cat " * 74 + "(<embed:both>:0.7) dog"},
    "sd skip": {"family": SD, "prompt": "a (red:1.2) fox", "clipstopatlayer": -2},
    "xl skip": {"family": XL, "prompt": "a (red:1.2) fox", "clipstopatlayer": -1},
    "xl enhanced": {"family": XL, "prompt": "a fox", "width": 96, "modelspecificenhancements": True},
    "xl enhanced alternate": {"family": XL, "prompt": "[fox|cat]", "width": 96, "modelspecificenhancements": True},
}


def write_inversions(folder: Path) -> dict[str, Path]:
    """Learned words: three vectors for SD, two for each encoder of SDXL."""
    drawn = torch.Generator().manual_seed(5)
    sizes = {"style": {"emb_params": (3, 32)}, "both": {"clip_l": (2, 32), "clip_g": (2, 64)}}
    made = {}
    for name, tensors in sizes.items():
        made[name] = folder / f"{name}.safetensors"
        save_file({slot: torch.randn(*size, generator=drawn) * 0.5 for slot, size in tensors.items()}, made[name])
    return made


@cache
def recorded() -> Mapping[str, Any]:
    return expected("text")


@pytest.fixture(scope="module")
def inversions(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ModelFile]:
    written = write_inversions(tmp_path_factory.mktemp("inversions"))
    return {
        f"embedding:{name}": ModelFile(name=name, path=path, family=None, stamp="1") for name, path in written.items()
    }


@pytest.mark.parametrize("case", CASES)
def test_the_picture_is_comfyuis(
    bench: Bench, files: Mapping[str, ModelFile], inversions: Mapping[str, ModelFile], case: str
) -> None:
    values = {**SETTINGS, **CASES[case]}
    family = values.pop("family")
    found = bench.picture(files[family], SEED, files=inversions, **values)
    wanted = recorded()[case]
    assert wanted.std() > 10
    assert largest_difference(found, wanted) <= DETERMINISTIC
