"""completion: the script that lets a shell complete verbs, options, and the names of plans and runs.

Names come from the cluster, within a second, and are kept for a few: somebody who presses Tab twice must not wait
twice.  Nothing that goes wrong may reach the terminal: then there are no names, or those of a while ago.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

from rollout.adapters.systemclock import SystemClock
from rollout.cli.exit import Code, UsageError
from rollout.cli.options import Common

SHELLS = ("bash", "zsh", "fish", "powershell")
LIMIT: Final = 1.0
"""Seconds that the cluster gets to answer."""
FRESH: Final = 15.0
"""Seconds for which the cluster is not asked again."""
USABLE: Final = 600.0
"""Seconds after which names are forgotten that the cluster would not confirm."""

What = Literal["plans", "runs"]


def completion(common: Common, shell: str) -> int:
    """Print the script."""
    if shell not in SHELLS:
        raise UsageError(f"no completion for {shell}", hint=f"use one of {', '.join(SHELLS)}")
    from typer import completion as typers

    from rollout.cli.out import Printer

    script = typers.get_completion_script(  # type: ignore[attr-defined]  # public, not re-exported
        prog_name="rollout", complete_var="_ROLLOUT_COMPLETE", shell=shell
    )
    Printer(common).stdout.file.write(script + "\n")
    return Code.GOOD


def names(what: What, options: Mapping[str, Any]) -> list[str]:
    """Names for the shell; `options` are those that the command line has so far. Never raises."""
    namespace, context, kubeconfig = (options.get(key) or None for key in ("namespace", "context", "kubeconfig"))
    common = Common(namespace, context, kubeconfig)
    cache = _cache(what, common)
    known, age = _remembered(cache)
    if known is not None and age < FRESH:
        return known
    try:
        from rollout import bootstrap  # noqa: F401  # it takes its time; the limit is for the cluster

        found = asyncio.run(asyncio.wait_for(_ask(what, common), LIMIT))
    except Exception:  # noqa: BLE001  # a traceback would land in the line that somebody is typing
        return known if known is not None and age < USABLE else []
    _remember(cache, found)
    return found


async def _ask(what: What, common: Common) -> list[str]:
    from rollout.cli.naming import spelled
    from rollout.cli.session import connected
    from rollout.plan.kinds import PLAN_RUN, ref_of

    async with connected(common) as session:
        if what == "runs":
            return sorted(
                obj["metadata"]["name"] for obj in await session.world.cluster.list(PLAN_RUN, session.namespace)
            )
        plans = [ref_of(obj) for obj in await session.engine.plans(session.namespace)]
    twice = {ref.name for ref in plans if sum(other.name == ref.name for other in plans) > 1}
    return sorted(spelled(ref) if ref.name in twice else ref.name for ref in plans)


def _cache(what: What, common: Common) -> Path:
    """One file for each cluster and namespace; the kubeconfig that is in force is part of the name."""
    config = common.kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube/config")
    try:
        changed = Path(config.split(os.pathsep)[0]).stat().st_mtime_ns
    except OSError:
        changed = 0
    key = json.dumps([what, config, changed, common.context, common.namespace])
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "rollout" / f"names-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"


def _remembered(cache: Path) -> tuple[list[str] | None, float]:
    """The names on record and their age in seconds; None when there are none."""
    try:
        age = SystemClock().now() - cache.stat().st_mtime
        found = json.loads(cache.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None, 0.0
    return ([str(name) for name in found], age) if isinstance(found, list) else (None, 0.0)


def _remember(cache: Path, found: list[str]) -> None:
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(cache)
    except OSError:
        return  # a home that cannot be written to only makes the next Tab slower
