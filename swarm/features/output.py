"""What happens to the finished picture: format, saving, notes."""

from swarm.features.groups import SWARM_INTERNAL_GROUP
from swarm.params.kinds import Boolean, Dropdown, Text, fixed

DO_NOT_SAVE = Boolean(
    name="Do Not Save",
    description="Send the picture back without keeping a file of it.",
    ignore_if="false",
    group=SWARM_INTERNAL_GROUP,
    priority=-15.0,
    advanced=True,
    always_retain=True,
)
DO_NOT_SAVE_INTERMEDIATES = Boolean(
    name="Do Not Save Intermediates",
    description="Send intermediate pictures back without keeping files of them; the final ones are kept.",
    ignore_if="false",
    group=SWARM_INTERNAL_GROUP,
    priority=-14.5,
    advanced=True,
    always_retain=True,
)
NO_PREVIEWS = Boolean(
    name="No Previews",
    description="Send no previews while the picture is being made.",
    ignore_if="false",
    group=SWARM_INTERNAL_GROUP,
    priority=-14.0,
    advanced=True,
    always_retain=True,
)
IMAGE_FORMAT = Dropdown(
    name="Image Format",
    description="The file format to save in, instead of the one from your settings.",
    default="PNG",
    values=fixed("PNG", "JPG", "WEBP_LOSSLESS", "WEBP"),
    group=SWARM_INTERNAL_GROUP,
    priority=1.0,
    advanced=True,
    toggleable=True,
    always_retain=True,
    intentional_unused=True,
)
OVERRIDE_OUTPATH_FORMAT = Text(
    name="Override Outpath Format",
    description="The template of the file's folder and name, instead of the one from your settings.",
    default="raw/[year]-[month]-[day]/[hour][minute][request_time_inc]-[prompt]-[model]",
    group=SWARM_INTERNAL_GROUP,
    priority=3.0,
    advanced=True,
    toggleable=True,
    intentional_unused=True,
)
PERSONAL_NOTE = Text(
    name="Personal Note",
    description="A note to yourself, kept in the picture's metadata.",
    edits=True,
    ignore_if="",
    group=SWARM_INTERNAL_GROUP,
    priority=0.0,
    view_type="big",
    advanced=True,
    always_retain=True,
    intentional_unused=True,
)
