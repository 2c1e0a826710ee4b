"""The stage of `run`: the packages on offer, the hosts and the client, what is typed and shown, and the count of checks.

Not the story itself. What is typed is shown as an operator sees it; what is only looked at for a check is not shown.
"""

import contextlib
import glob
import json

import lab
from servers import wait_until

ONE, OTHER = HOSTS = ("192.168.1.161", "192.168.1.162")
CLIENT = "192.168.1.163"
OLDER = "0.0.9"


class Repository:
    """The packages as they are and, of the same program, an older version; the older one alone is on offer first."""

    def __init__(self, packages, folder):
        self.folder, older = f"{folder}/repository", f"{folder}/older"
        found = glob.glob(f"{packages}/rmq-node_*.deb")
        if len(found) != 1:
            raise RuntimeError(f"{packages} has {len(found)} packages rmq-node_*.deb, not one: packaging/build makes it")
        self.package = found[0]
        lab.call("dpkg-deb", "-x", self.package, f"{folder}/program")
        lab.call(f"{lab.ROOT}/packaging/build", "--version", OLDER, "--binary", f"{folder}/program/usr/bin/rmq-node", "--out", older, timeout_s=600)
        self.older = f"{OLDER}-1"
        self.newer = lab.call("dpkg-deb", "-f", self.package, "Version").strip()
        self.publish(f"{older}/rmq-node_{self.older}_amd64.deb")

    def publish(self, package):
        lab.call(f"{lab.ROOT}/packaging/repo.sh", "--out", self.folder, "--url", f"http://{CLIENT}", package, timeout_s=600)

    def publish_newer(self):
        self.publish(self.package)


class Tutorial:
    """The hosts, what is typed on them, and what was found."""

    def __init__(self):
        self.hosts, self.client, self.repository = {}, None, None
        self.passed = self.failed = 0

    @staticmethod
    def tell(text):
        print(f"\n{text}\n", flush=True)

    def type(self, address, command, *codes):
        """Types a command and shows what it prints; an exit code that is none of `codes`, or 0, raises."""
        print(f"{address}# {command}", flush=True)
        ended, text = self.hosts[address].run(command)
        print("".join(f"{line.rstrip()}\n" for line in text.splitlines()), end="", flush=True)
        if ended not in (codes or (0,)):
            raise RuntimeError(f"`{command}` on {address} ended with {ended}, not {codes or 0}")
        return text

    def look(self, address, command):
        """What a command prints that is not shown, without blanks around it; it must succeed."""
        ended, text = self.hosts[address].run(command)
        if ended:
            raise RuntimeError(f"`{command}` on {address} ended with {ended}: {text}")
        return text.strip()

    @contextlib.contextmanager
    def check(self, what):
        """What is done or asserted within it is one check; it gives a list for notes."""
        notes = []
        try:
            yield notes
        except Exception as error:  # a failed check like any other
            self.failed += 1
            print(f"FAIL hosts: {what}: {type(error).__name__}: {error}", flush=True)
            raise
        self.passed += 1
        print(f"ok hosts: {what}{': ' if notes else ''}{', '.join(notes)}", flush=True)

    def property(self, address, name):
        return self.look(address, f"systemctl show -P {name} rmq-node")

    def is_ready(self, address, before="0"):
        """Whether the service has started, in another process than before."""
        return self.property(address, "ActiveState") == "active" and self.property(address, "MainPID") not in ("0", before)

    def wait_until_ready(self, address, before="0"):
        wait_until(f"{address} is ready", lambda: self.is_ready(address, before))

    def wait_for_journal(self, address, text):
        """Returns when the last lines of the node's journal have it: what a process said last comes after its end."""
        wait_until(f"{text} in the journal of {address}", lambda: text in self.look(address, "journalctl --no-pager -u rmq-node -n 12"))

    def brokers(self, name_server=ONE):
        """What `admin cluster` says of each broker that this name server has, by group and id."""
        _, text = self.hosts[ONE].run(f"rmq-node admin cluster -n {name_server}:9876 -o json 2>/dev/null")
        return {(broker["group"], broker["id"]): broker for broker in json.loads(text)} if text.strip() else {}

    def is_whole(self):
        """Whether both name servers have two masters that serve, and two slaves with all that these have."""
        states = [[each["state"] for each in self.brokers(address).values()] for address in HOSTS]
        return all(sorted(found) == ["in sync", "in sync", "serving", "serving"] for found in states)

    def wait_until_whole(self):
        wait_until("two masters and two slaves in sync", self.is_whole)

    def wait_for_both_masters(self):
        """Returns when the producer has had answers of both masters since now."""
        self.client.tell("mark")
        self.client.wait("both masters are sent to", lambda figures: len(figures["acknowledged_by"]) == 2)

    def count(self, notes):
        """The load pauses, and all that was acknowledged must come."""
        self.client.tell("unload")
        figures = self.client.wait("nothing is missing", lambda found: found["missing"] == 0)
        notes.append(f"{figures['acknowledged']} acknowledged, {figures['missing']} lost, {figures['repeats']} duplicates, "
                     f"{figures['failed']} sends failed so far")
        self.client.tell("load")

    def show_journals(self):
        """For a story that failed."""
        for address, host in self.hosts.items():
            if host.init():
                print(f"--- {address}: end of the journal\n{host.run('journalctl --no-pager -u rmq-node -n 60')[1]}", flush=True)
