"""The settings a user has (swarm-core 4.3). Defaults come from the server's `default_user`.

Some act here; others are kept for the page and for other clients, which read them with `GetUserSettings`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from swarm.settings.page import AudioSettings, AutoCompleteSettings, PageSettings
from swarm.settings.setting import setting, setting_meta

IMAGE_FORMATS = ("PNG", "JPG", "WEBP_LOSSLESS", "WEBP")
STEALTH_MODES = ("false", "Alpha", "RGB")
THEMES = ("modern_dark", "modern_light")
LANGUAGES = ("en",)
_VAE_HELP = "VAE for {} models, where a request names none."


@dataclass(frozen=True, kw_only=True)
class OutPathBuilder:
    """How the path of a saved picture is made."""

    format: str = setting(
        "raw/[year]-[month]-[day]/[hour][minute][request_time_inc]-[prompt]-[model]",
        "Format",
        "Template of the path of a saved picture, without its extension. Words in brackets are filled in.",
    )
    max_len_per_part: int = setting(
        40, "MaxLenPerPart", "How many characters one filled-in word of the template may have."
    )
    model_paths_skip_folders: bool = setting(
        False, "ModelPathsSkipFolders", "Use only the file name of a model, not the folders it lies in."
    )


@dataclass(frozen=True, kw_only=True)
class FileFormat:
    """How a picture is written to disk."""

    image_format: str = setting("PNG", "ImageFormat", "File format of saved pictures.", options=IMAGE_FORMATS)
    image_quality: int = setting(100, "ImageQuality", "Quality of JPG and WEBP files, 1 to 100.")
    save_metadata: bool = setting(True, "SaveMetadata", "Write into the picture how it was made.")
    stealth_metadata: str = setting(
        "false",
        "StealthMetadata",
        "Hide the metadata in the lowest bits of the pixels as well, so that it survives programs that strip it.",
        options=STEALTH_MODES,
    )
    dpi: int = setting(0, "DPI", "Dots per inch to record in the file. 0 records none.")
    save_text_file_metadata: bool = setting(
        False, "SaveTextFileMetadata", "Write the metadata into a .swarm.json file beside the picture."
    )
    reformat_transient_images: bool = setting(
        False, "ReformatTransientImages", "Apply the file format to pictures that are not saved, too."
    )


@dataclass(frozen=True, kw_only=True)
class ParamParsing:
    """How requests are read."""

    allow_lora_stacking: bool = setting(
        True, "AllowLoraStacking", "Let a LoRA be applied several times. Otherwise prompts cannot add it again."
    )


def _vae(name: str, family: str) -> str:
    return setting("None", name, _VAE_HELP.format(family), options=("None",))


@dataclass(frozen=True, kw_only=True)
class VaeSettings:
    """VAEs to use instead of those inside of models."""

    default_sdxl_vae: str = _vae("DefaultSDXLVAE", "SDXL")
    default_sdv1_vae: str = _vae("DefaultSDv1VAE", "SD v1")
    default_svd_vae: str = _vae("DefaultSVDVAE", "SVD video")
    default_flux_vae: str = _vae("DefaultFluxVAE", "Flux")
    default_flux2_vae: str = _vae("DefaultFlux2VAE", "Flux 2")
    default_sd3_vae: str = _vae("DefaultSD3VAE", "SD3")
    default_mochi_vae: str = _vae("DefaultMochiVAE", "Mochi")
    default_qwen_vae: str = _vae("DefaultQwenVAE", "Qwen Image")


@dataclass(frozen=True, kw_only=True)
class UserSettings:
    """Everything a user can set."""

    out_path_builder: OutPathBuilder = field(
        default_factory=OutPathBuilder, metadata=setting_meta("OutPathBuilder", "Where pictures are saved.")
    )
    file_format: FileFormat = field(
        default_factory=FileFormat, metadata=setting_meta("FileFormat", "How pictures are saved.")
    )
    ui: PageSettings = field(default_factory=PageSettings, metadata=setting_meta("UI", "How the page behaves."))
    param_parsing: ParamParsing = field(
        default_factory=ParamParsing, metadata=setting_meta("ParamParsing", "How requests are read.")
    )
    save_files: bool = setting(
        True, "SaveFiles", "Save pictures on the server. Otherwise they are only sent to whoever asked."
    )
    star_no_folders: bool = setting(False, "StarNoFolders", "Keep copies of starred pictures in one flat folder.")
    roles: tuple[str, ...] = setting(("owner",), "Roles", "Ids of the roles the user has. Set by administrators only.")
    theme: str = setting("modern_dark", "Theme", "How the page looks.", options=THEMES)
    center_image_always_grow: bool = setting(
        False, "CenterImageAlwaysGrow", "Show small pictures in the middle of the page as large as there is room."
    )
    auto_swap_images_includes_full_view: bool = setting(
        False, "AutoSwapImagesIncludesFullView", "Change to a new picture in the full view, too."
    )
    buttons_under_main_images: str = setting(
        "",
        "ButtonsUnderMainImages",
        "Buttons to show below a picture, separated by commas. Empty shows the usual ones.",
    )
    image_metadata_format: str = setting(
        "auto", "ImageMetadataFormat", "Where the metadata of a picture is shown.", options=("auto", "below", "side")
    )
    reset_batch_size_to_one: bool = setting(
        False, "ResetBatchSizeToOne", "Set the batch size back to 1 when the page is loaded."
    )
    hint_format: str = setting(
        "BUTTON", "HintFormat", "How hints are opened.", options=("BUTTON", "HOVER", "HOVER_DELAY", "NONE")
    )
    hover_delay_seconds: float = setting(0.5, "HoverDelaySeconds", "How long HOVER_DELAY waits, in seconds.")
    max_prompt_lines: int = setting(10, "MaxPromptLines", "How many lines the prompt box grows to.")
    vaes: VaeSettings = field(
        default_factory=VaeSettings, metadata=setting_meta("VAEs", "VAEs to use instead of those inside of models.")
    )
    max_images_in_mini_grid: int = setting(
        1,
        "MaxImagesInMiniGrid",
        "Requests for up to this many pictures also get them all in one. 1 makes no such grid.",
    )
    max_images_in_history: int = setting(1000, "MaxImagesInHistory", "How many pictures the history lists at most.")
    max_images_scanned_in_history: int = setting(
        10000, "MaxImagesScannedInHistory", "How many files the history looks at, at most, to make its list."
    )
    image_history_use_previews: bool = setting(
        True, "ImageHistoryUsePreviews", "Show small previews in the history instead of whole pictures."
    )
    max_simul_previews: int = setting(1, "MaxSimulPreviews", "How many live previews the page asks for at once.")
    enter_key_generates: bool = setting(True, "EnterKeyGenerates", "The enter key in the prompt box generates.")
    generate_forever_delay: float = setting(
        0.1, "GenerateForeverDelay", "Seconds between the requests of Generate Forever."
    )
    generate_forever_queue_size: int = setting(
        1, "GenerateForeverQueueSize", "How many requests Generate Forever keeps waiting."
    )
    parameter_memory_duration_hours: float = setting(
        6.0, "ParameterMemoryDurationHours", "How long the page remembers the parameters, in hours."
    )
    language: str = setting("en", "Language", "Language of the page.", options=LANGUAGES)
    reuse_param_exclude_list: str = setting(
        "wildcardseed",
        "ReuseParamExcludeList",
        "Parameters that are not taken over from a picture, by id, with commas.",
    )
    audio: AudioSettings = field(
        default_factory=AudioSettings, metadata=setting_meta("Audio", "Sounds that the page makes.")
    )
    auto_complete: AutoCompleteSettings = field(
        default_factory=AutoCompleteSettings, metadata=setting_meta("AutoComplete", "Completion of words in prompts.")
    )
