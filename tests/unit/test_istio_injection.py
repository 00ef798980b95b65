"""Whether the next pod gets a proxy, from the webhooks' own selectors and the injector's settings."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.adapters.mesh.istio import Istio
from rollout.plan.base import Json
from rollout.plan.kinds import MUTATING_WEBHOOK, NAMESPACE
from rollout.ports.mesh import Because, Injection
from tests.kit.meshed import HOME, by_kind, config, namespace, template, unit_of, webhooks, workload

INJECT, REV = "sidecar.istio.io/inject", "istio.io/rev"
NEVER = config("istio-sidecar-injector", config="policy: enabled\nneverInjectSelector: [{matchLabels: {job: batch}}]\n")
ON_REQUEST = config("istio-sidecar-injector", config="policy: disabled\nneverInjectSelector: []\n")
ALWAYS = config(
    "istio-sidecar-injector", config="policy: disabled\nalwaysInjectSelector: [{matchLabels: {app: web}}]\n"
)


def decided(made: Json, *others: Json, home: Json | None = None) -> Injection:
    unit = unit_of(workload("web", made=made))
    objects = by_kind(home or namespace(), webhooks(), webhooks("v2"), webhooks("v2", tag="prod"), *others)
    return Istio().views([unit], objects, HOME)[unit.ref].next


@pytest.mark.parametrize(
    ("home", "labels", "because", "revision"),
    [
        ({}, {}, Because.UNASKED, ""),
        ({"istio-injection": "enabled"}, {}, Because.NAMESPACE, "default"),
        ({"istio-injection": "enabled"}, {INJECT: "false"}, Because.REFUSED, ""),
        ({"istio-injection": "disabled"}, {}, Because.REFUSED, ""),
        ({"istio-injection": "disabled"}, {INJECT: "true"}, Because.REFUSED, ""),
        ({REV: "v2"}, {}, Because.NAMESPACE, "v2"),
        ({REV: "prod"}, {}, Because.NAMESPACE, "v2"),
        ({REV: "v9"}, {}, Because.NO_REVISION, ""),
        ({"istio-injection": "enabled", REV: "v2"}, {}, Because.NAMESPACE, "default"),
        ({}, {INJECT: "true"}, Because.POD, "default"),
        ({}, {REV: "prod"}, Because.POD, "v2"),
        ({}, {REV: "prod", INJECT: "true"}, Because.POD, "v2"),
        ({}, {REV: "v9", INJECT: "true"}, Because.NO_REVISION, ""),
        ({}, {REV: "prod", INJECT: "false"}, Because.REFUSED, ""),
    ],
)
def test_labels_of_namespace_and_pod(
    home: dict[str, str], labels: dict[str, str], because: Because, revision: str
) -> None:
    seen = decided(template("web", labels), home=namespace(**home))
    assert (seen.because, seen.revision) == (because, revision)
    assert seen.proxy is bool(revision)
    assert seen.why


def test_the_annotation_refuses_too_but_the_label_counts_before_it() -> None:
    enabled = namespace(istio_injection="enabled")
    assert decided(template("web", notes={INJECT: "false"}), home=enabled).because is Because.REFUSED
    assert decided(template("web", {INJECT: "true"}, {INJECT: "false"}), home=enabled).proxy
    assert decided(template("web", {INJECT: "yes"}), home=enabled).proxy


def test_pods_in_the_network_of_their_node_never_get_one() -> None:
    made = template("web", {INJECT: "true"}, hostNetwork=True)
    assert decided(made, home=namespace(istio_injection="enabled")).because is Because.HOST_NETWORK


@pytest.mark.parametrize(
    ("settings", "labels", "because"),
    [
        (NEVER, {"job": "batch"}, Because.NEVER),
        (NEVER, {"job": "batch", INJECT: "true"}, Because.NAMESPACE),
        (NEVER, {}, Because.NAMESPACE),
        (ON_REQUEST, {}, Because.NEVER),
        (ON_REQUEST, {INJECT: "true"}, Because.NAMESPACE),
        (ALWAYS, {}, Because.NAMESPACE),
    ],
)
def test_the_injector_may_leave_out_what_its_webhook_takes(
    settings: Json, labels: dict[str, str], because: Because
) -> None:
    seen = decided(template("web", labels), settings, home=namespace(istio_injection="enabled"))
    assert seen.because is because


def test_settings_that_are_no_yaml_count_as_none() -> None:
    broken = config("istio-sidecar-injector", config="{{ not yaml")
    assert decided(template("web"), broken, home=namespace(istio_injection="enabled")).proxy


@pytest.mark.parametrize(
    ("home", "labels", "proxy"),
    [
        ({"istio.io/dataplane-mode": "ambient"}, {}, True),
        ({"istio.io/dataplane-mode": "ambient"}, {INJECT: "false"}, True),
        ({"istio.io/dataplane-mode": "ambient"}, {"istio.io/dataplane-mode": "none"}, False),
        ({}, {"istio.io/dataplane-mode": "ambient"}, True),
    ],
)
def test_ambient(home: dict[str, str], labels: dict[str, str], *, proxy: bool) -> None:
    seen = decided(template("web", labels), home=namespace(**home))
    assert (seen.proxy, seen.ambient) == (proxy, proxy)


@pytest.mark.parametrize("hidden", [NAMESPACE, MUTATING_WEBHOOK])
def test_what_may_not_be_read_is_said(hidden: Any) -> None:
    unit = unit_of(workload("web"))
    objects = by_kind(namespace(istio_injection="enabled"), webhooks())
    del objects[hidden]
    seen = Istio().views([unit], objects, HOME)[unit.ref].next
    assert (seen.because, seen.proxy) == (Because.UNSEEN, False)
    assert "may not read" in seen.why
