"""RO196 to RO198: settings of the mesh and of namespaces."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.plan.finding import Level
from rollout.plan.lint.manifests.files import CONFIG_MAP, ISTIO_OPERATOR, NAMESPACE, SERVICE_ENTRY, SIDECAR
from rollout.plan.lint.manifests.node import Node
from rollout.plan.lint.manifests.rule import Case, rule
from rollout.plan.lint.rule import Hit
from rollout.plan.positions import read


@rule(
    "RO196",
    Level.WARNING,
    "REGISTRY_ONLY cuts off every host outside the mesh that no ServiceEntry names",
    "add a ServiceEntry for each host that is called, and begin with one workload: a Sidecar with a workloadSelector",
    SIDECAR,
    CONFIG_MAP,
    ISTIO_OPERATOR,
)
def nothing_registered(case: Case) -> Iterator[Hit]:
    """Calls to such hosts get 502, or a reset."""
    policy = case.spec if case.given.kind == SIDECAR else _mesh_config(case)
    mode = policy.get("outboundTrafficPolicy", "mode")
    if mode.text != "REGISTRY_ONLY":
        return
    if not any(case.files.of(SERVICE_ENTRY)):
        yield Hit(_written(case, mode), "REGISTRY_ONLY, and there is no ServiceEntry among these files")


@rule(
    "RO197",
    Level.WARNING,
    "A namespace asks for sidecars in two ways",
    "keep one: istio.io/rev with a revision or tag, without istio-injection",
    NAMESPACE,
)
def injected_twice(case: Case) -> Iterator[Hit]:
    """`istio-injection` wins over `istio.io/rev`; two meshes both want the traffic."""
    labels, meta = case.given.labels, case.given.root.get("metadata")
    if "istio-injection" in labels and "istio.io/rev" in labels:
        said = (
            f"istio-injection: {labels['istio-injection']} wins, and the revision {labels['istio.io/rev']} is ignored"
        )
        yield Hit(meta.get("labels", "istio.io/rev").path, said)
    linkerd = meta.get("annotations", "linkerd.io/inject")
    istio = labels.get("istio-injection") == "enabled" or "istio.io/rev" in labels
    ambient = labels.get("istio.io/dataplane-mode") == "ambient"
    if linkerd.text in {"enabled", "ingress"} and (istio or ambient):
        yield Hit(linkerd.path, "Istio and Linkerd would both take over the traffic of its pods", "keep one mesh")
    if ambient and istio:
        said = "the pods get sidecars, and those with a sidecar do not take part in ambient"
        yield Hit(meta.get("labels", "istio.io/dataplane-mode").path, said, "keep one of the two data planes")


@rule(
    "RO198",
    Level.WARNING,
    "Tracing is set up in a way that Istio left behind",
    "name the tracer in meshConfig.extensionProviders, and use it in a Telemetry's tracing, with a sampling of 1 %",
    CONFIG_MAP,
    ISTIO_OPERATOR,
)
def old_tracing(case: Case) -> Iterator[Hit]:
    """Since Istio 1.22 there is no default tracer, and enableTracing alone sends nothing."""
    mesh = _mesh_config(case)
    tracing = mesh.get("defaultConfig", "tracing")
    if tracing.get("zipkin").there:
        sampling = tracing.get("sampling").number
        said = "a tracer in defaultConfig is deprecated" + (
            f", and it traces {sampling:g} % of all requests" if sampling else ""
        )
        yield Hit(_written(case, tracing.get("zipkin")), said)
    elif mesh.get("enableTracing").value is True and not mesh.get("extensionProviders").items:
        said = "no tracer is named: since Istio 1.22 there is no default one, zipkin.istio-system was it"
        yield Hit(_written(case, mesh.get("enableTracing")), said)


def _mesh_config(case: Case) -> Node:
    """The mesh's configuration: in an IstioOperator, or as a text in the ConfigMap that istiod reads."""
    if case.given.kind == ISTIO_OPERATOR:
        return case.spec.get("meshConfig")
    written = case.given.root.get("data", "mesh").text
    is_mesh = case.given.name == "istio" or case.given.name.startswith("istio-")
    return Node(next((it.value for it in read(written)), None) if written and is_mesh else None)


def _written(case: Case, node: Node) -> str:
    """Where a setting is written: a ConfigMap's text has one place for all that is in it."""
    return "data.mesh" if case.given.kind == CONFIG_MAP else node.path
