"""The stored form of a program, as it lies in a run: each gate once, and packed where it is large."""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Annotated, Any, Final

import orjson
from pydantic import (
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidatorFunctionWrapHandler,
    WrapSerializer,
    WrapValidator,
)

from rollout.plan.program import STORED, Gate, Program

LARGE: Final = 4 * 1024
"""Bytes of steps and gates from which on they are stored packed, to a tenth: the API server reads the whole run at each
write of its status. A dozen steps stay as people can read them."""
_LARGEST: Final = 16 * 1024 * 1024
"""Bytes that are unpacked at most."""

_GATES: Final[TypeAdapter[tuple[Gate, ...]]] = TypeAdapter(tuple[Gate, ...], config=STORED)


def _with_table(program: Program, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
    """Write each gate once: the steps of a program mostly have the same ones, and name them by place."""
    stored: dict[str, Any] = write(program)
    table: list[Any] = []
    for step in stored["steps"]:
        table += [gate for number, gate in enumerate(step["gates"]) if gate not in (*table, *step["gates"][:number])]
        step["gates"] = [table.index(gate) for gate in step["gates"]]
    plain = orjson.dumps({"steps": stored["steps"], "gates": table})
    if len(plain) > LARGE:
        return stored | {"steps": b64encode(zlib.compress(plain, 9)).decode()}
    return stored | {"gates": table}


def _unpacked(steps: str) -> dict[str, Any]:
    """What a large program's steps and gates are packed into."""
    try:
        unzip = zlib.decompressobj()
        plain = unzip.decompress(b64decode(steps, validate=True), _LARGEST)
        if not unzip.eof:
            raise ValueError(f"they are cut off, or more than {_LARGEST} bytes")
        found = orjson.loads(plain)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"the packed steps cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise ValueError("the packed steps are not an object")
    return {"steps": found.get("steps"), "gates": found.get("gates")}


def _from_table(stored: Any, read: ValidatorFunctionWrapHandler) -> Program:
    """Give each step its gates; equal ones are one object in memory, too."""
    if isinstance(stored, Mapping) and isinstance(stored.get("steps"), str):
        stored = {**stored, **_unpacked(stored["steps"])}
    if isinstance(stored, Mapping) and isinstance(stored.get("steps"), bytes):
        stored = dict(stored, steps=orjson.loads(stored["steps"]))
    if isinstance(stored, Mapping):
        stored = {"backends": None, **stored}
    if isinstance(stored, Mapping) and "gates" in stored:
        table = dict(enumerate(_GATES.validate_python(stored["gates"])))
        try:
            steps = [dict(step, gates=[table[place] for place in step["gates"]]) for step in stored["steps"]]
        except (LookupError, TypeError) as error:
            raise ValueError(f"the steps do not fit the table of gates: {error!r}") from None
        stored = dict(stored, steps=steps)
    program: Program = read(stored)
    return program


StoredProgram = Annotated[Program, WrapSerializer(_with_table), WrapValidator(_from_table)]
"""A program as it lies in a run."""

PROGRAM: Final[TypeAdapter[Program]] = TypeAdapter(StoredProgram)
"""Reads and writes a stored program."""


def dump(program: Program) -> dict[str, Any]:
    """The stored form of a program."""
    stored: dict[str, Any] = PROGRAM.dump_python(program, mode="json", by_alias=True, exclude_none=True)
    return stored


def packed(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored program with its steps as bytes, a sixth of their size in memory; it is read as the other is."""
    steps = stored.get("steps")
    return {**stored, "steps": orjson.dumps(steps)} if isinstance(steps, list) else dict(stored)
