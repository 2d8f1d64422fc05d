from pathlib import Path
from playwright.sync_api import expect
from tests.support.models import write_model
import pytest
def test_shots(world, serve, open_page):
    world.backends(Features="comfyui,variation_seed,endstepsearly,refiners,controlnet,video,t5xxl,gguf,lora,freeu,seamless,video2image,teacache,segment")
    for i in range(14): write_model(world.models / "Stable-Diffusion" / f"family/some quite long model name number {i}.safetensors")
    c = serve()
    c.post("AddNewBackend", type_id="comfyui_api"); c.post("EditBackend", backend_id=1, title="Workstation in the other room", settings={"Address":"http://127.0.0.1:9","AllowIdle":True})
    c.post("AddNewBackend", type_id="swarmswarmbackend")
    c.post("DeleteModel", modelName="family/some quite long model name number 3")
    for w,h,dark in ((1280,800,False),(1280,800,True),(360,740,False),(360,740,True)):
        page = open_page(c.base, width=w, height=h, dark=dark, is_ready=False)
        n=f"/tmp/shots/{w}{'d' if dark else 'l'}"
        page.screenshot(path=f"{n}-page.png")
        page.get_by_role("button", name="Server", exact=True).click()
        panel = page.get_by_role("dialog", name="Server")
        expect(panel.locator(".backend")).to_have_count(3)
        page.wait_for_timeout(300)
        page.screenshot(path=f"{n}-backends.png")
        panel.locator(".backend[data-key='1']").get_by_role("button", name="Edit").click()
        page.wait_for_timeout(100)
        page.screenshot(path=f"{n}-edit.png")
        for tab in ("Models","Downloads","Trash","Machine","Log","Settings"):
            panel.get_by_role("tab", name=tab).click()
            page.wait_for_timeout(700)
            if tab=="Models":
                panel.locator(".model-names button").nth(2).click(); page.wait_for_timeout(200)
            if tab=="Settings":
                panel.get_by_role("button", name="Web hooks").click(); page.wait_for_timeout(200)
            if tab=="Downloads":
                panel.get_by_label("Address of the file").fill("https://example.com/m/ink.safetensors"); panel.get_by_label("Address of the file").press("Tab"); panel.get_by_role("button", name="Download", exact=True).click(); page.wait_for_timeout(500)
            page.screenshot(path=f"{n}-{tab.lower()}.png")
            over = page.evaluate("[document.documentElement.scrollWidth, innerWidth, ...[...document.querySelectorAll('[role=tabpanel]:not([hidden])')].map(e=>e.scrollWidth-e.clientWidth)]")
            print(n, tab, over)
