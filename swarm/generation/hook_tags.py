"""What web hooks may say about a picture, and the picture itself (swarm-core 9.1.3)."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.accounts.user import User
from swarm.base.data_url import parse_data_url
from swarm.catalog.model import ModelEntry
from swarm.generation.plan import Moment
from swarm.generation.spine import Spine
from swarm.generation.tokens import path_tokens
from swarm.media.image import Picture
from swarm.params.input import GenerationInput


def hook_tags(
    spine: Spine,
    input: GenerationInput,
    image: str | None,
    *,
    user: User,
    moment: Moment,
    models: Sequence[tuple[str, ModelEntry]] = (),
) -> dict[str, str]:
    """Text by tag. `image`: what was announced, None when a whole request ended."""
    tokens = path_tokens(input, spine.params, user=user, moment=moment, index=0, models=models)
    tokens["batch_id"] = ""
    if image is not None:
        address = image if image.startswith("data:") else f"{spine.webhooks.address()}/{image}".replace(" ", "%20")
        tokens["image"] = address
    return tokens


def announced_picture(spine: Spine, user: User, image: str) -> Picture | None:
    """The bytes of an announced picture. Blocking. None when its file is gone already."""
    if image.startswith("data:"):
        mime, data = parse_data_url(image)
        return Picture(data=data, mime=mime)
    relative = image.split("/", 2)[2] if image.startswith("View/") and image.count("/") > 1 else image.partition("/")[2]
    found = spine.outputs.read(user.id, relative)
    return None if found is None else Picture(data=found[0], mime=found[1])
