"""The lab keeps its promises: built once, two side by side, up is repeatable, and down leaves nothing."""

import hashlib
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import Count, Lab, LabError, Report
from lab.artefacts import Artefact, Cache
from lab.image import Entry, Image, write_archive
from lab.process import Processes, started_at
from lab.site import PORTS, Site, cache_dir, index_of
from lab.wait import port_taken, wait_for

needs_go = pytest.mark.skipif(shutil.which("go") is None, reason="the lab is built with Go")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="containers need root")

EXIT_OF_A_THREAD = {"x86_64": 60, "aarch64": 93}  # Linux's number of the call `exit`


# --- where a lab lives


def test_the_default_lab_is_always_at_the_same_place() -> None:
    assert index_of("default", {}) == 0
    assert Site.named("default", {"HOME": "/h"}).port("api") == 20000


def test_labs_of_different_names_share_neither_port_nor_address() -> None:
    sites = [Site.named(name, {"HOME": "/h"}) for name in ("default", "selftest", "second")]
    ports = [site.port(what) for site in sites for what in PORTS]
    addresses = [text for site in sites for text in (site.pods, site.services, site.host_ip, site.node_ip)]
    places = [text for site in sites for text in (site.link, site.cgroup, str(site.state))]
    for names in (ports, addresses, places):
        assert len(set(names)) == len(names)
    assert max(ports) < 32768, "above, Linux gives ports to outgoing connections"
    assert max(len(site.link) for site in sites) <= 15, "the kernel refuses longer names of interfaces"


def test_the_index_can_be_set_where_two_names_collide() -> None:
    assert Site.named("any", {"ROLLOUT_LAB_INDEX": "7", "HOME": "/h"}).port("api") == 20070
    with pytest.raises(LabError, match="ROLLOUT_LAB_INDEX"):
        index_of("any", {"ROLLOUT_LAB_INDEX": "200"})


@pytest.mark.parametrize("name", ["", "../up", "Large", "a b", "x" * 40])
def test_a_name_that_is_no_folder_name_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="named"):
        Site.named(name, {"HOME": "/h"})


def test_the_cache_is_where_the_environment_says() -> None:
    env = {"HOME": "/h"}
    assert cache_dir(env) == Path("/h/.cache/rollout-lab")
    env["XDG_CACHE_HOME"] = "/x"
    assert cache_dir(env) == Path("/x/rollout-lab")
    env["ROLLOUT_LAB_CACHE"] = "/own"
    assert cache_dir(env) == Path("/own")
    assert Site.named("a", env | {"ROLLOUT_LAB_STATE": "/s"}).state == Path("/s/a")


# --- building


def written(text: str, calls: list[str]) -> Callable[[Path], None]:
    def make(target: Path) -> None:
        calls.append(text)
        target.write_text(text)

    return make


def test_an_artefact_is_made_once_for_the_same_inputs(tmp_path: Path) -> None:
    cache, calls, said = Cache(tmp_path), list[str](), list[str]()
    for _ in range(2):
        cache.ensure(Artefact("bin/a", ("1",), written("one", calls)), said.append)
    assert (calls, said) == (["one"], ["building a ..."])
    cache.ensure(Artefact("bin/a", ("2",), written("two", calls)), said.append)
    assert (tmp_path / "bin/a").read_text() == "two"
    assert said[-1] == "building a ... (last time 0 s)"


def test_an_artefact_is_made_again_when_one_it_needs_changes(tmp_path: Path) -> None:
    cache, calls = Cache(tmp_path), list[str]()
    for version in ("1", "2"):
        part = Artefact("part", (version,), written("part", calls))
        cache.ensure(Artefact("whole", (), written("whole", calls), (part,)), lambda _: None)
    assert calls == ["part", "whole"] * 2


def test_a_failed_build_leaves_the_old_file_and_is_tried_again(tmp_path: Path) -> None:
    cache, calls = Cache(tmp_path), list[str]()
    cache.ensure(Artefact("a", ("1",), written("good", calls)), lambda _: None)

    def fails(target: Path) -> None:
        target.write_text("half")
        raise LabError("no")

    broken = Artefact("a", ("2",), fails)
    with pytest.raises(LabError):
        cache.ensure(broken, lambda _: None)
    assert (tmp_path / "a").read_text() == "good"
    assert not cache.fresh(broken)


