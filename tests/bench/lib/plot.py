"""A line chart as SVG, that can be read on a light and on a dark page."""

import math
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 72, 150, 44, 52
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #333 }
  .title { font-weight: 600; font-size: 15px }
  .grid { stroke: #8883; stroke-width: 1 }
  .axis { stroke: #888; stroke-width: 1 }
  .line { fill: none; stroke-width: 2.2; stroke-linejoin: round }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } }
"""
COLOURS = ("#2a78d6", "#d9642c", "#2c9a6b", "#9a5fc7", "#b08a1e", "#c2437c")
LABEL_HEIGHT = 16


class Axis:
    """Values along one side of the picture, from `start` to `end` in its units."""

    def __init__(self, values, start, end, log):
        self.log = log
        low, high = min(values), max(values)
        if log:
            self.low, self.high = math.floor(math.log10(low)), math.ceil(math.log10(high))
            self.high = max(self.high, self.low + 1)
            self.ticks = [10.0**power for power in range(self.low, self.high + 1)]
        else:
            step = nice_step(high)
            self.low, self.high = 0, step * max(1, math.ceil(high / step))
            self.ticks = [step * count for count in range(round(self.high / step) + 1)]
        self.start, self.end = start, end

    def at(self, value):
        number = math.log10(value) if self.log else value
        share = (number - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def nice_step(high):
    """1, 2 or 5 of a power of ten, so that there are five steps or a few more."""
    raw = (high or 1) / 5
    power = 10 ** math.floor(math.log10(raw))
    return max(step * power for step in (1, 2, 5) if step * power <= raw * 1.0001)


def number(value):
    """As at a tick: 1,000,000 is 1M."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{letter}"
    return f"{value:g}"


def line_chart(title, x_label, y_label, series, log_x=True, log_y=True):
    """`series`: {name: [(x, y), ...]}, above 0 where an axis is logarithmic. Gives the SVG."""
    assert len(series) <= len(COLOURS), "more lines than colours"
    points = [point for line in series.values() for point in line]
    x = Axis([p[0] for p in points], LEFT, WIDTH - RIGHT, log_x)
    y = Axis([p[1] for p in points], HEIGHT - BOTTOM, TOP, log_y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">'
        f"{escape(x_label)}</text>",
        f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"'
        f' text-anchor="middle">{escape(y_label)}</text>',
    ]
    for tick in x.ticks:
        parts.append(f'<path class="grid" d="M{x.at(tick)} {TOP}V{HEIGHT - BOTTOM}"/>'
                     f'<text x="{x.at(tick)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
                     f"{number(tick)}</text>")
    for tick in y.ticks:
        parts.append(f'<path class="grid" d="M{LEFT} {y.at(tick)}H{WIDTH - RIGHT}"/>'
                     f'<text x="{LEFT - 8}" y="{y.at(tick) + 4}" text-anchor="end">'
                     f"{number(tick)}</text>")
    parts.append(f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}'
                 f'H{WIDTH - RIGHT}"/>')
    labels = spread({name: y.at(line[-1][1]) for name, line in series.items()})
    for colour, (name, line) in zip(COLOURS, series.items()):
        path = "L".join(f"{x.at(a)} {y.at(b)}" for a, b in line)
        parts.append(f'<path class="line" stroke="{colour}" d="M{path}"/>')
        parts += [f'<circle cx="{x.at(a)}" cy="{y.at(b)}" r="3" fill="{colour}"/>'
                  for a, b in line]
        end = x.at(line[-1][0])
        parts.append(f'<text x="{end + 10}" y="{labels[name] + 4}" style="fill: {colour}">'
                     f"{escape(name)}</text>")
    return "\n".join(parts) + "\n</svg>\n"


def spread(heights):
    """The same heights, moved apart until no label lies on another."""
    placed, last = {}, -math.inf
    for name in sorted(heights, key=heights.get):
        last = max(heights[name], last + LABEL_HEIGHT)
        placed[name] = last
    return placed
