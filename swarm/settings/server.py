"""The settings of the server (swarm-core 4.4), as far as they act."""

from __future__ import annotations

from dataclasses import dataclass, field

from swarm.settings.authorization import AuthorizationSettings
from swarm.settings.setting import setting, setting_meta
from swarm.settings.user import UserSettings

_FOLDER_HELP = (
    "Folders of {} below each ModelRoot, or absolute ones, separated by semicolons. New files go to the first. Read at "
    "the start."
)
LOG_LEVELS = ("Verbose", "Debug", "Info", "Init", "Warning", "Error", "None")


@dataclass(frozen=True, kw_only=True)
class PathSettings:
    """Where files lie. Relative paths start at the folder of the program."""

    model_root: str = setting(
        "Models", "ModelRoot", "Folder of the models. Several are separated by semicolons. Read at the start."
    )
    download_to_root_id: int = setting(
        0, "DownloadToRootID", "Which of several ModelRoots new models go to, counted from 0. Read at the start."
    )
    sd_model_folder: str = setting("Stable-Diffusion", "SDModelFolder", _FOLDER_HELP.format("checkpoints"))
    sd_lora_folder: str = setting("Lora", "SDLoraFolder", _FOLDER_HELP.format("LoRAs"))
    sd_vae_folder: str = setting("VAE", "SDVAEFolder", _FOLDER_HELP.format("VAEs"))
    sd_embedding_folder: str = setting("Embeddings", "SDEmbeddingFolder", _FOLDER_HELP.format("embeddings"))
    sd_control_nets_folder: str = setting(
        "controlnet;model_patches", "SDControlNetsFolder", _FOLDER_HELP.format("ControlNets")
    )
    sd_clip_folder: str = setting("text_encoders;clip", "SDClipFolder", _FOLDER_HELP.format("text encoders"))
    sd_clip_vision_folder: str = setting(
        "clip_vision", "SDClipVisionFolder", _FOLDER_HELP.format("encoders of pictures")
    )
    output_path: str = setting("Output", "OutputPath", "Folder of the pictures that are made. Read at the start.")
    wildcards_folder: str = setting(
        "Wildcards", "WildcardsFolder", "Folder of the wildcard lists, below the data folder. Read at the start."
    )
    append_user_name_to_output_path: bool = setting(
        True, "AppendUserNameToOutputPath", "Give every user a folder of their own among the pictures."
    )
    max_disk_megabytes_per_user: int = setting(
        0,
        "MaxDiskMegabytesPerUser",
        "How much one user's folder of pictures may hold, in mebibytes, 0 for as much as there is room for. Where "
        "users share one folder, it is the limit of all of them together.",
    )

    @property
    def model_folders(self) -> dict[str, str]:
        """The folders of every model set, by its id."""
        return {
            "Stable-Diffusion": self.sd_model_folder,
            "LoRA": self.sd_lora_folder,
            "VAE": self.sd_vae_folder,
            "Embedding": self.sd_embedding_folder,
            "ControlNet": self.sd_control_nets_folder,
            "Clip": self.sd_clip_folder,
            "ClipVision": self.sd_clip_vision_folder,
        }

    @property
    def max_disk_bytes_per_user(self) -> int:
        return self.max_disk_megabytes_per_user * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class MetadataSettings:
    """What is recorded about pictures and models."""

    image_metadata_include_model_hash: bool = setting(
        True, "ImageMetadataIncludeModelHash", "Record the hash of the models in the metadata of pictures."
    )


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """Who can reach the server, and how much they can send."""

    external_url: str = setting(
        "", "ExternalURL", "Address under which others reach this server, for the links in web hooks."
    )
    host: str = setting(
        "localhost", "Host", "Address to listen on. 0.0.0.0 or * listens on all of them. Read at the start."
    )
    port: int = setting(7801, "Port", "Port to listen on. Read at the start.")
    allowed_hosts: str = setting(
        "",
        "AllowedHosts",
        "Further names by which browsers reach this server, separated by commas. Loopback names, IP addresses and the "
        "names of this machine are always allowed; any other name could belong to a hostile page.",
    )
    download_hosts: str = setting(
        "",
        "DownloadHosts",
        "Further hosts that models may be downloaded from, besides Hugging Face and Civitai, separated by commas; * is "
        "any host on the internet. Addresses of the local network are never contacted.",
    )
    auth_bypass_ips: str = setting(
        "127.0.0.1,::1,::ffff:127.0.0.1",
        "AuthBypassIPs",
        "Addresses that need no RequiredAuthorization, separated by commas.",
    )
    required_authorization: str = setting(
        "", "RequiredAuthorization", "If set, every request must carry exactly this text as its Authorization header."
    )
    output_cache_seconds: int = setting(30, "OutputCacheSeconds", "How long browsers may keep pictures without asking.")
    access_control_allow_origin: str = setting(
        "", "AccessControlAllowOrigin", "Origin whose pages may call this server from a browser. * allows all of them."
    )
    max_x_forwarded_for: int = setting(
        3, "MaxXForwardedFor", "How many X-Forwarded-For lines are recorded with the address of a caller."
    )
    max_network_request_megabytes: int = setting(
        200, "MaxNetworkRequestMegabytes", "Size limit of one request, in mebibytes."
    )
    max_connections_per_address: int = setting(
        2048,
        "MaxConnectionsPerAddress",
        "How many connections one address may hold, 0 for any number; proxies of TrustedProxies are not counted. Never "
        "more than half of what the system lets this program have. Read at the start.",
    )

    @property
    def max_request_bytes(self) -> int:
        return self.max_network_request_megabytes * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class BackendSettings:
    """How work is given to backends."""

    max_backend_init_attempts: int = setting(
        3, "MaxBackendInitAttempts", "How often a backend that does not start is tried again."
    )
    per_request_timeout_minutes: int = setting(
        10080, "PerRequestTimeoutMinutes", "How long a request waits for a backend before it is given up."
    )
    clear_vram_after_minutes: float = setting(
        10.0,
        "ClearVRAMAfterMinutes",
        "Minutes without any picture after which backends give back device memory; -1 for never.",
    )
    clear_system_ram_after_minutes: float = setting(
        60.0,
        "ClearSystemRAMAfterMinutes",
        "Minutes without any picture after which backends give back main memory too; -1 for never.",
    )
    unrestricted_max_t2i_simultaneous: bool = setting(
        False, "UnrestrictedMaxT2iSimultaneous", "Let users have as many pictures in work as their role allows."
    )
    model_load_order_preference: str = setting(
        "last_used",
        "ModelLoadOrderPreference",
        "Which backend loads a model that none has: the one unused for longest, or the first that is free.",
        options=("last_used", "first_free"),
    )


