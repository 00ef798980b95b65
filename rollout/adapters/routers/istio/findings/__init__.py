"""What would hide or break our routes, found before anything is written.

| code | level | what |
|---|---|---|
| RO301 | error | a DestinationRule in a client's namespace hides our subsets from its pods |
| RO302 | error | a private DestinationRule in the root namespace hides them from the gateways there |
| RO303 | error | a DestinationRule with a workloadSelector hides them from the pods it selects |
| RO304 | error | the rules for the host have different `exportTo`: ours can merge with one of them only |
| RO305 | warning | several rules for the host |
| RO306 | info | our rule takes the place of a wider one while the run lasts |
| RO307 | error | a subset or an object has a name that the run needs |
| RO308 | info | consistent hashing: clients stick to a side unevenly |
| RO309 | info | outlier detection may eject the whole candidate |
| RO310 | error | two VirtualServices answer for the host |
| RO311 | error | a VirtualService answers for the host, but no route of it gives the Service traffic |
| RO312 | error | a VirtualService that the plan names is missing, or does not route to the Service |
| RO313 | warning | the Service is reached through a wildcard host or a regular expression |
| RO314 | warning | requests are mirrored to the Service, past the split |
| RO315 | warning | Argo CD or Flux manages a VirtualService and may put the weights back |
| RO316 | error | a route names a subset that no rule defines |
| RO317 | warning, error | an owner's subset selects labels that stable or the candidate may not, or does not, have |
| RO318 | error | a route is seen where the rule for the host, and with it our subsets, is not |
| RO319 | warning | the rule for the host is not seen by all: callers elsewhere go past the split |
| RO320 | error | there is no such Service, or it has no pods of its own |
| RO321 | error | the Service is headless: clients pick pods themselves |
| RO322 | error | the Service's selector leaves out stable's or the candidate's pods |
| RO323 | warning, error | a TLS or TCP port has no route that could be split (error: no port has one) |
| RO324 | warning | a Sidecar hides the Service from pods of its namespace |
| RO325 | error | pods of others get requests today, and would get none while requests are pinned |
| RO328 | error | a route copies requests itself, in a way that leaves no place for copies for the candidate |
| RO329 | error | the Service has no HTTP route, and nothing else is copied |
| RO330 | error | traffic-only: a side names a subset or host that is not defined |
| RO331 | error | traffic-only: the candidate gets traffic already |
"""

from __future__ import annotations

from rollout.adapters.routers.istio.findings import routes, rules, service, sides, sight
from rollout.adapters.routers.istio.selected import subset_selectors
from rollout.adapters.routers.parts.findings import of_pods
from rollout.adapters.routers.parts.selected import service_selector
from rollout.adapters.routers.parts.spots import traffic_only
from rollout.plan.finding import Finding
from rollout.plan.program import Backends
from rollout.ports.router import NOBODY, Crowd, Objects


def find(backends: Backends, objects: Objects, crowd: Crowd = NOBODY) -> tuple[Finding, ...]:
    """All findings, by code."""
    found = list(routes.find(backends, objects))
    if traffic_only(backends):
        found += sides.find(backends, objects)
    else:
        found += rules.find(backends, objects)
        found += of_pods(backends, service_selector(backends, objects), subset_selectors(backends, objects), crowd)
        found += sight.find(backends, objects)
        found += service.find(backends, objects)
    return tuple(sorted(found, key=lambda finding: (finding.code, finding.where)))
