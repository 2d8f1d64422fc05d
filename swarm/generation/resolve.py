"""A plan made concrete: prompts expanded, models found, size and seeds fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import TypeAlias

from swarm.accounts.user import User
from swarm.base.errors import BadInput, Refused
from swarm.base.json import Json
from swarm.catalog.catalog import Catalog
from swarm.catalog.model import ModelEntry
from swarm.features.core import MODEL, NEGATIVE_PROMPT, PROMPT, SEED
from swarm.features.lora import LORA_TENC_WEIGHTS, LORA_WEIGHTS, LORAS, lora_sections, with_lora
from swarm.features.output import NO_PREVIEWS
from swarm.features.resolution import HEIGHT, WIDTH, resolved_size
from swarm.features.special_logic import special_logic, with_wildcard_seed
from swarm.features.swarm import PICK_BY_INDEX, WILDCARD_SEED, WILDCARD_SEED_BEHAVIOR
from swarm.features.vae import VAE
from swarm.generation.budget import check_size
from swarm.generation.choices import ServerChoices
from swarm.generation.default_vae import default_vae
from swarm.generation.files import gathered, named_models
from swarm.generation.plan import Plan, batch_seeds
from swarm.generation.spine import Spine
from swarm.jobs.job import Job, LoraUse, ModelFile
from swarm.params.input import GenerationInput
from swarm.params.kinds import Text
from swarm.params.matching import best_model, without_suffix
from swarm.params.numbers import number_text
from swarm.params.registry import ParamRegistry
from swarm.params.request import apply
from swarm.prompt.expand import ExpandedPrompt, expand, tag_table
from swarm.prompt.sections import split_sections
from swarm.prompt.tag import Draws, TagContext, Wildcards

EMBEDDING = "embedding:"
"""What the names of textual inversion files begin with in `Job.files`."""

NO_MODEL = "No model input given. Did your UI load properly?"


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A job and what metadata must say about how it came about. `models`: (parameter id, entry) of every model used."""

    job: Job
    models: tuple[tuple[str, ModelEntry], ...]
    extra: Mapping[str, Json]


def resolve(plan: Plan, user: User, spine: Spine) -> Resolved:
    """Draw the prompt's random choices, find the models, fix the size. Raises UserError with the client's sentence."""
    asked, extra, embeddings = _expanded(plan.input, user, spine)
    for prompt in (PROMPT, NEGATIVE_PROMPT):
        split_sections(asked.get(prompt))
    check_size(asked, spine.settings().performance)
    model = _model(asked, spine.catalog)
    precision = model.architecture.compat.resolution_precision if model.architecture is not None else 16
    width, height = resolved_size(asked, precision)
    input = asked.having(WIDTH, width).having(HEIGHT, height)
    if embeddings:
        extra = _with_deaf_ears(extra, model, spine.catalog)
    loras, lora_entries = _loras(input, spine.catalog)
    seeds, variation_seeds = batch_seeds(input, plan.batch)
    file = spine.catalog.model_file(model)
    named = named_models(input, spine.params.params.values(), spine.catalog)
    vae = default_vae(input, model, user.settings.vaes, spine.catalog)
    if vae is not None:
        named.append((VAE, vae))
    found = gathered(input, file, named, spine.needs.values(), spine.catalog)
    job = Job(
        id=plan.id,
        input=input,
        model=replace(file, companions=tuple(sorted(found.parts.items()))),
        loras=loras,
        parts=found.parts,
        files={**found.files, **_embedding_files(embeddings, spine.catalog)},
        seeds=seeds,
        variation_seeds=variation_seeds,
        others=tuple((entry.subtype, entry.name) for _, entry in named),
        wants_previews=not input.get(NO_PREVIEWS),
        user_id=user.id,
    )
    others = ((param.id, entry) for param, entry in named)
    embedded = (("used_embeddings", entry) for entry in embeddings.values())
    used = ((MODEL.id, model), *others, *embedded, *((LORAS.id, entry) for entry in lora_entries))
    date = plan.moment.time.strftime("%Y-%m-%d")
    return Resolved(job=job, models=used, extra={"date": date, **extra, **input.extra})


def completed(model: ModelEntry, spine: Spine) -> ModelFile:
    """A model's file with what its family wants beside it, to be loaded before any picture asks for it."""
    file = spine.catalog.model_file(model)
    found = gathered(GenerationInput(), file, (), spine.needs.values(), spine.catalog)
    return replace(file, companions=tuple(sorted(found.parts.items())))


