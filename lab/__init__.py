"""A real one-node Kubernetes with real Istio sidecars on one machine, for tests and demonstrations."""

from lab.cluster import Lab
from lab.errors import LabError
from lab.load import Count, Load, Report

__all__ = ["Count", "Lab", "LabError", "Load", "Report"]
