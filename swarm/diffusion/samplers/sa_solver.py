"""SA-Solver: stochastic Adams methods, predictor and corrector (Xue et al. 2023), data prediction."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, expm1, sqrt

from swarm.diffusion.linear import solved
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler, weighted
from swarm.diffusion.space import Space

_PREDICTOR, _CORRECTOR = 3, 4


class _Steps:
    """One walk's sigmas with what follows from them: half log SNRs, orders near the ends, where noise is added."""

    def __init__(self, space: Space, sigmas: Sequence[float]) -> None:
        self.space = space
        self.sigmas = space.with_signal(sigmas)
        self.places = [space.half_log_snr(sigma) for sigma in self.sigmas]
        self.count = len(self.sigmas) - 1
        self._lowers = self.count > 0 and self.sigmas[-1] == 0
        self._noisy = space.sigma_after(0.2), space.sigma_after(0.8)

    def predictor(self, step: int, known: int) -> int:
        order = min(_PREDICTOR, known)
        return min(order, self.count - 1 - step) if self._lowers else order

    def corrector(self, step: int, known: int) -> int:
        order = min(_CORRECTOR, known)
        return min(order, self.count - step) if self._lowers else order

    def adds_noise(self, sigma: float) -> bool:
        first, last = self._noisy
        return first >= sigma >= last

    def moved(self, x: Latent, past: Sequence[Latent], start: int, newest: int, *, noisy: bool) -> Latent:
        """From the sigma `start` to the next one, without noise; `past` ends with the prediction at `newest`."""
        sigma, target = self.sigmas[start], self.sigmas[start + 1]
        end = self.places[start + 1]
        h = end - self.places[start]
        nodes = [place - end for place in self.places[newest - len(past) + 1 : newest + 1]]
        alpha = self.space.alpha(target)
        weights = _weights(nodes, h, 2.0 if noisy else 1.0)
        kept = target / sigma * (exp(-h) if noisy else 1.0)
        return weighted([(kept, x), *((alpha * weight, each) for weight, each in zip(weights, past, strict=True))])


def _run(x: Latent, sigmas: Sequence[float], noise: Noise, *, twice: bool) -> SamplerRun:
    """`twice`: the corrected state is asked about too, which the corrector otherwise leaves to the next step."""
    steps = _Steps(noise.space, sigmas)
    ahead, past = x, list[Latent]()
    noisy, added = False, None
    for step in range(steps.count):
        sigma, nxt = steps.sigmas[step : step + 2]
        denoised = yield Denoise(ahead, sigma, step)
        past = [*past, denoised][-_CORRECTOR:]
        order = 0 if step == 0 or (nxt == 0 and not twice) else steps.corrector(step, len(past))
        if order == 0:
            x = ahead
        else:
            x = steps.moved(x, past[-order:], step - 1, step, noisy=noisy)
            if added is not None:
                x = x + added
            if twice:
                denoised = past[-1] = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        noisy, added = steps.adds_noise(nxt), None
        ahead = steps.moved(x, past[-steps.predictor(step, len(past)) :], step, step, noisy=noisy)
        if noisy:
            h = steps.places[step + 1] - steps.places[step]
            added = noise(sigma, nxt) * (nxt * sqrt(-expm1(-2 * h)))
            ahead = ahead + added
    return ahead


@sampler("sa_solver", "SA-Solver", order=310, accuracy=2, flow_aware=True, oracle="exact integrals of polynomials")
def sa_solver(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Adams predictor and corrector with noise in the middle part of the schedule. One model call a step."""
    return (yield from _run(x, sigmas, noise, twice=False))


@sampler(
    "sa_solver_pece",
    "SA-Solver PECE",
    order=320,
    accuracy=2,
    calls="2",
    flow_aware=True,
    oracle="exact integrals of polynomials",
)
def sa_solver_pece(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """SA-Solver that asks about the corrected state as well. Two model calls a step."""
    return (yield from _run(x, sigmas, noise, twice=True))


def _weights(nodes: Sequence[float], h: float, decay: float) -> list[float]:
    """Weights of predictions at `nodes` (counted from the step's end) that integrate polynomials exactly.

    Against decay * exp(decay * u) for u from -h to 0. The unknowns are scaled by h, so that the system stays regular.
    """
    moments = [-expm1(-decay * h)]
    for power in range(1, len(nodes)):
        moments.append(-((-1.0) ** power) * exp(-decay * h) - power / (decay * h) * moments[-1])
    return solved([[(node / h) ** power for node in nodes] for power in range(len(nodes))], moments)
