"""A ComfyUI as far as workflows go: it checks a graph as strictly as the real one, and paints one colour per seed."""

from __future__ import annotations

import asyncio
import json
import struct
import uuid
from collections.abc import Iterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from swarm.backends.types.fake import as_png, gradient

_WHOLE, _TEXT, _NUMBER = ["INT", {}], ["STRING", {"multiline": True}], ["FLOAT", {}]
_SWITCH = [["enable", "disable"]]

_ENCODERS = ["clip_l.safetensors", "t5xxl_fp16.safetensors", "qwen.safetensors"]

_PLAIN: dict[str, tuple[type, ...]] = {"INT": (int,), "FLOAT": (int, float), "STRING": (str,), "BOOLEAN": (bool,)}

Frame = str | bytes


def _node(outputs: list[str], **required: Any) -> dict[str, Any]:
    return {"input": {"required": required}, "output": outputs, "output_node": not outputs}


def object_info(checkpoints: list[str], loras: list[str]) -> dict[str, Any]:
    """Nodes with their inputs and outputs, as the real server describes them; one list in the newer form."""
    return {
        "CheckpointLoaderSimple": _node(["MODEL", "CLIP", "VAE"], ckpt_name=[checkpoints, {}]),
        "LoraLoader": _node(
            ["MODEL", "CLIP"],
            model=["MODEL"],
            clip=["CLIP"],
            lora_name=["COMBO", {"options": loras}],
            strength_model=_NUMBER,
            strength_clip=_NUMBER,
        ),
        "VAELoader": _node(["VAE"], vae_name=[["other.safetensors", "ae.safetensors"]]),
        "CLIPTextEncode": _node(["CONDITIONING"], clip=["CLIP"], text=_TEXT),
        "EmptyLatentImage": _node(["LATENT"], width=_WHOLE, height=_WHOLE, batch_size=_WHOLE),
        "KSamplerAdvanced": _node(
            ["LATENT"],
            model=["MODEL"],
            add_noise=_SWITCH,
            noise_seed=_WHOLE,
            steps=_WHOLE,
            cfg=_NUMBER,
            sampler_name=[["euler", "heun", "dpmpp_2m"], {}],
            scheduler=[["normal", "karras", "simple"], {}],
            positive=["CONDITIONING"],
            negative=["CONDITIONING"],
            latent_image=["LATENT"],
            start_at_step=_WHOLE,
            end_at_step=_WHOLE,
            return_with_leftover_noise=_SWITCH,
        ),
        "VAEDecode": _node(["IMAGE"], samples=["LATENT"], vae=["VAE"]),
        "VAEEncode": _node(["LATENT"], pixels=["IMAGE"], vae=["VAE"]),
        "LoadImage": _node(["IMAGE", "MASK"], image=[[], {"image_upload": True}]),
        "ImageScale": _node(
            ["IMAGE"],
            image=["IMAGE"],
            upscale_method=[["nearest-exact", "lanczos"]],
            width=_WHOLE,
            height=_WHOLE,
            crop=[["disabled", "center"]],
        ),
        "ImageToMask": _node(["MASK"], image=["IMAGE"], channel=[["red", "green", "blue", "alpha"]]),
        "SetLatentNoiseMask": _node(["LATENT"], samples=["LATENT"], mask=["MASK"]),
        "SaveImage": _node([], images=["IMAGE"], filename_prefix=_TEXT),
        "PreviewImage": _node([], images=["IMAGE"]),
        **_further(),
    }


