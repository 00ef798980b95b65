"""Every error we raise on purpose, as one tree.  An error is an instruction to whoever catches it.

    RolloutError
    ├── Terminal               trying again cannot help; somebody has to change something
    │   ├── InvalidInput       a file, a plan or an argument is wrong (says where)
    │   ├── NotFound           the object does not exist
    │   ├── AlreadyExists      a create met an object of that name
    │   ├── Forbidden          RBAC or an admission policy refuses
    │   ├── Rejected           the API server finds the object invalid
    │   ├── Unsupported        the cluster, the mesh or the router cannot do this
    │   └── IllegalTransition  our own fault: the transition table has no such entry
    └── Retry(after)           the world may be ready later
        ├── Conflict           somebody else wrote first: read again, then decide again
        ├── Unavailable        refused, overloaded or down
        └── OutcomeUnknown     the request was sent and no answer came: it may have happened

Foreign errors (HTTP clients, Kubernetes, Prometheus) are mapped to this tree at one border per adapter.
"""

from __future__ import annotations


class RolloutError(Exception):
    """The root. `hint` says what to do next, in the imperative; the CLI prints it below the message."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Terminal(RolloutError):
    """Trying again cannot help."""


class InvalidInput(Terminal):
    """A file, a plan or an argument is wrong. `where` is file:line:column or an object and field."""

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.where = where


class NotFound(Terminal):
    """The object does not exist."""


class AlreadyExists(Terminal):
    """A create met an object of that name."""


class Forbidden(Terminal):
    """RBAC or an admission policy refuses."""


class Rejected(Terminal):
    """The API server finds the object invalid."""


class Unsupported(Terminal):
    """The cluster, the mesh or the router cannot do this."""


class IllegalTransition(Terminal):
    """The transition table has no entry for this phase and event: a fault of ours."""


class Retry(RolloutError):
    """The world may be ready in `after` seconds."""

    def __init__(self, message: str, *, after: float = 1.0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.after = after


class Conflict(Retry):
    """Somebody else wrote first: read again, then decide again."""


class Unavailable(Retry):
    """Refused, overloaded or down."""


class OutcomeUnknown(Retry):
    """The request was sent and no answer came: it may have happened. Read before writing again."""
