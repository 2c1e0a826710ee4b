"""Hosts on one switch, as far as a kernel can pretend them: network namespaces, a bridge in one of its own. Root and iproute2 only.

Nothing in them reaches the machine's own network, nor the other way round. Packets are lost without a trace, as with a broken cable:
a host's neighbour gets a hardware address that nobody has. Nothing here checks anything.
"""

import ctypes
import os
import subprocess

NOBODY = "02:00:00:00:00:99"
CLONE_NEWNET = 0x40000000


def ip(*arguments):
    """Runs ip; what it does not do raises with its words."""
    done = subprocess.run(["ip", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stdout.strip()}")


class Network:
    """A switch, and a host for each address. `name` tells tests apart that run at the same time."""

    def __init__(self, name, addresses):
        self.prefix = f"{name}-{os.getpid()}"
        self.spaces = {address: f"{self.prefix}-{address.rsplit('.', 1)[1]}" for address in addresses}
        self.made = []

    def make(self):
        switch = f"{self.prefix}-switch"
        self.add(switch)
        ip("-n", switch, "link", "add", "switch", "type", "bridge")
        ip("-n", switch, "link", "set", "switch", "up")
        for address, space in self.spaces.items():
            self.add(space)
            port = f"port{address.rsplit('.', 1)[1]}"
            ip("link", "add", "eth0", "netns", space, "type", "veth", "peer", "name", port, "netns", switch)
            ip("-n", switch, "link", "set", port, "master", "switch", "up")
            ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
            ip("-n", space, "link", "set", "eth0", "up")
            ip("-n", space, "link", "set", "lo", "up")

    def add(self, space):
        ip("netns", "add", space)
        self.made.append(space)

    def enter(self, address):
        """Moves this process, and what it starts later, to that host's network."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{self.spaces[address]}") as space:
            if libc.setns(space.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def cut(self, sender, receiver):
        """What the sender sends to the receiver is lost; the way back stays."""
        ip("-n", self.spaces[sender], "neighbour", "replace", receiver, "lladdr", NOBODY, "dev", "eth0", "nud", "permanent")

    def heal(self, sender, receiver):
        ip("-n", self.spaces[sender], "neighbour", "delete", receiver, "dev", "eth0")

    def remove(self):
        for space in reversed(self.made):
            subprocess.run(["ip", "netns", "delete", space], stdin=subprocess.DEVNULL, check=False)
        self.made.clear()
