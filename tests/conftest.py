"""Fixtures for every test."""

from __future__ import annotations

from tests.kit.apiserver import apiserver, kube_cluster, kube_namespace
from tests.kit.lab import lab

__all__ = ["apiserver", "kube_cluster", "kube_namespace", "lab"]
