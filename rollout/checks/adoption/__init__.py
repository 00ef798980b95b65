"""Preflight of a mesh adoption: every obstacle named before the first restart, with its consequence and its fix.

Each check has the id of the catalogue (PF01 to PF22) and is a pure function from raw objects to findings; one module
per category.  PFnn finds RO5nn:

| code | what |
|---|---|
| RO500 | workloads that cannot be seen |
| RO501 RO502 RO516 | protocols: not declared; server-first; two objects contradict each other |
| RO503 RO504 RO506 RO508 RO509 RO511 | pods: host network; opted out; init containers; user; localhost; probes |
| RO505 | jobs: they never complete |
| RO507 RO512 | policy: Pod Security; NetworkPolicies |
| RO510 RO517 RO518 RO519 | topology: pod addresses; restarts; quota; identities |
| RO513 RO514 | scraping and egress: metrics behind STRICT; unknown hosts |
| RO515 | traffic policy: DestinationRules that override mTLS |
| RO520 RO521 | injector: absent or fragile; two meshes |
| RO522 | connections: long-lived, or cut with the proxy |
| RO530 RO531 | dry run: admitted without a proxy; refused for another reason |
"""

from __future__ import annotations

from rollout.checks.adoption.meshes import Adopted
from rollout.checks.adoption.run import CHECKERS, judge, run
from rollout.checks.adoption.surroundings import Look, Outside, Surroundings

__all__ = ["CHECKERS", "Adopted", "Look", "Outside", "Surroundings", "judge", "run"]
