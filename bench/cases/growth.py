"""How a training step's time and memory grow with context, batch, width and layers; draws docs/growth.svg.

Time and memory are fitted by powers. Only attention may grow faster than linearly with the context, so its share, measured
alone in the same process, is taken out before the fit and shown beside it."""
import math
import statistics

from run import ROOT, row

BASE = {"context": 128, "batch": 4, "width": 128, "layers": 4}
VALUES = {
    "context": [64, 128, 256, 512, 1024],
    "batch": [4, 8, 16, 32, 64],
    "width": [64, 128, 256, 512],
    "layers": [2, 4, 8, 16],
}
STEPS, WARM_UP = 6, 2
PANEL, MARGIN = (220, 170), 56
COLOURS = {"time of a step": "#0072b2", "of it attention": "#d55e00", "peak memory": "#009e73"}


def run(bench):
    rows, panels = [], {}
    for axis, values in VALUES.items():
        turns = bench.in_turn(**{str(value): (lambda value=value: measure(bench, {**BASE, axis: value})) for value in values})
        points = [best(turns[str(value)]) for value in values]
        panels[axis] = (values, points)
        rest = exponent(values, [p["time of a step"] - p["of it attention"] for p in points])
        exponents = {name: exponent(values, [p[name] for p in points]) for name in COLOURS}
        bench.say(f"{axis}: without attention {rest:.2f}, " + ", ".join(f"{n} {e:.2f}" for n, e in exponents.items()))
        span = f"{axis} {values[0]} to {values[-1]}"
        note = f"attention {exponents['of it attention']:.2f}, the rest {rest:.2f}, peak memory {exponents['peak memory']:.2f}"
        rows.append(row(f"exponent of a step's time, {span}", exponents["time of a step"], None, "", "docs/growth.svg", "lower", note))
    (ROOT / "docs" / "growth.svg").write_text(svg(panels))
    return rows


def measure(bench, size):
    result = bench.ours("train", "size", *size.values(), "--steps", STEPS, **bench.thread_limits())
    return {"time of a step": result["seconds"][WARM_UP:], "of it attention": result["attention"][WARM_UP:],
            "peak memory": [result["peak_mib"]]}


def best(turns):
    """The median over all turns of everything measured."""
    return {name: statistics.median(value for turn in turns for value in turn[name]) for name in COLOURS}


def exponent(xs, ys):
    """The slope of log y over log x (least squares) over the upper half, where constant costs count least."""
    xs, ys = xs[len(xs) // 2 - 1:], ys[len(ys) // 2 - 1:]
    points = [(math.log(x), math.log(max(y, 1e-9))) for x, y in zip(xs, ys)]
    mx, my = (statistics.fmean(p[i] for p in points) for i in (0, 1))
    return sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)


def svg(panels):
    """Four plots with logarithmic axes on a white card, which reads on a light page and on a dark one."""
    width, height = 2 * (PANEL[0] + MARGIN + 40) + 20, 2 * (PANEL[1] + 70) + 40
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12" '
             f'fill="#282c34"><rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>']
    for i, (name, colour) in enumerate(COLOURS.items()):
        unit = "MiB, dashed" if name == "peak memory" else "ms"
        parts.append(f'<rect x="{20 + i * 190}" y="16" width="12" height="12" fill="{colour}"/>'
                     f'<text x="{38 + i * 190}" y="26">{name} ({unit})</text>')
    for i, (axis, (values, points)) in enumerate(panels.items()):
        x, y = MARGIN + i % 2 * (PANEL[0] + MARGIN + 40), 56 + i // 2 * (PANEL[1] + 70)
        parts.append(f'<g transform="translate({x},{y})">{panel(axis, values, points)}</g>')
    return "\n".join([*parts, "</svg>\n"])


def panel(axis, values, points):
    """One plot: lines through the points, the exponent at the end of each."""
    series = {name: [p[name] * (1 if name == "peak memory" else 1000) for p in points] for name in COLOURS}
    low = math.floor(math.log10(min(y for ys in series.values() for y in ys)))
    high = math.ceil(math.log10(max(y for ys in series.values() for y in ys)))
    (w, h), first, last = PANEL, math.log(values[0]), math.log(values[-1])

    def at(x, y):
        return (math.log(x) - first) / (last - first) * w, h - (math.log10(y) - low) / (high - low) * h

    parts = []
    for power in range(low, high + 1):
        y = at(values[0], 10**power)[1]
        parts.append(f'<path d="M0 {y:.1f}H{w}" stroke="#e1e4e8"/><text x="-6" y="{y + 4:.1f}" text-anchor="end">{10.0**power:,.10g}</text>')
    for value in values:
        parts.append(f'<text x="{at(value, 1)[0]:.1f}" y="{h + 16}" text-anchor="middle">{value:,}</text>')
    parts.append(f'<text x="{w / 2}" y="{h + 34}" text-anchor="middle" font-weight="bold">{axis}</text>')
    labels = apart([at(values[-1], ys[-1])[1] + 4 for ys in series.values()])
    for (name, ys), label in zip(series.items(), labels):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(at, values, ys))
        dash = ' stroke-dasharray="5 4"' if name == "peak memory" else ""
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[name]}" stroke-width="2"{dash}/>')
        parts.append(f'<text x="{w + 5:.1f}" y="{label:.1f}" fill="{COLOURS[name]}">{exponent(values, ys):.2f}</text>')
    return "".join(parts)


def apart(heights, least=13):
    """The heights of labels, moved as little as it takes so that none covers another."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    moved = list(heights)
    for _ in range(50):
        for low, high in zip(order, order[1:]):
            lack = least - (moved[high] - moved[low])
            if lack > 0:
                moved[low], moved[high] = moved[low] - lack / 2, moved[high] + lack / 2
    return moved
