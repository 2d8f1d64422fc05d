"""Settings of users that only the page reads (swarm-core 4.3). The server keeps them and hands them out."""

from __future__ import annotations

from dataclasses import dataclass

from swarm.settings.setting import setting


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """How the page behaves."""

    tag_move_hotkey_enabled: bool = setting(
        False, "TagMoveHotkeyEnabled", "Move words of the prompt with Alt and the arrow keys."
    )
    check_if_sure_before_delete: bool = setting(True, "CheckIfSureBeforeDelete", "Ask before a picture is deleted.")
    preset_list_details_fields: str = setting(
        "",
        "PresetListDetailsFields",
        "What the list of presets shows: some of name, path, description, params, separated by commas.",
    )
    copy_trigger_phrase_with_trailing_comma: bool = setting(
        False, "CopyTriggerPhraseWithTrailingComma", "Put a comma behind a trigger phrase that is copied."
    )
    remove_interrupted_gens: bool = setting(
        False, "RemoveInterruptedGens", "Take pictures that were interrupted off the page."
    )
    hide_error_messages: str = setting(
        "", "HideErrorMessages", "Errors that hold one of these texts are not shown. Separated by |."
    )
    delete_image_behavior: str = setting(
        "next",
        "DeleteImageBehavior",
        "What is shown after a picture was deleted.",
        options=("nothing", "next", "previous"),
        option_names=("Nothing", "Next (Right/Down)", "Previous (Left/Up)"),
    )
    image_shifting_cycles: str = setting(
        "true",
        "ImageShiftingCycles",
        "Whether the first picture comes after the last.",
        options=("true", "false", "only_arrows"),
        option_names=("Enabled", "Disabled", "Only Arrow Keys"),
    )
    default_hide_metadata_in_fullview: bool = setting(
        False, "DefaultHideMetadataInFullview", "Open the full view without the metadata."
    )


@dataclass(frozen=True, kw_only=True)
class AudioSettings:
    """Sounds that the page makes."""

    completion_sound: str = setting("", "CompletionSound", "Sound to play when a generation ends.", options=("",))
    volume: float = setting(0.5, "Volume", "How loud, 0 to 1.")
    video_audio_behavior: str = setting(
        "last",
        "VideoAudioBehavior",
        "Whether videos are played with their sound.",
        options=("last", "play", "silent"),
        option_names=("Remember Last", "Autoplay", "Default to Silent"),
    )


@dataclass(frozen=True, kw_only=True)
class AutoCompleteSettings:
    """Completion of words in prompts."""

    source: str = setting("", "Source", "List of words to complete from.", options=("",))
    escape_parens: bool = setting(True, "EscapeParens", "Put a backslash before parentheses.")
    suffix: str = setting("", "Suffix", "Text to put behind every word.")
    match_mode: str = setting(
        "Bucketed",
        "MatchMode",
        "Which words fit what is typed.",
        options=("Bucketed", "Contains", "StartsWith"),
    )
    sort_mode: str = setting(
        "Active",
        "SortMode",
        "In which order words are offered.",
        options=("Active", "Alphabetical", "Frequency", "None"),
    )
    spacing_mode: str = setting(
        "None", "SpacingMode", "How words of several parts are written.", options=("None", "Spaces", "Underscores")
    )
