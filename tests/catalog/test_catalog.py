from __future__ import annotations

import json
import os
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from swarm.architectures import families
from swarm.architectures.architecture import Architecture
from swarm.base.database import Database
from swarm.base.errors import BadInput
from swarm.base.registry import collect
from swarm.catalog.catalog import Catalog
from swarm.catalog.wire import model_object, preview_data, preview_url, stand_in
from tests.support.models import SD15_TENSORS, write_model

ARCHITECTURES = collect(families, Architecture)
SD = "Stable-Diffusion"


def catalog(*roots: Path, database: Database | None = None) -> Catalog:
    store = database or Database(roots[0].parent / "cache.db", durable=False)
    made = Catalog(roots, ARCHITECTURES, store, lambda: 1000.0)
    made.refresh()
    return made


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "Models"


def test_the_first_refresh_makes_the_usual_folders(models: Path) -> None:
    made = catalog(models)
    assert {"Stable-Diffusion", "Lora", "VAE", "Embeddings", "controlnet", "text_encoders", "clip_vision"} <= {
        folder.name for folder in models.iterdir()
    }
    assert made.sets() == (SD, "VAE", "LoRA", "Embedding", "ControlNet", "Clip", "ClipVision")
    assert made.wire_models() == {name: [] for name in made.sets()}
    assert made.refreshed_at == 1000.0


def test_models_are_named_by_their_path_and_sorted(models: Path) -> None:
    for name in ("Stable-Diffusion/b.safetensors", "Stable-Diffusion/A/z.sft", "unet/c.gguf", "Lora/style.safetensors"):
        write_model(models / name)
    (models / "Stable-Diffusion" / "notes.txt").write_text("x")
    (models / "Stable-Diffusion" / ".hidden.safetensors").write_bytes(b"")
    (models / "Stable-Diffusion" / ".folder").mkdir()
    write_model(models / "Stable-Diffusion" / ".folder" / "x.safetensors")
    made = catalog(models)
    assert made.names(SD) == ["A/z.sft", "b.safetensors", "c.gguf"]
    assert made.names("LoRA") == ["style.safetensors"]
    assert made.names("Nothing") == []
    assert made.wire_models()[SD][1] == ["b.safetensors", "stable-diffusion-v1"]


def test_a_model_is_found_with_and_without_its_suffix(models: Path) -> None:
    write_model(models / "Stable-Diffusion" / "a" / "b.safetensors")
    made = catalog(models)
    for name in ("a/b", "a/b.safetensors"):
        entry = made.find(SD, name)
        assert entry is not None
        file = made.model_file(entry)
        assert (file.name, file.family) == ("a/b.safetensors", "stable-diffusion-v1")
        assert file.path == models / "Stable-Diffusion" / "a" / "b.safetensors"
    for name in ("b", "A/B", "../Stable-Diffusion/a/b", "a//b", "", "(None)", "a"):
        assert made.find(SD, name) is None


def test_a_model_takes_along_what_its_metadata_says_it_predicts(models: Path) -> None:
    said: Any = {"modelspec.prediction_type": "v-zsnr"}
    write_model(models / "Stable-Diffusion" / "v.safetensors", **said)
    write_model(models / "Stable-Diffusion" / "plain.safetensors")
    made = catalog(models)
    told, plain = (made.find(SD, name) for name in ("v", "plain"))
    assert told is not None
    assert plain is not None
    assert made.model_file(told).prediction == "v-zsnr"
    assert made.model_file(told).stamp != told.stamp, "loaded anew when somebody edits it"
    assert (made.model_file(plain).prediction, made.model_file(plain).stamp) == ("", plain.stamp)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b"<html>", "web page"), (b"PK\x03\x04", "pickled"), (b"\x10\0\0\0\0\0\0\0{}", "cut off")],
)
def test_broken_files_are_listed_and_refused_in_a_sentence(models: Path, content: bytes, sentence: str) -> None:
    (models / "Stable-Diffusion").mkdir(parents=True)
    (models / "Stable-Diffusion" / "bad.safetensors").write_bytes(content)
    made = catalog(models)
    entry = made.find(SD, "bad")
    assert entry is not None
    assert entry.architecture is None
    with pytest.raises(BadInput, match=sentence):
        made.model_file(entry)
    assert made.model_hash(entry) is None and not made.must_be_hashed(entry)


