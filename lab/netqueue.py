"""A slow and lossy network in user space: `netqueue.py DELAY_MS LOSS` in the network namespace of a node.

Many kernels lack `netem`. Nearly all can hand packets to a program by netfilter (NFQUEUE), which lets each go on after
a while, or drops it. The rules that hand them over say `--queue-bypass`: without this program the network is as it was.
"""

from __future__ import annotations

import errno
import random
import select
import socket
import struct
import sys
import time
from collections import deque

QUEUE = 7
NETLINK_NETFILTER = 12
# linux/netfilter/nfnetlink_queue.h
PACKET, VERDICT, CONFIG = (3 << 8 | number for number in range(3))
PACKET_HEADER, VERDICT_HEADER = 1, 2
COMMAND, PARAMETERS, LENGTH = 1, 2, 3
BIND, COPY_META = 1, 1
DROP, ACCEPT = 0, 1
WAITING = 100_000  # packets; more are dropped by the kernel
BUFFER = 1 << 20


class Queue:
    """The kernel's queue of packets that wait for a verdict."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * BUFFER)
        self.socket.bind((0, 0))
        self._tell(CONFIG, COMMAND, struct.pack("!BxH", BIND, 0))
        self._tell(CONFIG, PARAMETERS, struct.pack("!IB", 0, COPY_META))
        self._tell(CONFIG, LENGTH, struct.pack("!I", WAITING))

    def packets(self, timeout: float | None) -> list[int]:
        """Return the numbers of packets that have come, after at most so many seconds."""
        if not select.select([self.socket], [], [], timeout)[0]:
            return []
        try:
            data = self.socket.recv(BUFFER)
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # too many at once: those are lost, as on any full link
                raise
            return []
        return list(packet_numbers(data))

    def decide(self, number: int, verdict: int) -> None:
        """Let a packet go on, or drop it."""
        self._tell(VERDICT, VERDICT_HEADER, struct.pack("!II", verdict, number))

    def _tell(self, kind: int, attribute: int, value: bytes) -> None:
        self.socket.send(message(kind, attribute, value))


def message(kind: int, attribute: int, value: bytes) -> bytes:
    """Return a netlink message to the queue with one attribute."""
    body = struct.pack("!BBH", socket.AF_UNSPEC, 0, QUEUE)
    body += struct.pack("=HH", 4 + len(value), attribute) + value + b"\0" * (-len(value) % 4)
    return struct.pack("=IHHII", 16 + len(body), kind, 1, 0, 0) + body


def packet_numbers(data: bytes) -> list[int]:
    """Return the numbers of the packets that netlink messages announce; an error message raises OSError."""
    found, at = list[int](), 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        if kind == 2:  # NLMSG_ERROR
            raise OSError(-struct.unpack_from("=i", data, at + 16)[0], "the kernel refused the queue")
        inside, end = at + 20, at + length
        while kind == PACKET and inside + 4 <= end:
            size, attribute = struct.unpack_from("=HH", data, inside)
            if attribute & 0x3FFF == PACKET_HEADER:
                found.append(struct.unpack_from("!I", data, inside + 4)[0])
            inside += size + -size % 4
        at += length + -length % 4
    return found


def serve(delay: float, loss: float) -> None:
    """Delay every packet by seconds and drop a fraction of them, in the order in which they come, for ever."""
    queue, waiting = Queue(), deque[tuple[float, int]]()
    while True:
        timeout = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for number in queue.packets(timeout):
            if random.random() < loss:
                queue.decide(number, DROP)
            else:
                waiting.append((time.monotonic() + delay, number))
        while waiting and waiting[0][0] <= time.monotonic():
            queue.decide(waiting.popleft()[1], ACCEPT)


if __name__ == "__main__":
    serve(float(sys.argv[1]) / 1000, float(sys.argv[2]))
