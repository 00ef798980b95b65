"""install: everything that the controller needs, applied to the cluster or printed. Doing it again is an upgrade."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import yaml

from rollout.cli.exit import Code, UsageError
from rollout.cli.options import Common, Format, duration
from rollout.cli.out import Printer, confirmed
from rollout.cli.render.words import GOOD, WAIT, columns, lines
from rollout.cli.session import connected
from rollout.errors import InvalidInput, Unsupported
from rollout.install import Options, manifests
from rollout.install.apply import Applied, apply
from rollout.install.available import available
from rollout.install.folder import Plain, files
from rollout.install.options import IMAGE, USUAL, parts
from rollout.install.rbac import features
from rollout.install.remove import remove, stale
from rollout.plan.base import Json
from rollout.plan.kinds import MUTATING_POLICY, NAMESPACE, VALIDATING_POLICY, Ref, ref_of
from rollout.ports.world import World

_PATIENCE: Final = 180.0
"""Seconds that the controller gets to start."""
_SECRET: Final = re.compile(r"^[^/]+/[^/]+$")


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody typed; `auto` is settled by what the API server can do."""

    options: Options
    decisions: Literal["auto", "stamp", "match"] = "auto"
    hold: Literal["auto", "policy", "none"] = "auto"

    def settled(self, *, mutating: bool) -> Options:
        """The installation where the API server has MutatingAdmissionPolicies, or has not."""
        decisions = self.decisions if self.decisions != "auto" else "stamp" if mutating else "match"
        hold = self.hold if self.hold != "auto" else "policy" if mutating else "none"
        return replace(self.options, decisions=decisions, hold=hold)


def wish(
    *,
    image: str | None,
    controller_namespace: str,
    namespaces: str | None,
    selector: str | None,
    prometheus: str | None,
    replicas: int,
    secrets: list[str],
    decisions: Literal["auto", "stamp", "match"],
    hold: Literal["auto", "policy", "none"],
    notifications: bool = True,
    features: str | None = None,
) -> Wish:
    """The options as they were typed.

    Raises:
        UsageError: one of them makes no sense.
    """
    wrong = [secret for secret in secrets if not _SECRET.match(secret)]
    if wrong:
        raise UsageError(f"--secret {wrong[0]} names no Secret", hint="write it as --secret NAMESPACE/NAME")
    options = Options(
        image=image or IMAGE,
        namespace=controller_namespace,
        namespaces=split(namespaces),
        selector=selector or "",
        prometheus=prometheus or "",
        replicas=replicas,
        secrets=tuple((namespace, name) for namespace, _, name in (s.partition("/") for s in secrets)),
        features=USUAL if features is None else _parts(split(features)),
        notifications=notifications,
    )
    return Wish(options, decisions, hold)


def _parts(names: tuple[str, ...]) -> tuple[str, ...]:
    known = parts()
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        hint = f"choose from {', '.join(known)}, with commas between them"
        raise UsageError(f"--features: there is no {unknown[0]}" if unknown else "--features names none", hint=hint)
    return tuple(part for part in known if part in names)


def split(namespaces: str | None) -> tuple[str, ...]:
    """The namespaces of a list with commas, each once."""
    return tuple(dict.fromkeys(name.strip() for name in (namespaces or "").split(",") if name.strip()))


def export(common: Common, wanted: Wish) -> int:
    """Print all documents, without a cluster: for `auto` what every supported API server can do."""
    printer, found = Printer(common), manifests(wanted.settled(mutating=False))
    if common.output is Format.JSON:
        printer.emit(lambda: {"apiVersion": "v1", "kind": "List", "items": found}, str)
    else:
        yaml.dump_all(found, printer.stdout.file, Dumper=Plain, sort_keys=False, width=120, allow_unicode=True)
    return Code.GOOD


def write(common: Common, folder: Path) -> int:
    """Write the kustomize base and its component into a folder."""
    written = []
    for name, text in files().items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(str(path))
    Printer(common).emit(lambda: {"written": written}, lambda: "\n".join(written), written)
    return Code.GOOD


def install(common: Common, wanted: Wish, *, dry_run: bool, wait: bool, timeout: str | None, yes: bool) -> int:
    """Apply all documents, take out what an earlier installation left over, and wait until the controller runs."""
    limit = duration(timeout)
    return asyncio.run(
        _install(common, wanted, dry_run=dry_run, wait=wait, limit=_PATIENCE if limit is None else limit, yes=yes)
    )


