"""The mini-grid: all pictures of one request in one, where the user's settings ask for it (swarm-t2i 4.10)."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.base.tasks import to_thread
from swarm.features.webhooks import WEBHOOKS
from swarm.generation.finish import Finisher
from swarm.generation.hook_tags import announced_picture, hook_tags
from swarm.generation.plan import Plan
from swarm.generation.run import RequestRun
from swarm.generation.spine import Spine
from swarm.media.grid import contact_sheet
from swarm.params.input import GenerationInput

GRID_INDEX = -1


async def send_grid(
    finisher: Finisher, spine: Spine, run: RequestRun, input: GenerationInput, planned: Sequence[Plan]
) -> None:
    """Paste the request's stills together and announce the sheet as picture -1, if the user's settings want one."""
    if not 1 < len(run.stills) <= run.user.settings.max_images_in_mini_grid:
        return
    sheet = await to_thread(contact_sheet, [run.stills[index] for index in sorted(run.stills)])
    saved = await finisher.finish_grid(sheet, GRID_INDEX, run.seconds, input, planned[0], run.user)
    await spine.webhooks.picture(
        input.get(WEBHOOKS),
        lambda: hook_tags(spine, input, saved.image, user=run.user, moment=planned[0].moment),
        lambda: announced_picture(spine, run.user, saved.image),
    )
    run.publish(saved)
