"""What must hold against attacks (T), faults (F) and bad input (I): a sentence each, proven by tests marked with it.

A test says `@pytest.mark.case("T01")`, with several ids if it proves several; `test_coverage.py` fails for an id that
no test under tests/ carries, and for one that is not listed here.
"""

from __future__ import annotations

from collections.abc import Mapping

ATTACKS: Mapping[str, str] = {
    # files
    "T01": "No path below /View leads out of the folder of pictures, and no answer tells what exists outside.",
    "T02": "The same of every other address that serves files: /Output, /ViewSpecial, extensions, static files.",
    "T03": "Somebody's pictures answer others as pictures that do not exist do, whatever their names have in common.",
    "T04": "Names that Windows takes for devices, drives or its root are refused on every system.",
    "T05": "A name in another case is decided like the name itself.",
    "T06": "A folder whose name begins like a served one is not served.",
    "T07": "Hidden files, databases, settings and unfinished files are not served.",
    "T08": "A link that leads out is not followed, not even when it takes a folder's place between check and open.",
    "T09": "A picture parameter is never taken for a path of the server or for somebody else's picture.",
    "T10": "Routes that delete, rename, mark or open change nothing outside of their folder.",
    "T11": "Names of presets, wildcards, backends and settings, and output formats, write below their own folder only.",
    "T12": "A sent file is kept under our own name and the type that its bytes show, or refused.",
    "T13": "An archive that leads out, lies about itself or swells is refused and leaves nothing.",
    "T14": "No route writes where settings, extensions or pages are read from.",
    # models and code
    "T20": "A pickle is not downloaded, and never opened.",
    "T21": "A pickle under a model's name is listed as no model and never opened.",
    "T22": "Where torch is too old for its safe reading of pickles, nothing converts them.",
    "T23": "A damaged header of a model file is answered quickly and without much memory.",
    "T24": "Template, format and code spellings in texts stay texts.",
    "T25": "Parameters that reach into a backend need their permission.",
    "T26": "Only the web port listens beyond this machine; engines are reached by pipes.",
    "T27": "Code that comes with a model is not run.",
    "T28": "No upload and no download becomes an extension.",
    "T29": "Installing extensions and choosing programs of backends needs its permission.",
    # outbound
    "T30": "No address of this machine or its network is called for a user, however it is spelled.",
    "T31": "Nor through a redirect.",
    "T32": "The address that was checked is the one that is connected to.",
    "T33": "Other schemes, ports, names with users in them and names that only look allowed are refused.",
    "T34": "A key goes to the origin it belongs to and to no other.",
    "T35": "A download ends at its limits, whatever the other side claims, and leaves no file that looks whole.",
    "T36": "Metadata is fetched from the one host it is meant for.",
    # browser
    "T40": "A request with a host name that is not ours reaches nothing.",
    "T41": "A page of another site cannot call any route.",
    "T42": "Forms and plain requests change nothing: the API takes JSON by POST.",
    "T43": "A page of another site cannot open any socket; a program with a session can.",
    "T44": "Other origins are told nothing about sharing, allowed ones their exact origin.",
    "T45": "A malformed host name is refused, and decides nothing.",
    "T46": "Sockets want a session as their HTTP twins do.",
    "T47": "The page cannot be framed or scripted by another site.",
    "T48": "Another site can show no picture and load no answer of ours.",
    "T49": "Nothing that users store becomes a service worker.",
    # content
    "T50": "A stored file runs no script when it is opened.",
    "T51": "Markup in a picture's metadata is shown as text.",
    "T52": "A preset's picture is a picture.",
    "T53": "Markup in names is shown as text wherever the page shows them.",
    "T54": "Messages, logs and translations are shown as text.",
    "T55": "Descriptions of models are shown without scripts and without fetching anything.",
    "T56": "Notices and titles set by administrators carry no script.",
    "T57": "No text ends the script it is written into.",
    "T58": "Exported texts do not become formulas.",
    # accounts
    "T60": "Nobody registers where it is off, under a reserved name, or under one that looks like another's.",
    "T61": "Time and words of a refused login do not tell which names exist.",
    "T62": "Weak passwords are refused and long ones compared whole.",
    "T63": "A login, a session and its sockets end with what they came from.",
    "T64": "Rights are looked at with every message.",
    "T65": "Every route answers those who hold its permission, and nobody else.",
    "T66": "Secrets are in no log and no answer, not even after an error.",
    "T67": "Descriptions and figures of the server are closed to strangers.",
    "T68": "Nobody reaches what belongs to another by its id.",
    "T69": "Nobody gives themselves rights by sending more fields.",
    "T70": "Limits count those who call, not who they say they are.",
    # resources
    "T71": "Odd ranges of a file are cheap.",
    "T72": "Strangers cannot make the server hold much.",
    "T73": "One address cannot take all connections.",
    "T74": "Requests too large to be made are refused at once.",
    "T75": "One user cannot fill the disk for the others.",
    "T76": "A flood of logins does not slow the server for others.",
    "T77": "Storms of interrupts and sockets leave the books right.",
}