async def _install(common: Common, wanted: Wish, *, dry_run: bool, wait: bool, limit: float, yes: bool) -> int:
    printer = Printer(common)
    async with connected(common) as session:
        world = session.world
        options = wanted.settled(mutating=await _able(world, wanted))
        await _need_namespaces(world, options)
        documents = manifests(options)
        planned = [it async for it in apply(world, documents, dry_run=True)]
        left = await stale(world.cluster, options.namespace, documents)
        _say_plan(printer, options, planned, left)
        if dry_run:
            _emit(printer, planned, left, "")
            return Code.GOOD
        if not confirmed(printer, f"install the controller into {options.namespace}?", yes=yes):
            raise UsageError("not confirmed, nothing was done", hint="answer y, or give --yes")
        done = []
        async for it in apply(world, documents):
            done.append(it)
            if it.outcome != "unchanged":
                printer.say(lines([columns([(GOOD, str(it))], gap=" ")[0]]))
        async for ref in remove(world, left):
            printer.say(f"  {ref} removed: not needed any more")
        leads = await _running(printer, world, options, limit) if wait else ""
        _emit(printer, done, left, leads)
    printer.say("  next: rollout check")
    return Code.GOOD


async def _need_namespaces(world: World, options: Options) -> None:
    """Rights are given in namespaces that exist.

    Raises:
        InvalidInput: one does not.
    """
    for name in dict.fromkeys((*options.namespaces, *(namespace for namespace, _ in options.secrets))):
        if name != options.namespace and await world.cluster.get(Ref(NAMESPACE, "", name)) is None:
            raise InvalidInput(f"namespace {name} does not exist", hint=f"kubectl create namespace {name}")


async def _able(world: World, wanted: Wish) -> bool:
    """Whether the API server has MutatingAdmissionPolicies.

    Raises:
        Unsupported: it lacks what was asked for, or what no installation can do without.
    """
    if not await world.cluster.serves(VALIDATING_POLICY):
        text = f"{await world.cluster.version()} has no ValidatingAdmissionPolicy: nobody would check who decides"
        raise Unsupported(text, hint="use Kubernetes 1.30 or newer; without a controller: rollout crds apply")
    able = await world.cluster.serves(MUTATING_POLICY)
    if not able and (wanted.decisions == "stamp" or wanted.hold == "policy"):
        flag = "--decision-mode stamp" if wanted.decisions == "stamp" else "--hold policy"
        text = f"{flag} needs MutatingAdmissionPolicy, which {await world.cluster.version()} does not serve"
        raise Unsupported(text, hint="use Kubernetes 1.36 or newer, or leave the flag out")
    return able


def _say_plan(printer: Printer, options: Options, planned: list[Applied], left: list[Json]) -> None:
    where = ", ".join(options.namespaces) or "all namespaces"
    printer.say(f"controller {options.image} in {options.namespace}, for the plans of {where}")
    printer.say(f"decisions: {options.decisions}; hold: {options.hold}; its rights, one role each:")
    rows = [(f"rollout-controller-{it.name}", it.text) for it in features(options)]
    printer.say(lines(columns(rows, indent="  ")))
    same = [it for it in planned if it.outcome == "unchanged"]
    for it in planned:
        if it not in same:
            printer.say(f"  {it.ref}: {_WILL[it.outcome]}")
    for obj in left:
        printer.say(f"  {ref_of(obj)}: is removed, not needed any more")
    if same:
        printer.say(f"  {len(same)} objects stay as they are")


_WILL: Final = {
    "created": "is created",
    "updated": "is changed",
    "left as it is": "is somebody else's, and stays as it is",
}


async def _running(printer: Printer, world: World, options: Options, limit: float) -> str:
    def tell(text: str) -> None:
        printer.say(columns([(WAIT, text)], gap=" ")[0])

    leads = await available(world, options.namespace, limit, tell)
    printer.say(columns([(GOOD, f"the controller runs; {leads} leads")], gap=" ")[0])
    return leads


def _emit(printer: Printer, done: list[Applied], left: list[Json], leads: str) -> None:
    removed = [str(ref_of(obj)) for obj in left]
    printer.emit(
        lambda: {
            "objects": [{"object": str(it.ref), "outcome": it.outcome} for it in done],
            "removed": removed,
            "leader": leads or None,
        },
        lambda: _summary(done, removed),
        [str(it.ref) for it in done],
    )


def _summary(done: list[Applied], removed: list[str]) -> str:
    counts = {outcome: sum(it.outcome == outcome for it in done) for outcome in ("created", "updated", "unchanged")}
    said = [f"{count} {outcome}" for outcome, count in counts.items() if count]
    return ", ".join([*said, *([f"{len(removed)} removed"] if removed else [])])