def _further() -> dict[str, Any]:
    """Nodes for what a plain picture does without."""
    conditioned, masked, switch = ["CONDITIONING"], ["MASK"], ["BOOLEAN"]
    kinds = [["sd3", "flux", "chroma", "qwen_image", "lumina2"]]
    place = {"x": _WHOLE, "y": _WHOLE}
    return {
        "UNETLoader": _node(["MODEL"], unet_name=[["flux.safetensors"]], weight_dtype=[["default", "fp8_e4m3fn"]]),
        "CLIPLoader": _node(["CLIP"], clip_name=[_ENCODERS], type=kinds),
        "DualCLIPLoader": _node(["CLIP"], clip_name1=[_ENCODERS], clip_name2=[_ENCODERS], type=kinds),
        "CLIPSetLastLayer": _node(["CLIP"], clip=["CLIP"], stop_at_clip_layer=_WHOLE),
        "FluxGuidance": _node(conditioned, conditioning=conditioned, guidance=_NUMBER),
        "ModelSamplingFlux": _node(
            ["MODEL"], model=["MODEL"], max_shift=_NUMBER, base_shift=_NUMBER, width=_WHOLE, height=_WHOLE
        ),
        "ModelSamplingSD3": _node(["MODEL"], model=["MODEL"], shift=_NUMBER),
        "ModelSamplingAuraFlow": _node(["MODEL"], model=["MODEL"], shift=_NUMBER),
        "ModelSamplingDiscrete": _node(
            ["MODEL"], model=["MODEL"], sampling=[["eps", "v_prediction", "lcm", "x0"]], zsnr=switch
        ),
        "FreeU": _node(["MODEL"], model=["MODEL"], b1=_NUMBER, b2=_NUMBER, s1=_NUMBER, s2=_NUMBER),
        "FreeU_V2": _node(["MODEL"], model=["MODEL"], b1=_NUMBER, b2=_NUMBER, s1=_NUMBER, s2=_NUMBER),
        "RescaleCFG": _node(["MODEL"], model=["MODEL"], multiplier=_NUMBER),
        "PerturbedAttentionGuidance": _node(["MODEL"], model=["MODEL"], scale=_NUMBER),
        "DifferentialDiffusion": _node(["MODEL"], model=["MODEL"]),
        "ConditioningZeroOut": _node(conditioned, conditioning=conditioned),
        "ConditioningCombine": _node(conditioned, conditioning_1=conditioned, conditioning_2=conditioned),
        "ConditioningSetMask": _node(
            conditioned,
            conditioning=conditioned,
            mask=masked,
            strength=_NUMBER,
            set_cond_area=[["default", "mask bounds"]],
        ),
        "SolidMask": _node(masked, value=_NUMBER, width=_WHOLE, height=_WHOLE),
        "InvertMask": _node(masked, mask=masked),
        "GrowMask": _node(masked, mask=masked, expand=_WHOLE, tapered_corners=switch),
        "MaskToImage": _node(["IMAGE"], mask=masked),
        "ImageBlur": _node(["IMAGE"], image=["IMAGE"], blur_radius=_WHOLE, sigma=_NUMBER),
        "MaskComposite": _node(
            masked, destination=masked, source=masked, **place, operation=[["add", "subtract", "multiply"]]
        ),
        "ImageCompositeMasked": _node(
            ["IMAGE"], destination=["IMAGE"], source=["IMAGE"], **place, resize_source=switch, mask=masked
        ),
        "ControlNetLoader": _node(["CONTROL_NET"], control_net_name=[["canny.safetensors"]]),
        "ControlNetApplyAdvanced": _node(
            ["CONDITIONING", "CONDITIONING"],
            positive=conditioned,
            negative=conditioned,
            control_net=["CONTROL_NET"],
            image=["IMAGE"],
            strength=_NUMBER,
            start_percent=_NUMBER,
            end_percent=_NUMBER,
        ),
        "Canny": _node(["IMAGE"], image=["IMAGE"], low_threshold=_NUMBER, high_threshold=_NUMBER),
        "UpscaleModelLoader": _node(["UPSCALE_MODEL"], model_name=[["2x.safetensors"]]),
        "ImageUpscaleWithModel": _node(["IMAGE"], upscale_model=["UPSCALE_MODEL"], image=["IMAGE"]),
        "LatentUpscaleBy": _node(
            ["LATENT"], samples=["LATENT"], upscale_method=[["bislerp", "bilinear"]], scale_by=_NUMBER
        ),
        "VAEDecodeTiled": _node(
            ["IMAGE"],
            samples=["LATENT"],
            vae=["VAE"],
            tile_size=_WHOLE,
            overlap=_WHOLE,
            temporal_size=_WHOLE,
            temporal_overlap=_WHOLE,
        ),
    }


