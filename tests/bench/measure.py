"""What the measurements share: CPU and memory of processes, runs of the load generator, the table of figures and its ratios.

Nothing here starts a server; `compare` and `replicate` do.
"""

import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
INTEROP = os.path.join(ROOT, "tests", "interop")
JAVA_LIB = os.path.join(ROOT, "target", "interop", "java", "lib")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pids):
    """User and system time so far."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def memory_mb(pids):
    """Memory of the processes' own; pages of mapped files, which the kernel may take back, are not counted."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/statm") as statm:
            resident, shared = map(int, statm.read().split()[1:3])
            total += (resident - shared) * PAGE
    return total / 1e6


def bench(binary, pids, *arguments):
    """One run of the load generator, with the CPU that the server spent on it."""
    before = cpu_seconds(pids)
    done = subprocess.run([binary, "bench", *map(str, arguments), "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    cpu = cpu_seconds(pids) - before
    if not done.stdout:
        raise RuntimeError(f"bench {arguments} failed:\n{done.stderr}")
    summary = json.loads(done.stdout.splitlines()[-1])
    summary["cpu_us"] = cpu * 1e6 / max(summary["messages"], 1)
    if summary["errors"]:
        print(f"  errors: {summary['errors']}", file=sys.stderr)
    return summary


def show(name, what, run):
    latency = run["latency_us"]
    print(f"{name:14} {what:27} {run['messages_per_second']:10,.0f}/s  p50 {latency['p50']:8,} us  p99 {latency['p99']:8,} us"
          f"  server CPU {run['cpu_us']:7.2f} s per million", flush=True)


class Figures:
    """Everything measured, by what and by whom."""

    def __init__(self):
        self.runs, self.single, self.rates = {}, {}, {}

    def run(self, name, what, run):
        show(name, what, run)
        self.runs.setdefault(what, {})[name] = run

    def one(self, name, what, value, unit):
        print(f"{name:14} {what:27} {value:10,.1f} {unit}", flush=True)
        self.single.setdefault(what, {})[name] = value

    def rate(self, name, what, value, unit):
        """Like `one`, but more is better."""
        print(f"{name:14} {what:27} {value:10,.1f} {unit}", flush=True)
        self.rates.setdefault(what, {})[name] = value

    def ratios(self):
        print("\nratios, Apache 4.9.4 to rmq-node (above 1: rmq-node is better)")
        for what, by_name in self.runs.items():
            if "apache" in by_name and "ours" in by_name:
                theirs, ours = by_name["apache"], by_name["ours"]
                per = lambda a, b: a / b if b else float("nan")  # noqa: E731
                print(f"{what:27} rate {per(ours['messages_per_second'], theirs['messages_per_second']):6.2f}"
                      f"  p99 {per(theirs['latency_us']['p99'], ours['latency_us']['p99']):6.2f}"
                      f"  CPU per message {per(theirs['cpu_us'], ours['cpu_us']):6.2f}")
        for what, by_name in self.single.items():
            if "apache" in by_name and "ours" in by_name and by_name["ours"]:
                print(f"{what:27} {by_name['apache'] / by_name['ours']:11.2f}")
        for what, by_name in self.rates.items():
            if by_name.get("apache") and "ours" in by_name:
                print(f"{what:27} {by_name['ours'] / by_name['apache']:11.2f}")


def apache_jars():
    if not os.path.exists(f"{JAVA_LIB}/.complete"):
        subprocess.run(["mvn", "-q", "-B", "-f", f"{INTEROP}/java/pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={JAVA_LIB}"],
                       check=True)
        open(f"{JAVA_LIB}/.complete", "w").close()


def release_binary(given):
    """The binary to measure: the given one, or a release build made now."""
    if given is None:
        subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
        given = os.path.join(os.environ.get("CARGO_TARGET_DIR", f"{ROOT}/target"), "release", "rmq-node")
    return os.path.abspath(given)
