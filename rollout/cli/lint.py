"""lint: what is wrong in files, without a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal
from zoneinfo import available_timezones

from rollout import registry
from rollout.cli.exit import Code
from rollout.cli.options import Common
from rollout.cli.out import Printer
from rollout.cli.render import findings as render
from rollout.cli.source import read_text
from rollout.notify.happenings import REASONS
from rollout.plan import lint as rules
from rollout.plan.finding import Finding, Level
from rollout.plan.gate import TemplateSpec
from rollout.plan.parse import contents


def lint(common: Common, files: Sequence[str], *, fail_on: Literal["warning", "error"]) -> int:
    """All findings of all files, those that cannot be read included; the files are judged together."""
    read = [contents(read_text(file), file) for file in files]
    found: list[Finding] = [finding for one in read for finding in one.findings]
    found += rules.lint([document for one in read for document in one.documents], known())
    found += rules.lint_manifests([manifest for one in read for manifest in one.manifests])
    checked = f"{len(files)} file{'' if len(files) == 1 else 's'}"
    Printer(common).emit(lambda: {"findings": render.as_json(found)}, lambda: render.findings(found, checked))
    worst = {Level.ERROR, Level.WARNING} if fail_on == "warning" else {Level.ERROR}
    return Code.HELD if any(it.level in worst for it in found) else Code.GOOD


def known(templates: Mapping[str, TemplateSpec] | None = None) -> rules.Known:
    """What this installation can do; the live templates where they are known."""
    routers = registry.routers()
    return rules.Known(
        routers={name: frozenset(it.value for it in router.features) for name, router in routers.items()},
        retired={name: router.retired for name, router in routers.items() if router.retired},
        strategies=frozenset(registry.strategies()),
        templates=templates,
        channels={name: channel.needs for name, channel in registry.channels().items()},
        reasons=REASONS,
        zones=frozenset(available_timezones()),
    )
