"""The programs that make an API without any node: etcd, kube-apiserver and kube-controller-manager. No root needed."""

from __future__ import annotations

import json
from pathlib import Path

from lab.access import admin_token, answers, write_kubeconfig, write_private
from lab.errors import LabError
from lab.logs import POLICY
from lab.process import Processes
from lab.run import run
from lab.site import Site
from lab.wait import port_taken, wait_for

LOOPBACK = "127.0.0.1"
# Ten times what is usual, so that what waits for the controllers does not measure them.
BRISK = (
    "--kube-api-qps=500",
    "--kube-api-burst=500",
    "--concurrent-deployment-syncs=20",
    "--concurrent-replicaset-syncs=20",
)
# The only node is never given up: after a longer outage of the API server the controllers, which here outlive it, would
# hold their own blindness for the node's death and take every pod out of its Services.
NODE_GRACE = "24h"
AUDIT_MEGABYTES = 4000  # one file: a place in it stays a place in it
PATIENCE = 15  # seconds that an earlier server may take to leave its port


class ControlPlane:
    """The control plane of one lab, listening on `address`; `brisk` controllers keep up with 500 Deployments."""

    def __init__(self, site: Site, processes: Processes, address: str, *, brisk: bool = False) -> None:
        self.site, self.processes, self.address, self.brisk = site, processes, address, brisk
        # a certificate names the address it is for, so another address has other files
        self.certificates = site.state / f"pki-{address}"

    @property
    def authority(self) -> Path:
        """The certificate bundle by which clients know the API server; it writes this at its first start."""
        return self.certificates / "apiserver.crt"

    @property
    def _audit_policy(self) -> Path:
        return self.site.state / "audit-policy.json"

    def start(self) -> None:
        """Start what is not running and return at once."""
        self._write_secrets()
        self._start("etcd", self._etcd(), LOOPBACK, "etcd")
        self._start("kube-apiserver", self._apiserver(), self.address, "api")

    def finish(self) -> None:
        """Wait for the API server, then start the controllers, which would give up without it."""
        if not wait_for(self.ready, 60) or not self.authority.exists():
            raise LabError("the API server did not become ready in 60 s", self.processes.log("kube-apiserver"))
        write_kubeconfig(self.site, self.address, self.authority)
        self._start("kube-controller-manager", self._controllers(), LOOPBACK, "controller-manager")

    def ready(self) -> bool:
        """Return whether the API server serves; a dead one (or a dead etcd) is an error at once."""
        self.processes.check("etcd")
        self.processes.check("kube-apiserver")
        headers = {"Authorization": f"Bearer {admin_token(self.site)}"}
        url = f"https://{self.address}:{self.site.port('api')}/readyz"
        return self.authority.exists() and answers(url, headers, self.authority)

    def _start(self, name: str, argv: list[str], address: str, port: str) -> None:
        record = self.processes.record(name)
        if record is not None and record.argv != argv:
            self.processes.stop([name])
            record = None
        number = self.site.port(port)
        if record is None and not wait_for(lambda: not port_taken(address, number), PATIENCE):
            hint = "set ROLLOUT_LAB_INDEX to move this lab to other ports"
            raise LabError(f"{name} cannot start: {address}:{number} is taken; {hint}")
        self.processes.start(name, argv)

    def _write_secrets(self) -> None:
        self.site.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(self.site.state / "tokens.csv", f"{admin_token(self.site)},admin,admin,system:masters\n")
        key = self.site.state / "service-accounts.key"
        if not key.exists():
            write_private(key, run(["openssl", "genrsa", "2048"]))
            # only with the key: an API server that was started without goes on without, instead of starting again
            self._audit_policy.write_text(json.dumps(POLICY))

    def _etcd(self) -> list[str]:
        clients, peers = (f"http://{LOOPBACK}:{self.site.port(name)}" for name in ("etcd", "etcd-peer"))
        return [
            self.site.program("etcd"),
            f"--data-dir={self.site.state / 'etcd'}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--unsafe-no-fsync",  # nobody minds a lab's data after a power cut
            "--log-level=warn",
        ]

    def _apiserver(self) -> list[str]:
        key = self.site.state / "service-accounts.key"
        argv = [
            self.site.program("kube-apiserver"),
            f"--etcd-servers=http://{LOOPBACK}:{self.site.port('etcd')}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.site.port('api')}",
            f"--cert-dir={self.certificates}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={key}",
            f"--service-account-key-file={key}",
            "--authorization-mode=Node,RBAC",
            f"--token-auth-file={self.site.state / 'tokens.csv'}",
            f"--service-cluster-ip-range={self.site.services}",
            "--allow-privileged",
            "--kubelet-preferred-address-types=InternalIP",
        ]
        if self._audit_policy.exists():
            log = [f"--audit-log-path={self.site.audit_log}", f"--audit-log-maxsize={AUDIT_MEGABYTES}"]
            argv += [f"--audit-policy-file={self._audit_policy}", *log]
        if self.address == LOOPBACK:  # an EndpointSlice refuses a loopback address, and no pod needs it here
            argv.append("--endpoint-reconciler-type=none")
        return argv

    def _controllers(self) -> list[str]:
        return [
            self.site.program("kube-controller-manager"),
            f"--kubeconfig={self.site.state / 'kubeconfig'}",
            f"--bind-address={LOOPBACK}",
            f"--secure-port={self.site.port('controller-manager')}",
            f"--service-account-private-key-file={self.site.state / 'service-accounts.key'}",
            f"--root-ca-file={self.authority}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            f"--node-monitor-grace-period={NODE_GRACE}",
            "--controllers=*,-node-ipam-controller,-cloud-node-lifecycle-controller",
            *(BRISK if self.brisk else ()),
        ]
