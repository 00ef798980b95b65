"""Fixtures for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.kit.afterwards import kstatus_holds
from tests.kit.apiserver import apiserver, kube_cluster, kube_namespace
from tests.kit.controllers import install
from tests.kit.lab import lab
from tests.kit.prometheus import fake_prometheus
from tests.kit.shop import open_shops

__all__ = [
    "apiserver",
    "fake_prometheus",
    "install",
    "kstatus_holds",
    "kube_cluster",
    "kube_namespace",
    "lab",
    "open_shops",
]

# time is measured in bench/, never asserted here: a loaded machine must not fail a property
settings.register_profile("rollout", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rollout")
