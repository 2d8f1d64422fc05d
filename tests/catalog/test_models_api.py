"""The models routes and previews through the front door."""

from __future__ import annotations

from io import BytesIO

from PIL import Image

from tests.conftest import Serve, World
from tests.support.models import write_model


def test_models_are_listed_by_folder(world: World, serve: Serve) -> None:
    write_model(world.models / "Stable-Diffusion" / "more" / "other.safetensors")
    client = serve()
    top = client.post("ListModels", path="", depth=1)
    assert top["folders"] == ["more"]
    assert [model["name"] for model in top["files"]] == ["tiny.safetensors"]
    below = client.post("ListModels", path="more", depth=2, subtype="Stable-Diffusion", sortBy="DateModified")
    assert [model["name"] for model in below["files"]] == ["more/other.safetensors"]
    assert client.post("ListModels", path="", depth=3, subtype="LoRA") == {"folders": [], "files": []}
    assert client.post("ListModels", path="", depth=3, subtype="Wildcards") == {"folders": [], "files": []}


def test_what_cannot_be_listed_is_said(serve: Serve) -> None:
    client = serve()
    assert client.post("ListModels", path="", depth=1, subtype="Cats")["error"] == "Invalid sub-type."
    assert client.post("ListModels", path="", depth=1, sortBy="Size")["error"] == "Invalid sort mode 'Size'."
    assert client.post("DescribeModel", modelName="none")["error"] == "Model not found."
    assert client.post("DescribeModel", modelName="../../etc/passwd")["error"] == "Model not found."
    assert client.post("SelectModel", model=" ")["error"] == "Invalid empty name."
    assert client.post("SelectModel", model="(None)")["error"] == "Model not found."


def test_a_model_is_described_with_its_picture(world: World, serve: Serve) -> None:
    out = BytesIO()
    Image.new("RGB", (20, 20), "blue").save(out, "PNG")
    (world.models / "Stable-Diffusion" / "tiny.png").write_bytes(out.getvalue())
    client = serve()
    described = client.post("DescribeModel", modelName="tiny")["model"]
    assert described["architecture"] == "stable-diffusion-v1"
    assert described["preview_image"].startswith("data:image/jpeg;base64,")
    [listed] = client.post("ListModels", path="", depth=1)["files"]
    picture = client.http.get(listed["preview_image"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert picture.headers["cache-control"] == "private, max-age=2"
    assert client.http.get("/ViewSpecial/Stable-Diffusion/nothing").status_code == 404
    assert client.http.get("/ViewSpecial/Cats/tiny").json()["error_id"] == "file_not_found"
    assert client.http.get("/ViewSpecial/").status_code == 404
    assert client.http.head("/ViewSpecial/Stable-Diffusion/tiny").status_code == 405
    assert client.post("DescribeModel", modelName="(none)")["model"]["description"] == "No model selected."


def test_a_model_can_be_loaded_now(serve: Serve) -> None:
    client = serve()
    assert client.post("ListLoadedModels") == {"models": []}
    assert client.post("SelectModel", model="tiny", backendId="99") == {"error": "Model failed to load."}
    assert client.post("SelectModel", model="tiny.safetensors") == {"success": True}
    assert [model["name"] for model in client.post("ListLoadedModels")["models"]] == ["tiny.safetensors"]


def test_loading_on_a_socket_tells_status_result_status(serve: Serve) -> None:
    client = serve()
    first, result, last = list(client.stream("SelectModelWS", model="tiny"))
    assert result == {"success": True}
    assert set(first) == set(last) == {"status", "backend_status", "supported_features"}


def test_a_broken_model_is_refused_by_name(world: World, serve: Serve) -> None:
    (world.models / "Stable-Diffusion" / "bad.safetensors").write_bytes(b"<html>login</html>")
    client = serve()
    assert "is a web page" in client.post("SelectModel", model="bad")["error"]
    listed = client.post("ListModels", path="", depth=1)["files"]
    assert [model["architecture"] for model in listed] == [None, "stable-diffusion-v1"]
