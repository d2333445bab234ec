"""What the JSON of wsbench's comparison says: medians, the best peer, and whether the bars are reached."""

import dataclasses

import bench

VARIANTS = {"pp": "plain to plain", "tp": "TLS to plain", "tt": "TLS to TLS"}
# Beginning of a scenario's name: (where its cost stands in a result, unit).
COSTS = {
    "echo": (("proxy", "cpu_s_per_1m"), "CPU µs/round trip"),
    "handshake": (("proxy", "cpu_s_per_1k"), "CPU ms/connection"),
    "idle": (("kb_per_connection",), "KiB/session"),
    "": (("proxy", "cpu_s_per_gb"), "CPU s/GB"),
}
# Those with a fixed load whose latency wsbench tells: only there latencies can be compared.
LATENCIES = ("desktop10", "echo64-fixed")


@dataclasses.dataclass(frozen=True)
class Bar:
    """At most `factor` times the figure of `peer`; of the best peer if that is "best"; or `factor` itself if it is None."""

    factor: float
    peer: str | None = "best"

    def __str__(self):
        return f"≤ {self.factor:g}" + (f" × {self.peer}" if self.peer else "")


BARS = {
    **{(variant, scenario): Bar(0.9) for variant, scenarios in {
        "pp": ("desktop10", "echo64-fixed", "stream64k-fixed", "stream16k", "upload16k"),
        "tp": ("desktop10", "echo64-fixed", "stream64k-fixed"),
        "tt": ("desktop10", "stream64k-fixed"),
    }.items() for scenario in scenarios},
    **{(variant, f"{scenario} p99"): Bar(1) for variant in VARIANTS for scenario in LATENCIES},
    ("pp", "handshake"): Bar(0.75, "apache-http"), ("tp", "handshake"): Bar(0.75, "apache-http"), ("tt", "handshake"): Bar(1, "nginx"),
    ("pp", "idle"): Bar(16, None), ("tp", "idle"): Bar(40, None), ("tt", "idle"): Bar(60, None),
}


@dataclasses.dataclass
class Row:
    """One measure of one variant: each peer's figures, those of failed runs left out."""

    variant: str
    scenario: str
    unit: str
    figures: dict
    failed: bool  # a run of ours

    def of(self, peer):
        """A peer's median; of "best", the lowest of all other peers."""
        if peer == "best":
            others = [self.of(name) for name in self.figures if name != "direct" and not name.startswith("ours")]
            return min((value for value in others if value is not None), default=None)
        return bench.median(self.figures.get(peer, []))

    def spread(self, peer):
        """Half the range over the median, in percent; None of fewer than two runs."""
        values, middle = self.figures.get(peer, []), self.of(peer)
        return 50 * (max(values) - min(values)) / middle if len(values) > 1 and middle else None

    @property
    def bar(self):
        return BARS.get((self.variant, self.scenario))

    @property
    def limit(self):
        """The bar as a figure; None if there is none."""
        against = self.of(self.bar.peer) if self.bar and self.bar.peer else 1
        return self.bar.factor * against if self.bar and against else None

    @property
    def reached(self):
        """None without a bar or a figure."""
        if self.failed:
            return False
        ours, limit = self.of("ours"), self.limit
        return None if ours is None or limit is None else ours <= limit

    def ratio(self, value):
        """A value over the best peer's; None if one is missing."""
        best = self.of("best")
        return value / best if value is not None and best else None


def rows(runs):
    """The rows of raw runs, in the order in which they were measured, the latencies behind the costs."""
    groups = {}
    for run in runs:
        groups.setdefault((run["variant"], run["scenario"]), []).append(run)
    costs = [row(variant, scenario, *cost(scenario), group) for (variant, scenario), group in groups.items()]
    return costs + [row(variant, f"{scenario} p99", ("latency_us", "p99"), "µs", group)
                    for (variant, scenario), group in groups.items() if scenario in LATENCIES]


def cost(scenario):
    return next(value for name, value in COSTS.items() if scenario.startswith(name))


def row(variant, scenario, path, unit, runs):
    figures = {}
    for run in runs:
        values = figures.setdefault(run["peer"], [])
        value = dig(run["result"], path)
        if value is not None and not failure(run["result"]):
            values.append(value)
    return Row(variant, scenario, unit, figures, any(failure(run["result"]) for run in runs if run["peer"] == "ours"))


def dig(result, path):
    for key in path:
        result = (result or {}).get(key)
    return result


def failure(result):
    """Why a run does not count, or None."""
    if result.get("failed"):
        return result.get("first_error") or result["failed"]
    if result.get("errors"):
        return f"{result['errors']} errors, the first: {result['first_error']}"
    if result.get("active", 0) < result["connections"] and "established" not in result:
        return f"only {result.get('active', 0)} of {result['connections']} connections worked"
    return None


def remarks(runs):
    """What a reader of the figures must know: the runs that failed, and how many were disturbed."""
    lines = [f"{run['variant']} {run['scenario']}, {run['peer']}, round {run['round'] + 1}: {failure(run['result'])}; does not count"
             for run in runs if failure(run["result"])]
    disturbed = sum(bool(run["result"].get("disturbed")) for run in runs)
    if disturbed:
        lines.append(f"{disturbed} of {len(runs)} runs were disturbed: others used more than 0.15 cores meanwhile, also when wsbench tried again")
    return lines
