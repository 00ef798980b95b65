"""What processes have used, as the kernel counts it, and where the servers' logs end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.scale.rig import CONTROLLER, PROMETHEUS, Rig

PROGRAMS = {"controller": CONTROLLER, "API server": "kube-apiserver", "etcd": "etcd", "Prometheus": PROMETHEUS}
_TICK = os.sysconf("SC_CLK_TCK")


def wall_clock() -> float:
    """Seconds since the epoch, as the servers' logs have them."""
    return datetime.now(UTC).timestamp()  # noqa: TID251 - it is compared with other programs' logs


@dataclass(frozen=True)
class Mark:
    """One moment: what was used until then, and how long the logs were."""

    at: float
    cpu: Mapping[str, float]
    """Seconds of CPU by program."""
    machine: float
    """Seconds of CPU that the whole machine has spent."""
    audited: int
    asked: int

    @classmethod
    def now(cls, rig: Rig) -> Mark:
        """This moment."""
        used = {name: cpu(rig.pid(program)) for name, program in PROGRAMS.items()}
        audited, asked = rig.lab.audit_log().stat().st_size, _size(rig.query_log)
        return cls(wall_clock(), used, _machine(), audited, asked)


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used, in user and system mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory(pid: int) -> tuple[float, float]:
    """MiB that a process has in memory: now, and at most so far."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(lines["VmRSS"].split()[0]) / 1024, int(lines["VmHWM"].split()[0]) / 1024


def _machine() -> float:
    """Seconds of CPU spent on anything since the machine started."""
    user, nice, system, _, _, irq, soft, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, soft))) / _TICK


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0
