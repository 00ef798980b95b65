"""The small change of all texts: signs, times, shares, bars, columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from rollout.plan.base import spell
from rollout.plan.kinds import Ref
from rollout.plan.run import Phase

Cell = Text | str

GOOD: Final = Text("✔", "green")
BAD: Final = Text("✖", "red")
WARN: Final = Text("⚠", "yellow")
BUSY: Final = Text("◌", "cyan")
WAIT: Final = Text("◷", "yellow")
NEXT: Final = Text("·", "dim")
GO: Final = Text("►", "cyan")

ASCII: Final = str.maketrans(
    {
        "✔": "+", "✖": "x", "⚠": "!", "◌": "o", "◷": "~", "·": ".", "►": ">", "॥": "=", "↺": "<", "√": "+", "‼": "!",
        "×": "x", "█": "#", "░": "-", "≥": ">=", "≤": "<=", "→": "->", "…": "...",
        "▁": "1", "▂": "2", "▃": "3", "▄": "4", "▅": "5", "▆": "6", "▇": "7",
    }
)  # fmt: skip
"""What a terminal without these signs gets instead."""

_PHASES: Final[Mapping[Phase, Text]] = {
    Phase.PENDING: BUSY,
    Phase.PROGRESSING: BUSY,
    Phase.AWAITING_APPROVAL: WAIT,
    Phase.PAUSED: Text("॥", "yellow"),
    Phase.HOLDING: WAIT,
    Phase.PROMOTING: BUSY,
    Phase.ROLLING_BACK: Text("↺", "yellow"),
    Phase.SUCCEEDED: GOOD,
    Phase.ROLLED_BACK: BAD,
    Phase.ABORTED: BAD,
    Phase.HELD: BAD,
    Phase.SUPERSEDED: WARN,
}


def sign(phase: Phase) -> Text:
    """The sign of a phase; the word always stands beside it."""
    return _PHASES[phase]


def headline(phase: Phase) -> Text:
    """Sign and word of a phase, in its colour."""
    return Text.assemble(sign(phase), " ", (str(phase), f"bold {sign(phase).style}"))


def clock(at: float) -> str:
    """The time of day where the reader is."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def stamp(at: float | None) -> str | None:
    """A moment for machines: RFC 3339, UTC."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def length(seconds: float) -> str:
    """A length of time, two units at most: `1h30m`, `5m02s`, `0.8s`."""
    if 0 < seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if 60 < whole < 3600 and whole % 60:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole >= 86400:
        whole -= whole % 3600
    elif whole >= 3600:
        whole -= whole % 60
    return spell(whole)


def percent(value: float) -> str:
    """`5 %`, `99.5 %`."""
    return f"{value:.4g} %"


def bar(share: float, width: int) -> str:
    """A bar, `share` of it full."""
    full = round(max(0.0, min(1.0, share)) * width)
    return "█" * full + "░" * (width - full)


def trend(values: Sequence[float | None], width: int = 7) -> str:
    """The last values as a line of blocks; a look without a value is a dot."""
    last = list(values)[-width:]
    known = [v for v in last if v is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    blocks = "▁▂▃▄▅▆▇"

    def block(value: float | None) -> str:
        if value is None:
            return "·"
        return "▆" if high == low else blocks[round((value - low) / (high - low) * (len(blocks) - 1))]

    return "".join(block(v) for v in last).rjust(width, "·")


def named(ref: Ref) -> str:
    """`canaryplan.meshrollout.dev/web`, as kubectl prints names."""
    return f"{ref.kind.name.lower()}.{ref.kind.group}/{ref.name}"


def pad(cell: Cell, width: int) -> Text:
    """The cell, filled up to a width."""
    text = cell.copy() if isinstance(cell, Text) else Text(cell)
    text.append(" " * max(0, width - cell_len(text.plain)))
    return text


def columns(rows: Iterable[Sequence[Cell]], gap: str = "  ", indent: str = "") -> list[Text]:
    """Rows as lines whose columns start below each other; the last column is left as it is."""
    table = [list(row) for row in rows]
    count = max((len(row) for row in table), default=0)
    widths = [max((cell_len(_plain(r[i])) for r in table if i < len(r) - 1), default=0) for i in range(count)]
    lines = []
    for row in table:
        cells = [pad(cell, widths[i]) if i < len(row) - 1 else pad(cell, 0) for i, cell in enumerate(row)]
        line = Text(indent) + Text(gap).join(cells)
        line.rstrip()
        lines.append(line)
    return lines


def lines(parts: Iterable[Cell]) -> Text:
    """One text of many lines."""
    return Text("\n").join(part if isinstance(part, Text) else Text(part) for part in parts)


def _plain(cell: Cell) -> str:
    return cell.plain if isinstance(cell, Text) else cell
