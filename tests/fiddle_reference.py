"""FIDDLE's sheet in plain Python, one cell at a time: slow, and written apart from the pipeline."""

from collections import defaultdict
from itertools import pairwise
from math import floor, isclose, log10

STATIC, SPARSE, FREQUENT = "static", "sparse", "frequent"


def number(value):
    try:
        return float(value)
    except ValueError:
        return None


def percentile(ordered, share):
    at = share * (len(ordered) - 1)
    low, part = int(at), at - int(at)
    a, b = ordered[low], ordered[min(low + 1, len(ordered) - 1)]
    return a + (b - a) * part if part < 0.5 else b - (b - a) * (1 - part)


def shown(edge, digits):
    if edge == 0:
        return edge
    extra = -floor(log10(abs(edge))) - 1 if abs(edge) < 1 else 0
    return round(edge, digits + extra)


def kind(records, static, ids, observed, theta_freq):
    if static:
        return STATIC
    often = len(records) / ids >= theta_freq * observed / ids
    return FREQUENT if often and all(number(v) is not None for *_, v in records) else SPARSE


def table(long, ids, settings):
    """variable → kind and, per column, its cells: (id, bin) → a text of the table or a number."""
    hours, step, bins = settings["hours"], settings["step"], settings["hours"] // settings["step"]
    rows = [r for r in long if r[0] in ids and (r[1] is None or 0 <= r[1] < hours)]
    named = defaultdict(list)
    for episode, t, variable, value in rows:
        named[variable].append((episode, t, value))
    bins_seen = dict.fromkeys(ids, 0)  # of each id, by its last record of what changes with time
    for records in named.values():
        for episode, t, _ in records if all(r[1] is not None for r in records) else []:
            bins_seen[episode] = max(bins_seen[episode], min(int(t // step) + 1, bins))
    observed = sum(bins_seen.values())
    found = {}
    for variable, records in sorted(named.items()):
        if len({r[0] for r in records}) / len(ids) <= settings["theta_1"]:
            continue
        static = any(t is None for _, t, _ in records)
        what = kind(records, static, len(ids), observed, settings["theta_freq"])
        if static:
            columns = {"value": {(r[0], 0): r[2] for r in records if r[1] is None}}
        else:
            inside = [r for r in records if r[1] // step < bins]
            columns = series(sorted(inside, key=lambda r: r[1]), ids, bins, step, what)
        found[variable] = (what, columns)
    return found


def series(records, ids, bins, step, what):
    cells = defaultdict(list)
    for episode, t, value in records:
        cells[episode, int(t // step)].append(value)
    if what == SPARSE:
        return {"value": {cell: values[-1] for cell, values in cells.items()}}
    columns = {name: {} for name in ("mask", "delta_time", "value", "min", "max", "mean")}
    for episode in ids:
        last = None
        for k in range(bins):
            cell = (episode, k)
            if cell in cells:
                last = (k, cells[cell][-1])
                columns["mask"][cell] = True
            columns["delta_time"][cell] = k - last[0] if last else 0
            if not last:
                continue
            here = [float(v) for v in cells.get(cell, [last[1]])]
            columns["value"][cell] = last[1]
            columns["min"][cell], columns["max"][cell] = min(here), max(here)
            columns["mean"][cell] = sum(here) / len(here)
    return columns


def features(variable, part, cells):
    """Name → cells of each feature of a column."""
    name = f"{variable}_{part}"
    if part == "mask":
        return [(name, set(cells))]
    texts = part == "value"
    numbers = {c: number(v) if texts else float(v) for c, v in cells.items()}
    ordered = sorted(v for v in numbers.values() if v is not None)
    out = []
    if len(set(ordered)) > 2:
        edges = sorted({percentile(ordered, share) for share in (0, 0.2, 0.4, 0.6, 0.8, 1)})
        digits = next(d for d in range(3, 20) if len({shown(e, d) for e in edges}) == len(edges))
        text = [shown(e, digits) for e in edges]
        text[0] -= 10**-digits
        for k, (low, high) in enumerate(pairwise(edges)):
            own = {c for c, v in numbers.items() if v is not None
                   and (low < v <= high or (k == 0 and v == low))}  # fmt: skip
            out.append((f"{name}_({text[k]}, {text[k + 1]}]", own))
        cells = {c: v for c, v in cells.items() if numbers[c] is None}
    values = sorted(set(cells.values()))
    return out + [(f"{name}_{v}", {c for c, own in cells.items() if own == v}) for v in values]


def reference(long, ids, settings):
    """Per table: names and aliases in order, and the cells of each name."""
    found = table(long, ids, settings)
    order = {"mask": 0, "delta_time": 2, "value": 3}
    made = {"S": [], "X": []}
    for variable, (what, columns) in found.items():
        for place, (part, cells) in enumerate(columns.items()):
            section = order.get(part, 4) if what == FREQUENT else 1
            for name, own in features(variable, part, cells):
                made["S" if what == STATIC else "X"].append(((section, variable, place), name, own))
    result = {}
    for name, bins in (("S", 1), ("X", settings["hours"] // settings["step"])):
        every = {(episode, k) for episode in ids for k in range(bins)}
        kept = []
        for _, feature, own in sorted(made[name], key=lambda one: one[0]):
            some = len({c[0] for c in own}) / len(ids)
            lacking = len({c[0] for c in every - own}) / len(ids)
            if not (some > settings["theta_2"] and lacking > settings["theta_2"]):
                continue
            same = next((k for k in kept if k[2] in (own, every - own)), None)
            if same:
                same[1].append(feature if same[2] == own else f"~{{{feature}}}")
            else:
                kept.append((feature, [], own))
        result[name] = kept
    return result


assert isclose(percentile([1.0, 2.0], 0.5), 1.5)