def test_pickled_checkpoints_are_listed_without_being_opened(models: Path) -> None:
    (models / "Stable-Diffusion").mkdir(parents=True)
    (models / "Stable-Diffusion" / "old.ckpt").write_bytes(b"PK\x03\x04")
    entry = catalog(models).find(SD, "old.ckpt")
    assert entry is not None
    assert not entry.is_native
    assert entry.info.description == "(None, use '.safetensors' to enable metadata descriptions)"
    assert entry.problem is not None
    assert "Pickle2SafeTensor converts it" in entry.problem
    assert preview_url(entry) == stand_in(entry) == "imgs/legacy_ckpt.jpg"
    assert (Path(__file__).parents[2] / "static" / stand_in(entry)).is_file()


def test_only_changed_files_are_opened_again(models: Path, tmp_path: Path) -> None:
    database = Database(tmp_path / "cache.db", durable=False)
    path = write_model(models / "Stable-Diffusion" / "a.safetensors", title="First")
    catalog(models, database=database)
    stat = path.stat()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"First", b"Third"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = catalog(models, database=database)
    assert [entry.title for entry in again.entries(SD)] == ["First"]
    path.write_bytes(content.replace(b'"First"', b'"Second"') + b" ")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    again.refresh()
    assert again.find(SD, "a") is not None
    path.unlink()
    again.refresh()
    assert again.find(SD, "a") is None
    assert database.read("SELECT * FROM model_records") == []


def test_a_changed_sidecar_counts_as_a_change(models: Path) -> None:
    write_model(models / "Lora" / "a.safetensors")
    made = catalog(models)
    (models / "Lora" / "a.swarm.json").write_text(json.dumps({"modelspec.title": "Said beside"}))
    made.refresh()
    assert [entry.title for entry in made.entries("LoRA")] == ["Said beside"]
    (models / "Lora" / "a.swarm.json").write_text("{broken")
    made.refresh()
    assert [entry.title for entry in made.entries("LoRA")] == ["a"]


def test_links_out_of_the_models_folders_are_not_followed(models: Path, tmp_path: Path) -> None:
    outside = write_model(tmp_path / "outside" / "secret.safetensors")
    inside = write_model(models / "Stable-Diffusion" / "real.safetensors")
    (models / "Stable-Diffusion" / "evil.safetensors").symlink_to(outside)
    (models / "Stable-Diffusion" / "evilfolder").symlink_to(outside.parent)
    (models / "Stable-Diffusion" / "dead.safetensors").symlink_to(tmp_path / "nowhere")
    (models / "Stable-Diffusion" / "loop").symlink_to(models / "Stable-Diffusion")
    (models / "Stable-Diffusion" / "alias.safetensors").symlink_to(inside)
    assert catalog(models).names(SD) == ["alias.safetensors", "real.safetensors"]


def test_names_no_client_could_spell_are_left_out(models: Path) -> None:
    write_model(models / "Lora" / "fine ü.safetensors")
    Path(os.fsdecode(os.fsencode(models / "Lora") + b"/\xff.safetensors")).write_bytes(b"")
    assert catalog(models).names("LoRA") == ["fine ü.safetensors"]


def test_folders_nested_without_end_do_not_stop_the_rest(models: Path) -> None:
    write_model(models / "Lora" / "top.safetensors")
    write_model(models / "Lora" / "/".join("d" * 60) / "deep.safetensors")
    assert catalog(models).names("LoRA") == ["top.safetensors"]


