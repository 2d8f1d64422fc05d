"""The permissions the server itself knows (swarm-core 3.2), in the order they are listed to administrators.

A constant is its id in capitals; the wildcard `*` is FULL_CONTROL.
"""

from __future__ import annotations

from functools import partial

from swarm.access.permission import Level, Permission, PermissionGroup, Safety


def _permission(group: PermissionGroup, id: str, name: str, level: Level, safety: Safety, about: str) -> Permission:
    return Permission(id=id, name=name, group=group, level=level, safety=safety, description=about)


SPECIAL_GROUP = PermissionGroup(
    id="Special", name="Special", description="What only the owner of the machine should hold."
)
ADMIN_GROUP = PermissionGroup(id="Admin", name="Admin", description="Running the server.")
BACKENDS_ADMIN_GROUP = PermissionGroup(id="Backends Admin", name="Backends Admin", description="Running the backends.")
CONTROL_GROUP = PermissionGroup(id="Control", name="Control", description="Actions that change what everyone shares.")
PARAMETERS_GROUP = PermissionGroup(
    id="Parameters", name="Parameters", description="Parts of a request that can be held back."
)
USER_GROUP = PermissionGroup(id="User", name="User", description="What ordinary users do.")
COMFYUI_GROUP = PermissionGroup(id="ComfyUI", name="ComfyUI", description="The ComfyUI workflow extension.")

_special = partial(_permission, SPECIAL_GROUP)
_admin = partial(_permission, ADMIN_GROUP)
_backends_admin = partial(_permission, BACKENDS_ADMIN_GROUP)
_control = partial(_permission, CONTROL_GROUP)
_parameters = partial(_permission, PARAMETERS_GROUP)
_user = partial(_permission, USER_GROUP)
_comfyui = partial(_permission, COMFYUI_GROUP)

_NOBODY, _ADMINS, _POWERUSERS, _USER, _GUEST = Level.NOBODY, Level.ADMINS, Level.POWERUSERS, Level.USER, Level.GUEST
_UNTESTED, _SAFE, _RISKY, _POWERFUL = Safety.UNTESTED, Safety.SAFE, Safety.RISKY, Safety.POWERFUL

