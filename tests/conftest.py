"""Fixtures for every test."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.kit.afterwards import kstatus_holds
from tests.kit.apiserver import apiserver, kube_cluster, kube_namespace
from tests.kit.controllers import install
from tests.kit.held import held_web, hold_policy
from tests.kit.lab import lab
from tests.kit.market import market
from tests.kit.prometheus import fake_prometheus
from tests.kit.served import consul_kinds, gateway_kinds, istio_kinds, linkerd_kinds, served_world, smi_kinds
from tests.kit.shop import open_shops

__all__ = [
    "apiserver",
    "consul_kinds",
    "fake_prometheus",
    "gateway_kinds",
    "held_web",
    "hold_policy",
    "install",
    "istio_kinds",
    "kstatus_holds",
    "kube_cluster",
    "kube_namespace",
    "lab",
    "linkerd_kinds",
    "market",
    "open_shops",
    "served_world",
    "smi_kinds",
]

# time is measured in bench/, never asserted here: a loaded machine must not fail a property
settings.register_profile("rollout", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rollout")

CLUSTERS = {"lab": "lab", "apiserver": "apiserver", "conformance": "apiserver"}
"""Folders whose tests share a cluster, and which."""


class ByCluster(LoadScopeScheduling):  # type: ignore[misc]  # it has no types
    """Tests that share a cluster run on one worker, one after the other; all others wherever there is room."""

    def _split_scope(self, nodeid: str) -> str:
        return CLUSTERS.get(PurePosixPath(nodeid).parts[1], nodeid)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of real processes a second chance: a machine that stalls for seconds fails them, whatever they test.

    Tests in memory have none. What failed first is told at the end, whole, though the run passes.
    """
    for item in items:
        if any(item.iter_markers("lab")) or any(item.iter_markers("apiserver")):
            item.add_marker(pytest.mark.flaky(reruns=1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell of every test that had its second chance why it needed one."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"failed at first, and was run again: {report.nodeid}", sep="_")
        terminalreporter.line(report.longreprtext)
        for title, text in report.sections:
            terminalreporter.section(title, sep="-")
            terminalreporter.line(text)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByCluster:
    """How tests are given to workers, where there are several: the largest groups first."""
    return ByCluster(config, log)
