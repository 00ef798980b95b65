"""The kinds, and the admission policies that the API server carries out itself."""

from __future__ import annotations

from rollout.install.options import Options, marked
from rollout.plan import decisionpolicy, holdpolicy, schema
from rollout.plan.base import Json


def kinds() -> list[Json]:
    """The CustomResourceDefinitions. Unmarked: uninstalling leaves them, and the plans with them, unless asked."""
    return schema.crd_documents()


def policies(options: Options) -> list[Json]:
    """Who may decide; and where it is wanted, what holds new revisions."""
    hold = holdpolicy.documents() if options.hold == "policy" else []
    return [marked(obj) for obj in (*decisionpolicy.documents(options.decisions), *hold)]