class FakeComfy:
    """`prompts`: the graphs it took. `steps_pause`: seconds for each step. `interrupted`: ids it was told to stop."""

    def __init__(self, checkpoints: list[str], loras: list[str] | None = None, steps_pause: float = 0.0) -> None:
        self.info = object_info(checkpoints, loras or [])
        self.prompts: list[dict[str, Any]] = []
        self.steps_pause = steps_pause
        self.interrupted: list[str] = []
        self.uploads: dict[str, bytes] = {}
        self.forgotten: list[str] = []
        self._sockets: dict[str, asyncio.Queue[Frame]] = {}
        self._history: dict[str, Any] = {}
        self._files: dict[str, bytes] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        routes = [
            Route("/object_info", self._object_info),
            Route("/features", self._features),
            Route("/prompt", self._prompt, methods=["POST"]),
            Route("/history/{id}", self._past),
            Route("/history", self._forget, methods=["POST"]),
            Route("/view", self._view),
            Route("/queue", self._queue, methods=["POST"]),
            Route("/interrupt", self._interrupt, methods=["POST"]),
            Route("/free", self._features, methods=["POST"]),
            Route("/upload/image", self._upload, methods=["POST"]),
            WebSocketRoute("/ws", self._socket),
        ]
        self.app = Starlette(routes=routes)

    async def _object_info(self, _: Request) -> JSONResponse:
        return JSONResponse(self.info)

    async def _features(self, _: Request) -> JSONResponse:
        return JSONResponse({})

    async def _socket(self, socket: WebSocket) -> None:
        await socket.accept()
        frames: asyncio.Queue[Frame] = asyncio.Queue()
        self._sockets[socket.query_params["clientId"]] = frames
        await socket.send_text('{"type": "status", "data": {"status": {"exec_info": {"queue_remaining": 0}}}}')
        sending = asyncio.create_task(self._send(socket, frames))
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            sending.cancel()

    async def _send(self, socket: WebSocket, frames: asyncio.Queue[Frame]) -> None:
        while True:
            frame = await frames.get()
            await (socket.send_bytes(frame) if isinstance(frame, bytes) else socket.send_text(frame))

    async def _prompt(self, request: Request) -> JSONResponse:
        body = await request.json()
        graph = body["prompt"]
        wrong = self.errors(graph)
        if wrong:
            return JSONResponse({"error": {"type": "prompt_outputs_failed_validation"}, "node_errors": wrong}, 400)
        self.prompts.append(graph)
        id = str(uuid.uuid4())
        self._running[id] = asyncio.create_task(self._run(id, graph, self._sockets[body["client_id"]]))
        return JSONResponse({"prompt_id": id, "number": len(self.prompts), "node_errors": {}})

    def errors(self, graph: dict[str, Any]) -> dict[str, str]:
        """What is wrong with a graph, by node: unknown classes, missing inputs, wrong types, links to nowhere."""
        found = {}
        for id, node in graph.items():
            declared = self.info.get(node.get("class_type", ""))
            if declared is None:
                found[id] = f"unknown node {node.get('class_type')}"
                continue
            required = declared["input"]["required"]
            unknown = set(node["inputs"]) - set(required)
            missing = set(required) - set(node["inputs"])
            if unknown or missing:
                found[id] = f"unknown {unknown}, missing {missing}"
            for name in set(required) & set(node["inputs"]):
                problem = self._mismatch(graph, required[name], node["inputs"][name])
                if problem:
                    found[id] = f"{name}: {problem}"
        if not any(self.info.get(node["class_type"], {}).get("output_node") for node in graph.values()):
            found["graph"] = "prompt_no_outputs"
        return found

    def _mismatch(self, graph: dict[str, Any], wanted: list[Any], given: Any) -> str | None:
        kind = wanted[0]
        if isinstance(kind, list) or kind == "COMBO":
            options = wanted[1]["options"] if kind == "COMBO" else kind
            is_upload = len(wanted) > 1 and wanted[1].get("image_upload")
            return None if given in (self.uploads if is_upload else options) else f"{given!r} not in list"
        if kind in _PLAIN:
            return None if isinstance(given, _PLAIN[kind]) else f"{given!r} is no {kind}"
        if not isinstance(given, list) or given[0] not in graph:
            return "a link is needed"
        outputs = self.info[graph[given[0]]["class_type"]]["output"]
        return None if outputs[given[1]] == kind else f"{outputs[given[1]]} is no {kind}"

    async def _run(self, id: str, graph: dict[str, Any], frames: asyncio.Queue[Frame]) -> None:
        def tell(kind: str, **data: Any) -> None:
            frames.put_nowait(json.dumps({"type": kind, "data": {"prompt_id": id, **data}}))

        tell("execution_start")
        outputs: dict[str, Any] = {}
        for node_id, node in graph.items():
            tell("executing", node=node_id)
            if "boom" in str(node["inputs"].get("text")):
                tell("execution_error", exception_message="boom!", node_id=node_id)
                return
            if node["class_type"] == "KSamplerAdvanced":
                await self._sample(node["inputs"]["steps"], frames, tell)
            if node["class_type"] in ("PreviewImage", "SaveImage"):
                outputs[node_id] = {"images": [self._store(graph, node)]}
                tell("executed", node=node_id, output=outputs[node_id])
        self._history[id] = {"outputs": outputs, "status": {"status_str": "success", "messages": []}}
        tell("executing", node=None)

    async def _sample(self, steps: int, frames: asyncio.Queue[Frame], tell: Any) -> None:
        for step in range(steps):
            await asyncio.sleep(self.steps_pause)
            tell("progress", value=step + 1, max=steps)
            frames.put_nowait(struct.pack(">II", 1, 2) + as_png(gradient(step, 8, 8)).data)

    def _store(self, graph: dict[str, Any], node: dict[str, Any]) -> dict[str, str]:
        above = list(_above(graph, node))
        seed = next(one["inputs"]["noise_seed"] for one in above if one["class_type"] == "KSamplerAdvanced")
        sized: dict[str, Any] = next(
            (one["inputs"] for one in above if isinstance(one["inputs"].get("width"), int)), {}
        )
        name = f"swarm_{uuid.uuid4().hex}.png"
        self._files[name] = as_png(gradient(seed, sized.get("width", 64), sized.get("height", 64))).data
        return {"filename": name, "subfolder": "", "type": "temp"}

    async def _past(self, request: Request) -> JSONResponse:
        id = request.path_params["id"]
        return JSONResponse({id: self._history[id]} if id in self._history else {})

    async def _forget(self, request: Request) -> Response:
        self.forgotten += (await request.json())["delete"]
        return Response()

    async def _view(self, request: Request) -> Response:
        data = self._files.get(request.query_params["filename"])
        return Response(data, media_type="image/png") if data else Response(status_code=404)

    async def _queue(self, request: Request) -> Response:
        assert isinstance((await request.json())["delete"], list)
        return Response()

    async def _interrupt(self, request: Request) -> Response:
        id = (await request.json())["prompt_id"]
        self.interrupted.append(id)
        self._running[id].cancel()
        return Response()

    async def _upload(self, request: Request) -> JSONResponse:
        body = await request.body()
        boundary = request.headers["content-type"].partition("boundary=")[2].encode()
        for part in body.split(b"--" + boundary):
            head, _, data = part.partition(b"\r\n\r\n")
            if b'name="image"' in head:
                name = head.partition(b'filename="')[2].partition(b'"')[0].decode()
                self.uploads[name] = data.removesuffix(b"\r\n")
                return JSONResponse({"name": name, "subfolder": "", "type": "input"})
        return JSONResponse({"error": "no image"}, 400)


def _above(graph: dict[str, Any], node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every node that a node's inputs come from, the nearest first."""
    waiting = [node]
    while waiting:
        one = waiting.pop(0)
        links = [graph[value[0]] for value in one["inputs"].values() if isinstance(value, list)]
        yield from links
        waiting += links
