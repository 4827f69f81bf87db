"""The plots of ci/benchmark, as SVG that needs nothing else and follows the reader's light or dark colours."""
import math
from html import escape

STYLE = """
  svg { color-scheme: light dark; --paper: #ffffff; --ink: #1f2328; --faint: #59636e; --line: #d1d9e0;
        --census: #0b62d6; --psutil: #b35900; --ps: #7a3fb8; --other: #8c959f; }
  @media (prefers-color-scheme: dark) {
    svg { --paper: #0d1117; --ink: #f0f6fc; --faint: #9198a1; --line: #3d444d;
          --census: #6cb0ff; --psutil: #f0a050; --ps: #c79bff; --other: #6e7681; }
  }
  text { font: 14px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; fill: var(--ink); }
  .title { font-size: 17px; font-weight: 600; }
  .faint { fill: var(--faint); font-size: 13px; }
  .value { font-weight: 600; font-size: 13px; }
  .grid { stroke: var(--line); }
  .end { text-anchor: end; } .middle { text-anchor: middle; }
"""


def text(x, y, what, classes=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{classes}">{escape(what)}</text>'


def line(x1, y1, x2, y2):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="grid"/>'


def page(width, height, title, parts):
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
            f"<title>{escape(title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{height}" fill="var(--paper)"/>',
            text(24, 34, title, "title"),
            *parts,
            "</svg>\n",
        ]
    )


def bars(title, rows):
    """Rows of (name, value, whether it is ours), from zero."""
    left, right, top, step = 290, 740, 56, 36
    most = max(value for _, value, _ in rows)
    parts = []
    for i, (name, value, ours) in enumerate(rows):
        y = top + i * step
        width = (right - left) * value / most
        size = f'width="{width:.1f}" height="{step - 12}"'
        colour = "census" if ours else "other"
        parts.append(text(left - 12, y + 19, name, "end"))
        parts.append(f'<rect x="{left}" y="{y + 2}" {size} rx="2" fill="var(--{colour})"/>')
        parts.append(text(left + width + 8, y + 19, f"{value:.2f}", "value"))
    return page(820, top + len(rows) * step + 16, title, parts)


def mark(tool, x, y):
    """A shape of its own for each, for readers who can't tell the colours apart."""
    fill = f'fill="var(--{tool})"'
    if tool == "census":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {fill}/>'
    if tool == "psutil":
        return f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" {fill}/>'
    return f'<path d="M{x:.1f} {y - 6:.1f} l6 10.5 h-12 z" {fill}/>'


NAMES = {"census": "pidleak's census", "psutil": "psutil, children(recursive=True)", "ps": "ps -eo pid,ppid"}


def census(panels):
    """{descendants: {tool: [(unrelated, ratio)]}}: a panel for each number of descendants, with one scale for all."""
    title = "Finding all descendants: CPU time by the number of unrelated processes"
    width, height, top, bottom, left, gap = 1000, 500, 150, 420, 84, 26
    panel = (width - left - 24 - gap * (len(panels) - 1)) / len(panels)
    most = max(ratio for tools in panels.values() for points in tools.values() for _, ratio in points)
    decades = max(1, math.ceil(math.log10(most)))

    def height_of(ratio):
        return bottom - (bottom - top) * max(0.0, math.log10(ratio)) / decades

    def place_of(j, start):
        return start + panel * (0.1 + 0.33 * j)

    parts = [text(24, 58, "as a multiple of pidleak's census of 5 descendants beside none; logarithmic", "faint")]
    x = 30
    for tool in next(iter(panels.values())):
        parts += [mark(tool, x, 85), text(x + 14, 90, NAMES[tool])]
        x += 60 + 7.6 * len(NAMES[tool])
    for decade in range(decades + 1):
        parts.append(text(left - 12, height_of(10**decade) + 5, f"{10**decade:,}×", "faint end"))
    for i, (descendants, tools) in enumerate(panels.items()):
        start = left + i * (panel + gap)
        parts.append(text(start + panel / 2, top - 22, f"{descendants:,} descendants", "middle"))
        parts += [line(start, height_of(10**d), start + panel, height_of(10**d)) for d in range(decades + 1)]
        ends = []
        for tool, points in tools.items():
            places = [(place_of(j, start), height_of(ratio)) for j, (_, ratio) in enumerate(points)]
            ends.append((places[-1][1], points[-1][1]))
            path = " ".join(f"{px:.1f},{py:.1f}" for px, py in places)
            parts.append(f'<polyline points="{path}" fill="none" stroke="var(--{tool})" stroke-width="2.5"/>')
            parts += [mark(tool, *place) for place in places]
        for j, (unrelated, _) in enumerate(points):
            parts.append(text(place_of(j, start), bottom + 24, f"{unrelated:,}", "faint middle"))
        free = bottom + 20
        for y, ratio in sorted(ends, reverse=True):  # from below, none over another
            free = min(y, free - 15)
            label = f"{ratio:,.1f}×" if ratio < 10 else f"{ratio:,.0f}×"
            parts.append(text(place_of(len(points) - 1, start) + 11, free + 5, label, "value"))
    parts.append(text(left + (width - left - 24) / 2, bottom + 54, "unrelated processes", "middle"))
    return page(width, height, title, parts)
