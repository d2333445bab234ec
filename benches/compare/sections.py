"""The Markdown of docs/performance.md: one function for each section, None for what was not measured."""

import bench
import results


def table(head, lines):
    """A Markdown table; what is no text yet is written by number()."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(cell if isinstance(cell, str) else number(cell) for cell in row) + " |" for row in rows)


def number(value):
    """Three digits or so; "-" for None."""
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def bullets(lines):
    return "\n".join(f"* {line}" for line in lines)


def setting(machine, commands):
    """What the figures mean nothing without."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return "\n\n".join([
        "### The runs",
        bullets([
            f"{machine['date']}, mod_wsroute {machine['commit']}",
            f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, Linux {machine['kernel']}, load {number(machine['load'])} before the start",
            versions,
        ]),
        "```sh\n" + "\n".join(commands) + "\n```",
    ])


def comparison(rows, runs):
    """One table for each variant."""
    parts = []
    for variant, name in results.VARIANTS.items():
        mine = [row for row in rows if row.variant == variant]
        if not mine:
            continue
        peers = [peer for peer in dict.fromkeys(peer for row in mine for peer in row.figures) if any(row.figures.get(peer) for row in mine)]
        lines = [[row.scenario, row.unit, *(figure(row, peer) for peer in peers), number(row.ratio(row.of("ours"))), *verdict(row)] for row in mine]
        parts += [f"### {name[0].upper()}{name[1:]}", table(["scenario", "unit", *peers, "ours / best", "bar", "reached"], lines)]
    return "\n\n".join(parts + remarks(runs)) or None


def idle(rows, runs):
    """Idle memory; the rows are those of the scenario idle."""
    lines = []
    for row in rows:
        for peer in row.figures:
            mine = [run["result"] for run in runs if (run["variant"], run["peer"]) == (row.variant, peer)]
            held = {name: bench.median([result.get(name) for result in mine]) for name in ("established", "still_answer", "opening_s")}
            served = "yes" if all(result.get("http_alive") for result in mine) else "no"
            lines.append([row.variant, peer, figure(row, peer), *map(number, held.values()), served, *(verdict(row) if peer == "ours" else ("", ""))])
    head = ["variant", "peer", "KiB/session", "established", "answer at the end", "opened in s", "plain HTTP served", "bar", "reached"]
    return "\n\n".join(["### Idle memory", table(head, lines), *remarks(runs)]) if lines else None


def not_reached(rows):
    """The list of the missed bars."""
    lines = [f"{results.VARIANTS[row.variant]}, {row.scenario}: {missed(row)}" for row in rows if row.reached is False]
    unknown = [f"{results.VARIANTS[variant]}, {scenario}: not measured" for variant, scenario in results.BARS
               if not any((row.variant, row.scenario) == (variant, scenario) and row.reached is not None for row in rows)]
    return "### Not reached\n\n" + bullets(lines + unknown or ["Nothing: all bars are reached."])


def missed(row):
    if row.failed:
        return "a run of ours failed"
    return f"{number(row.of('ours'))} {row.unit}, the bar is {number(row.limit)}" + (f" ({row.bar})" if row.bar.peer else "")


def options(rows, runs):
    """What an option costs: over "ours" without it."""
    if not rows:
        return None
    peers = list(dict.fromkeys(peer for row in rows for peer in row.figures if peer != "ours"))
    lines = [[peer.removeprefix("ours-"), *(over("ours", row, peer) for row in rows)] for peer in peers]
    words = "Cost over that without the option (`benches/compare/options.d`). `nothing` adds nothing: it tells how far two figures differ by chance."
    return "\n\n".join(["### Options", words, table(["option", *(row.scenario for row in rows)], lines), *remarks(runs)])


