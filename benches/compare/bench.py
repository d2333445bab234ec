"""What curve, desktops and syscalls share: the copy of wsbench, its backend, and the proxies that its peers/NAME/up start."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import sys
import time

REPO = pathlib.Path(__file__).resolve().parents[2]
OUT = REPO / "target/bench"
WSBENCH = REPO / "target/wsbench"
TOOL = WSBENCH / "wsbench/target/release/wsbench"
MODULE = os.environ.get("WSROUTE_SO", str(REPO / "target/mod_wsroute.so"))
SHIPPED = REPO / "conf/wsroute.conf"
BACKEND = {"pp": 22000, "tp": 22000, "tt": 22001}


class Proxy:
    """A started proxy, or the backend itself under the name direct (which has no pids)."""

    def __init__(self, port, tls, pids):
        self.port, self.pids = port, pids
        self.url = f"ws{'s' if tls else ''}://127.0.0.1:{port}"

    def run(self, backend_pid, scenario, **options):
        """One run of wsbench; its result, or the end of this program if it fails."""
        return finished(self.start(backend_pid, scenario, **options))

    def start(self, backend_pid, scenario, **options):
        """The same, without waiting for it: give what it returns to finished()."""
        command = [TOOL, "run", scenario, "--url", self.url, "--backend-pid", str(backend_pid), "--json"]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        if self.pids:
            command += ["--proxy-pid", ",".join(map(str, self.pids))]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def cpu(self):
        """CPU seconds that its processes have used."""
        # The kernel's clock of a process: CPUCLOCK_SCHED of its pid, threads that ended included.
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in tree(self.pids))


def finished(process):
    """The JSON of a run of wsbench, once it has ended."""
    out, err = process.communicate()
    if process.returncode != 0:
        sys.exit(f"wsbench failed: {err.strip()}")
    result = json.loads(out)
    if result.get("errors") or result.get("failed"):
        sys.exit(f"wsbench {result['scenario']}: {result.get('errors') or result['failed']} errors, {result['first_error']}")
    return result


@contextlib.contextmanager
def backend():
    """The server behind the proxies; gives its pid."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("interrupted"))  # so that everything started is stopped
    if listens(BACKEND["pp"]):
        sys.exit(f"port {BACKEND['pp']} is taken: another wsbench runs, wait for its end")
    pid = int(subprocess.check_output([WSBENCH / "start-backend"], text=True))
    try:
        while not listens(BACKEND["pp"]):
            os.kill(pid, 0)
            time.sleep(0.05)
        yield pid
    finally:
        os.kill(pid, signal.SIGTERM)


@contextlib.contextmanager
def proxy(peer, variant, port=22150, conf=SHIPPED):
    """A peer of wsbench; `conf` is what "ours" adds to httpd's settings."""
    tls = variant != "pp"
    if peer == "direct":
        yield Proxy(22001 if tls else 22000, tls, [])
        return
    environment = {**os.environ, "WSROUTE_SO": MODULE, "WSROUTE_CONF": str(conf)}
    try:
        up = subprocess.run([WSBENCH / "peers" / peer / "up", str(BACKEND[variant]), str(port), variant],
                            stdout=subprocess.PIPE, text=True, env=environment, check=False)
        if up.returncode != 0:
            sys.exit(f"{peer} does not start")
        yield Proxy(port, tls, [int(pid) for pid in up.stdout.strip().split(",")])
    finally:
        subprocess.run([WSBENCH / "peers/down", peer, str(port)], check=False)


def listens(port):
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def tree(pids):
    """These processes and all below them."""
    children = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(") ")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found, waiting = [], list(pids)
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def quantile(values, q):
    """The q-quantile, None of nothing."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * q), len(ordered) - 1)] if ordered else None


def median(values):
    """The median of those that are there, None of nothing."""
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def save(name, value):
    """Writes target/bench/NAME.json."""
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.json").write_text(json.dumps(value, indent=1))


def load(name):
    """Reads target/bench/NAME.json; None if that was not measured."""
    path = OUT / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None
