"""What IP-Adapters for faces work with besides themselves: two networks of insightface, and a LoRA."""

from __future__ import annotations

from collections.abc import Mapping

from swarm.base.errors import BadInput
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files

LORA_FILE = "ip_adapter_lora"
_FACES, _IDENTITY = "faces", "identity"
"""In `Job.files`; the latter two are kinds of networks too."""
LORA_WEIGHT = 0.6
_NETWORKS = {_FACES: "det_10g.onnx", _IDENTITY: "w600k_r50.onnx"}
_FOLDERS = ("insightface/models/buffalo_l", "insightface/buffalo_l", "insightface")
_WITHOUT_LORA = "portrait"


def face_files(preset: str, adapter: str, files: Files) -> Mapping[str, ModelFile]:
    """The files for an adapter of h94/IP-Adapter-FaceID, none for others. Raises BadInput naming a missing one."""
    if "faceid" not in adapter:
        return {}
    found = {kind: _network(preset, name, files) for kind, name in _NETWORKS.items()}
    return found if _WITHOUT_LORA in adapter else {**found, LORA_FILE: _lora(preset, f"{adapter}_lora", files)}


def face_networks(found: Mapping[str, ModelFile]) -> tuple[ModelFile, ModelFile]:
    """The finder of faces, and the network that knows whose they are. Raises BadInput where a job lacks them."""
    try:
        return found[_FACES], found[_IDENTITY]
    except KeyError:
        raise BadInput("The networks for faces are not there. Start the request anew.") from None


def _network(preset: str, name: str, files: Files) -> ModelFile:
    found = next((file for folder in _FOLDERS if (file := files.beside(f"{folder}/{name}")) is not None), None)
    if found is None:
        raise BadInput(
            f"The IP-Adapter '{preset}' needs '{name}' of insightface's buffalo_l: put it into the models folder as "
            f"'{_FOLDERS[0]}/{name}'."
        )
    return found


def _lora(preset: str, name: str, files: Files) -> ModelFile:
    found = files.find("LoRA", name)
    if found is None:
        raise BadInput(
            f"The IP-Adapter '{preset}' needs the LoRA '{name}.safetensors' (of h94/IP-Adapter-FaceID) among the LoRAs."
        )
    return found
