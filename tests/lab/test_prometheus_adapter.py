"""The queries we write, judged by a real Prometheus that scrapes a page of ours. Needs only the lab's binary."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from lab.site import Site
from rollout.adapters.metrics.prometheus import Prometheus
from rollout.adapters.systemclock import SystemClock
from rollout.plan.gate import Provider
from rollout.ports.metrics import CountAsk, PastAsk, ScalarAsk
from tests.kit.lab import missing

pytestmark = pytest.mark.lab

CONFIG = """
global: {scrape_interval: 3s, scrape_timeout: 3s}
scrape_configs:
- {job_name: mesh, honor_labels: true, static_configs: [{targets: ["127.0.0.1:PORT"]}]}
- job_name: native
  honor_labels: true
  convert_classic_histograms_to_nhcb: true
  static_configs: [{targets: ["127.0.0.1:PORT"]}]
  metric_relabel_configs:
  - {regex: shop, source_labels: [destination_workload_namespace], action: replace, replacement: nhcb,
     target_label: destination_workload_namespace}
"""
EDGES = ("250", "500", "1000", "+Inf")


def requests(workload: str, pod: str, codes: dict[str, int], reporter: str = "destination") -> str:
    labels = (
        f'reporter="{reporter}",destination_workload="{workload}",destination_workload_namespace="shop",pod="{pod}"'
    )
    return "".join(f'istio_requests_total{{{labels},response_code="{c}"}} {n}\n' for c, n in codes.items())


def durations(workload: str, pod: str, counts: tuple[int, int, int, int]) -> str:
    labels = (
        f'reporter="destination",destination_workload="{workload}",destination_workload_namespace="shop",pod="{pod}"'
    )
    name = "istio_request_duration_milliseconds"
    lines = [f'{name}_bucket{{{labels},le="{le}"}} {n}\n' for le, n in zip(EDGES, counts, strict=True)]
    return "".join([*lines, f"{name}_count{{{labels}}} {counts[-1]}\n", f"{name}_sum{{{labels}}} 0\n"])


PAGE = (
    "# TYPE istio_requests_total counter\n"
    + requests("web", "web-a", {"200": 90, "404": 4, "500": 5, "503": 1})
    + requests("web", "web-b", {"200": 50})
    + requests("web", "client-x", {"200": 150}, reporter="source")
    + requests("web.v1", "dotted", {"200": 7})
    + requests("webxv1", "other", {"200": 8})
    + "# TYPE istio_request_duration_milliseconds histogram\n"
    + durations("web", "web-a", (60, 80, 95, 100))
    + durations("web", "web-b", (50, 50, 50, 50))
)


class Page(BaseHTTPRequestHandler):
    """Serves `PAGE`."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Say nothing."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has scraped the page at least once for each job."""
    program = Path(Site.named("default", os.environ).program("prometheus"))
    if not program.exists():
        missing(f"{program} is not built yet: bring the lab up once")
    folder = tmp_path_factory.mktemp("prometheus")
    page = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=page.serve_forever, daemon=True).start()
    (folder / "config.yaml").write_text(CONFIG.replace("PORT", str(page.server_port)))
    address = f"127.0.0.1:{free_port()}"
    command = [str(program), f"--config.file={folder / 'config.yaml'}", f"--storage.tsdb.path={folder / 'data'}"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        asyncio.run(until_scraped(f"http://{address}", folder / "log"))
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()
        page.shutdown()
        page.server_close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


async def until_scraped(address: str, log: Path) -> None:
    both = ('istio_requests_total{destination_workload_namespace="shop"}', "istio_request_duration_milliseconds")
    ask = ScalarAsk(" * ".join(f"count({name})" for name in both))  # one of each job
    metrics = Prometheus(default=Provider(address=address))
    try:
        for _ in range(150):
            if (await metrics.ask([ask]))[ask].status == "value":
                return
            await asyncio.sleep(0.2)
    finally:
        await metrics.close()
    pytest.fail(f"Prometheus does not scrape; see {log}")


@pytest.fixture
async def metrics(address: str) -> AsyncIterator[Prometheus]:
    metrics = Prometheus(default=Provider(address=address))
    yield metrics
    await metrics.close()


async def test_our_queries_mean_what_we_think(metrics: Prometheus) -> None:
    success, slow = CountAsk("success", "shop", "web"), CountAsk("slow", "shop", "web", slower_than=0.4)
    dotted = CountAsk("success", "shop", "web.v1")
    absent = CountAsk("success", "shop", "web-canary")
    many = [CountAsk("success", "shop", f"a-rather-long-name-of-a-workload-{number}") for number in range(150)]
    readings = await metrics.ask([success, slow, dotted, absent, *many])
    assert readings[success].pods == {"web-a": (100.0, 6.0), "web-b": (50.0, 0.0)}, readings[success]
    assert readings[slow].pods == {"web-a": (100.0, 20.0), "web-b": (50.0, 0.0)}
    assert readings[slow].edge == 0.5
    assert readings[dotted].pods == {"dotted": (7.0, 0.0)}
    assert {readings[ask].status for ask in (absent, *many)} == {"no-data"}
    assert {readings[ask].status for ask in (success, slow, dotted)} == {"value"}


async def test_native_histograms_are_counted_as_classic_ones_are(metrics: Prometheus) -> None:
    exact, chosen = CountAsk("slow", "nhcb", "web", slower_than=0.5), CountAsk("slow", "nhcb", "web")
    classic = CountAsk("slow", "shop", "web", slower_than=0.5)
    readings = await metrics.ask([exact, chosen, classic])
    assert {name: (total, round(slow)) for name, (total, slow) in readings[exact].pods.items()} == {
        "web-a": (100.0, 20),
        "web-b": (50.0, 0),
    }
    assert readings[exact].edge == 0.5
    assert readings[classic].pods == {"web-a": (100.0, 20.0), "web-b": (50.0, 0.0)}
    assert (round(readings[chosen].within[0.5]), round(readings[chosen].within[1.0])) == (130, 145)
    now = SystemClock().now()
    past = PastAsk(exact, now - 10, now + 2, 1.0)  # at whole seconds, one of them after the first scrape
    track = (await metrics.ask([past]))[past].past["web-a"]
    assert {(total, round(slow)) for _, total, slow in track} == {(100.0, 20)}


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("sum(istio_requests_total)", "value", ""),
        ("scalar(sum(istio_requests_total))", "value", ""),
        ("istio_requests_total", "many", "differ in"),
        ("nothing_at_all", "no-data", ""),
        ("sum(up) * 0 / 0", "no-data", ""),
        ("1 / 0", "no-data", ""),
        ("sum(", "unknown", "HTTP 400: "),
        ("up[5m]", "unknown", "a range"),
        ('"text"', "unknown", "no number"),
        ("istio_requests_total * on(reporter) istio_requests_total", "unknown", "HTTP 422: "),
    ],
)
async def test_what_people_may_write(metrics: Prometheus, query: str, status: str, says: str) -> None:
    ask = ScalarAsk(query)
    reading = (await metrics.ask([ask]))[ask]
    assert (reading.status, says in reading.detail) == (status, True), reading


async def test_counters_that_are_no_longer_scraped_are_stale(address: str) -> None:
    ask = CountAsk("success", "shop", "web")
    strict = Prometheus(default=Provider(address=address), stale_after=-1.0)
    reading = (await strict.ask([ask]))[ask]
    await strict.close()
    assert reading.status == "stale"