def filled_prompt(prompt: str, user: User, spine: Spine) -> str:
    """A prompt as a picture's would be drawn, with random choices of its own. Raises UserError."""
    input = GenerationInput().having(PROMPT, prompt).having(SEED, spine.random.randint(0, 2**31 - 1))
    filled, _, _ = _expanded(input, user, spine)
    return filled.get(PROMPT)


_Embeddings: TypeAlias = Mapping[str, ModelEntry]


def _expanded(input: GenerationInput, user: User, spine: Spine) -> tuple[GenerationInput, dict[str, Json], _Embeddings]:
    """The input with prompts as they will be drawn, what metadata records about the change (swarm-t2i 5.7), and the
    textual inversions that the prompts name."""
    request = _Request(
        input=input,
        params=spine.params,
        choices=spine.shop.for_user(user),
        user=user,
        presets=spine.presets(user.id),
        expanding=PROMPT,
        catalog=spine.catalog,
        random=spine.random,
    )
    context = TagContext(
        tags=tag_table(spine.tags),
        draws=request.draws,
        wildcards=_PermittedWildcards(spine.wildcards, user),
        known_loras=_KnownModels(spine.catalog, "LoRA", user),
        known_embeddings=_KnownModels(spine.catalog, "Embedding", user),
        parameters=request,
    )
    prompt = expand(input.get(PROMPT), context)
    request.expanding = NEGATIVE_PROMPT
    negative = expand(request.input.get(NEGATIVE_PROMPT), context)
    changed = request.input.having(PROMPT, prompt.text)
    if changed.has(NEGATIVE_PROMPT):
        changed = changed.having(NEGATIVE_PROMPT, negative.text)
    # Once more, for tags may have set seeds, sizes and LoRA lists.
    settled = special_logic(_with_tag_loras(changed, context, user), rng=spine.random)
    entries = {name: spine.catalog.find("Embedding", name) for name in context.used_embeddings}
    embeddings = {name: entry for name, entry in entries.items() if entry is not None}
    return settled, _notes(prompt, negative, context), embeddings


def _notes(prompt: ExpandedPrompt, negative: ExpandedPrompt, context: TagContext) -> dict[str, Json]:
    notes: dict[str, Json] = {}
    if context.used_wildcards:
        notes["used_wildcards"] = list(context.used_wildcards)
    if context.used_embeddings:
        notes["used_embeddings"] = list(context.used_embeddings)
    if context.loras:
        notes["prompted_loras"] = [tag.name for tag in context.loras]
    if context.warnings:
        notes["parser_warnings"] = list(context.warnings)
    if prompt.original != prompt.text:
        notes["original_prompt"] = prompt.original
    if negative.original != negative.text:
        notes["original_negativeprompt"] = negative.original
    return notes


def _with_deaf_ears(notes: dict[str, Json], model: ModelEntry, catalog: Catalog) -> dict[str, Json]:
    """The notes, with a warning where the prompt names textual inversions and the model's family hears none."""
    family = catalog.architectures.get(catalog.model_file(model).family or "")
    if family is None or family.hears_embeddings:
        return notes
    known = notes.get("parser_warnings", [])
    warning = f"Embeddings mean nothing to {family.name} models: those that the prompt names are left out."
    return {**notes, "parser_warnings": [*(known if isinstance(known, list) else []), warning]}


def _with_tag_loras(input: GenerationInput, context: TagContext, user: User) -> GenerationInput:
    """LoRAs that prompt tags asked for, appended to the request's own lists."""
    stacks = user.settings.param_parsing.allow_lora_stacking
    for tag in context.loras:
        if not stacks and without_suffix(tag.name) in [without_suffix(name) for name in input.get(LORAS)]:
            context.warn(f"LoRA '{tag.name}' is already applied and will not be added again.")
            continue
        text_weight = None if tag.text_weight is None else number_text(tag.text_weight)
        input = with_lora(input, tag.name, number_text(tag.weight), text_weight, section=tag.section)
    return input


def _model(input: GenerationInput, catalog: Catalog) -> ModelEntry:
    name = input.given(MODEL)
    if not name:
        raise Refused(NO_MODEL)
    entry = catalog.find("Stable-Diffusion", name)
    if entry is None:
        raise BadInput(f"The model '{without_suffix(name)}' is no longer there. Refresh the list and choose another.")
    return entry


