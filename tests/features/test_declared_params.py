"""What is declared here must agree with what SwarmUI's clients know: ids, ranges, defaults."""

from __future__ import annotations

import pytest

from swarm.params.wire import param_to_wire
from tests.params.fixed_choices import CHOICES, PARAMS

# id: (type, default, min, max, view max, step, priority, group, ignore_if)
KNOWN: dict[str, tuple[str, str | None, float, float, float, float, float, str | None, str | None]] = {
    "prompt": ("text", "", 0, 0, 0, 1, -100, None, None),
    "negativeprompt": ("text", "", 0, 0, 0, 1, -90, None, ""),
    "model": ("model", "", 0, 0, 0, 1, 10, None, None),
    "images": ("integer", "1", 1, 10000, 0, 1, -50, "coreparameters", "1"),
    "seed": ("integer", "-1", -1, 9.223372036854775807e18, 0, 1, -30, "coreparameters", None),
    "steps": ("integer", "20", 0, 500, 60, 1, -20, "coreparameters", None),
    "cfgscale": ("decimal", "7", 0, 100, 20, 0.5, -18, "coreparameters", None),
    "variationseed": ("integer", "-1", -1, 4294967295, 0, 1, -17, "variationseed", None),
    "variationseedstrength": ("decimal", "0", 0, 1, 0, 0.05, -17, "variationseed", "0"),
    "aspectratio": ("dropdown", "1:1", 0, 0, 0, 1, -11, "resolution", None),
    "width": ("integer", "512", 64, 16384, 2048, 32, -10, "resolution", None),
    "height": ("integer", "512", 64, 16384, 2048, 32, -9, "resolution", None),
    "sidelength": ("integer", "1024", 64, 16384, 4096, 32, -8, "resolution", None),
    "zeronegative": ("boolean", "false", 0, 0, 0, 1, 7, "sampling", "false"),
    "sampler": ("dropdown", "euler", 0, 0, 0, 1, -5, "sampling", None),
    "scheduler": ("dropdown", "normal", 0, 0, 0, 1, -4, "sampling", None),
    "initimage": ("image", None, 0, 0, 0, 1, -5, "initimage", None),
    "initimagecreativity": ("decimal", "0.6", 0, 1, 0, 0.05, -4.5, "initimage", None),
    "initimageresettonorm": ("decimal", "0", 0, 1, 0, 0.05, -4.5, "initimage", "0"),
    "initimagenoise": ("decimal", "0", 0, 10, 1, 0.05, -4.2, "initimage", "0"),
    "loras": ("list", "", 0, 0, 0, 1, 10, "advancedmodeladdons", ""),
    "loraweights": ("list", "", -10, 10, 0, 0.1, 10, "advancedmodeladdons", ""),
    "loratencweights": ("list", "", -10, 10, 0, 0.1, 10, "advancedmodeladdons", ""),
    "batchsize": ("integer", "1", 1, 100, 10, 1, -20, "swarminternal", "1"),
    "altresolutionheightmultiplier": ("decimal", "1", 0, 10, 0, 0.1, -19, "swarminternal", None),
    "rawresolution": ("text", "1024x1024", 0, 0, 0, 1, -18, "swarminternal", None),
    "donotsave": ("boolean", "false", 0, 0, 0, 1, -15, "swarminternal", "false"),
    "nopreviews": ("boolean", "false", 0, 0, 0, 1, -14, "swarminternal", "false"),
    "noloadmodels": ("boolean", "false", 0, 0, 0, 1, -13, "swarminternal", "false"),
    "continueaftererrors": ("boolean", "false", 0, 0, 0, 1, -12, "swarminternal", "false"),
    "forwardswarmdata": ("boolean", "false", 0, 0, 0, 1, 10, "swarminternal", "false"),
    "internalbackendtype": ("dropdown", "Any", 0, 0, 0, 1, -10, "swarminternal", "Any"),
    "exactbackendid": ("dropdown", "0", 0, 0, 0, 1, -9, "swarminternal", None),
    "wildcardseed": ("integer", "-1", -1, 4294967295, 0, 1, -5, "swarminternal", None),
    "noseedincrement": ("boolean", "false", 0, 0, 0, 1, -4, "swarminternal", "false"),
    "personalnote": ("text", "", 0, 0, 0, 1, 0, "swarminternal", ""),
    "imageformat": ("dropdown", "PNG", 0, 0, 0, 1, 1, "swarminternal", None),
    "samplersigmamin": ("decimal", "0", 0, 1000, 0, 0.01, -23, "advancedsampling", None),
    "samplersigmamax": ("decimal", "10", 0, 1000, 0, 0.01, -22, "advancedsampling", None),
    "samplerrho": ("decimal", "7", 0, 1000, 0, 0.01, -20, "advancedsampling", None),
    "clipstopatlayer": ("integer", "-1", -24, -1, 0, 1, -10, "advancedsampling", None),
    "conditioningmultiplier": ("decimal", "1", -100, 100, 0, 0.01, -1, "advancedsampling", None),
    "negativeconditioningmultiplier": ("decimal", "1", -100, 100, 0, 0.01, -0.9, "advancedsampling", None),
    "endstepsearly": ("decimal", "0", 0, 1, 0, 1, 10, "advancedsampling", "0"),
    "rescalecfgmultiplier": ("decimal", "0.7", 0, 1, 0, 0.01, 14, "alternateguidance", None),
}


@pytest.mark.parametrize("id", KNOWN)
def test_clients_find_the_parameter_they_know(id: str) -> None:
    param = PARAMS.params[id]
    wire = param_to_wire(param, CHOICES)
    keys = ("type", "default", "min", "max", "view_max", "step", "priority", "group")
    assert (*(wire[key] for key in keys), param.ignore_if) == KNOWN[id]


def test_every_parameter_explains_itself() -> None:
    for param in PARAMS.params.values():
        assert param.description.endswith("."), param.id
