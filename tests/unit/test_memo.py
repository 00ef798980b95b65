"""What was dear to ask is asked again when it is old."""

from __future__ import annotations

import pytest

from rollout.ports.memo import Memo


async def test_an_answer_is_kept_for_so_long_and_by_its_question() -> None:
    memo, asked = Memo(), list[str]()

    async def ask() -> int:
        asked.append("once")
        return len(asked)

    assert [await memo.once("a", now, 30, ask) for now in (0, 29, 30, 31)] == [1, 1, 2, 2]
    assert await memo.once("b", 31, 30, ask) == 3


async def test_what_fails_is_not_kept() -> None:
    memo, asked = Memo(), list[str]()

    async def ask() -> str:
        asked.append("")
        if len(asked) == 1:
            raise ValueError("away")
        return "fine"

    with pytest.raises(ValueError, match="away"):
        await memo.once("a", 0, 30, ask)
    assert await memo.once("a", 0, 30, ask) == "fine"
