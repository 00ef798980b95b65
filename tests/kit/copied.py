"""Manifests as tutorials have them: for each rule files that break it, and nearly the same files that do not."""

from __future__ import annotations

from dataclasses import dataclass

from tests.kit.manifests import (
    BY_IDENTITY,
    INJECTED,
    NAMED_PORT,
    PLAIN_TLS,
    SELECTOR,
    SERVICE,
    SUBSETS,
    THREE,
    TO_ALL,
    TWO,
    ejecting,
    files,
    manifest,
    mesh_config,
    namespace,
    peers,
    route,
)


@dataclass(frozen=True)
class Copied:
    """Files that break one rule at a path, and sound ones."""

    code: str
    path: str
    broken: str
    sound: str
    said: str = ""
    """Part of the message or of the fix."""


COPIED = [
    Copied("RO180", "spec", route(TO_ALL).replace("  hosts: [reviews]\n", ""), route(TO_ALL), "no hosts"),
    Copied(
        "RO180",
        "spec",
        manifest("VirtualService", "{hosts: []}"),
        files(
            manifest("VirtualService", "http: [{route: [{destination: {host: reviews}}]}]", "part"),
            route("delegate: {name: part}"),
        ),
    ),
    Copied(
        "RO181",
        "apiVersion",
        manifest("TrafficSplit", "{service: web}", version="split.smi-spec.io/v1alpha1"),
        manifest("HTTPRoute", "{parentRefs: [{kind: Service, name: web}]}"),
        "SMI was archived",
    ),
    Copied(
        "RO181",
        "apiVersion",
        manifest("EnvoyFilter", "{}", version="networking.istio.io/v1"),
        manifest("EnvoyFilter", "{}"),
        "use networking.istio.io/v1alpha3",
    ),
    Copied(
        "RO181",
        "apiVersion",
        manifest("ServiceRole", "{rules: []}", version="rbac.istio.io/v1alpha1"),
        manifest("AuthorizationPolicy", "{rules: [{}]}"),
        "AuthorizationPolicy",
    ),
    Copied(
        "RO182", "apiVersion", manifest("TrafficSplit", "{service: web}"), manifest("HTTPRoute", "{}"), "October 2023"
    ),
    Copied(
        "RO183",
        "spec.routes[0].retryBudget",
        manifest("ServiceProfile", "routes:\n- {name: GET /, retryBudget: {retryRatio: 0.2}}"),
        manifest("ServiceProfile", "routes: [{name: GET /, condition: {any: [{}]}}]\nretryBudget: {retryRatio: 0.2}"),
        "retryBudget belongs in spec.retryBudget",
    ),
    Copied(
        "RO183",
        "spec.mtls.caCertificates",
        peers("PERMISSIVE").replace("PERMISSIVE}", "PERMISSIVE, caCertificates: /etc/ca.pem}"),
        peers("PERMISSIVE"),
        "istiod issues",
    ),
    Copied(
        "RO183",
        "spec.metrics[0].dimensions",
        manifest("Telemetry", "metrics:\n- {providers: [{name: prometheus}], dimensions: {zone: a}}"),
        manifest(
            "Telemetry",
            "metrics:\n- overrides: [{match: {metric: REQUEST_COUNT}, tagOverrides: {zone: {value: node.zone}}}]",
        ),
        "tagOverrides",
    ),
    Copied(
        "RO183",
        "spec.http[0].retry",
        route(f"retry: {{attempts: 2}}\n{TO_ALL}"),
        route(f"retries: {{attempts: 2}}\n{TO_ALL}"),
        "did you mean retries?",
    ),
    Copied(
        "RO183",
        "spec.http[0].match[0].headers.cookie.regexp",
        route(f"match: [{{headers: {{cookie: {{regexp: a}}}}}}]\n{TO_ALL}"),
        route(f"match: [{{headers: {{cookie: {{regex: a}}}}}}]\n{TO_ALL}"),
        "did you mean regex?",
    ),
    Copied(
        "RO183",
        "spec.rules[0].retry",
        manifest("HTTPRoute", "{rules: [{retry: {attempts: 2}}]}"),
        manifest("HTTPRoute", "{rules: [{timeouts: {request: 2s}}]}"),
        "experimental",
    ),
    Copied(
        "RO184",
        "spec.trafficPolicy.outlierDetection.consecutiveErrors",
        manifest("DestinationRule", "host: reviews\ntrafficPolicy: {outlierDetection: {consecutiveErrors: 5}}"),
        manifest("DestinationRule", "host: reviews\ntrafficPolicy: {outlierDetection: {consecutive5xxErrors: 5}}"),
        "consecutive5xxErrors",
    ),
    Copied(
        "RO184",
        "spec.subsets[0].trafficPolicy.loadBalancer.consistentHash.minimumRingSize",
        manifest(
            "DestinationRule",
            "host: reviews\n"
            "subsets: [{name: a, trafficPolicy: {loadBalancer: {consistentHash: {minimumRingSize: 9}}}}]",
        ),
        manifest(
            "DestinationRule",
            "host: reviews\n"
            "subsets: [{name: a, trafficPolicy: {loadBalancer: {consistentHash: {ringHash: {minimumRingSize: 9}}}}}]",
        ),
    ),
    Copied("RO185", "spec.trafficPolicy.outlierDetection.maxEjectionPercent", ejecting(100), ejecting(100, 50)),
    Copied(
        "RO185",
        "spec.trafficPolicy.outlierDetection.maxEjectionPercent",
        files(ejecting(100, 0), SERVICE, THREE),
        files(ejecting(50), SERVICE, THREE),
        "all 3 pods",
    ),
    Copied(
        "RO185",
        "spec.trafficPolicy.outlierDetection.maxEjectionPercent",
        files(ejecting(50), SERVICE, TWO),
        files(ejecting(50, 60), SERVICE, TWO),
        "of 2 pods it leaves 1",
    ),
    Copied(
        "RO186",
        "spec.http[0].route[1].weight",
        route("route: [{destination: {host: a}, weight: 110}, {destination: {host: b}, weight: -10}]"),
        route("route: [{destination: {host: a}, weight: 90}, {destination: {host: b}, weight: 10}]"),
        "-10 is negative",
    ),
    Copied(
        "RO186",
        "spec.http[0].route",
        route("route: [{destination: {host: a}}, {destination: {host: b}}]"),
        route("route: [{destination: {host: a}}]"),
        "none of the 2",
    ),
    Copied(
        "RO186",
        "spec.rules[0].backendRefs[0].weight",
        manifest("HTTPRoute", "{rules: [{backendRefs: [{name: a, weight: 0.5}, {name: b}]}]}"),
        manifest("HTTPRoute", "{rules: [{backendRefs: [{name: a, weight: 5}, {name: b}]}]}"),
    ),
    Copied(
        "RO187",
        "spec.http[0].route",
        route("route: [{destination: {host: a}, weight: 90}, {destination: {host: b}, weight: 20}]"),
        route("route: [{destination: {host: a}, weight: 80}, {destination: {host: b}, weight: 20}]"),
        "90 is 82%, 20 is 18%",
    ),
    Copied(
        "RO187",
        "spec.http[0].route[0].weight",
        route("route: [{destination: {host: a}, weight: 10}]"),
        route("route: [{destination: {host: a}, weight: 100}]"),
        "single destination",
    ),
    Copied(
        "RO188",
        "spec.http[0].route[0].destination.subset",
        files(route("route: [{destination: {host: reviews, subset: v3}}]"), SUBSETS),
        files(route("route: [{destination: {host: reviews, subset: v2}}]"), SUBSETS),
        "no subset v3",
    ),
    Copied(
        "RO188",
        "spec.http[0].mirror.subset",
        route(f"mirror: {{host: reviews, subset: v2}}\n{TO_ALL}"),
        files(route(f"mirror: {{host: reviews, subset: v2}}\n{TO_ALL}"), SUBSETS),
        "nothing defines",
    ),
    Copied(
        "RO189",
        "spec.mtls.mode",
        peers("STRICT"),
        files(peers("PERMISSIVE"), peers("STRICT")),
        "namespace shop becomes STRICT",
    ),
    Copied(
        "RO189",
        "spec.mtls.mode",
        files(namespace("{istio-injection: enabled}"), peers("PERMISSIVE"), peers("STRICT")),
        files(namespace("{istio-injection: enabled}", name="other"), peers("PERMISSIVE"), peers("STRICT")),
        "Namespace shop gets its sidecars",
    ),
    Copied(
        "RO189",
        "spec.mtls.mode",
        files(INJECTED, peers("STRICT", namespace="istio-system")),
        files(INJECTED, peers("STRICT", SELECTOR)),
        "the whole mesh",
    ),
    Copied(
        "RO190",
        "spec.portLevelMtls",
        peers("STRICT", "portLevelMtls: {8080: {mode: PERMISSIVE}}") + "---\n" + peers("PERMISSIVE"),
        peers("STRICT", f"portLevelMtls: {{8080: {{mode: PERMISSIVE}}}}\n{SELECTOR}"),
        "needs a selector",
    ),
    Copied(
        "RO190",
        "spec.portLevelMtls.80",
        files(peers("STRICT", f"portLevelMtls: {{80: {{mode: PERMISSIVE}}}}\n{SELECTOR}"), SERVICE),
        files(peers("STRICT", f"portLevelMtls: {{8080: {{mode: PERMISSIVE}}}}\n{SELECTOR}"), SERVICE),
        "write 8080",
    ),
    Copied(
        "RO190",
        "spec.portLevelMtls.80",
        files(peers("STRICT", f"portLevelMtls: {{80: {{mode: PERMISSIVE}}}}\n{SELECTOR}"), NAMED_PORT, TWO),
        files(peers("STRICT", f"portLevelMtls: {{80: {{mode: PERMISSIVE}}}}\n{SELECTOR}"), NAMED_PORT),
        "listen on 8080",
    ),
    Copied(
        "RO191",
        "spec.trafficPolicy.tls.mode",
        files(peers("PERMISSIVE"), peers("STRICT"), PLAIN_TLS),
        files(peers("PERMISSIVE"), PLAIN_TLS),
        "plaintext",
    ),
    Copied(
        "RO191",
        "spec.trafficPolicy.tls.mode",
        files(SERVICE, peers("STRICT", SELECTOR, "reviews"), PLAIN_TLS),
        files(SERVICE, peers("PERMISSIVE", SELECTOR, "reviews"), peers("PERMISSIVE"), peers("STRICT"), PLAIN_TLS),
    ),
    Copied(
        "RO192",
        "spec",
        manifest("AuthorizationPolicy", "{}"),
        files(manifest("AuthorizationPolicy", "{}"), BY_IDENTITY),
        "allows nothing",
    ),
    Copied(
        "RO192",
        "spec.rules",
        manifest("AuthorizationPolicy", "{action: DENY, rules: [{}]}"),
        manifest("AuthorizationPolicy", "{action: DENY, rules: [{to: [{operation: {methods: [PUT]}}]}]}"),
    ),
    Copied(
        "RO193",
        "spec.rules[0].from[0].source.principals",
        files(peers("PERMISSIVE"), BY_IDENTITY),
        files(peers("PERMISSIVE"), peers("STRICT"), BY_IDENTITY),
        "403",
    ),
    Copied(
        "RO194",
        "spec.http[0].fault.abort",
        route(f"fault: {{abort: {{httpStatus: 500, percentage: {{value: 100}}}}}}\n{TO_ALL}"),
        route(f"fault: {{abort: {{httpStatus: 500, percentage: {{value: 10}}}}}}\n{TO_ALL}"),
        "every request of this route fails",
    ),
    Copied(
        "RO194",
        "spec.http[0].fault.delay",
        route(
            "match: [{uri: {prefix: /}}]\n"
            f"fault: {{delay: {{fixedDelay: 7s, percentage: {{value: 100}}}}}}\n{TO_ALL}"
        ),
        route(
            "match: [{headers: {end-user: {exact: jason}}}]\n"
            f"fault: {{delay: {{fixedDelay: 7s, percentage: {{value: 100}}}}}}\n{TO_ALL}"
        ),
    ),
    Copied(
        "RO195",
        "spec.http[0].retries",
        route(f"timeout: 3s\nretries: {{attempts: 3}}\n{TO_ALL}"),
        route(f"timeout: 3s\nretries: {{attempts: 2, perTryTimeout: 1s}}\n{TO_ALL}"),
        "the timeout of 3s",
    ),
    Copied(
        "RO195",
        "spec.http[0].retries.perTryTimeout",
        route(f"timeout: 10s\nretries: {{attempts: 3, perTryTimeout: 4s}}\n{TO_ALL}"),
        route(f"retries: {{attempts: 3, perTryTimeout: 4s}}\n{TO_ALL}"),
        "of 4 tries of 4s, 2 fit",
    ),
    Copied(
        "RO196",
        "spec.outboundTrafficPolicy.mode",
        manifest("Sidecar", "{outboundTrafficPolicy: {mode: REGISTRY_ONLY}}"),
        files(
            manifest("Sidecar", "{outboundTrafficPolicy: {mode: REGISTRY_ONLY}}"),
            manifest("ServiceEntry", "{hosts: [api.example.com], resolution: DNS}"),
        ),
    ),
    Copied(
        "RO196",
        "data.mesh",
        mesh_config("outboundTrafficPolicy:\n  mode: REGISTRY_ONLY"),
        mesh_config("outboundTrafficPolicy:\n  mode: ALLOW_ANY"),
    ),
    Copied(
        "RO197",
        "metadata.labels.istio.io/rev",
        namespace("{istio-injection: enabled, istio.io/rev: stable}"),
        namespace("{istio.io/rev: stable}"),
        "stable is ignored",
    ),
    Copied(
        "RO197",
        "metadata.annotations.linkerd.io/inject",
        namespace("{istio-injection: enabled}", "{linkerd.io/inject: enabled}"),
        namespace("{istio-injection: disabled}", "{linkerd.io/inject: enabled}"),
        "one mesh",
    ),
    Copied(
        "RO197",
        "metadata.labels.istio.io/dataplane-mode",
        namespace("{istio.io/dataplane-mode: ambient, istio-injection: enabled}"),
        namespace("{istio.io/dataplane-mode: ambient}"),
    ),
    Copied(
        "RO198",
        "data.mesh",
        mesh_config("defaultConfig:\n  tracing: {sampling: 100, zipkin: {address: zipkin:9411}}"),
        mesh_config("enableTracing: true\nextensionProviders: [{name: tempo}]"),
        "100 % of all requests",
    ),
    Copied(
        "RO198",
        "spec.meshConfig.enableTracing",
        manifest("IstioOperator", "meshConfig: {enableTracing: true}"),
        manifest("IstioOperator", "meshConfig: {enableTracing: true, extensionProviders: [{name: tempo}]}"),
        "no default",
    ),
    Copied(
        "RO199",
        "kind",
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\n",
        SERVICE,
        "passed over",
    ),
]
