"""Fixtures for every test."""

from __future__ import annotations

from tests.kit.apiserver import apiserver, kube_cluster, kube_namespace
from tests.kit.lab import lab
from tests.kit.prometheus import fake_prometheus
from tests.kit.shop import open_shops

__all__ = ["apiserver", "fake_prometheus", "kube_cluster", "kube_namespace", "lab", "open_shops"]