@dataclass(frozen=True, kw_only=True)
class PerformanceSettings:
    """Limits that keep the server quick."""

    model_list_sanity_cap: int = setting(5000, "ModelListSanityCap", "How many models one list shows at most.")
    max_megapixels: float = setting(
        68.0, "MaxMegapixels", "How large one picture may become, in million pixels, 0 for any size."
    )
    max_gigapixel_steps_per_user: float = setting(
        0.0,
        "MaxGigapixelStepsPerUser",
        "How much work one user may have waiting: pixels times steps times pictures, in thousand millions, 0 for any "
        "amount. A picture of 1024x1024 in 30 steps is 0.03.",
    )


@dataclass(frozen=True, kw_only=True)
class LogSettings:
    """What is written to the log."""

    log_level: str = setting("Info", "LogLevel", "The least important lines that are shown.", options=LOG_LEVELS)
    save_log_to_file: bool = setting(False, "SaveLogToFile", "Write these lines into a file, too. Read at the start.")
    logs_path: str = setting(
        "Logs/[year]-[month]/[day]-[hour]-[minute].log",
        "LogsPath",
        "Path of that file below the data folder. Words in brackets are filled in: year, month, month_name, day, "
        "day_name, hour, minute, second, pid.",
    )


def _hook(name: str, moment: str) -> str:
    return setting("", f"{name}Webhook", f"Address that is sent a POST {moment}. Empty for none.")


