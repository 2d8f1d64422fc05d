"""A VAE that is not the model's: told in a sentence that names it, whichever two are put together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from safetensors.torch import save_file

from swarm.base.errors import BadInput
from swarm.engine.device import choose_device
from swarm.engine.start import families
from swarm.jobs.job import ModelFile
from tests.engine.flow_oracle import companions, model
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux_2 import KLEIN
from tests.support.tiny.pixart import SIGMA
from tests.support.tiny.qwen_image import IMAGE
from tests.support.tiny.sana import SANA
from tests.support.tiny.stable_diffusion_3 import MEDIUM
from tests.support.tiny_models import tiny_sd

pytestmark = pytest.mark.torch
FAMILIES: dict[str, TinyFamily] = {"sd3": MEDIUM, "qwen": IMAGE, "flux2": KLEIN, "sana": SANA, "pixart": SIGMA}
VAES = (*FAMILIES, "sd")
ALIKE = {("pixart", "sd")}
"""(model, VAE) of one kind."""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, ModelFile]]:
    return {name: companions(family, tmp_path_factory.mktemp(name)) for name, family in FAMILIES.items()}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    path = tmp_path_factory.mktemp("plain") / "sd_vae.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tiny_sd().vae.state_dict().items()}, path)
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


@pytest.mark.parametrize("vae", VAES)
@pytest.mark.parametrize("name", FAMILIES)
def test_only_the_own_kind_is_taken(
    name: str, vae: str, parts: Mapping[str, Mapping[str, ModelFile]], plain: ModelFile, tmp_path: Path
) -> None:
    given = plain if vae == "sd" else parts[vae]["vae"]
    fits = vae == name or (name, vae) in ALIKE
    file = model(FAMILIES[name], FAMILIES[name].make(tmp_path, layout="bare"))
    try:
        families().load(file, choose_device(0, "auto"), {**parts[name], "vae": given})
    except BadInput as refusal:
        assert not fits and given.name in str(refusal), str(refusal)
    else:
        assert fits, f"{name} took the VAE of {vae}"
