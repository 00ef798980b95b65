"""What a workload itself has: its pods, its mode, its ports, the rules about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rollout.observe.readiness.names import join, several
from rollout.observe.readiness.scene import Scene
from rollout.plan.finding import Finding, Level
from rollout.ports.mesh import Because, Carrier, Mode, Unit


def pods(unit: Unit, scene: Scene) -> Iterator[Finding]:
    """Pods that no policy can protect: RO601, RO602."""
    view = scene.view(unit)
    plain = [it.pod for it in view.proxies if it.carrier is Carrier.NONE]
    if plain or not view.next.proxy:
        yield _without(plain, unit, scene)
    waiting = [it.pod for it in view.proxies if it.carrier is not Carrier.NONE and not it.ready]
    if waiting:
        fix = f"kubectl describe pod {waiting[0]} -n {unit.namespace}"
        yield Finding("RO602", Level.WARNING, f"proxy not ready: {several(waiting)}", where=str(unit), fix=fix)


def _without(plain: Sequence[str], unit: Unit, scene: Scene) -> Finding:
    view = scene.view(unit)
    unknown = view.next.because is Because.UNSEEN
    told = [f"{len(plain)} of {len(view.proxies)} pods without a proxy: {several(plain)}"] if plain else []
    if not view.next.proxy:
        told.append(
            f"{'it is not known what the next pods get' if unknown else 'the next pods get no proxy'}: {view.next.why}"
        )
    if view.next.because is Because.HOST_NETWORK:
        fix = "take hostNetwork out of its pod template, or leave it out: it stays a plaintext caller"
    elif unknown:
        fix = "ask for the right to list it"
    else:
        fix = join(unit, scene)
    level = Level.WARNING if unknown and not plain else Level.ERROR
    return Finding("RO601", level, "; ".join(told), where=str(unit), fix=fix)


def settings(unit: Unit, scene: Scene) -> Iterator[Finding]:
    """Objects and annotations that STRICT does not go with: RO606, RO607, RO608, RO612."""
    view = scene.view(unit)
    for rule in view.rules:
        whom = f"callers in {rule.callers}" if rule.callers else "callers in the mesh"
        text = f"{rule.ref} makes {whom} send {rule.mode} instead of the mesh's mTLS ({rule.path})"
        yield Finding("RO606", Level.ERROR, text, where=str(rule.ref), fix=f"remove {rule.path} from {rule.ref}")
    for port in view.scraped:
        if port not in view.bypassed and view.mtls.at(port).scope != "port":
            text = f"port {port} is scraped in plaintext (prometheus.io annotations): STRICT cuts the metrics off"
            yield Finding("RO607", Level.ERROR, text, where=str(unit), fix=scene.mesh.excuse(unit, [port], view))
    for guess in view.guessed:
        text = (
            f"port {guess.port} of {guess.service}: its server speaks first, and its protocol is guessed: callers hang"
        )
        patch = f'[{{"op":"add","path":"/spec/ports/{guess.index}/appProtocol","value":"tcp"}}]'
        fix = f"kubectl patch service {guess.service.name} -n {unit.namespace} --type json -p '{patch}'"
        yield Finding("RO608", Level.WARNING, text, where=str(guess.service), fix=fix)
    if view.mtls.workload.mode is Mode.DISABLE:
        text = "its mode is DISABLE: callers would learn of STRICT before its proxies do, and requests would fail"
        origin = view.mtls.workload.ref
        yield Finding(
            "RO612", Level.WARNING, text, where=str(origin or unit), fix=f"make it PERMISSIVE first: {origin}"
        )