def _hook_data(name: str) -> str:
    return setting("", f"{name}WebhookData", f"What {name}Webhook is sent: a JSON object. Empty for {{}}.")


@dataclass(frozen=True, kw_only=True)
class UISettings:
    """What pages are given."""

    allow_animated_previews: bool = setting(
        True, "AllowAnimatedPreviews", "Let the small versions of videos and animations move."
    )


@dataclass(frozen=True, kw_only=True)
class WebHookSettings:
    """Other programs that are told what happens here (swarm-core 9.1)."""

    queue_start: str = _hook("QueueStart", "when work begins after a pause; the work waits for its answer")
    queue_start_data: str = _hook_data("QueueStart")
    queue_end: str = _hook("QueueEnd", "when all work has been done; new work waits for its answer")
    queue_end_data: str = _hook_data("QueueEnd")
    every_gen: str = _hook("EveryGen", "for every picture, unless its request says otherwise")
    every_gen_data: str = _hook_data("EveryGen")
    manual_gen: str = _hook("ManualGen", "for the pictures of requests that ask for it")
    manual_gen_data: str = _hook_data("ManualGen")
    server_start: str = _hook("ServerStart", "when the server has started")
    server_start_data: str = _hook_data("ServerStart")
    server_shutdown: str = _hook("ServerShutdown", "before the server stops")
    server_shutdown_data: str = _hook_data("ServerShutdown")
    queue_end_delay: float = setting(1.0, "QueueEndDelay", "Seconds without work before QueueEndWebhook is sent.")
    secret: str = setting(
        "",
        "Secret",
        "If set, web hooks carry X-Swarm-Signature: sha256= and the HMAC of timestamp, full stop and body.",
        secret=True,
    )
    local_hosts: str = setting(
        "",
        "LocalHosts",
        "Hosts of this machine or its network that web hooks may be sent to, name or name:port, separated by commas. "
        "All others must be on the internet.",
    )


@dataclass(frozen=True, kw_only=True)
class ExtensionSettings:
    """Programs of others that become part of this one."""

    allow_install: bool = setting(
        False,
        "AllowInstall",
        "Let administrators at this machine install and update extensions from https addresses. An extension runs with "
        "all rights of the server.",
    )


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Everything that can be set about the server."""

    paths: PathSettings = field(default_factory=PathSettings, metadata=setting_meta("Paths", "Where files lie."))
    metadata: MetadataSettings = field(
        default_factory=MetadataSettings,
        metadata=setting_meta("Metadata", "What is recorded about pictures and models."),
    )
    network: NetworkSettings = field(
        default_factory=NetworkSettings, metadata=setting_meta("Network", "Who can reach the server.")
    )
    default_user: UserSettings = field(
        default_factory=UserSettings, metadata=setting_meta("DefaultUser", "What users have set until they change it.")
    )
    backends: BackendSettings = field(
        default_factory=BackendSettings, metadata=setting_meta("Backends", "How work is given to backends.")
    )
    nvidia_query_rate_limit_ms: int = setting(
        1000, "NvidiaQueryRateLimitMS", "For how many milliseconds what the GPUs have answered about themselves counts."
    )
    user_authorization: AuthorizationSettings = field(
        default_factory=AuthorizationSettings, metadata=setting_meta("UserAuthorization", "Who callers are.")
    )
    logs: LogSettings = field(default_factory=LogSettings, metadata=setting_meta("Logs", "What is written to the log."))
    ui: UISettings = field(default_factory=UISettings, metadata=setting_meta("UI", "What pages are given."))
    web_hooks: WebHookSettings = field(
        default_factory=WebHookSettings,
        metadata=setting_meta("WebHooks", "Other programs that are told what happens here."),
    )
    extensions: ExtensionSettings = field(
        default_factory=ExtensionSettings,
        metadata=setting_meta("Extensions", "Programs of others that become part of this one."),
    )
    performance: PerformanceSettings = field(
        default_factory=PerformanceSettings, metadata=setting_meta("Performance", "Limits that keep the server quick.")
    )
