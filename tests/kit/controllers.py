"""Controllers as processes: with the rights that `rollout install` prints, each on its own way to the cluster.

That way and the one to Prometheus can be frozen or cut; the process itself can be stopped, woken and killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import pytest
import yaml

from lab import Lab, LabError
from lab.logs import Request, requests
from lab.wait import wait_for
from rollout.controller import leader
from rollout.install.options import CONTROLLER, Options
from rollout.install.rbac import people, rbac
from rollout.plan.base import Json
from tests.kit.proxy import Proxy
from tests.kit.shop import ROOT, Shop

SERVER_NAME: Final = "kubernetes.default.svc"
"""A name in the API server's certificate: the proxy's own address is not in it."""
WRITES: Final = ("create", "update", "patch", "delete")


class Gate:
    """A proxy for tests that are not asynchronous; see `Proxy`."""

    def __init__(self, target: str) -> None:
        url = urlsplit(target)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._proxy = Proxy(url.hostname or "", url.port or 443)
        self.admit()
        self.url = f"{url.scheme}://127.0.0.1:{self._proxy.port}"

    def freeze(self) -> None:
        """No byte passes until `thaw`."""
        self._loop.call_soon_threadsafe(self._proxy.freeze)

    def thaw(self) -> None:
        """Everything that was held back passes."""
        self._loop.call_soon_threadsafe(self._proxy.thaw)

    def refuse(self) -> None:
        """Reset all connections, and refuse new ones until `admit`."""
        self._wait(self._proxy.refuse())

    def admit(self) -> None:
        """Accept connections again."""
        self._wait(self._proxy.admit())

    def close(self) -> None:
        """End it with its connections."""
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


class Controller:
    """A `rollout controller run` through all its lives; its log is kept."""

    def __init__(self, argv: Sequence[str], account: str, cluster: Gate, metrics: Gate, log: Path) -> None:
        self.account, self.cluster, self.metrics, self.log = account, cluster, metrics, log
        self._argv = argv
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begin a life, and return when it has told its name."""
        env = {**os.environ, "NO_COLOR": "1"}
        before = len(self.lines())
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self._argv, env=env, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )
        assert wait_for(lambda: any("port" in one["message"] for one in self.lines()[before:]), 60), self.text()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """`kill -9`."""
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def end(self) -> int:
        """Have it stop in order, and return its exit code."""
        self.send(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(60)

    def close(self) -> None:
        """End whatever is left."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.cluster.close()
        self.metrics.close()

    # --- what it says

    def lines(self) -> list[Json]:
        """Its log; a line that is no JSON is an error of its own."""
        found = []
        for line in self.log.read_text().splitlines() if self.log.exists() else ():
            try:
                found.append(json.loads(line))
            except ValueError:
                found.append({"level": "error", "message": line})
        return found

    def text(self) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text().splitlines()[-60:])

    def _last(self, message: str) -> Json:
        return next(one for one in reversed(self.lines()) if one["message"].startswith(message))

    @property
    def identity(self) -> str:
        """Its name in its present life."""
        return str(self._last("starts")["identity"])

    def ask(self, path: str) -> tuple[int, str]:
        """Status and text of one of its endpoints."""
        port = self._last("health, readiness and metrics on port")["message"].rpartition(" ")[2]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str) -> float:
        """The sum of a metric of its own over all labels."""
        lines = self.ask("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)

    @property
    def usage(self) -> tuple[float, float]:
        """Resident memory in MiB, and seconds of CPU in its present life."""
        assert self.process is not None
        folder = Path(f"/proc/{self.process.pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        times = (folder / "stat").read_text().rpartition(")")[2].split()[11:13]
        return int(status["VmRSS"].split()[0]) / 1024, sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

    def troubles(self) -> list[Json]:
        """Errors, and turns that failed more than a busy cluster explains."""
        return [one for one in self.lines() if one["level"] == "error" or one["message"] == "turn"]


@dataclass
class Team:
    """Controllers of the same namespaces, one of which leads; with a namespace and a Lease of their own."""

    lab: Lab
    home: str
    shops: Sequence[Shop]
    members: list[Controller]
    place: int = 0
    """Where their part of the audit log begins."""

    @property
    def leader(self) -> Controller | None:
        """Who leads, as the Lease says; None when that is nobody who lives."""
        holder = self.lab.kubectl(
            "get", "lease", "-n", self.home, leader.NAME, "--ignore-not-found", "-o=jsonpath={.spec.holderIdentity}"
        )
        return next((one for one in self.members if one.identity == holder), None)

    def led(self, *, seconds: float = 60, but: Controller | None = None) -> Controller:
        """The leader, as soon as there is one; `but`: another one than that."""
        found: list[Controller] = []

        def leads() -> bool:
            now = self.leader
            found[:] = [now] if now is not None and now is not but else []
            return bool(found)

        assert wait_for(leads, seconds, 0.3), f"nobody leads: {self.text()}"
        return found[0]

    def text(self) -> str:
        """What its plans say of themselves, and the ends of all logs."""
        said = "{range .items[*]}--- plan {.metadata.namespace}/{.metadata.name}: {.status}{'\\n'}{end}"
        plans = [shop.kubectl("get", "canaryplans", f"-o=jsonpath={said}") for shop in self.shops]
        return "\n".join([*plans, *(f"--- {one.log.name}\n{one.text()}" for one in self.members)])

    def moment(self) -> int:
        """This moment's place in the audit log; 0 where there is none."""
        try:
            return self.lab.audit_log().stat().st_size
        except LabError:
            return 0

    def asked(self, since: int = 0) -> list[Request] | None:
        """What they asked the API server for since a moment, in its own words; None where it keeps no audit log."""
        try:
            log = self.lab.audit_log()
        except LabError:
            return None
        accounts = {one.account for one in self.members}
        return [one for one in requests(log, max(self.place, since)) if one.user in accounts]

    def healthy(self) -> None:
        """Assert that all live, that nothing went wrong, and that no right was missing; tell what they cost."""
        for one in self.members:
            rss, cpu = one.usage
            print(
                f"[{one.log.stem}] {rss:.0f} MiB, {cpu:.1f} s of CPU, {one.metric('meshrollout_turns_total'):.0f} turns"
            )
            assert one.ask("/healthz") == (200, "ok\n"), one.text()
            assert one.ask("/readyz") == (200, "ok\n"), one.text()
            assert not one.troubles(), one.text()
        assert self.led().metric("meshrollout_leading") == 1
        forbidden = [one for one in self.asked() or () if one.forbidden]
        assert not forbidden, forbidden


class Install(Protocol):
    """Starts controllers."""

    def __call__(self, *shops: Shop, copies: int = 1, everywhere: bool = False) -> Team:
        """So many controllers for these shops; `everywhere`: with the rights for the whole cluster."""
        ...


def _rights(home: str, namespaces: Sequence[str], accounts: Sequence[str]) -> list[Json]:
    """What `rollout install` gives a controller of these namespaces (all, when there are none), for each account."""
    cast: list[Json] = rbac(Options(namespace=home, namespaces=tuple(namespaces), hold="policy"))
    subjects = [{"kind": "ServiceAccount", "name": name, "namespace": home} for name in accounts]
    theirs = {role["metadata"]["name"] for role in people()}
    found = []
    for obj in cast:
        if obj["kind"] == "ServiceAccount":
            found += [{**obj, "metadata": {**obj["metadata"], "name": name}} for name in accounts]
        elif obj["kind"].endswith("Binding") and obj["subjects"][0]["kind"] == "ServiceAccount":
            found.append({**obj, "subjects": subjects})
        elif obj["metadata"]["name"] not in theirs:
            found.append(obj)
    return found


def _kubeconfig(lab: Lab, gate: Gate, home: str, account: str, file: Path) -> None:
    """The way through the gate, with the account's token."""
    config = yaml.safe_load(lab.kubeconfig.read_text())
    (cluster,) = config["clusters"]
    cluster["cluster"] |= {"server": gate.url, "tls-server-name": SERVER_NAME}
    token = lab.kubectl("create", "token", "-n", home, account, "--duration=1h").strip()
    (user,) = config["users"]
    user["user"] = {"token": token}
    file.write_text(yaml.safe_dump(config))


def _member(lab: Lab, home: str, shops: Sequence[Shop], account: str, folder: Path) -> Controller:
    server = yaml.safe_load(lab.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
    cluster, metrics = Gate(server), Gate(lab.prometheus)
    file = folder / f"{home}-{account}.kubeconfig"
    _kubeconfig(lab, cluster, home, account, file)
    argv = [sys.executable, "-m", "rollout", "controller", "run", "--port=0", "--routers=istio"]
    argv += [f"--namespaces={','.join(shop.ns for shop in shops)}", f"--controller-namespace={home}"]
    argv += [f"--prometheus={metrics.url}", f"--kubeconfig={file}"]
    return Controller(
        argv, f"system:serviceaccount:{home}:{account}", cluster, metrics, folder / f"{home}-{account}.log"
    )


def _prepare(lab: Lab, home: str, rights: Sequence[Json]) -> None:
    """The controllers' namespace, their rights, and a Lease that nobody holds: without one the first waits."""
    lab.kubectl("create", "namespace", home)
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": leader.NAME, "namespace": home},
        "spec": {"holderIdentity": "", "leaseDurationSeconds": leader.RELEASED},
    }
    items = [*rights, lease]
    lab.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))


