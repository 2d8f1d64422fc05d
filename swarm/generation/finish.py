"""From a backend's pixels to a saved, announced picture: metadata, encoding, file, URL."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from swarm.accounts.user import User
from swarm.base.clock import duration_text
from swarm.base.data_url import parse_data_url
from swarm.base.errors import Refused
from swarm.base.json import Json, JsonObject
from swarm.base.tasks import to_thread, to_thread_limited
from swarm.catalog.model import ModelEntry
from swarm.features.core import SEED
from swarm.features.output import DO_NOT_SAVE, DO_NOT_SAVE_INTERMEDIATES, IMAGE_FORMAT, OVERRIDE_OUTPATH_FORMAT
from swarm.features.variation import VARIATION_SEED
from swarm.features.video_extend import format_of
from swarm.features.video_smoothing import smoothness_of
from swarm.features.video_sound import VIDEO_AUDIO_INPUT, sound_of
from swarm.generation.events import ImageSaved
from swarm.generation.plan import Moment, Plan
from swarm.generation.points import AFTER_IMAGE
from swarm.generation.resolve import Resolved
from swarm.generation.spine import Spine
from swarm.generation.tokens import path_tokens
from swarm.jobs.events import ImageDone
from swarm.media.clip import Clip
from swarm.media.formats import Encoded, encode, is_still
from swarm.media.image import Picture, Pixels, decode
from swarm.media.video import encode_clip
from swarm.outputs.store import SaveRequest
from swarm.params.input import GenerationInput
from swarm.params.metadata import metadata_text, preview_metadata_text

UsedModels = Sequence[tuple[str, ModelEntry]]
"""(parameter id, model) of every model that a picture was made with."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A picture and everything that decides where and how it is written. `extra`: the facts that metadata records about
    it. `job`: which job's picture of which number."""

    result: Pixels | Picture | Clip
    text: str
    input: GenerationInput
    extra: JsonObject
    index: int
    moment: Moment
    user: User
    models: UsedModels
    job: tuple[str, int] | None = None


class Unsaved(Refused):
    """A picture was made and could not be saved. `picture` announces it as a data URL, so that it is not lost."""

    def __init__(self, reason: Refused, picture: ImageSaved) -> None:
        super().__init__(reason.sentence, error_id=reason.error_id)
        self.picture = picture