def test_images_of_one_content_share_its_layer(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("x" * 1000)
    content = (Entry("tmp", mode=0o1777), Entry("program", tmp_path / "program"), Entry("link", link="program"))
    images = [Image(f"lab.local/app:{tag}", content, "/program", env={"VERSION": tag}) for tag in ("1", "2")]
    write_archive(tmp_path / "out.tar", images)
    with tarfile.open(tmp_path / "out.tar") as archive:
        files = {name: _read(archive, name) for name in archive.getnames()}
    index = json.loads(files["index.json"])
    assert [one["annotations"]["io.containerd.image.name"] for one in index["manifests"]] == [
        "lab.local/app:1",
        "lab.local/app:2",
    ]
    blobs = {name: data for name, data in files.items() if name.startswith("blobs/")}
    assert len(blobs) == 5, "a manifest and a configuration each, and one layer"
    for name, data in blobs.items():
        assert name == f"blobs/sha256/{hashlib.sha256(data).hexdigest()}"


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


# --- background programs


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path / "processes")
    yield found
    found.stop(found.names(), grace=0)


def test_a_program_is_found_again_and_started_once(processes: Processes) -> None:
    assert processes.start("p", ["sleep", "60"])
    first = processes.record("p")
    assert not Processes(processes.folder).start("p", ["sleep", "60"])
    assert processes.record("p") == first
    assert processes.start("p", ["sleep", "61"]), "other arguments, another program"
    processes.stop(["p"])
    assert processes.record("p") is None
    assert processes.names() == []


def test_a_process_that_only_got_the_same_number_is_left_alone(processes: Processes) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            processes.folder.mkdir(parents=True)
            stale = {"pid": other.pid, "started": (started_at(other.pid) or 0) - 1, "argv": ["sleep", "60"]}
            (processes.folder / "p.pid").write_text(json.dumps(stale))
            assert processes.record("p") is None
            processes.stop(["p"], grace=0)
            assert other.poll() is None
        finally:
            other.kill()


FIRST_THREAD_ENDS = """
import ctypes, socket, sys, threading, time
server = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=time.sleep, args=(60,)).start()
print(server.getsockname()[1], flush=True)
ctypes.CDLL(None).syscall(int(sys.argv[1]), 0)  # exit of this thread alone
"""


@pytest.mark.skipif(platform.machine() not in EXIT_OF_A_THREAD, reason="the number of the call is not known here")
def test_a_process_lives_until_its_last_thread_has_ended(processes: Processes) -> None:
    processes.start("p", [sys.executable, "-c", FIRST_THREAD_ENDS, str(EXIT_OF_A_THREAD[platform.machine()])])
    record = processes.record("p")
    assert record is not None
    stat = Path(f"/proc/{record.pid}/stat")
    assert wait_for(lambda: ") Z " in stat.read_text(), 30, 0.05), "its first thread has ended"
    port = int(processes.log("p").read_text())
    assert processes.record("p") == record
    assert port_taken("127.0.0.1", port)
    processes.stop(["p"], grace=0)
    assert not port_taken("127.0.0.1", port)


def test_a_program_that_ignores_its_end_is_killed(processes: Processes) -> None:
    processes.start("p", ["sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"])
    time.sleep(0.2)
    processes.stop(["p"], grace=0.3)
    assert processes.record("p") is None


def test_a_dead_program_is_explained_by_its_log(processes: Processes) -> None:
    processes.start("p", ["sh", "-c", "for i in $(seq 40); do echo line $i; done; echo the reason; exit 3"])
    while "the reason" not in processes.log("p").read_text() or processes.record("p") is not None:
        time.sleep(0.02)
    with pytest.raises(LabError) as caught:
        processes.check("p")
    told = caught.value.explain()
    assert "p is not running" in told
    assert "the reason" in told
    assert "line 11\n" not in told, "the last 30 lines are enough"