FULL_CONTROL = _special(
    "*", "Full Control", _NOBODY, _POWERFUL, "Everything, including permissions that are added later."
)
LOCAL_IMAGE_FOLDER = _special(
    "local_image_folder",
    "Local Image Folder",
    _NOBODY,
    _POWERFUL,
    "Open a folder of pictures on the machine the server runs on.",
)
INSTALL = _special(
    "install", "Install", _NOBODY, _POWERFUL, "Answer the questions of the first start and install system parts."
)
SERVER_DEBUG_MESSAGE = _special(
    "server_debug_message", "Server Debug Message", _NOBODY, _SAFE, "Write a line of one's own into the server's log."
)
AUTOMATED_CONTROL = _special(
    "automated_control",
    "Automated Control",
    _NOBODY,
    _POWERFUL,
    "Let a program take over the server for automated runs.",
)
CONFIGURE_ROLES = _admin(
    "configure_roles", "Configure Roles", _NOBODY, _POWERFUL, "Make, change and delete roles, and say what they may do."
)
MANAGE_USERS = _admin(
    "manage_users", "Manage Users", _NOBODY, _POWERFUL, "Make, change and delete accounts, and act as another user."
)
INTERRUPT_OTHERS = _admin(
    "interrupt_others", "Interrupt Others", _ADMINS, _POWERFUL, "Stop the running generations of other users."
)
SHUTDOWN = _admin("shutdown", "Shutdown Server", _NOBODY, _SAFE, "Stop the server.")
RESTART = _admin("restart", "Restart Server", _ADMINS, _SAFE, "Look for updates, update, and start the server anew.")
READ_SERVER_SETTINGS = _admin(
    "read_server_settings", "Read Server Settings", _ADMINS, _SAFE, "See the settings of the server."
)
EDIT_SERVER_SETTINGS = _admin(
    "edit_server_settings", "Edit Server Settings", _ADMINS, _POWERFUL, "Change the settings of the server."
)
VIEW_LOGS = _admin("view_logs", "View Server Logs", _ADMINS, _SAFE, "Read the server's log.")
READ_SERVER_INFO_PANELS = _admin(
    "read_server_info_panels",
    "Read Server Info Panels",
    _ADMINS,
    _SAFE,
    "See processor and memory use, and who is connected.",
)
ADMIN_DEBUG = _admin(
    "admin_debug", "Admin Debug APIs", _ADMINS, _POWERFUL, "Call routes that exist to examine the server itself."
)
MANAGE_EXTENSIONS = _admin(
    "manage_extensions",
    "Manage Extensions",
    _ADMINS,
    _POWERFUL,
    "Install, update, switch and remove extensions, which run as part of the server.",
)
VIEW_OTHERS_OUTPUTS = _admin(
    "view_others_outputs", "View Others Outputs", _ADMINS, _SAFE, "Open pictures that other users made."
)
VIEW_SERVER_TAB = _admin("view_server_tab", "View Server Tab", _POWERUSERS, _SAFE, "See the Server tab.")
VIEW_BACKENDS_LIST = _backends_admin(
    "view_backends_list", "View Backends List", _POWERUSERS, _SAFE, "See the backends, their kinds and their settings."
)
ADD_REMOVE_BACKENDS = _backends_admin(
    "add_remove_backends", "Add/Remove Backends", _ADMINS, _POWERFUL, "Add and remove backends."
)
EDIT_BACKENDS = _backends_admin(
    "edit_backends", "Edit Backends", _ADMINS, _POWERFUL, "Change the settings of backends."
)
RESTART_BACKENDS = _backends_admin(
    "restart_backends", "Restart Backends", _POWERUSERS, _SAFE, "Stop and start backends."
)
TOGGLE_BACKENDS = _backends_admin("toggle_backends", "Toggle Backends", _ADMINS, _SAFE, "Switch backends on and off.")
CONTROL_MODEL_REFRESH = _control(
    "control_model_refresh", "Control Model Refresh", _POWERUSERS, _SAFE, "Have the model folders read again."
)
INSTALL_FEATURES = _control(
    "install_features", "Install New Features", _POWERUSERS, _RISKY, "Install extra parts that some parameters need."
)
CREATE_TENSORRT = _control(
    "create_tensorrt", "Create TensorRT Models", _POWERUSERS, _UNTESTED, "Build TensorRT engines from models."
)
EXTRA_LORAS = _control(
    "extra_loras", "Extract LoRAs", _POWERUSERS, _UNTESTED, "Extract a LoRA from the difference of two models."
)
CONTROL_MEM_CLEAN = _control(
    "control_mem_clean", "Control Memory Cleaning", _POWERUSERS, _SAFE, "Have backends give back their memory."
)
LOAD_MODELS_NOW = _control(
    "load_models_now", "Load Models Now", _POWERUSERS, _SAFE, "Have a model loaded before a picture asks for it."
)
EDIT_WILDCARDS = _control("edit_wildcards", "Edit Wildcards", _POWERUSERS, _SAFE, "Write and delete wildcard lists.")
EDIT_MODEL_METADATA = _control(
    "edit_model_metadata",
    "Edit Model Metadata",
    _POWERUSERS,
    _UNTESTED,
    "Edit what is recorded about a model, and read its header and hash.",
)
DOWNLOAD_MODELS = _control(
    "download_models", "Download Models", _POWERUSERS, _UNTESTED, "Download models into the model folders."
)
RESET_METADATA = _control(
    "reset_metadata", "Reset Metadata", _POWERUSERS, _SAFE, "Empty the cache of picture and model metadata."
)
PICKLE2SAFETENSORS = _control(
    "pickle2safetensors",
    "Pickle2SafeTensors",
    _POWERUSERS,
    _RISKY,
    "Convert old pickled model files, which may hold code.",
)
DELETE_MODELS = _control("delete_models", "Delete Models", _POWERUSERS, _UNTESTED, "Delete and rename model files.")
MODEL_PARAMS = _parameters("model_params", "Model Params", _USER, _SAFE, "Choose models in a request.")
PARAM_BACKEND_TYPE = _parameters(
    "param_backend_type", "Backend Type Parameter", _POWERUSERS, _SAFE, "Choose which kind of backend makes a picture."
)
PARAM_BACKEND_ID = _parameters(
    "param_backend_id", "Backend ID Parameter", _POWERUSERS, _SAFE, "Choose exactly which backend makes a picture."
)
PARAM_VIDEO = _parameters("param_video", "Video Params", _USER, _SAFE, "Use the video parameters.")
PARAM_CONTROLNET = _parameters("param_controlnet", "ControlNet Params", _USER, _SAFE, "Use the ControlNet parameters.")
BASIC_IMAGE_GENERATION = _user(
    "basic_image_generation", "Basic Image Generation", _USER, _SAFE, "Make pictures and stop making them."
)
BASIC_TEXT_GENERATION = _user(
    "basic_text_generation", "Basic Text Generation", _USER, _SAFE, "Make text with a language model."
)
VIEW_IMAGE_HISTORY = _user("view_image_history", "View Image History", _USER, _SAFE, "List the pictures one has made.")
USER_DELETE_IMAGE = _user("user_delete_image", "User Delete Image", _USER, _SAFE, "Delete pictures of one's own.")
USER_STAR_IMAGES = _user("user_star_images", "User Star Images", _USER, _SAFE, "Star and unstar pictures of one's own.")
FUNDAMENTAL_MODEL_ACCESS = _user(
    "fundamental_model_access", "Fundamental Model Access", _GUEST, _SAFE, "List models and read their descriptions."
)
USE_TOKENIZER = _user("use_tokenizer", "Use Tokenizer", _GUEST, _SAFE, "Count and look at the tokens of a prompt.")
FUNDAMENTAL_GENERATE_TAB_ACCESS = _user(
    "fundamental_generate_tab_access",
    "Fundamental Generate Tab Access",
    _GUEST,
    _SAFE,
    "See the Generate tab, the parameters and the state of the server.",
)
READ_USER_SETTINGS = _user("read_user_settings", "Read User Settings", _GUEST, _SAFE, "See one's own settings.")
EDIT_USER_SETTINGS = _user(
    "edit_user_settings", "Edit User Settings", _USER, _SAFE, "Change one's own settings, password, keys and tokens."
)
EDIT_PARAMS = _user("edit_params", "Edit Params", _USER, _SAFE, "Keep one's own changes to how parameters are shown.")
MANAGE_PRESETS = _user("manage_presets", "Manage Presets", _USER, _SAFE, "Save, change and delete presets.")
UTILITIES_TAB = _user("utilities_tab", "Utilities Tab", _USER, _SAFE, "See the Utilities tab.")
SIMPLE_TAB = _user("simple_tab", "Simple Tab", _USER, _SAFE, "See the Simple tab.")
USER_TAB = _user("user_tab", "User Tab", _USER, _SAFE, "See the User tab.")
FUNDAMENTAL = _user("fundamental", "Fundamental", _GUEST, _SAFE, "Log out, and whatever else every account can do.")
GRIDGEN_GENERATE_GRIDS = _user(
    "gridgen_generate_grids",
    "[Grid Generator] Generate Grids",
    _USER,
    _UNTESTED,
    "Make grids of pictures over several parameters.",
)
GRIDGEN_READ_GRIDS = _user(
    "gridgen_read_grids", "[Grid Generator] Read Grids", _USER, _UNTESTED, "Open saved grid definitions."
)
GRIDGEN_SAVE_GRIDS = _user(
    "gridgen_save_grids", "[Grid Generator] Save Grids", _USER, _UNTESTED, "Save and delete grid definitions."
)
IMAGEBATCHER_USE_IMAGE_BATCHER = _user(
    "imagebatcher_use_image_batcher",
    "[Image Batch Tool] Use Image Batcher",
    _ADMINS,
    _UNTESTED,
    "Run a folder of pictures on the server through one set of parameters.",
)
COMFY_DIRECT_CALLS = _comfyui(
    "comfy_direct_calls", "ComfyUI Direct Calls", _POWERUSERS, _UNTESTED, "Talk to a ComfyUI backend directly."
)
COMFY_BACKEND_GENERATE = _comfyui(
    "comfy_backend_generate",
    "ComfyUI Backend Generate",
    _POWERUSERS,
    _UNTESTED,
    "Run prompts through the direct connection to a ComfyUI backend.",
)
COMFY_DYNAMIC_CUSTOM_WORKFLOWS = _comfyui(
    "comfy_dynamic_custom_workflows",
    "ComfyUI Dynamic Custom Workflows",
    _POWERUSERS,
    _UNTESTED,
    "Send a raw ComfyUI workflow with a request.",
)
COMFY_STORED_CUSTOM_WORKFLOWS = _comfyui(
    "comfy_stored_custom_workflows",
    "ComfyUI Stored Custom Workflows",
    _POWERUSERS,
    _UNTESTED,
    "Use stored ComfyUI workflows.",
)
COMFY_READ_WORKFLOWS = _comfyui(
    "comfy_read_workflows", "ComfyUI Read Workflows", _POWERUSERS, _UNTESTED, "List and open stored ComfyUI workflows."
)
COMFY_EDIT_WORKFLOWS = _comfyui(
    "comfy_edit_workflows",
    "ComfyUI Edit Workflows",
    _POWERUSERS,
    _UNTESTED,
    "Save and delete stored ComfyUI workflows.",
)
