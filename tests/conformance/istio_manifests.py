"""The owner's objects of several shops, as people write them."""

from __future__ import annotations

import yaml

from rollout.plan.base import Json

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  clusterIP: 10.96.0.7
  ports:
  - {name: http, port: 80, targetPort: 8080}
"""

MIXED_PORTS = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector: {app: web}
  clusterIP: 10.96.0.7
  ports:
  - {name: http, port: 80, targetPort: 8080}
  - {name: grpc-api, port: 90}
  - {name: redis, port: 6379}
  - {name: admin, port: 9000}
  - {name: dns, port: 53, protocol: UDP}
"""

RULE = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: web, namespace: shop, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  host: web.shop.svc.cluster.local
  exportTo: ["*"]
  trafficPolicy:
    connectionPool: {http: {http2MaxRequests: 100}}
  subsets:
  - name: v1
    labels: {version: v1}
    trafficPolicy: {connectionPool: {tcp: {maxConnections: 7}}}
  - name: v2
    labels: {version: v2}
"""

TUTORIAL = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - match: [{headers: {end-user: {exact: jason}}}]
    route:
    - destination: {host: web, subset: v2}
  - route:
    - destination: {host: web, subset: v1}
"""

RICH = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop, labels: {team: shop}}
spec:
  hosts: [web.shop.svc.cluster.local, shop.example.com]
  gateways: [ingress/public, mesh]
  http:
  - name: health
    match: [{uri: {exact: /healthz}}]
    directResponse: {status: 200}
  - name: old-paths
    match: [{uri: {prefix: /old}}]
    redirect: {uri: /new}
  - name: elsewhere
    match: [{uri: {prefix: /search}}]
    route:
    - destination: {host: search, port: {number: 80}}
  - name: migration
    match: [{uri: {prefix: /cart}}]
    timeout: 3s
    retries: {attempts: 2, retryOn: 5xx}
    route:
    - destination: {host: web, port: {number: 80}}
      weight: 80
      headers: {response: {add: {x-side: new}}}
    - destination: {host: legacy.old.svc.cluster.local}
      weight: 20
  - name: default
    fault: {delay: {fixedDelay: 1s, percentage: {value: 0.1}}}
    mirror: {host: audit}
    route:
    - destination: {host: web.shop}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web-tls, namespace: shop}
spec:
  hosts: [secure.example.com]
  gateways: [ingress/tls]
  tls:
  - match: [{port: 443, sniHosts: [secure.example.com]}]
    route:
    - destination: {host: web.shop.svc, port: {number: 443}}
  tcp:
  - match: [{port: 6379}]
    route:
    - {destination: {host: web}, weight: 1}
    - {destination: {host: cache}, weight: 2}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: front, namespace: edge}
spec:
  hosts: [www.example.com]
  gateways: [edge-gateway]
  http:
  - match: [{uri: {prefix: /api}}]
    delegate: {name: api, namespace: edge}
  - route:
    - destination: {host: web.shop.svc.cluster.local}
      weight: 100
    - destination: {host: web}
      weight: 0
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: api, namespace: edge}
spec:
  http:
  - match: [{headers: {x-beta: {exact: "1"}}}]
    route:
    - {destination: {host: web.shop.svc.cluster.local, subset: v1}, weight: 3}
    - {destination: {host: web.shop.svc.cluster.local, subset: v2}, weight: 4}
    - {destination: {host: web.edge.svc.cluster.local}, weight: 6}
"""

UNRELATED = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: other, namespace: other}
spec:
  hosts: [web]
  http:
  - route:
    - destination: {host: web}
"""

OTHER_ROOT = """
apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data: {mesh: "rootNamespace: mesh-root"}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: everything, namespace: mesh-root}
spec:
  host: "*.local"
  trafficPolicy: {connectionPool: {http: {http2MaxRequests: 7}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: private, namespace: istio-system}
spec:
  host: "*.local"
  exportTo: ["."]
"""
"""A mesh whose root namespace is not where its control plane is."""

HOSTS = """
apiVersion: v1
kind: Service
metadata: {name: web-v1, namespace: shop}
spec: {selector: {app: web, version: v1}, clusterIP: 10.96.0.8, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web-v2, namespace: shop}
spec: {selector: {app: web, version: v2}, clusterIP: 10.96.0.9, ports: [{name: http, port: 80}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec:
  hosts: [web]
  http:
  - name: default
    route:
    - {destination: {host: web-v1, port: {number: 80}}, weight: 90}
    - {destination: {host: legacy}, weight: 10}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: public, namespace: edge}
spec:
  hosts: [www.example.com]
  gateways: [edge-gateway]
  http:
  - route:
    - destination: {host: web-v1.shop.svc.cluster.local}
"""


def objects(*texts: str) -> list[Json]:
    """The objects in YAML texts."""
    return [obj for text in texts for obj in yaml.safe_load_all(text) if obj]
