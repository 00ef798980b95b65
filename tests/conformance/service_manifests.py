"""The owner's objects for routers that split between Services, as people write them."""

from __future__ import annotations

import yaml

from rollout.plan.base import Json

SERVICE = """
apiVersion: v1
kind: Service
metadata:
  name: web
  namespace: shop
  labels: {app: web, app.kubernetes.io/instance: shop}
spec:
  selector: {app: web}
  clusterIP: 10.96.0.7
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: grpc, port: 90, targetPort: grpc, appProtocol: grpc}
"""

VERSIONS = """
apiVersion: v1
kind: Service
metadata: {name: web-v1, namespace: shop}
spec:
  selector: {app: web, version: v1}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: Service
metadata: {name: web-v2, namespace: shop}
spec:
  selector: {app: web, version: v2}
  ports: [{name: http, port: 80, targetPort: 8080}]
"""

ROOT = """
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: web, namespace: shop, labels: {team: shop}}
spec:
  service: web.shop.svc.cluster.local
  backends:
  - {service: web, weight: 900}
  - {service: web-next, weight: 100}
"""

LEAF = """
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: front, namespace: shop}
spec:
  service: front
  backends:
  - {service: web, weight: 1}
---
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: other, namespace: shop}
spec:
  service: api
  backends:
  - {service: api-v1, weight: 70}
  - {service: api-v2, weight: 30}
"""

QUANTITIES = """
apiVersion: split.smi-spec.io/v1alpha1
kind: TrafficSplit
metadata: {name: web, namespace: shop}
spec:
  service: web
  backends:
  - {service: web, weight: 750m}
  - {service: web-next, weight: "0.25"}
"""

OWN_TWO = """
apiVersion: split.smi-spec.io/v1alpha4
kind: TrafficSplit
metadata: {name: web, namespace: shop}
spec:
  service: web
  backends:
  - {service: web-v1, weight: 1000}
"""


def objects(*texts: str) -> list[Json]:
    """The objects of some manifests."""
    return [obj for text in texts for obj in yaml.safe_load_all(text)]


SIM_ROOT = ROOT.replace("  - {service: web-next, weight: 100}\n", "")
SIM_QUANTITIES = QUANTITIES.replace('  - {service: web-next, weight: "0.25"}\n', "")

HTTP_ONLY = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  clusterIP: 10.96.0.7
  ports:
  - {name: http, port: 80, targetPort: 8080}
"""

OUTSIDE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop, labels: {team: shop}}
spec:
  parentRefs:
  - {name: edge, namespace: infra, sectionName: https}
  hostnames: [shop.example.com]
  rules:
  - name: beta
    matches:
    - headers: [{name: x-beta, value: "1"}]
    backendRefs:
    - {name: web-beta, port: 80}
  - filters:
    - type: RequestHeaderModifier
      requestHeaderModifier: {set: [{name: x-shop, value: "1"}]}
    timeouts: {request: 5s}
    backendRefs:
    - name: web
      port: 80
      weight: 3
      filters:
      - type: ResponseHeaderModifier
        responseHeaderModifier: {add: [{name: x-from, value: web}]}
    - {name: web-next, port: 80}
  - backendRefs: [{name: web, port: 90}, {group: example.com, kind: Bucket, name: web, port: 80}]
"""

PRODUCER = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web-mesh, namespace: shop}
spec:
  parentRefs:
  - {group: "", kind: Service, name: web, port: 80}
  rules:
  - backendRefs: [{name: web, port: 80}]
"""

GRPC = """
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: web-grpc, namespace: shop}
spec:
  parentRefs:
  - {group: "", kind: Service, name: web, port: 90}
  rules:
  - matches: [{method: {service: web.Cart}}]
    backendRefs: [{name: web, port: 90, weight: 1}]
"""

POLICY = """
apiVersion: policy.linkerd.io/v1beta3
kind: HTTPRoute
metadata: {name: web-mesh, namespace: shop}
spec:
  parentRefs:
  - {group: core, kind: Service, name: web, port: 80}
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    timeouts: {request: 5s}
    backendRefs:
    - {group: core, kind: Service, name: web, port: 80, weight: 9}
    - {name: web-next, port: 80, weight: 1}
"""
SIM_POLICY = POLICY.replace("    - {name: web-next, port: 80, weight: 1}\n", "")

CONSUMER = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: front}
spec:
  parentRefs:
  - {group: "", kind: Service, name: web, namespace: shop}
  rules:
  - backendRefs: [{name: web, namespace: shop, port: 80, weight: 10}, {name: web, port: 80, weight: 10}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: front, namespace: shop}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: front}]
  to: [{group: "", kind: Service}]
"""

OWN_TWO_ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: web}]
  rules:
  - backendRefs: [{name: web-v1, port: 80, weight: 1}]
"""

SIM_OUTSIDE = OUTSIDE.replace("    - {name: web-next, port: 80}\n", "").replace(
    "  - backendRefs: [{name: web, port: 90}, {group: example.com, kind: Bucket, name: web, port: 80}]\n", ""
)
"""Without what the simulated shop has not."""
_BETA = SIM_OUTSIDE[SIM_OUTSIDE.index("  - name: beta") : SIM_OUTSIDE.index("  - filters:")]
SIM_OUTSIDE = SIM_OUTSIDE.replace(_BETA, "")
SIM_GRPC = GRPC.replace('{group: "", kind: Service, name: web, port: 90}', "{name: edge, namespace: infra}").replace(
    "port: 90", "port: 80"
)

HTTP_DEFAULTS = """
apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceDefaults
metadata: {name: web, namespace: shop}
spec: {protocol: http}
"""

RESOLVER = """
apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceResolver
metadata: {name: web, namespace: shop, labels: {team: shop}}
spec:
  connectTimeout: 5s
  loadBalancer: {policy: least_request}
  subsets:
    v1: {filter: Service.Meta.version == v1, onlyPassing: true}
    v2: {filter: Service.Meta.version == v2}
"""

RESOLVER_PLAIN = """
apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceResolver
metadata: {name: web, namespace: shop}
spec: {requestTimeout: 3s}
"""

SPLITTER = """
apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceSplitter
metadata: {name: web, namespace: shop}
spec:
  splits:
  - weight: 100
    service: web
    responseHeaders: {set: {x-from: web}}
---
apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceSplitter
metadata: {name: front, namespace: shop}
spec:
  splits:
  - {weight: 60, service: web}
  - {weight: 40}
"""

SPLIT_SUBSETS = """
apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceSplitter
metadata: {name: web, namespace: shop}
spec:
  splits: [{weight: 100, serviceSubset: v1}]
"""

SERVICE_ROUTER = """
apiVersion: consul.hashicorp.com/v1alpha1
kind: ServiceRouter
metadata: {name: web, namespace: shop}
spec:
  routes:
  - match: {http: {pathPrefix: /cart}}
    destination: {service: cart, prefixRewrite: /}
  - destination: {requestTimeout: 5s}
"""
SIM_SPLITTER = SPLITTER.partition("---")[0]
_CART = SERVICE_ROUTER[SERVICE_ROUTER.index("  - match") : SERVICE_ROUTER.index("  - destination: {request")]
SIM_SERVICE_ROUTER = SERVICE_ROUTER.replace(_CART, "")
"""Without what the simulated shop has not."""
