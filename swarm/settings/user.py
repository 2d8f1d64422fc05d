"""The settings a user has (swarm-core 4.3), as far as they act. Defaults come from the server's `default_user`."""

from __future__ import annotations

from dataclasses import dataclass, field

from swarm.settings.setting import setting, setting_meta

IMAGE_FORMATS = ("PNG", "JPG", "WEBP_LOSSLESS", "WEBP")
STEALTH_MODES = ("false", "Alpha", "RGB")


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
class UserSettings:
    """Everything a user can set."""

    out_path_builder: OutPathBuilder = field(
        default_factory=OutPathBuilder, metadata=setting_meta("OutPathBuilder", "Where pictures are saved.")
    )
    file_format: FileFormat = field(
        default_factory=FileFormat, metadata=setting_meta("FileFormat", "How pictures are saved.")
    )
    save_files: bool = setting(
        True, "SaveFiles", "Save pictures on the server. Otherwise they are only sent to whoever asked."
    )
    star_no_folders: bool = setting(False, "StarNoFolders", "Keep copies of starred pictures in one flat folder.")
    roles: tuple[str, ...] = setting(("owner",), "Roles", "Ids of the roles the user has. Set by administrators only.")
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
