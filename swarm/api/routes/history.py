"""The pictures a user has made: list, delete, star (swarm-t2i 7)."""

from __future__ import annotations

from swarm.access.permissions import USER_DELETE_IMAGE, USER_STAR_IMAGES, VIEW_IMAGE_HISTORY
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS, Null
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.outputs.history import Listing


@route(
    "ListImages",
    permission=VIEW_IMAGE_HISTORY,
    answers={"folders": [str], "files": [{"src": str, "metadata": Null(str)}]},
)
async def list_images(call: Call, path: str, depth: int, sortBy: str = "Name", sortReverse: bool = False) -> JsonObject:
    """The caller's pictures below `path`, newest names first, with their metadata, and the folders down to `depth`.

    `sortBy` is `Name` or `Date`. Names in the answer are relative to `path`.
    """
    user = call.caller.user
    wanted = Listing(
        user_id=user.id,
        path=path,
        depth=depth,
        sort_by=sortBy,
        reverse=sortReverse,
        max_files=user.settings.max_images_in_history,
        max_scanned=user.settings.max_images_scanned_in_history,
        flat_stars=user.settings.star_no_folders,
    )
    return await to_thread(call.state.history.list, wanted)


@route("DeleteImage", permission=USER_DELETE_IMAGE, touches=True, answers=SUCCESS)
async def delete_image(call: Call, path: str) -> JsonObject:
    """Delete one of the caller's pictures, with the files that belong to it. A starred copy stays."""
    await to_thread(call.state.outputs.delete, call.caller.user.id, path)
    return {"success": True}


@route("ToggleImageStarred", permission=USER_STAR_IMAGES, touches=True, answers={"new_state": bool})
async def toggle_image_starred(call: Call, path: str) -> JsonObject:
    """Star one of the caller's pictures (a copy goes to the folder `Starred`), or take the star away."""
    user = call.caller.user
    flat = user.settings.star_no_folders
    return {"new_state": await to_thread(call.state.stars.toggle, user.id, path, flat=flat)}
