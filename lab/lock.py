"""The part of the lock file that is installed where the product runs: `python -m lab lock` writes it.

The developers' lock file also pins linters and test tools. An image needs only the project's dependencies and what
they need in turn. Their metadata are read from the environment in which this runs: the lock file's own.
"""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUNTIME = ROOT / "requirements.runtime.lock"


def runtime_lock(project: Path = ROOT) -> str:
    """Return the lines of the lock file that the project's dependencies need."""
    from packaging.requirements import Requirement  # a tool of developers; the rest of the lab needs nothing

    wanted = set[str]()
    open_ends = [
        Requirement(text) for text in tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
    ]
    while open_ends:
        one = open_ends.pop()
        extras = one.extras or {""}
        key = _normal(one.name)
        if key in wanted and not one.extras:
            continue
        wanted.add(key)
        further = [Requirement(text) for text in metadata.requires(one.name) or ()]
        open_ends += [
            need
            for need in further
            if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    blocks = {
        _normal(block.partition("==")[0]): block
        for block in re.findall(r"^\S+==.*(?:\n .*)*\n?", (project / "requirements.lock").read_text(), re.M)
    }
    return "".join(f"{blocks[name].rstrip()}\n" for name in sorted(wanted))


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
