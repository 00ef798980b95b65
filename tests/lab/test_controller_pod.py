"""The controller's image, the controller as a pod, and the lab's means to break what is around it."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import shutil
import struct
import tarfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import Lab, LabError, Load
from lab.image import Entry, Image, read_image, write_archive
from lab.lock import ROOT, RUNTIME, runtime_lock
from lab.logs import Query, queries, requests
from lab.netqueue import PACKET, PACKET_HEADER, packet_numbers
from lab.process import Processes
from lab.wait import wait_for

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="the lab is built with Go")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


# --- the Containerfile and what goes in


def instructions() -> list[tuple[str, str]]:
    """The Containerfile's instructions with their words, comments gone and long lines joined."""
    lines = [line for line in (ROOT / "Containerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines() if line.strip()]


def test_every_copy_in_the_containerfile_has_a_source_that_the_builder_sees() -> None:
    stages, copies = set[str](), 0
    ignore = [line for line in (ROOT / ".containerignore").read_text().splitlines() if not line.startswith("#")]
    for word, rest in instructions():
        if word == "FROM" and " AS " in rest:
            stages.add(rest.split(" AS ")[1])
        if word != "COPY":
            continue
        *sources, _ = (one for one in rest.split() if not one.startswith("--"))
        stage = [one.removeprefix("--from=") for one in rest.split() if one.startswith("--from=")]
        assert set(stage) <= stages
        for source in sources if not stage else ():
            copies += 1
            assert (ROOT / source).exists()
            assert ignore[0] == "*"
            assert any(fnmatch.fnmatch(source, one[1:]) for one in ignore if one.startswith("!"))
    assert copies >= len(("pyproject.toml", "requirements.runtime.lock", "rollout", "strategies"))


def test_the_containerfile_is_of_this_version_and_runs_the_command_without_root_or_shell() -> None:
    found = dict(instructions())  # the last of each kind: that of the last stage
    assert f'org.opencontainers.image.version="{PROJECT["version"]}"' in found["LABEL"]
    assert found["USER"] == "65532:65532"
    assert json.loads(found["ENTRYPOINT"])[0] in PROJECT["scripts"]
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert found["ARG"].startswith(f"PYTHON={oldest}")


def test_the_runtime_lock_file_is_the_part_of_the_lock_file_that_the_project_needs() -> None:
    assert RUNTIME.read_text() == runtime_lock(), "write it again: python -m lab lock"
    assert "\npytest==" not in RUNTIME.read_text()


def test_an_image_can_stand_on_layers_that_are_in_another_archive(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("x" * 1000)
    (tmp_path / "code").write_text("print()")
    write_archive(tmp_path / "below.tar", [Image("below", (Entry("python", tmp_path / "python"),), "/python")])
    _, below = read_image(tmp_path / "below.tar")
    above = Image("above", (Entry("code", tmp_path / "code"),), "/python", labels={"a": "b"}, below=below)
    write_archive(tmp_path / "above.tar", [above])
    digest, layers = read_image(tmp_path / "above.tar")
    assert layers[0] == below[0]
    with tarfile.open(tmp_path / "above.tar") as archive:
        names = archive.getnames()
    assert [f"blobs/{one.digest.replace(':', '/')}" in names for one in layers] == [False, True]
    (tmp_path / "code").write_text("print(1)")
    write_archive(tmp_path / "again.tar", [above])
    assert read_image(tmp_path / "again.tar")[0] != digest, "other code, another image"


# --- reading what the kernel and the servers say


def test_packets_are_found_in_what_netfilter_says() -> None:
    def announced(number: int) -> bytes:
        attributes = struct.pack("=HHI", 8, 9, 0) + struct.pack("=HH", 11, PACKET_HEADER)
        attributes += struct.pack("!IHB", number, 0x800, 0) + b"\0"
        body = struct.pack("!BBH", 2, 0, 7) + attributes
        return struct.pack("=IHHII", 16 + len(body), PACKET, 0, 0, 0) + body

    assert packet_numbers(announced(1) + announced(70_000)) == [1, 70_000]
    refused = struct.pack("=IHHIIi", 20, 2, 0, 0, 0, -1)
    with pytest.raises(PermissionError):
        packet_numbers(refused)


def test_a_log_is_read_from_a_place_on_and_a_line_that_is_being_written_is_left(tmp_path: Path) -> None:
    line = {"time": "t", "params": {"query": "up"}, "httpRequest": {"path": "/api/v1/query", "clientIP": "10.0.0.1"}}
    log = tmp_path / "queries.log"
    log.write_text(json.dumps(line) + "\n")
    place = log.stat().st_size
    with log.open("a") as more:
        more.write(json.dumps(line | {"time": "u"}) + "\n" + json.dumps(line)[:20])
    assert queries(log, place) == [Query("u", "up", "/api/v1/query", "10.0.0.1")]


# --- the real thing


@pytest.fixture(scope="module")
def own() -> Iterator[Lab]:
    """A lab of this module's own: an installed controller changes what a whole cluster does."""
    lab = Lab("test-controller")
    lab.down()
    lab.up("node")
    yield lab
    lab.down()


def holder(lab: Lab) -> str:
    """The pod that leads."""
    query = "-o=jsonpath={.spec.holderIdentity}"
    return lab.kubectl("get", "lease", "-n=rollout-system", "rollout-controller", query).partition("_")[0]


def led(lab: Lab, *, but: str = "") -> bool:
    """Whether a pod that is there leads, and another one than that."""
    return holder(lab) in set(lab.controller.pods()) - {but}


@needs_go
@needs_root
@pytest.mark.lab
@pytest.mark.timeout(900)  # the first time, images and programs are built
def test_the_controller_runs_as_a_pod_with_no_more_than_its_rights(own: Lab) -> None:
    place = own.audit_log().stat().st_size
    image = own.controller_up()
    pods = own.controller.pods()
    assert len(pods) == 2
    assert wait_for(lambda: led(own), 60, 0.5)
    about = json.loads(own.kubectl("exec", "-n=rollout-system", pods[0], "--", "rollout", "version", "-o", "json"))
    assert about["version"] == PROJECT["version"]
    assert "canary" in about["strategies"], "plug-ins are found by the metadata in the image"
    probe = "import os; print(os.getuid(), os.access('/app', os.W_OK))"
    assert own.kubectl("exec", "-n=rollout-system", pods[0], "--", "python3.11", "-c", probe).split() == [
        "65532",
        "False",
    ]
    with pytest.raises(LabError):
        own.kubectl("exec", "-n=rollout-system", pods[0], "--", "sh", "-c", "true")
    account = "system:serviceaccount:rollout-system:rollout-controller"
    asked = [one for one in requests(own.audit_log(), place) if one.user == account]
    assert asked
    assert [one for one in asked if one.forbidden] == []

    assert own.controller_up() == image
    assert own.controller.pods() == pods, "the same code changes nothing"
    assert own.controller_up(version="next") != image
    assert not set(own.controller.pods()) & set(pods)


@needs_go
@needs_root
@pytest.mark.lab
@pytest.mark.timeout(900)
def test_another_leads_when_the_leader_is_frozen_or_killed(own: Lab) -> None:
    own.controller_up()
    assert wait_for(lambda: led(own), 60, 0.5)
    first = holder(own)
    with own.faults.frozen(f"rollout-system/{first}"):
        assert wait_for(lambda: led(own, but=first), 90, 0.5)
    second = holder(own)
    own.faults.kill(f"rollout-system/{second}")
    query = "-o=jsonpath={.status.containerStatuses[0].restartCount}"
    assert wait_for(lambda: own.kubectl("get", "pod", "-n=rollout-system", second, query) != "0", 60, 0.5)
    assert wait_for(lambda: led(own), 90, 0.5)


def took(url: str) -> float:
    """Seconds until a server answers, whatever it says."""
    began = time.monotonic()
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(url, timeout=30)
    return time.monotonic() - began


@needs_go
@needs_root
@pytest.mark.lab
@pytest.mark.timeout(900)
def test_servers_and_network_fail_on_demand_and_heal(own: Lab) -> None:
    kubelet = f"http://{own.site.node_ip}:10250/"  # it speaks TLS, and says so to those who do not
    for program in ("kube-apiserver", "etcd"):
        own.faults.stop(program)
        with pytest.raises(LabError):
            own.kubectl("get", "--raw=/readyz", timeout=10)
        own.faults.start(program)
        own.faults.kill(program)
        own.faults.heal()
        own.faults.freeze(program)
        with pytest.raises(LabError):
            own.kubectl("create", "configmap", "frozen", "-n=default", timeout=3)
        own.faults.thaw(program)
        assert own.kubectl("get", "nodes", "-o=name").split() == ["node/lab"]

    own.faults.network(delay_ms=300)
    assert took(kubelet) > 1, "a handshake and an answer are two ways there and back"
    own.faults.network(delay_ms=0)
    assert wait_for(lambda: took(kubelet) < 0.3, 30), "a new fault takes the place of the old one"
    own.faults.network(loss=1)
    with pytest.raises(LabError):
        own.kubectl("logs", "-n=kube-system", "deployment/coredns", timeout=3)
    own.faults.heal()
    assert "netqueue" not in own.status()
    assert own.kubectl("logs", "-n=kube-system", "deployment/coredns", timeout=60)
    with pytest.raises(LabError, match="neither a pod"):
        own.faults.kill("kubelet")


@needs_go
@pytest.mark.lab
@pytest.mark.timeout(900)
def test_fake_nodes_make_pods_ready_that_do_not_exist() -> None:
    lab = Lab("test-fakes")
    try:
        lab.up("api", fake_nodes=True)
        for number in range(20):
            lab.kubectl("create", "deployment", f"web-{number}", "--image=nowhere/web", "--replicas=3")
        lab.kubectl("wait", "deployment", "--all", "--for=condition=Available", "--timeout=100s")
        assert len(lab.kubectl("get", "pods", "-o=name").split()) == 60
        with pytest.raises(LabError, match="real node"):
            lab.up("node")
    finally:
        lab.down()


@pytest.mark.lab
@pytest.mark.timeout(900)
def test_pods_reach_prometheus_and_what_they_ask_is_in_its_log(lab: Lab) -> None:
    load = Load(lab, "prometheus-caller", meshed=False)
    try:
        place = lab.query_log().stat().st_size
        load.start(rate=2, url=f"{lab.prometheus_in_cluster}/api/v1/query?query=vector(42)", duration=2)
        time.sleep(3)
        load.stop()
        assert load.report().codes.keys() == {200}
        asked = [one for one in queries(lab.query_log(), place) if one.text == "vector(42)"]
        assert len(asked) == load.report().total
    finally:
        lab.kubectl("delete", "namespace", "prometheus-caller", "--ignore-not-found", "--wait=false")


def test_a_frozen_program_can_be_stopped(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("p", ["sleep", "60"])
    record = processes.record("p")
    assert record is not None
    os.kill(record.pid, 19)
    processes.stop(["p"], grace=0.2)
    assert processes.record("p") is None
