"""Features' changes of a loaded model's modules: put in for the walks that ask for them, undone to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from swarm.engine.compiling import Regions
from swarm.engine.components import Components
from swarm.jobs.stage import Patch, Patched


class Patches:
    """What is changed in one model now. `active`: (patch id, its key) each, in the order they were put in."""

    def __init__(self, components: Components, patches: Sequence[Patch], regions: Regions) -> None:
        self.active: tuple[tuple[str, Hashable], ...] = ()
        self._components = components
        self._regions = regions
        self._patches = {patch.id: patch for patch in patches}
        self._undo: list[Callable[[], None]] = []

    def put(self, wanted: tuple[tuple[str, Hashable], ...]) -> None:
        """Exactly these changes and no others."""
        if wanted == self.active:
            return
        while self._undo:
            self._undo.pop()()
        self.active = ()
        parts = self._components
        modules = Patched(
            denoiser=parts.denoiser,
            vae=parts.vae.module,
            text=parts.text_modules,
            tiles=lambda tile, overlap: parts.vae.enable_tiling(tile=tile, overlap=overlap),
            untile=parts.vae.disable_tiling,
            compiled=self._regions.use,
        )
        for id, key in wanted:
            self._undo.append(self._patches[id].apply(modules, key))
        self.active = self._regions.changed = wanted