def _loras(input: GenerationInput, catalog: Catalog) -> tuple[tuple[LoraUse, ...], list[ModelEntry]]:
    weights = [float(weight) for weight in input.get(LORA_WEIGHTS)]
    text_weights = [float(weight) for weight in input.get(LORA_TENC_WEIGHTS)] or weights
    uses: list[LoraUse] = []
    entries: list[ModelEntry] = []
    names = input.get(LORAS)
    for position, (name, section) in enumerate(zip(names, lora_sections(input), strict=True)):
        entry = catalog.find("LoRA", name)
        if entry is None:
            raise BadInput(f"The LoRA '{name}' is no longer there. Refresh the list and choose another.")
        weight = weights[position] if position < len(weights) else 1.0
        text_weight = text_weights[position] if position < len(text_weights) else weight
        file = catalog.model_file(entry)
        uses.append(LoraUse(file=file, weight=weight, text_weight=text_weight, section=section))
        entries.append(entry)
    return tuple(uses), entries


def _embedding_files(embeddings: _Embeddings, catalog: Catalog) -> dict[str, ModelFile]:
    """As the engine asks for them: `embedding:` and the name that stands in the prompt."""
    return {f"{EMBEDDING}{name}": catalog.model_file(entry) for name, entry in embeddings.items()}


class _KnownModels:
    """The LoRAs that `<lora:…>` of a user may name, or the textual inversions that `<embed:…>` may."""

    def __init__(self, catalog: Catalog, subtype: str, user: User) -> None:
        self._catalog = catalog
        self._subtype = subtype
        self._user = user

    @cached_property
    def _names(self) -> list[str]:
        names = self._catalog.names(self._subtype)
        return [without_suffix(name) for name in names if self._user.permits_model(name)]

    def find(self, name: str) -> str | None:
        return best_model(name, self._names)

    def count(self) -> int:
        return len(self._names)

    def trigger_phrase(self, name: str) -> str:
        return trigger_phrase(self._catalog.find(self._subtype, name)).replace(";", ",")


class _PermittedWildcards:
    """The wildcard lists that a user may see."""

    def __init__(self, wildcards: Wildcards, user: User) -> None:
        self._wildcards = wildcards
        self._user = user

    def find(self, name: str) -> tuple[str, Sequence[str]] | None:
        found = self._wildcards.find(name)
        return found if found is not None and self._user.permits_model(found[0]) else None


def trigger_phrase(entry: ModelEntry | None) -> str:
    """The words a model answers to; empty if its file does not say."""
    return (entry.info.trigger_phrase or "").strip() if entry is not None else ""


@dataclass
class _Request:
    """The request as prompt tags may read and change it."""

    input: GenerationInput
    params: ParamRegistry
    choices: ServerChoices
    user: User
    presets: Mapping[str, Mapping[str, str]]
    expanding: Text
    catalog: Catalog
    random: Random

    def draws(self) -> Draws:
        """What decides random choices from now on; it is written into the request."""
        self.input = with_wildcard_seed(self.input, self.random)
        by_index = self.input.get(WILDCARD_SEED_BEHAVIOR) == PICK_BY_INDEX
        return Draws(self.input.get(WILDCARD_SEED), by_index)

    def text(self, name: str, section: int) -> str | None:
        param = self.params.find(name)
        if param is None:
            return None
        value = self.input.given(param, section=section)
        return "" if value is None else param.to_text(value)

    def set(self, name: str, value: str, section: int) -> bool:
        param = self.params.find(name)
        if param is None:
            return False
        self.input = apply(self.input, param, value, self.choices, self.user.permits, section=section)
        return True

    def trigger_phrases(self) -> Sequence[str]:
        model = self.catalog.find("Stable-Diffusion", self.input.get(MODEL))
        loras = (self.catalog.find("LoRA", name) for name in self.input.get(LORAS))
        return [trigger_phrase(model), *(trigger_phrase(lora).replace(";", ",") for lora in loras)]

    def apply_preset(self, title: str) -> str | None:
        texts = self.presets.get(title.lower())
        if texts is None:
            return None
        for name, value in texts.items():
            param = self.params.find(name)
            if param is not None and param is not self.expanding:
                self.set(name, value, 0)
        return next((value for name, value in texts.items() if self.params.find(name) is self.expanding), "")
