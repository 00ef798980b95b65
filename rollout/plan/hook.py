"""Hooks as people write them: a webhook or a Job that a run calls, and what its answer means."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from rollout.plan.base import Duration, Model, Rule
from rollout.plan.gate import SecretKey

When = Literal["before", "during", "confirm", "after", "onRollback", "askRollback"]
_USER: Final = "^https?://[^/?#]*@"


class Header(Model):
    """One header of a request."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO280",
            "has(self.value) != has(self.valueFrom)",
            "a header has either value or valueFrom",
            lambda it: (it.value is None) != (it.value_from is None),
        ),
    )

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_]*$", max_length=128)]
    """Its name."""
    value: Annotated[str, Field(pattern=r"^[^\r\n]*$", max_length=1024)] | None = None
    """Its value, where it is no secret."""
    value_from: SecretKey | None = None
    """Its value, in a Secret of the plan's namespace."""


class Webhook(Model):
    """A POST with a JSON body. Any status from 200 to 299 is a yes."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO281",
            "has(self.url) != has(self.urlFrom)",
            "a webhook has either url or urlFrom",
            lambda it: (it.url is None) != (it.url_from is None),
        ),
        Rule(
            "RO282",
            f"!has(self.url) || !self.url.matches('{_USER}')",
            "a URL holds no user name or password: put the whole URL into a Secret, and name it in urlFrom",
            lambda it: (
                it.url is None
                or "@" not in it.url.partition("://")[2].partition("/")[0].partition("?")[0].partition("#")[0]
            ),
        ),
    )

    url: Annotated[str, Field(pattern=r"^https?://", max_length=1024)] | None = None
    """Where to, when the URL is no secret."""
    url_from: SecretKey | None = None
    """The URL, in a Secret of the plan's namespace."""
    headers: tuple[Header, ...] = Field(default=(), max_length=16)
    """Headers to send along."""
    payload: Literal["rollout", "flagger"] = "rollout"
    """`rollout`: plan, run, step, weight and the verdicts of the gates. `flagger`: what Flagger sends to webhooks."""
    metadata: dict[str, Annotated[str, Field(max_length=4096)]] = Field(default_factory=dict, max_length=32)
    """What the receiver needs to know besides. No secrets."""


class HookJob(Model):
    """A Kubernetes Job of the plan's namespace. Its success is a yes; it is removed afterwards."""

    spec: dict[str, Any]
    """The spec of the Job, as in batch/v1."""


class Hook(Model):
    """Somebody else who is asked, or told, in the course of a run."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "RO283",
            "has(self.webhook) != has(self.job)",
            "a hook has either a webhook or a job",
            lambda it: (it.webhook is None) != (it.job is None),
        ),
    )

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", min_length=1, max_length=30)]
    """Its name."""
    when: When
    """`before`: before the first weight, with the candidate ready. `during`: again and again while a weight holds.
    `confirm`: before each weight, asked until it says yes. `after`: at the end of every run. `onRollback`: at the end
    of one that went home. `askRollback`: again and again while a weight holds; a yes sends the run home."""
    steps: tuple[Annotated[str, Field(max_length=253)], ...] = Field(default=(), max_length=50)
    """Only at steps of these names: of the plan, or `full`. Not for `after` and `onRollback`."""
    webhook: Webhook | None = None
    """Ask by HTTP."""
    job: HookJob | None = None
    """Run a Job. Needs the controller's feature `hooks`."""
    timeout: Duration | None = None
    """How long one try may take: `10s` for a webhook, `10m` for a Job."""
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    """So many more tries after one that failed."""
    every: Duration = "30s"
    """For `during`, `confirm` and `askRollback`: the time between an answer and the next question."""
    failures: Annotated[int, Field(ge=1, le=20)] = 1
    """For `during`: so many answers in a row that are not a yes are a failure."""
    within: Duration = "1h"
    """For `confirm`: how long to ask for a yes."""
    on_failure: Literal["rollback", "hold", "ignore"] | None = None
    """Roll back, hold, or go on; `analysis.onFailure` when absent. `after`, `onRollback` and `askRollback` never stand
    in the way: what fails there is told, and the run goes on."""


Hooks = Annotated[
    tuple[Hook, ...],
    Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
]
"""The hooks of a plan, told apart by their names."""
