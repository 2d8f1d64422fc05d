"""What a model is taken to predict, for files that do not say it (swarm-t2i 9.4)."""

from swarm.features.groups import ADVANCED_MODEL_ADDONS_GROUP
from swarm.params.kinds import Dropdown

_KINDS = (
    ("v", "V Prediction"),
    ("v-zsnr", "V Prediction (ZSNR)"),
    ("epsilon", "Epsilon-Pred"),
    ("x0", "x0"),
    ("lcm", "lcm"),
    ("sd3", "SD3"),
)
OVERRIDE_PREDICTION_TYPE = Dropdown(
    name="Override Prediction Type",
    description="What the model predicts, where its file does not say it or says it wrongly.",
    default="epsilon",
    values=lambda choices: _KINDS,
    group=ADVANCED_MODEL_ADDONS_GROUP,
    priority=50.0,
    toggleable=True,
)
