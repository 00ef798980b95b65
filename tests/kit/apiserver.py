"""A real kube-apiserver as a fixture: the lab profile `api`, or the one that $ROLLOUT_TEST_KUBECONFIG names."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.adapters.kube.cluster import KubeCluster, connect
from rollout.plan.kinds import NAMESPACE, Ref
from rollout.ports.cluster import guard_of
from tests.kit.lab import up

CRDS = Path(__file__).parents[2] / "crds"


@dataclass(frozen=True, slots=True)
class ApiServer:
    """A running API server with our kinds installed."""

    kubeconfig: Path
    program: str = "kubectl"

    def kubectl(self, *args: str, stdin: str | None = None) -> str:
        """What kubectl prints; a failure is an error that quotes it."""
        command = [self.program, f"--kubeconfig={self.kubeconfig}", *args]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise AssertionError(f"kubectl {' '.join(args)}: {done.stderr}")
        return done.stdout

    def established(self, *kinds: str) -> None:
        """Wait until these kinds are served. One that has no status at all yet is an error to `kubectl wait`."""
        end = time.monotonic() + 30
        while True:
            try:
                self.kubectl("wait", "--for=condition=Established", "--timeout=30s", *kinds)
            except AssertionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return


@pytest.fixture(scope="session")
def apiserver() -> ApiServer:
    """The API server. It stays up for the next run of the tests."""
    existing = os.environ.get("ROLLOUT_TEST_KUBECONFIG")
    if existing:
        server = ApiServer(Path(existing))
    else:
        lab = up("test-api", "api")
        server = ApiServer(lab.kubeconfig, str(lab.site.program("kubectl")))
    server.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    server.established("-f", str(CRDS))
    return server


@pytest.fixture
async def kube_cluster(apiserver: ApiServer) -> AsyncIterator[KubeCluster]:
    """A client of the API server, with all rights."""
    async with connect(str(apiserver.kubeconfig)) as cluster:
        yield cluster


@pytest.fixture
async def kube_namespace(kube_cluster: KubeCluster) -> AsyncIterator[str]:
    """A namespace of this test's own."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    await kube_cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    made = await kube_cluster.get(Ref(NAMESPACE, "", name))
    if made is not None:
        await kube_cluster.delete(Ref(NAMESPACE, "", name), guard_of(made))
