"""The bars of docs/performance.svg: ours over the best peer, and where the bar of each scenario is."""

import html

import results

WIDTH, LEFT, RIGHT, ROW, HEAD = 860, 140, 120, 22, 64
SCALE_END = 2.0
REACHED, MISSED, NO_BAR = "#1f77b4", "#d95f02", "#8c8c8c"


def svg(rows):
    """The picture of the rows that have a ratio."""
    body, y, variant = [], HEAD, None
    for row in rows:
        if row.ratio(row.of("ours")) is None:
            continue
        if row.variant != variant:
            variant = row.variant
            y += ROW
            body.append(text(10, y - 6, results.VARIANTS[variant], weight="bold"))
        body += bar(row, y)
        y += ROW
    height = y + 16
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        *legend(), *grid(y), *body, "</svg>", ""])


def x(ratio):
    return LEFT + min(ratio, SCALE_END) / SCALE_END * (WIDTH - LEFT - RIGHT)


def text(left, base, words, anchor="start", weight="normal"):
    """Words with a white rim, readable on lines."""
    return (f'<text x="{left:.1f}" y="{base}" text-anchor="{anchor}" font-weight="{weight}" '
            f'stroke="#fff" stroke-width="3" paint-order="stroke">{html.escape(words)}</text>')


def bar(row, y):
    """Name, bar, figure, and the thick line that the bar must not cross; beyond the scale as words."""
    ratio, limit = row.ratio(row.of("ours")), row.ratio(row.limit)
    beyond = limit is not None and limit > SCALE_END
    colour = {True: REACHED, False: MISSED, None: NO_BAR}[row.reached]
    parts = [
        text(LEFT - 8, y + 15, row.scenario, anchor="end"),
        f'<rect x="{LEFT}" y="{y + 4}" width="{x(ratio) - LEFT:.1f}" height="{ROW - 8}" fill="{colour}"/>',
        text(x(max(ratio, limit or 0)) + 6, y + 15, f"{ratio:.2f}" + (" →" if ratio > SCALE_END else "") + (f" (bar {limit:.2f})" if beyond else "")),
    ]
    if limit is not None and not beyond:
        parts.append(f'<rect x="{x(limit) - 1.5:.1f}" y="{y}" width="3" height="{ROW}"/>')
    return parts


def grid(bottom):
    """A thin line and its figure at each half; the best peer is at 1."""
    parts = []
    for half in range(int(SCALE_END * 2) + 1):
        ratio = half / 2
        colour = "#555" if ratio == 1 else "#ddd"
        parts.append(f'<line x1="{x(ratio):.1f}" y1="{HEAD}" x2="{x(ratio):.1f}" y2="{bottom}" stroke="{colour}"/>')
        parts.append(text(x(ratio), HEAD - 6, "1 = best peer" if ratio == 1 else f"{ratio:g}", anchor="middle"))
    return parts


def legend():
    parts, left = [text(10, 20, "mod_wsroute / best peer: shorter is better", weight="bold")], 330
    for colour, words in ((REACHED, "bar reached"), (MISSED, "bar missed"), (NO_BAR, "no bar")):
        parts += [f'<rect x="{left}" y="10" width="12" height="12" fill="{colour}"/>', text(left + 18, 20, words)]
        left += 115
    return parts + [f'<rect x="{left + 4}" y="8" width="3" height="16"/>', text(left + 18, 20, "the bar")]