def test_a_report_counts_by_version_and_code() -> None:
    counts = (Count("1.0", 200, "", 90), Count("1.1", 200, "", 8), Count("1.1", 500, "", 1), Count("", 0, "reset", 1))
    report = Report(total=100, p50_ms=1, p99_ms=2, max_ms=3, counts=counts, now_ns=0)
    assert report.versions == {"1.0": 90, "1.1": 9, "": 1}
    assert report.codes == {200: 98, 500: 1, 0: 1}
    assert report.failed == 2


# --- the real thing


def pids(lab: Lab) -> dict[str, int]:
    records = {name: lab.processes.record(name) for name in lab.processes.names()}
    return {name: record.pid for name, record in records.items() if record is not None}


def traces(lab: Lab) -> list[str]:
    """What on this machine speaks of a lab."""
    site = lab.site
    found = [line for line in Path("/proc/mounts").read_text().splitlines() if str(site.state) in line]
    found += [str(path) for path in Path("/sys/class/net").iterdir() if path.name == site.link]
    found += [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/{site.cgroup}")]
    found += [line for line in Path("/proc/net/route").read_text().splitlines() if site.link in line]
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = command.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"{site.state}/" in words:
            found.append(words)
    return found + [str(path) for path in [site.state] if path.exists()]


def inhabitants(namespaces: set[str]) -> list[str]:
    """The processes that live in one of these namespaces."""
    found = []
    for link in Path("/proc").glob("[0-9]*/ns/*"):
        try:
            if str(link.readlink()) in namespaces:
                found.append(str(link))
        except OSError:
            continue
    return found


@pytest.fixture
def selftest() -> Iterator[Lab]:
    lab = Lab("selftest")
    lab.down()
    yield lab
    lab.down()


@needs_go
@pytest.mark.lab
@pytest.mark.timeout(900)  # the first time it is built
def test_profile_api_comes_up_twice_repairs_itself_and_goes_without_trace(selftest: Lab) -> None:
    selftest.up("api")
    first = pids(selftest)
    assert set(first) == {"etcd", "kube-apiserver", "kube-controller-manager"}
    assert selftest.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert "mutatingadmissionpolicies" in selftest.kubectl(
        "api-resources", "--api-group=admissionregistration.k8s.io", "-o=name"
    )
    selftest.up("api")
    assert pids(selftest) == first

    os.kill(first["kube-apiserver"], signal.SIGKILL)
    assert wait_for(lambda: started_at(first["kube-apiserver"]) is None, 10, 0.05)  # a kill is not instant
    selftest.up("api")
    again = pids(selftest)
    assert again["etcd"] == first["etcd"]
    assert again["kube-apiserver"] != first["kube-apiserver"]
    assert selftest.kubectl("get", "--raw=/readyz") == "ok"

    assert traces(selftest)
    selftest.down()
    assert traces(selftest) == []
    assert not any(started_at(pid) for pid in again.values())


@needs_go
@pytest.mark.lab
@pytest.mark.timeout(900)
def test_up_says_which_program_could_not_start_when_its_port_is_taken(
    selftest: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.controlplane.PATIENCE", 0.5)
    expected = pytest.raises(LabError, match=r"kube-apiserver cannot start: .* is taken; set ROLLOUT_LAB_INDEX")
    port = selftest.site.port("api")
    assert wait_for(lambda: not port_taken("127.0.0.1", port), 30), "the lab before this one still listens"
    with socket.create_server(("127.0.0.1", port)), expected:
        selftest.up("api")


@needs_go
@needs_root
@pytest.mark.lab
@pytest.mark.timeout(900)
def test_profile_node_runs_pods_and_goes_without_trace(selftest: Lab) -> None:
    selftest.up("node")
    first = pids(selftest)
    init = selftest.node.sandbox.init()
    spaces = {str(Path(f"/proc/{init}/ns/{kind}").readlink()) for kind in ("net", "mnt", "pid")}
    for pod in selftest.kubectl("get", "pods", "-A", "-o=jsonpath={.items[*].status.phase}").split():
        assert pod == "Running"
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    assert selftest.site.services.rpartition(".")[0] not in rules, "its packet filter rules are its own"

    selftest.up("api")  # a smaller profile takes nothing away
    assert pids(selftest) == first
    assert len(inhabitants(spaces)) > 10
    selftest.down()
    assert traces(selftest) == []
    assert inhabitants(spaces) == []
