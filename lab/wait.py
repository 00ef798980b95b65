"""Waiting for something to become true, with a limit."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable


def wait_for(true: Callable[[], bool], seconds: float, pause: float = 0.1) -> bool:
    """Return whether the condition became true within this time."""
    limit = time.monotonic() + seconds
    while not true():
        if time.monotonic() > limit:
            return False
        time.sleep(pause)
    return True


def port_taken(address: str, port: int) -> bool:
    """Return whether somebody listens there already: a server that is still stopping holds its port for seconds."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return True
    return False
