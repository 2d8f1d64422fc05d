"""IP-Adapters: the prompt's pictures say beside the words what is to be drawn (swarm-t2i 9.10)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from swarm.base.errors import BadInput
from swarm.features.clip_vision import image_encoder
from swarm.features.face_files import LORA_FILE, LORA_WEIGHT, face_files, face_networks
from swarm.features.groups import IMAGE_PROMPTING_GROUP
from swarm.features.prompt_images import PROMPT_IMAGES
from swarm.jobs.acts import Asking, Making, act
from swarm.jobs.job import LoraUse, ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.jobs.stage import Conditioning, Stage, StageContext, stage
from swarm.params.input import GenerationInput
from swarm.params.kinds import Decimal, Dropdown, fixed

NONE = "None"
LIGHT, STANDARD, VIT_G = "LIGHT - SD1.5 only (low strength)", "STANDARD (medium strength)", "VIT-G (medium strength)"
PLUS, FACE, FULL = "PLUS (high strength)", "PLUS FACE (portraits)", "FULL FACE - SD1.5 only (portraits stronger)"
FACE_ID, FACE_ID_PLUS, FACE_ID_PLUS_2 = "FACEID", "FACEID PLUS - SD1.5 only", "FACEID PLUS V2"
FACE_ID_PORTRAIT = "FACEID PORTRAIT (style transfer)"
_PARAMS: dict[str, Any] = {"group": IMAGE_PROMPTING_GROUP, "flags": ("ipadapter",)}
_SLIDER: dict[str, Any] = {"step": 0.05, "view_type": "slider", "depends_on": "useipadapter", **_PARAMS}

USE_IP_ADAPTER = Dropdown(
    name="Use IP-Adapter",
    description="The IP-Adapter through which the prompt's pictures are seen.",
    default=NONE,
    values=fixed(
        NONE, LIGHT, STANDARD, VIT_G, PLUS, FACE, FULL, FACE_ID, FACE_ID_PLUS, FACE_ID_PLUS_2, FACE_ID_PORTRAIT
    ),
    ignore_if=NONE,
    priority=15.0,
    **_PARAMS,
)
IP_ADAPTER_WEIGHT = Decimal(
    name="IP-Adapter Weight",
    description="How loud the pictures are beside the words.",
    default=1.0,
    min=-1,
    max=3,
    ignore_if="1",
    priority=16.0,
    **_SLIDER,
)
IP_ADAPTER_START = Decimal(
    name="IP-Adapter Start",
    description="The share of the steps after which the pictures are begun to be heard.",
    default=0.0,
    min=0,
    max=1,
    ignore_if="0",
    examples=("0", "0.2", "0.5"),
    priority=17.0,
    advanced=True,
    **_SLIDER,
)
IP_ADAPTER_END = Decimal(
    name="IP-Adapter End",
    description="The share of the steps after which the pictures are no longer heard.",
    default=1.0,
    min=0,
    max=1,
    ignore_if="1",
    examples=("1", "0.8", "0.5"),
    priority=18.0,
    advanced=True,
    **_SLIDER,
)

STANDARD_WEIGHTS, EASE_OUT, STYLE = "standard", "prompt is more important", "style transfer"
IP_ADAPTER_WEIGHT_TYPE = Dropdown(
    name="IP-Adapter Weight Type",
    description="Where the pictures are heard: in every layer, at first hardly and then more and more, or only where "
    "style is.",
    default=STANDARD_WEIGHTS,
    values=fixed(STANDARD_WEIGHTS, EASE_OUT, STYLE),
    view_type="slider",
    depends_on="useipadapter",
    priority=19.0,
    advanced=True,
    **_PARAMS,
)

ADAPTER_FILE, ENCODER_FILE = "ip_adapter", "ip_adapter_eyes"
"""In `Job.files`."""
FACE_PRESETS = (FACE_ID, FACE_ID_PLUS, FACE_ID_PLUS_2, FACE_ID_PORTRAIT)
BAD_RANGE = "IP-Adapter Start must be less than IP-Adapter End."
FOLDER = "ipadapter"
_IN_EXTRA = "image_words"
_XL_PLACES, _XL_STYLE = 11, 6
_EYES_H = ("CLIP-ViT-H-14-laion2B-s32B-b79K", "clip_vision_h", "image_encoder_sd15")
_EYES_G = ("CLIP-ViT-bigG-14-laion2B-39B-b160k", "clip_vision_g", "image_encoder_sdxl")
_SD1, _XL = "stable-diffusion-v1", "stable-diffusion-xl-v1"
_FILES: dict[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    (_SD1, LIGHT): ("ip-adapter_sd15_light", _EYES_H),
    (_SD1, STANDARD): ("ip-adapter_sd15", _EYES_H),
    (_SD1, VIT_G): ("ip-adapter_sd15_vit-G", _EYES_G),
    (_SD1, PLUS): ("ip-adapter-plus_sd15", _EYES_H),
    (_SD1, FACE): ("ip-adapter-plus-face_sd15", _EYES_H),
    (_SD1, FULL): ("ip-adapter-full-face_sd15", _EYES_H),
    (_XL, STANDARD): ("ip-adapter_sdxl_vit-h", _EYES_H),
    (_XL, VIT_G): ("ip-adapter_sdxl", _EYES_G),
    (_XL, PLUS): ("ip-adapter-plus_sdxl_vit-h", _EYES_H),
    (_XL, FACE): ("ip-adapter-plus-face_sdxl_vit-h", _EYES_H),
    (_SD1, FACE_ID): ("ip-adapter-faceid_sd15", ()),
    (_SD1, FACE_ID_PLUS): ("ip-adapter-faceid-plus_sd15", _EYES_H),
    (_SD1, FACE_ID_PLUS_2): ("ip-adapter-faceid-plusv2_sd15", _EYES_H),
    (_SD1, FACE_ID_PORTRAIT): ("ip-adapter-faceid-portrait-v11_sd15", ()),
    (_XL, FACE_ID): ("ip-adapter-faceid_sdxl", ()),
    (_XL, FACE_ID_PLUS_2): ("ip-adapter-faceid-plusv2_sdxl", _EYES_H),
    (_XL, FACE_ID_PORTRAIT): ("ip-adapter-faceid-portrait_sdxl", ()),
}
"""Files of h94/IP-Adapter and h94/IP-Adapter-FaceID and their image encoders, by family and preset."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageWords:
    """What pictures say to an adapter's layers: `tokens` (1, n, width), `weight` loud; `kind`: in which layers."""

    file: ModelFile
    tokens: Any
    weight: float
    kind: str = STANDARD_WEIGHTS

    def weight_at(self, place: int, places: int) -> float:
        """How loud they are at one of the network's `places` of attention, counted in the order it goes through them.

        Style sits in one place of the 11 that XL has (InstantStyle, 2404.02733), and outside the middle of others.
        """
        if self.kind == EASE_OUT:
            return self.weight * (0.05 + 0.95 * place / places)
        if self.kind == STYLE:
            is_style = place == _XL_STYLE if places == _XL_PLACES else not 4 <= place <= places // 2
            return self.weight if is_style else 0.0
        return self.weight