def test_several_roots_are_one_catalog_and_the_first_wins(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write_model(one / "Stable-Diffusion" / "both.safetensors", title="of one")
    write_model(two / "Stable-Diffusion" / "both.safetensors", title="of two")
    write_model(two / "diffusion_models" / "more.safetensors")
    made = catalog(one, two)
    assert made.names(SD) == ["both.safetensors", "more.safetensors"]
    assert next(entry.title for entry in made.entries(SD)) == "of one"


def test_a_diffusers_folder_is_one_model(models: Path) -> None:
    folder = models / "Stable-Diffusion" / "maker" / "pipe"
    write_model(folder / "unet" / "diffusion_pytorch_model.safetensors")
    (folder / "model_index.json").write_text('{"_class_name": "StableDiffusionXLPipeline"}')
    made = catalog(models)
    assert made.wire_models()[SD] == [["maker/pipe", "stable-diffusion-xl-v1-base"]]
    [entry] = made.entries(SD)
    assert made.model_file(entry).path == folder
    assert entry.is_native
    assert made.model_hash(entry) is None and not made.must_be_hashed(entry)


def test_a_hash_is_computed_once_and_shown_from_then_on(models: Path, tmp_path: Path) -> None:
    database = Database(tmp_path / "cache.db", durable=False)
    write_model(models / "Stable-Diffusion" / "a.safetensors")
    made = catalog(models, database=database)
    [entry] = made.entries(SD)
    assert made.known_hash(entry) is None and made.must_be_hashed(entry)
    hash = made.model_hash(entry)
    assert hash is not None
    assert made.known_hash(entry) == hash and not made.must_be_hashed(entry)
    again = catalog(models, database=database)
    assert again.known_hash(again.entries(SD)[0]) == hash


def picture(width: int, height: int) -> bytes:
    out = BytesIO()
    Image.new("RGB", (width, height), "red").save(out, "PNG")
    return out.getvalue()


def test_a_picture_beside_the_model_is_its_preview(models: Path) -> None:
    write_model(models / "Stable-Diffusion" / "a b.safetensors")
    (models / "Stable-Diffusion" / "a b.preview.png").write_bytes(picture(600, 400))
    made = catalog(models)
    [entry] = made.entries(SD)
    preview = made.preview(entry)
    assert preview is not None
    assert Image.open(BytesIO(preview.data)).size == (384, 256)
    assert preview.mime == "image/jpeg"
    assert preview_url(entry) == "/ViewSpecial/Stable-Diffusion/a%20b.safetensors?editid=0"
    (models / "Stable-Diffusion" / "a b.preview.png").write_bytes(b"no picture at all")
    made.refresh()
    assert made.preview(made.entries(SD)[0]) is None


def test_a_picture_in_the_metadata_goes_first(models: Path) -> None:
    thumbnail = {"modelspec.thumbnail": "data:image/webp;base64,AAAA"}
    write_model(models / "Stable-Diffusion" / "a.safetensors", SD15_TENSORS, **thumbnail)
    (models / "Stable-Diffusion" / "a.jpg").write_bytes(picture(10, 10))
    made = catalog(models)
    preview = made.preview(made.entries(SD)[0])
    assert preview is not None
    assert (preview.mime, preview.data) == ("image/webp", bytes(3))


def test_the_wire_object_has_the_keys_in_order(models: Path) -> None:
    write_model(
        models / "Stable-Diffusion" / "x" / "a.safetensors",
        SD15_TENSORS,
        **{"modelspec.title": "A Title", "modelspec.tags": "one, two", "modelspec.resolution": "640x512"},
    )
    made = catalog(models)
    [entry] = made.entries(SD)
    wire = model_object(entry, preview=preview_data(made.preview(entry)), loaded=True, hash=None)
    assert ",".join(wire) == (
        "name,title,author,description,preview_image,loaded,architecture,class,compat_class,resolution,standard_width,"
        "standard_height,license,date,prediction_type,usage_hint,trigger_phrase,merged_from,tags,"
        "is_supported_model_format,is_negative_embedding,lora_default_weight,lora_default_confinement,local,"
        "time_created,time_modified,hash,hash_sha256,special_format"
    )
    assert wire["name"] == "x/a.safetensors"
    assert wire["title"] == "A Title"
    assert wire["tags"] == ["one", "two"]
    assert (wire["resolution"], wire["standard_width"], wire["standard_height"]) == ("640x512", 640, 512)
    assert (wire["architecture"], wire["class"]) == ("stable-diffusion-v1", "Stable Diffusion v1")
    assert (wire["loaded"], wire["hash"], wire["preview_image"]) == (True, "", "imgs/model_placeholder.jpg")


def test_thousands_of_unknown_models_are_listed_first_and_looked_into_later(models: Path) -> None:
    for number in range(250):
        write_model(models / "Stable-Diffusion" / f"m{number}.safetensors")
    database = Database(models.parent / "cache.db", durable=False)
    made = Catalog([models], ARCHITECTURES, database, lambda: 1000.0)
    assert made.progress is None
    made.refresh(patience=0)
    assert len(made.names(SD)) == 250
    assert made.progress == (0, 250)
    waiting = made.find(SD, "m7")
    assert waiting is not None
    assert waiting.architecture is None
    assert made.model_file(waiting).family == "stable-diffusion-v1", "asked for, it is looked into at once"
    assert made.progress == (1, 250)
    assert Catalog([models], ARCHITECTURES, database, lambda: 1000.0).progress is None
    ticking = count(1000)
    again = Catalog([models], ARCHITECTURES, database, lambda: float(next(ticking)))
    again.refresh(patience=0)
    assert again.progress == (1, 250), "what was learnt is kept"
    assert again.read_more(seconds=1)
    assert again.progress == (101, 250)
    while again.read_more(seconds=1):
        pass
    assert again.progress is None
    assert {entry.architecture for entry in again.entries(SD)} == {ARCHITECTURES["stable-diffusion-v1"]}