FAULTS: Mapping[str, str] = {
    "F1": "A killed server loses no promised picture.",
    "F2": "A server killed while it writes finds the old state or the new one.",
    "F3": "An engine that dies costs a pause; a picture that keeps killing it is given up.",
    "F4": "However an engine ends or hangs, it is noticed and replaced.",
    "F5": "An engine ends with its server.",
    "F6": "Without enough memory a picture is tried again, or told why not; the next ones are made.",
    "F7": "An engine whose device is broken is not used again.",
    "F8": "A full disk costs the file only: the picture is shown and the rest is told.",
    "F9": "A full disk leaves no half of a row.",
    "F10": "A folder that cannot be written is told, and no crash.",
    "F11": "A damaged model is listed as such and refused.",
    "F12": "A damaged picture in the history does not hold up the others.",
    "F13": "A locked database makes writes wait, then says so.",
    "F14": "A damaged database is put aside and replaced by its last copy.",
    "F15": "One data folder serves one server.",
    "F16": "A client that goes away costs nobody anything.",
    "F17": "A slow reader holds up nobody and costs little memory.",
    "F18": "Coming and going leaves nothing behind.",
    "F19": "A clock that jumps upsets nothing.",
    "F20": "Asked to stop, the server ends in order and keeps what waits.",
    "F21": "A remote backend may fail in any way without holding up the others.",
    "F22": "A connection lost to a remote backend makes no picture twice.",
    "F23": "A model file may change while it is used.",
    "F24": "A broken download leaves no model that looks whole.",
    "F25": "A broken extension does not stop the server.",
    "F26": "A damaged settings file is put aside, and said so.",
    "F27": "Without file descriptors the server refuses, and recovers.",
    "F28": "A blocked event loop is noticed.",
    "F29": "Older data is brought up to date; newer data is refused.",
    "F30": "What was acknowledged survives a loss of power.",
}

BAD_INPUT: Mapping[str, str] = {
    "I1": "Every route answers made-up requests as its description says.",
    "I2": "What is no JSON object is refused with a sentence.",
    "I3": "Bodies over the limit are refused before they are held.",
    "I4": "Deep nesting is refused quickly.",
    "I5": "Odd characters in names and texts are kept or refused, consistently.",
    "I6": "Pictures sent as text are checked for size and type before they are decoded.",
    "I7": "Pictures that unpack into too much are refused.",
    "I8": "Paths in names are refused on every route that takes one.",
    "I9": "Numbers outside of their range are clamped or refused.",
    "I10": "Prompts expand within bounds.",
    "I11": "Broken WebSocket frames close the one socket.",
    "I12": "Broken HTTP is refused, slow HTTP dropped.",
    "I13": "Forms are not taken.",
    "I14": "Damaged metadata of pictures is read without harm.",
    "I15": "Parameters survive the way into a picture's metadata and back.",
    "I16": "Doors for other programs answer as those programs expect, also to bad requests.",
}

CASES: Mapping[str, str] = {**ATTACKS, **FAULTS, **BAD_INPUT}

NOT_RUN: Mapping[str, str] = {
    "I16": "Doors for other programs are extensions; none comes with this version.",
}
"""Cases that no test runs -> why, in a sentence."""