def words_in(told: Conditioning) -> ImageWords | None:
    """The image words of a conditioning."""
    return next((value for name, value in told.extra.items() if name.startswith(_IN_EXTRA)), None)


@need(when=USE_IP_ADAPTER)
def ip_adapter_files(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """The adapter and the image encoder it was trained with."""
    if not input.get(PROMPT_IMAGES) or model is None:
        return Found(parts={}, files={})
    preset, family = input.get(USE_IP_ADAPTER), files.architecture(model)
    known = next((one for one in (_SD1, _XL) if family is not None and family.compat.id == one), None)
    if known is None or (known, preset) not in _FILES:
        named = "this kind of model" if family is None else f"{family.name} models"
        raise BadInput(f"There is no IP-Adapter '{preset}' for {named}. Choose another one, or None.")
    name, encoders = _FILES[known, preset]
    adapter = files.beside(f"{FOLDER}/{name}.safetensors")
    if adapter is None:
        raise BadInput(
            f"The IP-Adapter '{preset}' needs the file '{name}.safetensors' (of {_source(preset)}) in the models "
            f"folder '{FOLDER}'."
        )
    found = {ADAPTER_FILE: adapter, **face_files(preset, name, files)}
    if not encoders:
        return Found(parts={}, files=found)
    eyes = image_encoder(input, files, encoders)
    if eyes is None:
        raise BadInput(
            f"The IP-Adapter '{preset}' needs the image encoder '{encoders[0]}.safetensors' in the models folder "
            "'clip_vision'."
        )
    return Found(parts={}, files={**found, ENCODER_FILE: eyes})


def _source(preset: str) -> str:
    if preset not in FACE_PRESETS:
        return "h94/IP-Adapter"
    return "h94/IP-Adapter-FaceID, whose .bin the route Pickle2SafeTensor converts there, for the type 'ipadapter'"


@act(order=8, when=USE_IP_ADAPTER, opens=True)
def wear_the_faces_lora(making: Making) -> Asking:
    """Adapters for faces were trained with a LoRA, which acts in the walk they act in."""
    base = making.base
    file = base.files.get(LORA_FILE)
    if file is not None and base.input.get(IP_ADAPTER_WEIGHT) != 0:
        use = LoraUse(file=file, weight=LORA_WEIGHT, text_weight=0.0)
        making.base = replace(base, loras=(*base.loras, use))
    yield from ()


@stage(Stage.ENCODE, order=60, when=USE_IP_ADAPTER)
def hear_prompt_images(context: StageContext) -> None:
    """The prompt's pictures beside its words, and no picture beside the negative prompt's; in the first walk only."""
    input = context.input
    pictures, weight = input.get(PROMPT_IMAGES), input.get(IP_ADAPTER_WEIGHT)
    start, end = input.get(IP_ADAPTER_START), input.get(IP_ADAPTER_END)
    if start >= end:
        raise BadInput(BAD_RANGE)
    file, eyes = context.files.get(ADAPTER_FILE), context.files.get(ENCODER_FILE)
    if not pictures or weight == 0 or file is None or context.of.name != "base":
        return
    if input.get(USE_IP_ADAPTER) in FACE_PRESETS:
        shortcut = 2 * weight if input.get(USE_IP_ADAPTER) == FACE_ID_PLUS_2 else None
        some, none = context.tools.face_words(file, eyes, *face_networks(context.files), pictures, shortcut)
    elif eyes is not None:
        some, none = context.tools.image_words(file, eyes, pictures)
    else:
        return
    kind = input.get(IP_ADAPTER_WEIGHT_TYPE)
    loud = ImageWords(file=file, tokens=some, weight=weight, kind=kind)
    silent = ImageWords(file=file, tokens=none, weight=weight, kind=kind)
    context.positive = [part for one in context.positive for part in _between(one, loud, start, end)]
    context.negative = [part for one in context.negative for part in _between(one, silent, start, end)]


def _between(told: Conditioning, words: ImageWords, start: float, end: float) -> list[Conditioning]:
    """A conditioning that hears the words from `start` to `end`, and is as it was before and after."""
    # Only rows with the same adapter and as many words can share a call, which the name sees to.
    name = f"{_IN_EXTRA} {words.file.path} {words.tokens.shape[1]}"
    parts = [
        replace(told, end=min(told.end, start)),
        replace(told, extra={**told.extra, name: words}, start=max(told.start, start), end=min(told.end, end)),
        replace(told, start=max(told.start, end)),
    ]
    return [part for part in parts if part.start < part.end]
