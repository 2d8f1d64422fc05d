"""A route: `POST /API/Hello`."""

from __future__ import annotations

from swarm.ext import Call, JsonObject, Level, Permission, PermissionGroup, Safety, route

HELLO_GROUP = PermissionGroup(id="Hello", name="Hello", description="The tutorial extension.")
SAY_HELLO = Permission(
    id="hello_say_hello",
    name="Say Hello",
    group=HELLO_GROUP,
    level=Level.GUEST,
    safety=Safety.SAFE,
    description="Be greeted by the server.",
)


@route("Hello", permission=SAY_HELLO)
async def hello(call: Call, name: str = "world", times: int = 1) -> JsonObject:
    """Greet `name`, up to ten `times`."""
    return {"greetings": [f"Hello, {name}!"] * min(max(times, 0), 10), "user_id": call.caller.user.id}
