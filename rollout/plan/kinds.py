"""The Kubernetes kinds we read or write, and how to name one object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rollout.plan.base import GROUP, VERSION


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """One resource of the API server. `group` is empty for core/v1."""

    group: str
    version: str
    name: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`apps/v1`, or `v1` for the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """The name of one object; `namespace` is empty for cluster-scoped kinds."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        where = f" in {self.namespace}" if self.namespace else ""
        return f"{self.kind}/{self.name}{where}"


DEPLOYMENT: Final = Kind("apps", "v1", "Deployment", "deployments")
REPLICASET: Final = Kind("apps", "v1", "ReplicaSet", "replicasets")
STATEFUL_SET: Final = Kind("apps", "v1", "StatefulSet", "statefulsets")
DAEMON_SET: Final = Kind("apps", "v1", "DaemonSet", "daemonsets")
JOB: Final = Kind("batch", "v1", "Job", "jobs")
CRON_JOB: Final = Kind("batch", "v1", "CronJob", "cronjobs")
POD: Final = Kind("", "v1", "Pod", "pods")
SERVICE: Final = Kind("", "v1", "Service", "services")
CONFIGMAP: Final = Kind("", "v1", "ConfigMap", "configmaps")
PVC: Final = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
SECRET: Final = Kind("", "v1", "Secret", "secrets")
NAMESPACE: Final = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
EVENT: Final = Kind("events.k8s.io", "v1", "Event", "events")
LEASE: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases")
HPA: Final = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
PDB: Final = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
CRD: Final = Kind(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
MUTATING_WEBHOOK: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    namespaced=False,
)
MUTATING_POLICY: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingAdmissionPolicy",
    "mutatingadmissionpolicies",
    namespaced=False,
)
MUTATING_BINDING: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingAdmissionPolicyBinding",
    "mutatingadmissionpolicybindings",
    namespaced=False,
)
VALIDATING_POLICY: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicy",
    "validatingadmissionpolicies",
    namespaced=False,
)
VALIDATING_BINDING: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    namespaced=False,
)
SERVICE_ACCOUNT: Final = Kind("", "v1", "ServiceAccount", "serviceaccounts")
NETWORK_POLICY: Final = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
ENDPOINT_SLICE: Final = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
RESOURCE_QUOTA: Final = Kind("", "v1", "ResourceQuota", "resourcequotas")
LIMIT_RANGE: Final = Kind("", "v1", "LimitRange", "limitranges")
NODE: Final = Kind("", "v1", "Node", "nodes", namespaced=False)
ROLE: Final = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDING: Final = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLE: Final = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDING: Final = Kind(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)
SELF_REVIEW: Final = Kind("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False)
"""Never stored: creating one answers who the caller is."""
VIRTUAL_SERVICE: Final = Kind("networking.istio.io", "v1", "VirtualService", "virtualservices")
DESTINATION_RULE: Final = Kind("networking.istio.io", "v1", "DestinationRule", "destinationrules")
SIDECAR: Final = Kind("networking.istio.io", "v1", "Sidecar", "sidecars")
SERVICE_ENTRY: Final = Kind("networking.istio.io", "v1", "ServiceEntry", "serviceentries")
PEER_AUTHENTICATION: Final = Kind("security.istio.io", "v1", "PeerAuthentication", "peerauthentications")
AUTHORIZATION_POLICY: Final = Kind("security.istio.io", "v1", "AuthorizationPolicy", "authorizationpolicies")
REQUEST_AUTHENTICATION: Final = Kind("security.istio.io", "v1", "RequestAuthentication", "requestauthentications")
TELEMETRY: Final = Kind("telemetry.istio.io", "v1", "Telemetry", "telemetries")
ENVOY_FILTER: Final = Kind("networking.istio.io", "v1alpha3", "EnvoyFilter", "envoyfilters")
HTTP_ROUTE: Final = Kind("gateway.networking.k8s.io", "v1", "HTTPRoute", "httproutes")
HTTP_ROUTE_BETA: Final = Kind("gateway.networking.k8s.io", "v1beta1", "HTTPRoute", "httproutes")
GRPC_ROUTE: Final = Kind("gateway.networking.k8s.io", "v1", "GRPCRoute", "grpcroutes")
REFERENCE_GRANT: Final = Kind("gateway.networking.k8s.io", "v1", "ReferenceGrant", "referencegrants")
REFERENCE_GRANT_BETA: Final = Kind("gateway.networking.k8s.io", "v1beta1", "ReferenceGrant", "referencegrants")
_POLICY_ROUTE_2: Final = Kind("policy.linkerd.io", "v1beta2", "HTTPRoute", "httproutes")
_POLICY_ROUTE_3: Final = Kind("policy.linkerd.io", "v1beta3", "HTTPRoute", "httproutes")
POLICY_ROUTES: Final = (_POLICY_ROUTE_3, _POLICY_ROUTE_2)
"""The versions of Linkerd's own HTTPRoute that can route, the newest first."""
SERVICE_PROFILE: Final = Kind("linkerd.io", "v1alpha2", "ServiceProfile", "serviceprofiles")
_TRAFFIC_SPLIT_1: Final = Kind("split.smi-spec.io", "v1alpha1", "TrafficSplit", "trafficsplits")
_TRAFFIC_SPLIT_2: Final = Kind("split.smi-spec.io", "v1alpha2", "TrafficSplit", "trafficsplits")
_TRAFFIC_SPLIT_3: Final = Kind("split.smi-spec.io", "v1alpha3", "TrafficSplit", "trafficsplits")
_TRAFFIC_SPLIT_4: Final = Kind("split.smi-spec.io", "v1alpha4", "TrafficSplit", "trafficsplits")
TRAFFIC_SPLITS: Final = (_TRAFFIC_SPLIT_4, _TRAFFIC_SPLIT_3, _TRAFFIC_SPLIT_2, _TRAFFIC_SPLIT_1)
"""The versions of a TrafficSplit, the newest first; a cluster serves some of them."""
SERVICE_RESOLVER: Final = Kind("consul.hashicorp.com", "v1alpha1", "ServiceResolver", "serviceresolvers")
SERVICE_SPLITTER: Final = Kind("consul.hashicorp.com", "v1alpha1", "ServiceSplitter", "servicesplitters")
SERVICE_ROUTER: Final = Kind("consul.hashicorp.com", "v1alpha1", "ServiceRouter", "servicerouters")
SERVICE_DEFAULTS: Final = Kind("consul.hashicorp.com", "v1alpha1", "ServiceDefaults", "servicedefaults")

CANARY_PLAN: Final = Kind(GROUP, VERSION, "CanaryPlan", "canaryplans")
MESH_ADOPTION_PLAN: Final = Kind(GROUP, VERSION, "MeshAdoptionPlan", "meshadoptionplans")
PLAN_RUN: Final = Kind(GROUP, VERSION, "PlanRun", "planruns")
PLAN_DECISION: Final = Kind(GROUP, VERSION, "PlanDecision", "plandecisions")
METRIC_TEMPLATE: Final = Kind(GROUP, VERSION, "MetricTemplate", "metrictemplates")
NOTIFICATION_CHANNEL: Final = Kind(GROUP, VERSION, "NotificationChannel", "notificationchannels")
CHANGE_FREEZE: Final = Kind(GROUP, VERSION, "ChangeFreeze", "changefreezes", namespaced=False)

PLANS: Final = (CANARY_PLAN, MESH_ADOPTION_PLAN)
"""The kinds of plans."""
KINDS: Final[dict[tuple[str, str], Kind]] = {
    (kind.api_version, kind.name): kind for kind in list(globals().values()) if isinstance(kind, Kind)
}
"""By apiVersion and kind: ours, and those that plug-ins brought (`learn`)."""


def learn(kinds: Iterable[Kind]) -> None:
    """Know these kinds from now on. A kind of that name that is known already stays as it is."""
    for kind in kinds:
        KINDS.setdefault((kind.api_version, kind.name), kind)


def kind_of(obj: Mapping[str, Any]) -> Kind:
    """The kind of a raw object.

    Raises:
        KeyError: a kind that we do not know.
    """
    return KINDS[obj["apiVersion"], obj["kind"]]


def ref_of(obj: Mapping[str, Any]) -> Ref:
    """The name of a raw object."""
    meta = obj["metadata"]
    return Ref(kind_of(obj), meta.get("namespace", ""), meta["name"])


def plan_kind(name: str) -> Kind:
    """The kind of plan that a run names; runs of before there were two name none, and are of the first."""
    return next((kind for kind in PLANS if kind.name == name), CANARY_PLAN)


def plan_of(run: Mapping[str, Any]) -> Ref:
    """The plan that a raw PlanRun or PlanDecision is about; those from before there were two kinds name none."""
    meta, spec = run["metadata"], run["spec"]
    named = spec.get("planKind") or spec.get("kind") or CANARY_PLAN.name
    return Ref(plan_kind(named), meta.get("namespace", ""), str(spec.get("plan", "")))
