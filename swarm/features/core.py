"""The parameters of every picture: prompts, model, count, seed, steps, guidance."""

from swarm.access.permissions import MODEL_PARAMS
from swarm.features.groups import CORE_PARAMETERS_GROUP, SWARM_INTERNAL_GROUP
from swarm.params.kinds import Decimal, Integer, Model, Text

PROMPT = Text(
    name="Prompt",
    description="What the picture shall show. Prompt tags such as <random:red,blue> are understood.",
    examples=("a lighthouse at dusk", "a watercolor painting of a fox"),
    edits=True,
    visible=False,
    priority=-100.0,
    view_type="prompt",
)
NEGATIVE_PROMPT = Text(
    name="Negative Prompt",
    description="What the picture shall not show; the same tags as in the prompt.",
    examples=("blurry, low contrast",),
    edits=True,
    ignore_if="",
    visible=False,
    priority=-90.0,
    view_type="prompt",
)
MODEL = Model(
    name="Model",
    description="The model that makes the picture.",
    permission=MODEL_PARAMS,
    visible=False,
)
IMAGES = Integer(
    name="Images",
    description="How many pictures to make, one after the other, each from the next seed.",
    default=1,
    min=1,
    max=10000,
    ignore_if="1",
    examples=("1", "4"),
    group=CORE_PARAMETERS_GROUP,
    priority=-50.0,
    always_retain=True,
)
SEED = Integer(
    name="Seed",
    description="Where the noise comes from: the same seed gives the same picture. -1 picks one at random.",
    default=-1,
    min=-1,
    max=2**63 - 1,
    examples=("1", "2", "...", "10"),
    group=CORE_PARAMETERS_GROUP,
    priority=-30.0,
    view_type="seed",
)
STEPS = Integer(
    name="Steps",
    description="How many steps remove the noise. More is slower, and better up to a point; 20 suits most models.",
    default=20,
    min=0,
    max=500,
    view_max=60,
    examples=("10", "15", "20", "30", "40"),
    group=CORE_PARAMETERS_GROUP,
    priority=-20.0,
    view_type="slider",
    can_sectionalize=True,
)
CFG_SCALE = Decimal(
    name="CFG Scale",
    description="How closely the prompt is followed. At 1 the negative prompt does nothing; high values burn colours.",
    default=7.0,
    min=0,
    max=100,
    view_max=20,
    step=0.5,
    examples=("5", "6", "7", "8", "9"),
    group=CORE_PARAMETERS_GROUP,
    priority=-18.0,
    view_type="slider",
    can_sectionalize=True,
)
BATCH_SIZE = Integer(
    name="Batch Size",
    description="How many pictures each job makes together. Faster than one by one, but needs more memory.",
    default=1,
    min=1,
    max=100,
    view_max=10,
    ignore_if="1",
    group=SWARM_INTERNAL_GROUP,
    priority=-20.0,
    view_type="slider",
    advanced=True,
)
