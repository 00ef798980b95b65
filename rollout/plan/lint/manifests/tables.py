"""The fields that the kinds of Istio, Linkerd, SMI and the Gateway API have, in a notation of our own.

    name            a value, or a list of values
    name{a b}       a mapping with these fields
    name[]{a b}     a list of such mappings
    name*           anything
    name*{a b}      a map from any key to such mappings
    @group          all fields of a group
    name!           deprecated (`DEPRECATED` says why), name~ in the experimental channel only

As of Istio 1.31, Gateway API 1.6, Linkerd's ServiceProfile v1alpha2 and the last SMI, 0.5.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

GROUPS: Final[Mapping[str, str]] = {
    "text": "exact prefix regex",
    "destination": "host port{number} subset",
    "edits": "add* remove set*",
    "targets": "selector{matchLabels*} targetRef{group kind name namespace} targetRefs[]{group kind name namespace}",
    "pool": """
        http{h2UpgradePolicy http1MaxPendingRequests http2KeepAlive{interval timeout} http2MaxRequests idleTimeout
             maxConcurrentStreams maxRequestsPerConnection maxRetries useClientProtocol}
        tcp{connectTimeout idleTimeout maxConnectionDuration maxConnections tcpKeepalive{interval probes time}}""",
    "serverTls": """
        caCertCredentialName caCertificates caCrl cipherSuites credentialName credentialNames httpsRedirect
        insecureSkipVerify maxProtocolVersion minProtocolVersion mode privateKey serverCertificate subjectAltNames
        tlsCertificates[]{caCertificates privateKey serverCertificate} verifyCertificateHash verifyCertificateSpki""",
    "settings": """
        connectionPool{@pool}
        loadBalancer{
            consistentHash{httpCookie{attributes[]{name value} name path ttl} httpHeaderName httpQueryParameterName
                maglev{tableSize} minimumRingSize! ringHash{minimumRingSize} useSourceIp}
            localityLbSetting{distribute[]{from to*} enabled failover[]{from to} failoverPriority}
            zoneAwareLbSetting{enabled failover[]{from to} failoverPriority minClusterSize}
            simple warmup{aggression duration minimumPercent} warmupDurationSecs!}
        outlierDetection{baseEjectionTime consecutive5xxErrors consecutiveErrors! consecutiveGatewayErrors
            consecutiveLocalOriginFailures interval maxEjectionPercent minHealthPercent
            outlierDetectionHttpErrorCodes splitExternalLocalOriginErrors}
        tls{caCertificates caCrl clientCertificate credentialName insecureSkipVerify mode privateKey sni
            subjectAltNames}""",
    "policy": """
        @settings portLevelSettings[]{@settings port{number}} proxyProtocol{version}
        retryBudget{budgetInterval minRetryConcurrency percent} tunnel{protocol targetHost targetPort}""",
    "parents": "parentRefs[]{group kind name namespace port sectionName} useDefaultGateways~",
    "backend": "group kind name namespace port weight",
    "headers": "add[]{name value} remove set[]{name value}",
    "filter": """
        extensionRef{group kind name} requestHeaderModifier{@headers} responseHeaderModifier{@headers} type
        requestMirror{backendRef{group kind name namespace port} fraction{denominator numerator} percent}""",
    "httpFilter": """
        @filter cors{allowCredentials allowHeaders allowMethods allowOrigins exposeHeaders maxAge}
        externalAuth~{backendRef{group kind name namespace port} forwardBody{maxSize} grpc{allowedHeaders}
            http{allowedHeaders allowedResponseHeaders path} protocol}
        requestRedirect{hostname path{replaceFullPath replacePrefixMatch type} port scheme statusCode}
        urlRewrite{hostname path{replaceFullPath replacePrefixMatch type}}""",
    "session": "sessionPersistence~{absoluteTimeout cookieConfig{lifetimeType} sessionName type}",
}
"""Fields that several mappings share."""

KINDS: Final[Mapping[str, str]] = {
    "VirtualService.networking.istio.io": """
        exportTo gateways hosts
        http[]{
            corsPolicy{allowCredentials allowHeaders allowMethods allowOrigin! allowOrigins[]{@text} exposeHeaders
                maxAge unmatchedPreflights}
            delegate{name namespace} directResponse{body{bytes string} status}
            fault{abort{grpcStatus http2Error httpStatus percentage{value}}
                delay{exponentialDelay fixedDelay percent! percentage{value}}}
            headers{request{@edits} response{@edits}}
            match[]{authority{@text} gateways headers*{@text} ignoreUriCase method{@text} name port
                queryParams*{@text} scheme{@text} sourceLabels* sourceNamespace statPrefix uri{@text}
                withoutHeaders*{@text}}
            mirror{@destination} mirror_percent! mirrorPercent! mirrorPercentage{value}
            mirrors[]{destination{@destination} percentage{value}}
            name redirect{authority derivePort port prefixRewrite redirectCode scheme uri}
            retries{attempts backoff perTryTimeout retryIgnorePreviousHosts retryOn retryRemoteLocalities}
            rewrite{authority uri uriRegexRewrite{match rewrite}}
            route[]{destination{@destination} headers{request{@edits} response{@edits}} weight} timeout}
        tcp[]{match[]{destinationSubnets gateways port sourceLabels* sourceNamespace sourceSubnet}
            route[]{destination{@destination} weight}}
        tls[]{match[]{destinationSubnets gateways port sniHosts sourceLabels* sourceNamespace}
            route[]{destination{@destination} weight}}""",
    "DestinationRule.networking.istio.io": """
        exportTo host subsets[]{labels* name trafficPolicy{@policy}} trafficPolicy{@policy}
        workloadSelector{matchLabels*}""",
    "Gateway.networking.istio.io": """
        selector* servers[]{bind defaultEndpoint hosts name port{name number protocol targetPort} tls{@serverTls}}""",
    "ServiceEntry.networking.istio.io": """
        addresses endpoints[]{address labels* locality network ports* serviceAccount weight} exportTo hosts location
        ports[]{name number protocol targetPort} resolution subjectAltNames workloadSelector{labels*}""",
    "Sidecar.networking.istio.io": """
        egress[]{bind captureMode hosts port{name number protocol targetPort}} inboundConnectionPool{@pool}
        ingress[]{bind captureMode connectionPool{@pool} defaultEndpoint port{name number protocol targetPort}
            tls{@serverTls}}
        outboundTrafficPolicy{egressProxy{@destination} mode} workloadSelector{labels*}""",
    "EnvoyFilter.networking.istio.io": """
        configPatches[]{applyTo
            match{cluster{name portNumber service subset} context
                listener{filterChain{applicationProtocols destinationPort filter{name subFilter{name}} name sni
                    transportProtocol} listenerFilter name portName portNumber}
                proxy{metadata* proxyVersion}
                routeConfiguration{gateway name portName portNumber vhost{domainName name route{action name}}}
                waypoint{filter{name subFilter{name}} portNumber route{name}}}
            patch{filterClass operation value*}}
        priority targetRefs[]{group kind name namespace} workloadSelector{labels*}""",
    "PeerAuthentication.security.istio.io": "mtls{mode} portLevelMtls*{mode} selector{matchLabels*}",
    "AuthorizationPolicy.security.istio.io": """
        @targets action provider{name}
        rules[]{
            from[]{source{ipBlocks namespaces notIpBlocks notNamespaces notPrincipals notRemoteIpBlocks
                notRequestPrincipals notServiceAccounts notTrustDomains principals remoteIpBlocks requestPrincipals
                serviceAccounts trustDomains}}
            to[]{operation{hosts methods notHosts notMethods notPaths notPorts paths ports}}
            when[]{key notValues values}}""",
    "RequestAuthentication.security.istio.io": """
        @targets
        jwtRules[]{audiences forwardOriginalToken fromCookies fromHeaders[]{name prefix} fromParams issuer jwks
            jwks_uri! jwksUri outputClaimToHeaders[]{claim header} outputPayloadToHeader spaceDelimitedClaims
            timeout}""",
    "Telemetry.telemetry.istio.io": """
        @targets
        accessLogging[]{disabled filter{expression} match{mode} providers[]{name}}
        metrics[]{overrides[]{disabled match{customMetric metric mode} tagOverrides*{operation value}}
            providers[]{name} reportingInterval}
        tracing[]{
            customTags*{environment{defaultValue name} formatter{value} header{defaultValue name} literal{value}}
            disableContextPropagation disableSpanReporting enableIstioTags match{mode} providers[]{name}
            randomSamplingPercentage useRequestIdForTraceSampling}""",
    "ServiceProfile.linkerd.io": """
        dstOverrides[]{authority weight} opaquePorts* retryBudget{minRetriesPerSecond retryRatio ttl}
        routes[]{condition* isRetryable name responseClasses[]{condition* isFailure} timeout}""",
    "TrafficSplit.split.smi-spec.io": "backends[]{service weight} matches[]{apiGroup kind name} service",
    "HTTPRoute.gateway.networking.k8s.io": """
        hostnames @parents
        rules[]{backendRefs[]{@backend filters[]{@httpFilter}} filters[]{@httpFilter}
            matches[]{headers[]{name type value} method path{type value} queryParams[]{name type value}} name
            retry~{attempts backoff codes} @session timeouts{backendRequest request}}""",
    "GRPCRoute.gateway.networking.k8s.io": """
        hostnames @parents
        rules[]{backendRefs[]{@backend filters[]{@filter}} filters[]{@filter}
            matches[]{headers[]{name type value} method{method service type}} name @session}""",
    "TCPRoute.gateway.networking.k8s.io": "@parents rules[]{backendRefs[]{@backend} name}",
    "TLSRoute.gateway.networking.k8s.io": "hostnames @parents rules[]{backendRefs[]{@backend} name}",
}
"""The fields of `spec` by kind and group."""

DEPRECATED: Final[Mapping[str, tuple[str, str]]] = {
    "consecutiveErrors": (
        "Istio warns about it and ejects nothing because of it",
        "use consecutive5xxErrors or consecutiveGatewayErrors",
    ),
    "minimumRingSize": ("the ring has a mapping of its own", "write it as ringHash: {minimumRingSize: ...}"),
    "warmupDurationSecs": ("warm-up has a mapping of its own", "write it as warmup: {duration: ...}"),
    "mirror_percent": ("it takes whole percents only", "use mirrorPercentage: {value: ...}"),
    "mirrorPercent": ("it takes whole percents only", "use mirrorPercentage: {value: ...}"),
    "percent": ("it takes whole percents only", "use percentage: {value: ...}"),
    "allowOrigin": ("it takes exact origins only", "use allowOrigins: [{exact: ...}]"),
    "jwks_uri": ("it is an old spelling", "use jwksUri"),
}
"""Why each deprecated field is, and what to write instead."""

MISTAKEN: Final[Mapping[str, str]] = {
    "PeerAuthentication.security.istio.io/caCertificates": (
        "remove it: istiod issues the mesh's certificates; a CA of your own goes into its Secret cacerts"
    ),
    "Telemetry.telemetry.istio.io/dimensions": "labels are changed by overrides[].tagOverrides",
    "Telemetry.telemetry.istio.io/name": "name a metric in overrides[].match.metric; Telemetry makes no new ones",
}
"""What people meant by fields that never were, by kind and field."""
