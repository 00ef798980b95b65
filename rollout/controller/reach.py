"""Which of the namespaces that a controller looks after it can read: it acts there, and says where it cannot.

A namespace may be deleted, and rights may be taken; that must stop nobody's plans elsewhere.  The watches try again by
themselves, every half minute, and what comes back is taken up.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rollout.controller.stores import Stores
from rollout.errors import Terminal
from rollout.plan.kinds import DEPLOYMENT, PLAN_RUN, PLANS
from rollout.ports.watch import Scope

NEEDED: Final = (*PLANS, PLAN_RUN, DEPLOYMENT)
"""What must have been seen of a namespace before anything is done there."""
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reach:
    """What can be read, as the stores know it. Has to be asked after every message of a watch."""

    stores: Stores
    lost: Mapping[str, str] = field(default_factory=dict)
    """Namespaces that we may not read at present (empty: the whole cluster), with the reason."""
    ready: bool = False
    """Whether each namespace has been seen once or is lost, and not all are lost. Once true it stays so."""
    _seen: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """The namespaces that we look after; the empty one stands for all."""
        return tuple(dict.fromkeys(scope.namespace for scope in self._needed))

    def seen(self, namespace: str) -> bool:
        """Whether what must be known of a namespace has been seen once."""
        return namespace in self._seen or "" in self._seen

    def look(self) -> frozenset[str]:
        """Take what the stores know by now; the namespaces that are seen for the first time."""
        unknown = {scope.namespace for scope in self._needed if scope in self.stores.unknown}
        came = frozenset(self.names) - unknown - self._seen
        self._seen |= came
        lost = {
            scope.namespace: str(blind.error)
            for scope in self._needed
            if (blind := self.stores.blind.get(scope)) is not None and isinstance(blind.error, Terminal)
        }
        self._tell(lost)
        self.lost = lost
        self.ready = self.ready or bool(self._seen and unknown <= lost.keys())
        return came

    @property
    def served(self) -> str:
        """The namespaces that we look after and can read, as the leader's Lease tells others; `*` for all."""
        return ",".join(name for name in self.names if name not in self.lost) if "" not in self.names else "*"

    @property
    def _needed(self) -> tuple[Scope, ...]:
        return tuple(scope for scope in self.stores.scopes if scope.kind in NEEDED)

    def _tell(self, lost: Mapping[str, str]) -> None:
        for name in sorted(lost.keys() - self.lost.keys()):
            log.error("cannot read a namespace, and leaves it alone", extra={"namespace": name, "error": lost[name]})
        for name in sorted(self.lost.keys() - lost.keys()):
            log.info("can read a namespace again", extra={"namespace": name})
