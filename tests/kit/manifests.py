"""Manifests of Istio, SMI and the Gateway API as text, in few words."""

from __future__ import annotations

from textwrap import dedent


def manifest(kind: str, spec: str, name: str = "reviews", namespace: str = "shop", version: str = "") -> str:
    """One manifest of the usual kind; `spec` is YAML, indented as one likes."""
    head = f"apiVersion: {version or VERSIONS[kind]}\nkind: {kind}\n"
    head += f"metadata: {{name: {name}, namespace: {namespace}}}\n" if namespace else f"metadata: {{name: {name}}}\n"
    body = dedent(spec).strip()
    if "\n" not in body and body.startswith("{"):
        return f"{head}spec: {body}\n"
    return head + "spec:\n" + "".join(f"  {line}\n" for line in body.splitlines())


VERSIONS = {
    "VirtualService": "networking.istio.io/v1",
    "DestinationRule": "networking.istio.io/v1",
    "ServiceEntry": "networking.istio.io/v1",
    "Sidecar": "networking.istio.io/v1",
    "EnvoyFilter": "networking.istio.io/v1alpha3",
    "PeerAuthentication": "security.istio.io/v1",
    "AuthorizationPolicy": "security.istio.io/v1",
    "RequestAuthentication": "security.istio.io/v1",
    "Telemetry": "telemetry.istio.io/v1",
    "ServiceProfile": "linkerd.io/v1alpha2",
    "TrafficSplit": "split.smi-spec.io/v1alpha4",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "IstioOperator": "install.istio.io/v1alpha1",
    "Service": "v1",
    "Deployment": "apps/v1",
}


def files(*manifests: str) -> str:
    """Several manifests in one file."""
    return "---\n".join(manifests)


def namespace(labels: str, annotations: str = "{}", name: str = "shop") -> str:
    """A Namespace; labels and annotations are YAML in one line."""
    head = "apiVersion: v1\nkind: Namespace\n"
    return f"{head}metadata: {{name: {name}, labels: {labels}, annotations: {annotations}}}\n"


def mesh_config(text: str) -> str:
    """The ConfigMap with the settings of the mesh."""
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n"
    return head + "".join(f"    {line}\n" for line in dedent(text).strip().splitlines())


def route(inside: str) -> str:
    """A VirtualService with one HTTP route."""
    lines = dedent(inside).strip().splitlines()
    return manifest("VirtualService", "hosts: [reviews]\nhttp:\n- " + "\n  ".join(lines))


def peers(mode: str, rest: str = "", name: str = "default", namespace: str = "shop") -> str:
    """A PeerAuthentication of this mode; `rest` is more of its spec."""
    return manifest("PeerAuthentication", f"mtls: {{mode: {mode}}}\n{dedent(rest)}", name, namespace)


def ejecting(most: int, healthy: int | None = None) -> str:
    """A DestinationRule that ejects."""
    least = "" if healthy is None else f", minHealthPercent: {healthy}"
    outliers = f"{{consecutive5xxErrors: 5, maxEjectionPercent: {most}{least}}}"
    return manifest("DestinationRule", f"host: reviews\ntrafficPolicy: {{outlierDetection: {outliers}}}")


TO_ALL = "route: [{destination: {host: reviews}}]"
SUBSETS = manifest("DestinationRule", "host: reviews.shop.svc.cluster.local\nsubsets: [{name: v1}, {name: v2}]")
SERVICE = manifest("Service", "{selector: {app: reviews}, ports: [{port: 80, targetPort: 8080}]}")
NAMED_PORT = manifest("Service", "{selector: {app: reviews}, ports: [{port: 80, targetPort: web}]}")
POD = (
    "{metadata: {labels: {app: reviews}}, spec: {containers: [{name: app, ports: [{name: web, containerPort: 8080}]}]}}"
)
THREE = manifest("Deployment", f"replicas: 3\ntemplate: {POD}")
TWO = manifest("Deployment", f"replicas: 2\ntemplate: {POD}")
INJECTED = manifest("Deployment", 'template: {metadata: {labels: {sidecar.istio.io/inject: "true"}}}')
PLAIN_TLS = manifest("DestinationRule", "host: reviews\ntrafficPolicy: {tls: {mode: DISABLE}}")
BY_IDENTITY = manifest(
    "AuthorizationPolicy", "rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]}]"
)
SELECTOR = "selector: {matchLabels: {app: reviews}}"
