"""Every route, page and parameter against every role: a route answers those who hold its permission, and nobody else.

The table is written out here once more, so that a route which changes its permission, or comes without one, fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import ClientConnection

import swarm.api.routes
import swarm.web
from swarm.access import permissions as known
from swarm.access.permission import Level
from swarm.api.route import Route
from swarm.app import PROGRAM
from swarm.base.registry import collect
from swarm.declarations import collect_declarations
from swarm.extend.load import load_extensions
from swarm.params.param import Param
from swarm.web.page import Access, Page
from tests.conftest import World
from tests.support.accounts import Member, Owner, accounts_mode
from tests.support.server import options_for, server_in_thread

ROLES = ("guest", "user", "poweruser", "admin", "owner")
LACKS = "bad_permissions"
SESSIONLESS = {"Login", "RegisterBasic", "RegisterOAuth", "GetNewSession"}
TABLE: dict[str, str] = {
    "fundamental": "Logout",
    "fundamental_generate_tab_access": "GetMyUserData ExportUserPresets GetCurrentStatus GetLanguage ListT2IParams "
    "TriggerRefresh",
    "fundamental_model_access": "SetStarredModels SetPresetLinks ListModels DescribeModel ListLoadedModels "
    "TestPromptFill",
    "use_tokenizer": "CountTokens TokenizeInDetail",
    "read_user_settings": "GetUserSettings GetAPIKeyStatus ListMyAuthTokens",
    "edit_user_settings": "ChangeUserSettings ChangePassword SetAPIKey RevokeMyAuthToken CreateAuthToken",
    "edit_params": "SetParamEdits",
    "manage_presets": "AddNewPreset DuplicatePreset DeletePreset",
    "basic_image_generation": "InterruptAll GenerateText2Image GenerateText2ImageWS AddImageToHistory "
    "ExtractVideoAudio",
    "view_image_history": "ListImages GridGenDoesExist",
    "user_star_images": "ToggleImageStarred",
    "user_delete_image": "DeleteImage",
    "local_image_folder": "OpenImageFolder",
    "install": "InstallConfirmWS InstallDotnetUpdate",
    "server_debug_message": "ServerDebugMessage",
    "automated_control": "AdminTakeControl",
    "configure_roles": "AdminListRoles AdminAddRole AdminEditRole AdminDeleteRole AdminListPermissions",
    "manage_users": "AdminListUsers AdminAddUser AdminSetUserPassword AdminSetUserOAuthEmail AdminChangeUserSettings "
    "AdminDeleteUser AdminGetUserInfo",
    "interrupt_others": "AdminInterruptUser",
    "shutdown": "ShutdownServer",
    "restart": "CheckForUpdates UpdateAndRestart",
    "read_server_settings": "ListServerSettings",
    "edit_server_settings": "ChangeServerSettings",
    "view_logs": "ListLogTypes ListRecentLogMessages LogSubmitToPastebin",
    "read_server_info_panels": "GetServerResourceInfo GetGlobalStatus ListConnectedUsers",
    "admin_debug": "DebugLanguageAdd DebugGenDocs",
    "manage_extensions": "InstallExtension UpdateExtension UninstallExtension SetExtensionEnabled",
    "view_backends_list": "ListBackendTypes ListBackends ComfyGetNodeTypesForBackend",
    "add_remove_backends": "AddNewBackend DeleteBackend",
    "edit_backends": "EditBackend",
    "restart_backends": "RestartBackends",
    "toggle_backends": "ToggleBackend",
    "control_mem_clean": "FreeBackendMemory",
    "load_models_now": "SelectModel SelectModelWS",
    "edit_wildcards": "EditWildcard DeleteWildcard",
    "edit_model_metadata": "EditModelMetadata GetModelHeaders GetModelHash ForwardMetadataRequest",
    "download_models": "DoModelDownloadWS",
    "delete_models": "DeleteModel RenameModel",
    "reset_metadata": "WipeMetadata",
    "pickle2safetensors": "Pickle2SafeTensor",
    "gridgen_generate_grids": "GridGenRun",
    "gridgen_save_grids": "GridGenSaveData GridGenDeleteData",
    "gridgen_read_grids": "GridGenGetData GridGenListData",
    "imagebatcher_use_image_batcher": "ImageBatchRun",
    "comfy_edit_workflows": "ComfySaveWorkflow ComfyDeleteWorkflow",
    "comfy_read_workflows": "ComfyReadWorkflow ComfyListWorkflows",
    "comfy_direct_calls": "ComfyGetGeneratedWorkflow ComfyEnsureRefreshable",
    "install_features": "ComfyInstallFeatures ComfyUpdateTorch ComfyListTorchInstalls",
    "extra_loras": "DoLoraExtractionWS",
    "create_tensorrt": "DoTensorRTCreateWS",
}
"""Permission id -> routes (swarm-core appendices A and B)."""

OURS = {"delete_models": "ListTrash RestoreFromTrash DeleteFromTrash"}
"""Routes that SwarmUI does not have."""

KNOWN = collect_declarations(
    [module for extension in load_extensions(PROGRAM / "extensions") for module in extension.modules]
)
ROUTES = KNOWN.routes
PERMISSIONS = KNOWN.permissions
BUILT_IN = collect(swarm.api.routes, Route)
FROM_EXTENSIONS = {
    route.name: route.permission.id for id, route in ROUTES.items() if id not in BUILT_IN and route.permission
}
NEEDED = {
    **FROM_EXTENSIONS,
    **{route: permission for table in (TABLE, OURS) for permission, names in table.items() for route in names.split()},
}
RANKS = (Level.GUEST, Level.USER, Level.POWERUSERS, Level.ADMINS, Level.NOBODY)

OPEN_PAGES = {
    *("/", "/Login", "/Register", "/Install", "/favicon.ico", "/View", "/Output"),
    *("/Error/404", "/Error/Internal", "/Error/BasicAPI", "/Error/NoGetAPI", "/Error/Permissions"),
    *(f"/{folder}/{{path:path}}" for folder in ("css", "js", "fonts", "imgs")),
    *("/health/live", "/health/ready", "/ExtensionFile/{path:path}", "/ThemePreview"),
}
CLOSED_PAGES = {
    "/Text2Image": Access.OWN_CHECK,
    "/View/{path:path}": Access.OWN_CHECK,
    "/Output/{path:path}": Access.OWN_CHECK,
    "/ViewSpecial/{path:path}": Access.OWN_CHECK,
    "/Audio/{path:path}": Access.OWN_CHECK,
    "/openapi.json": Access.LOGGED_IN,
    "/API": Access.LOGGED_IN,
    "/metrics": known.READ_SERVER_INFO_PANELS,
}


def holds(role: str, permission: str) -> bool:
    """Whether a built-in role holds a permission as the server comes."""
    return RANKS.index(PERMISSIONS[permission].level) <= ROLES.index(role)


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Member]]:
    """One member of each role on a server with accounts."""
    world = World(tmp_path_factory.mktemp("sweep"))
    world.backends(StepMilliseconds=0)
    accounts_mode(world.data)
    with server_in_thread(options_for(world.folder)) as base, Owner(base) as owner:
        members = {role: owner.invite(f"the_{role}", role) for role in ROLES}
        yield members
        for member in members.values():
            member.http.close()


@pytest.mark.case("T65")
def test_every_route_is_in_the_table() -> None:
    declared = {route.name: None if route.permission is None else route.permission.id for route in ROUTES.values()}
    assert {name for name, permission in declared.items() if permission is None} == SESSIONLESS
    assert {name for name in SESSIONLESS if not ROUTES[name.lower()].sessionless} == set()
    assert {name: NEEDED.get(name) for name in declared if name not in SESSIONLESS} == {
        name: permission for name, permission in declared.items() if name not in SESSIONLESS
    }


@pytest.mark.case("T65", "T29")
@pytest.mark.parametrize("route", [route for route in ROUTES.values() if not route.sessionless], ids=lambda r: r.name)
def test_a_route_answers_those_who_may_and_nobody_else(people: dict[str, Member], route: Route) -> None:
    """Every refusal, for every role. Who may call is asked for harmless routes only, in the next test: the others
    would stop the server or change it."""
    permission = NEEDED[route.name]
    for role, member in people.items():
        if holds(role, permission):
            continue
        answer = call(member, route, {"session_id": member.session_id})
        assert answer.get("error_id") == LACKS, (role, answer)
    outsider = people["guest"]
    assert call(outsider, route, {}) == {"error_id": "basic_api", "error": "missing session id"}
    assert call(outsider, route, {"session_id": "0" * 40})["error_id"] == "invalid_session_id"


HARMLESS = (
    *("GetMyUserData", "GetCurrentStatus", "ListT2IParams", "ListLoadedModels", "GetUserSettings", "ListMyAuthTokens"),
    *("InterruptAll", "ListServerSettings", "ListLogTypes", "GetGlobalStatus", "ListConnectedUsers", "ListBackends"),
    *("AdminListRoles", "AdminListUsers", "AdminListPermissions", "GetServerResourceInfo", "CheckForUpdates"),
)


@pytest.mark.case("T65")
@pytest.mark.parametrize("name", HARMLESS)
def test_those_who_may_are_answered(people: dict[str, Member], name: str) -> None:
    answered = {role for role, member in people.items() if "error" not in member.post(name)}
    assert answered == {role for role in ROLES if holds(role, NEEDED[name])}


def call(member: Member, route: Route, body: dict[str, Any]) -> dict[str, Any]:
    """What a route says to a body, by HTTP or by WebSocket as it needs."""
    if not route.websocket:
        answer: dict[str, Any] = member.raw(route.name, body).json()
        return answer
    with member.socket(route.name) as socket:
        return first(socket, body)


def first(socket: ClientConnection, body: dict[str, Any]) -> dict[str, Any]:
    socket.send(json.dumps(body))
    answer: dict[str, Any] = json.loads(socket.recv(10))
    return answer


@pytest.mark.case("T65")
def test_every_page_says_whom_it_lets_in() -> None:
    pages = collect(swarm.web, Page)
    open_ones = {page.path for page in pages.values() if page.access is Access.ANYONE}
    assert open_ones <= OPEN_PAGES
    closed = {page.path: page.access for page in pages.values() if page.access is not Access.ANYONE}
    assert closed == {path: access for path, access in CLOSED_PAGES.items() if path in pages}


@pytest.mark.case("T67")
@pytest.mark.parametrize("path", ["/openapi.json", "/API", "/metrics", "/View/the_user/x.png", "/Output/x.png"])
def test_closed_pages_are_closed_to_strangers(people: dict[str, Member], path: str) -> None:
    with Member(people["guest"].base) as stranger:
        answer = stranger.http.get(path)
    assert answer.status_code in (400, 401) and answer.json()["error_id"] == "invalid_user"


def test_figures_of_the_server_are_for_those_who_may_see_them(people: dict[str, Member]) -> None:
    status = {role: member.http.get("/metrics").status_code for role, member in people.items()}
    assert status == {"guest": 403, "user": 403, "poweruser": 403, "admin": 200, "owner": 200}
    for path in ("/openapi.json", "/API"):
        assert {member.http.get(path).status_code for member in people.values()} == {200}


PARAM_PERMISSIONS = {
    "model": "model_params",
    "internalbackendtype": "param_backend_type",
    "exactbackendid": "param_backend_id",
}
"""What swarm-t2i names; other parameters may have a permission of their own."""
VALUES = {"model": "tiny", "internalbackendtype": "fake", "exactbackendid": "0"}


@pytest.mark.case("T25")
@pytest.mark.parametrize("param", [param for param in KNOWN.params.params.values() if param.permission])
def test_a_parameter_is_listed_for_and_taken_from_those_who_may_set_it(
    people: dict[str, Member], param: Param[Any]
) -> None:
    assert param.permission is not None
    expected = PARAM_PERMISSIONS.get(param.id, param.permission.id)
    assert param.permission.id == expected
    for role, member in people.items():
        may = holds(role, expected)
        listed = member.post("ListT2IParams")["list"]
        assert (param.id in [each["id"] for each in listed]) == may, role
        if not may and holds(role, "basic_image_generation"):
            answer = member.generate(prompt="a cat", **{param.id: VALUES.get(param.id, "x")})
            assert answer == {"error": f"You do not have permission to use parameter {param.name}."}, role
            preset = member.post(
                "AddNewPreset",
                title="sly",
                description="",
                param_map={param.id: VALUES.get(param.id, "x")},
                is_edit=True,
            )
            assert preset == {"success": True}
            sly = member.generate(prompt="<preset:sly> a cat")
            assert f"You do not have permission to use parameter {param.name}." in sly["error"]
