"""The groups under which parameters are shown (swarm-t2i 2.3). A group appears once a parameter belongs to it."""

from swarm.params.param import ParamGroup

IMAGE_PROMPTING_GROUP = ParamGroup(
    name="Image Prompting",
    description="Pictures that go along with the prompt.",
    toggles=True,
    open=False,
    priority=-70.0,
)
CORE_PARAMETERS_GROUP = ParamGroup(
    name="Core Parameters",
    description="What every picture needs: how many, from which seed, in how many steps.",
    priority=-50.0,
)
TEXT_TO_VIDEO_GROUP = ParamGroup(
    name="Text To Video",
    description="For models that make videos from text.",
    toggles=True,
    open=False,
    priority=-30.0,
)
TEXT_TO_AUDIO_GROUP = ParamGroup(
    name="Text To Audio",
    description="For models that make sound from text.",
    toggles=True,
    open=False,
    priority=-29.0,
)
VARIATION_SEED_GROUP = ParamGroup(
    name="Variation Seed",
    description="Mixes the noise of a second seed into the first, for variations of a picture you like.",
    toggles=True,
    open=False,
    priority=-17.0,
)
RESOLUTION_GROUP = ParamGroup(
    name="Resolution",
    description="How large the picture becomes, and in which shape.",
    open=False,
    priority=-11.0,
)
SAMPLING_GROUP = ParamGroup(
    name="Sampling",
    description="Which solver removes the noise, and along which schedule.",
    open=False,
    priority=-8.0,
)
INIT_IMAGE_GROUP = ParamGroup(
    name="Init Image",
    description="Starts from a picture of yours instead of from pure noise.",
    toggles=True,
    open=False,
    priority=-5.0,
)
REFINE_UPSCALE_GROUP = ParamGroup(
    name="Refine / Upscale",
    description="A second pass that refines or enlarges the picture.",
    toggles=True,
    open=False,
    priority=-3.0,
)
REFINER_PARAM_OVERRIDES_GROUP = ParamGroup(
    name="Refiner Param Overrides",
    description="Values that the refining pass uses instead of the main ones.",
    open=False,
    priority=50.0,
    advanced=True,
    parent=REFINE_UPSCALE_GROUP,
)
CONTROLNET_GROUP = ParamGroup(
    name="ControlNet",
    description="Steers the composition with a guiding picture.",
    toggles=True,
    open=False,
    priority=-0.9,
)
CONTROLNET_TWO_GROUP = ParamGroup(
    name="ControlNet Two",
    description="A second guiding picture.",
    toggles=True,
    open=False,
    priority=-0.8,
    advanced=True,
    parent=CONTROLNET_GROUP,
)
CONTROLNET_THREE_GROUP = ParamGroup(
    name="ControlNet Three",
    description="A third guiding picture.",
    toggles=True,
    open=False,
    priority=-0.7,
    advanced=True,
    parent=CONTROLNET_GROUP,
)
IMAGE_TO_VIDEO_GROUP = ParamGroup(
    name="Image To Video",
    description="Turns the finished picture into a video.",
    toggles=True,
    open=False,
    priority=0.0,
)
ADVANCED_VIDEO_GROUP = ParamGroup(
    name="Advanced Video",
    description="Details of how videos are made and saved.",
    open=False,
    priority=6.0,
)
VIDEO_OBSCURE_OPTIONS_GROUP = ParamGroup(
    name="Video Obscure Options",
    description="Video options that are rarely needed.",
    open=False,
    priority=50.0,
    advanced=True,
    parent=ADVANCED_VIDEO_GROUP,
)
VIDEO_EXTEND_GROUP = ParamGroup(
    name="Video Extend",
    description="Continues a video beyond its end.",
    toggles=True,
    open=False,
    priority=7.0,
    advanced=True,
)
ADVANCED_MODEL_ADDONS_GROUP = ParamGroup(
    name="Advanced Model Addons",
    description="LoRAs and replacements for parts of the model.",
    open=False,
    priority=8.0,
    advanced=True,
)
SWARM_SPEED_GROUP = ParamGroup(
    name="Swarm Speed",
    description="Pictures made faster, at some cost in detail.",
    open=False,
    priority=8.5,
    advanced=True,
)
SWARM_INTERNAL_GROUP = ParamGroup(
    name="Swarm Internal",
    description="How the server handles the request: batches, saving, backends.",
    open=False,
    priority=0.0,
    advanced=True,
)
REGIONAL_PROMPTING_GROUP = ParamGroup(
    name="Regional Prompting",
    description="Prompts for parts of the picture.",
    open=False,
    priority=9.0,
    advanced=True,
)
SEGMENT_REFINING_GROUP = ParamGroup(
    name="Segment Refining",
    description="Finds things in the picture and paints them again in more detail.",
    open=False,
    priority=9.5,
    advanced=True,
)
SEGMENT_PARAM_OVERRIDES_GROUP = ParamGroup(
    name="Segment Param Overrides",
    description="Values that segment passes use instead of the main ones.",
    open=False,
    priority=50.0,
    advanced=True,
    parent=SEGMENT_REFINING_GROUP,
)
ADVANCED_SAMPLING_GROUP = ParamGroup(
    name="Advanced Sampling",
    description="Fine control over the sampler and the text conditioning.",
    open=False,
    priority=15.0,
    advanced=True,
)
ALTERNATE_GUIDANCE_GROUP = ParamGroup(
    name="Alternate Guidance",
    description="Other ways to follow the prompt; normally one at a time.",
    open=False,
    priority=50.0,
    advanced=True,
    parent=ADVANCED_SAMPLING_GROUP,
)
FREEU_GROUP = ParamGroup(
    name="FreeU",
    description="Reweights the parts of a UNet for more detail or contrast.",
    toggles=True,
    open=False,
    priority=10.0,
    advanced=True,
    parent=ALTERNATE_GUIDANCE_GROUP,
)
OTHER_FIXES_GROUP = ParamGroup(
    name="Other Fixes",
    description="Remedies for particular models.",
    open=False,
    priority=60.0,
    advanced=True,
)
STARRED_GROUP = ParamGroup(
    name="Starred",
    description="Parameters you have starred.",
    priority=-60.0,
)
USER_GROUP_ONE = ParamGroup(
    name="User Group One",
    description="A group of your own.",
    open=False,
    priority=-10.0,
)
USER_GROUP_TWO = ParamGroup(
    name="User Group Two",
    description="A second group of your own.",
    open=False,
    priority=-10.0,
)
USER_GROUP_THREE = ParamGroup(
    name="User Group Three",
    description="A third group of your own.",
    open=False,
    priority=-10.0,
)
AUTO_WEBUI_GROUP = ParamGroup(
    name="Auto WebUI",
    description="For backends that speak the AUTOMATIC1111 API.",
    open=False,
    priority=10.0,
)
COMFYUI_ADVANCED_GROUP = ParamGroup(
    name="ComfyUI Advanced",
    description="For backends that run ComfyUI.",
    open=False,
    priority=10.0,
    advanced=True,
)
SEEDVR_GROUP = ParamGroup(
    name="SeedVR",
    description="Restores detail in the finished picture in one step.",
    toggles=True,
    open=False,
    priority=-2.5,
)
DYNAMIC_THRESHOLDING_GROUP = ParamGroup(
    name="Dynamic Thresholding",
    description="Allows high CFG scales without burned colours.",
    toggles=True,
    open=False,
    priority=10.0,
    advanced=True,
)