def floor(rows, runs):
    """What the least that a relay can do costs."""
    if not rows:
        return None
    peers = list(rows[0].figures)
    against = [peer for peer in peers if peer != "floor"]
    lines = [[row.scenario, row.unit, *(figure(row, peer) for peer in peers), *(over("floor", row, peer) for peer in against)] for row in rows]
    words = ("`floor` is a relay that knows no HTTP, no frames and no limits, and does nothing but epoll, read and write (`benches/compare/floor/relay.c`). "
             "What it costs is the kernel's share; no proxy can be below it without fewer calls for each message.")
    head = ["scenario", "unit", *peers, *(f"{peer} / floor" for peer in against)]
    return "\n\n".join(["### The floor", words, table(head, lines), *remarks(runs)])


def over(base, row, peer):
    value, under = row.of(peer), row.of(base)
    return number(value / under if value is not None and under else None)


def curve(points):
    """From few sessions to many."""
    lines = []
    for variant in results.VARIANTS:
        before = (0, 0.0)
        for count in dict.fromkeys(point["sessions"] for point in points if point["variant"] == variant):
            mine = [point for point in points if (point["variant"], point["sessions"]) == (variant, count)]
            held = {name: bench.median([point[name] for point in mine]) for name in mine[0] if name not in ("round", "variant", "sessions")}
            total = (held["kib_per_session"] or 0) * count
            further = (total - before[1]) / (count - before[0]) if count > before[0] else None
            before = (count, total)
            lines.append([variant, count, *(held[name] for name in ("established", "still_answer", "kib_per_session")), further, *(
                held[name] for name in ("idle_ms_per_s", "echo_us", "echo_p50", "echo_p99", "get_p50", "get_p99"))])
    head = ["variant", "idle sessions", "established", "answer at the end", "KiB/session", "KiB/further session", "CPU ms/s at rest", "echo CPU µs",
            "echo p50 µs", "echo p99 µs", "GET p50 µs", "GET p99 µs"]
    words = ("Idle sessions in one httpd, and beside them ten that echo 2,000 messages a second and 100 pages of httpd's own a second. "
             "The first sessions also pay for what the process touches once.")
    return f"### From few sessions to many\n\n{words}\n\n{table(head, lines)}"


def desktops(runs):
    """A thousand active desktops."""
    names = ("sessions", "active", "lost", "mb_per_s", "cores", "frame_p50", "frame_p99", "input_p50", "input_p99")
    lines = []
    for variant, peer in dict.fromkeys((run["variant"], run["peer"]) for run in runs):
        mine = [run for run in runs if (run["variant"], run["peer"]) == (variant, peer)]
        gets = [bench.median([(run["gets"] or {}).get(name) for run in mine]) for name in ("p50", "p99")]
        lines.append([variant, peer, *(bench.median([run[name] for run in mine]) for name in names), *gets])
    head = ["variant", "peer", "sessions", "active", "lost", "MB/s", "cores", "frame p50 µs", "frame p99 µs", "input p50 µs", "input p99 µs",
            "GET p50 µs", "GET p99 µs"]
    words = f"Each session gets {runs[0]['fps']} frames of 20 to 60 KiB and sends {number(runs[0]['inputs'])} inputs a second. direct is the load without a proxy."
    return f"### Active desktops\n\n{words}\n\n{table(head, lines)}"


def syscalls(rows):
    """The budget of system calls."""
    groups = ("sum", "read", "write", "wait", "futex", "memory")
    lines = [[row["unit"], row["variant"], row["peer"], *(row[name] for name in groups), others(row["rest"])]
             for row in sorted(rows, key=lambda row: [measure["unit"] for measure in rows].index(row["unit"]))]
    return "### System calls\n\nOf the whole proxy, counted by strace.\n\n" + table(["for each", "variant", "peer", *groups, "others"], lines)


def others(calls):
    """Those that are no noise of a single call."""
    return ", ".join(f"{name} {number(count)}" for name, count in calls.items() if count >= 0.5)


def figure(row, peer):
    """A median and its spread."""
    spread = row.spread(peer)
    return number(row.of(peer)) + (f" ±{spread:.0f} %" if spread is not None else "")


def verdict(row):
    return str(row.bar) if row.bar else "-", {True: "yes", False: "**no**", None: "-"}[row.reached]


def remarks(runs):
    lines = results.remarks(runs)
    return [bullets(lines)] if lines else []
