"""A picture of a simulation: how often a regression is found, against its size.  SVG, without scripts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from rollout.cli.render.simulate import Simulation
from rollout.decide.figures import points
from rollout.decide.simulate import Foretold

WIDTH, HEIGHT, LEFT, TOP, INNER, DEEP = 640, 360, 56, 40, 560, 260
# dash and marker differ as well: colour never carries meaning alone
STYLES: Final = (("#0b62a4", "", "circle"), ("#b5480a", "6 4", "square"), ("#5b2a86", "2 3", "circle"))


def drawing(found: Simulation) -> str:
    """The picture as text."""
    gates = found.gates[: len(STYLES)]
    sizes = sorted({one.regression for told in gates for one in told.sizes})
    low, high = math.log(sizes[0]), math.log(max(sizes[-1], sizes[0] * 2))
    title = f"{found.ref.namespace or 'default'}/{found.ref.name}: how often a worse version is found"
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' font-family="sans-serif" font-size="12"><title>{escape(title)}</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="14" font-weight="bold">{escape(title)}</text>',
        *_axes(sizes, low, high),
    ]
    for number, told in enumerate(gates):
        body += _line(told, number, low, high)
    return "\n".join([*body, "</svg>"]) + "\n"


def _x(size: float, low: float, high: float) -> float:
    return LEFT + INNER * (math.log(size) - low) / (high - low)


def _y(share: float) -> float:
    return TOP + DEEP * (1 - share)


def _axes(sizes: list[float], low: float, high: float) -> Iterator[str]:
    for percent in (0, 20, 40, 60, 80, 100):
        y = _y(percent / 100)
        yield f'<line x1="{LEFT}" x2="{LEFT + INNER}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d0d0d0"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>'
    last = -math.inf
    for size in sizes:
        x = _x(size, low, high)
        if x - last < 52:
            continue
        last = x
        yield f'<text x="{x:.1f}" y="{TOP + DEEP + 18}" text-anchor="middle">{100 * size:.3g}</text>'
    yield (
        f'<text x="{LEFT + INNER / 2:.0f}" y="{TOP + DEEP + 36}" text-anchor="middle">'
        "more bad requests than before, in points</text>"
    )


def _line(told: Foretold, number: int, low: float, high: float) -> Iterator[str]:
    colour, dash, marker = STYLES[number]
    spots = [(_x(one.regression, low, high), _y(one.found.share), one) for one in told.sizes]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in spots)
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'
    for x, y, one in spots:
        words = escape(f"{told.gate}: {points(one.regression)} worse is found in {100 * one.found.share:.1f} %")
        shape = (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}">'
            if marker == "circle"
            else f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}">'
        )
        yield f"{shape}<title>{words}</title></{shape[1:5] if marker == 'square' else 'circle'}>"
    x = LEFT + 150 * number
    yield f'<line x1="{x}" x2="{x + 24}" y1="350" y2="350" stroke="{colour}" stroke-width="2"{dashed}/>'
    yield f'<text x="{x + 30}" y="354">{escape(told.gate)}</text>'