@pytest.fixture
def install(lab: Lab, tmp_path: Path, open_shops: Callable[..., list[Shop]]) -> Iterator[Install]:
    """Starts controllers that are gone after the test, and before its shops are."""
    teams: list[Team] = []
    bound: list[str] = []

    def some(*shops: Shop, copies: int = 1, everywhere: bool = False) -> Team:
        home = f"home-{secrets.token_hex(3)}"
        accounts = [f"{CONTROLLER}-{number}" for number in range(copies)]
        team = Team(lab, home, shops, [])
        teams.append(team)
        team.place = team.moment()
        rights = _rights(home, () if everywhere else tuple(shop.ns for shop in shops), accounts)
        bound.extend(one["metadata"]["name"] for one in rights if one["kind"] == "ClusterRoleBinding")
        _prepare(lab, home, rights)
        for shop in shops:
            shop.home = home
            shop.remember()
        for account in accounts:
            member = _member(lab, home, shops, account, tmp_path)
            team.members.append(member)
            member.start()
            team.led()
        return team

    yield some
    if bound:
        lab.kubectl("delete", "clusterrolebindings", *bound, "--ignore-not-found")
    for team in teams:
        for member in team.members:
            member.close()
        lab.kubectl("delete", "namespace", team.home, "--ignore-not-found", "--wait=false")