class Finisher:
    """Writes what backends made. Encoding and writing happen in threads; nothing is announced before it is on disk."""

    def __init__(self, spine: Spine) -> None:
        self._spine = spine

    def preview_metadata(self, resolved: Resolved) -> str:
        """The metadata text of a picture's first progress message (swarm-t2i 4.3)."""
        return preview_metadata_text(
            resolved.job.input, self._spine.params, extra=resolved.extra, models=[], version=self._spine.version
        )

    async def finish(
        self, done: ImageDone, index: int, resolved: Resolved, plan: Plan, user: User, *, prepared: float
    ) -> ImageSaved:
        """Save picture `done` of `plan` and answer its announcement. `prepared`: seconds until a backend began with it.

        Raises Unsaved when it cannot be written.
        """
        done = await self._spine.hooks.thread_through(AFTER_IMAGE, done, resolved.job)
        times: dict[str, Json] = {
            "prep_time": duration_text(prepared),
            "generation_time": duration_text(done.seconds),
        }
        extra = {**resolved.extra, **times}
        if not done.real:
            extra["intermediate"] = "intermediate output"
        input = input_of(resolved, done.index)
        describe = partial(
            self._described,
            done.result,
            input,
            extra,
            index=index,
            moment=plan.moment,
            user=user,
            models=resolved.models,
        )
        # Who waits for a hash must not take the threads that everybody else's requests need.
        hashers = self._spine.catalog.hashers if self._must_hash(resolved.models) else None
        finished = await (to_thread(describe) if hashers is None else to_thread_limited(hashers, describe))
        if done.real:
            finished = replace(finished, job=(plan.id, done.index))
        announced = partial(ImageSaved, index=index, request_id=str(plan.request_id), metadata=finished.text)
        unwanted = input.get(DO_NOT_SAVE) or (not done.real and input.get(DO_NOT_SAVE_INTERMEDIATES))
        work = self._transient if unwanted or not user.settings.save_files else self._write
        try:
            return announced(image=await to_thread_limited(self._spine.encoders, partial(work, finished)))
        except Refused as refusal:
            silent = replace(finished, input=finished.input.without(VIDEO_AUDIO_INPUT))
            url = await to_thread_limited(self._spine.encoders, partial(self._transient, silent))
            raise Unsaved(refusal, announced(image=url)) from None

    async def finish_grid(
        self, sheet: Pixels, index: int, seconds: Sequence[float], input: GenerationInput, plan: Plan, user: User
    ) -> ImageSaved:
        """Save the contact sheet of a request whose pictures took `seconds` each."""
        total = sum(seconds)
        timing = f"{total:.2f} total seconds (average {total / len(seconds):.2f} seconds per image)"
        extra: dict[str, Json] = {"date": plan.moment.time.strftime("%Y-%m-%d"), "generation_time": timing}
        finished = await to_thread(
            self._described, sheet, input, extra, index=index, moment=plan.moment, user=user, models=()
        )
        work = self._transient if input.get(DO_NOT_SAVE) or not user.settings.save_files else self._write
        url = await to_thread_limited(self._spine.encoders, partial(work, finished))
        return ImageSaved(image=url, index=index, request_id=str(plan.request_id), metadata=finished.text)

    def add(self, image: str, input: GenerationInput, moment: Moment, user: User, request_id: int) -> ImageSaved:
        """Save a picture that came as a data URL (AddImageToHistory). Blocking. Raises BadInput if it is none."""
        mime, data = parse_data_url(image)
        picture = Picture(data=data, mime=mime)
        pixels = decode(picture)  # of animations too: a file that cannot be opened is not kept
        result = pixels if is_still(picture) else picture
        extra: dict[str, Json] = {"date": moment.time.strftime("%Y-%m-%d")}
        finished = self._described(result, input, extra, index=0, moment=moment, user=user, models=())
        url = self._write(finished) if user.settings.save_files else self._transient(finished)
        return ImageSaved(image=url, index=0, request_id=str(request_id), metadata=finished.text)

    def _described(
        self,
        result: Pixels | Picture | Clip,
        input: GenerationInput,
        extra: JsonObject,
        *,
        index: int,
        moment: Moment,
        user: User,
        models: UsedModels,
    ) -> Finished:
        """The picture with its metadata text. Blocking: the hash of a model is read from its file the first time."""
        listed = self._listed(models) if self._names_hashes else []
        text = metadata_text(input, self._spine.params, extra=extra, models=listed, version=self._spine.version)
        return Finished(
            result=result, text=text, input=input, extra=extra, index=index, moment=moment, user=user, models=models
        )

    @property
    def _names_hashes(self) -> bool:
        return self._spine.settings().metadata.image_metadata_include_model_hash

    def _must_hash(self, models: UsedModels) -> bool:
        """Whether a model has to be read before its pictures can be described."""
        return self._names_hashes and any(self._spine.catalog.must_be_hashed(entry) for _, entry in models)

    def _listed(self, models: UsedModels) -> list[JsonObject]:
        """The `sui_models` list of metadata."""
        return [
            {"name": entry.name, "param": param, "hash": self._spine.catalog.model_hash(entry)}
            for param, entry in models
        ]

    def _transient(self, finished: Finished) -> str:
        """A data URL of the raw picture, or of a reformatted one when the user wants that (swarm-t2i 4.10)."""
        if isinstance(finished.result, Clip) or finished.user.settings.file_format.reformat_transient_images:
            encoded = self._encoded(finished)
        else:
            encoded = encode(finished.result, "PNG")
        return f"data:{encoded.mime};base64,{base64.b64encode(encoded.data).decode('ascii')}"

    def _encoded(self, finished: Finished) -> Encoded:
        wanted = finished.user.settings.file_format
        if isinstance(finished.result, Clip):
            input = finished.input
            return encode_clip(
                finished.result, format_of(input), sound=sound_of(input), smoothness=smoothness_of(input)
            )
        return encode(
            finished.result,
            finished.input.given(IMAGE_FORMAT) or wanted.image_format,
            quality=wanted.image_quality,
            metadata=finished.text if wanted.save_metadata else None,
            dpi=wanted.dpi,
            stealth=wanted.stealth_metadata,
        )

    def _write(self, finished: Finished) -> str:
        user = finished.user
        settings, wanted = user.settings, user.settings.file_format
        saved = self._spine.outputs.save(
            SaveRequest(
                user_id=user.id,
                template=finished.input.given(OVERRIDE_OUTPATH_FORMAT) or settings.out_path_builder.format,
                tokens=path_tokens(
                    finished.input,
                    self._spine.params,
                    extra=finished.extra,
                    user=user,
                    moment=finished.moment,
                    index=finished.index,
                    models=finished.models,
                ),
                max_part=settings.out_path_builder.max_len_per_part,
                encoded=self._encoded(finished),
                metadata=finished.text if wanted.save_metadata or wanted.save_text_file_metadata else None,
                sidecar=wanted.save_text_file_metadata,
                allow_unsafe=user.rights.allow_unsafe_outpaths,
                job=finished.job,
            )
        )
        return saved.url


def input_of(resolved: Resolved, number: int) -> GenerationInput:
    """The input as picture `number` of the batch shows it: with its own seed."""
    job = resolved.job
    if number < len(job.variation_seeds):
        return job.input.having(VARIATION_SEED, job.variation_seeds[number])
    return job.input.having(SEED, job.seeds[number]) if number < len(job.seeds) else job.input
