"""Debian hosts to try packages on: each boots systemd as PID 1 in a container of its own, in one of the namespaces of `network.py`.

A host's tree is a copy of one base, made once by debootstrap under target/lab from the mirror that this machine's apt uses. A host has
no way out: it reaches the other hosts of its network, and what this process serves there. Its power can be cut (`kill`), which ends every
process in it at once and says nothing about what a disk loses. Its containers, cgroups and folders are removed by `remove`, and the
containers end with this process in any case. Needs root, debootstrap and systemd-container. Nothing here checks anything.
"""

import fcntl
import hashlib
import http.server
import os
import shutil
import signal
import subprocess
import threading
import time

from servers import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LAB = os.path.join(ROOT, "target", "lab")
# What `systemd-nspawn --keep-unit` ends with when the host inside wants to boot again.
REBOOT = 133
BASE_TIMEOUT_S = 900
BOOT_TIMEOUT_S = 120
COMMAND_TIMEOUT_S = 180
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb",
               "DEBIAN_FRONTEND": "noninteractive"}

# Run in the new tree. An apt without a terminal says that it should not be used so; its timers would take its locks.
RECIPE = """
set -e
printf '%s\\n' 'Apt::Cmd::Disable-Script-Warning "true";' 'Dpkg::Use-Pty "false";' >/etc/apt/apt.conf.d/90lab
systemctl -q mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
: >/etc/apt/sources.list
: >/etc/machine-id
rm -rf /var/lib/apt/lists/* /var/cache/apt/*
mkdir -p /var/cache/apt/archives/partial
"""
PACKAGES = "systemd-sysv,dbus,iproute2,ca-certificates,wget,apt-utils,procps"


def call(*command, timeout_s=COMMAND_TIMEOUT_S):
    """Runs a command of this machine and returns what it prints; what fails raises with its output."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_s)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed with {done.returncode}:\n{done.stdout[-4000:]}")
    return done.stdout


def mirror():
    """The Debian release of this machine and the mirror that its apt has for it."""
    with open("/etc/os-release") as file:
        release = dict(line.rstrip().split("=", 1) for line in file if "=" in line)["VERSION_CODENAME"].strip('"')
    for line in call("apt-get", "indextargets", "--format", "$(CREATED_BY) $(CODENAME) $(ORIGIN) $(REPO_URI)").splitlines():
        kind, codename, origin, uri = line.split(" ", 3)
        if (kind, codename, origin) == ("Packages", release, "Debian"):
            return release, uri
    raise RuntimeError(f"apt knows no mirror of Debian {release}: run apt-get update")


def base():
    """The tree that hosts are copies of; made if it is not there, which takes a minute or two."""
    release, uri = mirror()
    tree = os.path.join(LAB, f"base-{release}-{hashlib.sha256((RECIPE + PACKAGES).encode()).hexdigest()[:12]}")
    os.makedirs(LAB, exist_ok=True)
    with open(os.path.join(LAB, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(tree):
            shutil.rmtree(f"{tree}.new", ignore_errors=True)
            # Mounts that an interrupted debootstrap leaves go with its namespace.
            call("unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={PACKAGES}", release, f"{tree}.new", uri,
                 timeout_s=BASE_TIMEOUT_S)
            call("chroot", f"{tree}.new", "sh", "-c", RECIPE)
            os.rename(f"{tree}.new", tree)
    return tree


def make_folder():
    """A folder for this process's hosts. Those of processes that were killed are removed."""
    os.makedirs(LAB, exist_ok=True)
    for name in os.listdir(LAB):
        if name.startswith("run-") and not os.path.exists(f"/proc/{name.removeprefix('run-')}"):
            shutil.rmtree(os.path.join(LAB, name), ignore_errors=True)
    folder = os.path.join(LAB, f"run-{os.getpid()}")
    os.mkdir(folder)
    return folder


class Cgroups:
    """A cgroup for a host's systemd in each hierarchy that it uses: two of them in one would end each other's services."""

    def __init__(self, name):
        hybrid = os.path.isdir("/sys/fs/cgroup/unified")
        self.folders = [f"/sys/fs/cgroup/{hierarchy}{name}" for hierarchy in (("unified/", "systemd/") if hybrid else ("",))]

    def make(self):
        for folder in self.folders:
            os.makedirs(folder, exist_ok=True)

    def remove(self):
        """Those of processes that just ended may be busy for a moment."""
        for folder in self.folders:
            wait_until(f"{folder} is empty", lambda: not os.path.isdir(folder) or self.remove_tree(folder), 30)

    @staticmethod
    def remove_tree(top):
        try:
            for folder, _, _ in os.walk(top, topdown=False):
                os.rmdir(folder)
            return True
        except OSError:
            return False


class Host:
    """One host: off, or booted. Commands run in it as root."""

    def __init__(self, network, address, tree, folder):
        self.address = address
        self.name = network.spaces[address]
        self.root, self.console = os.path.join(folder, self.name), os.path.join(folder, f"{self.name}.console")
        self.space = f"/run/netns/{self.name}"
        self.cgroups = Cgroups(self.name)
        self.container = None
        call("cp", "-a", "--reflink=auto", tree, self.root)
        with open(f"{self.root}/etc/hostname", "w") as file:
            file.write(f"host{address.rsplit('.', 1)[1]}\n")

    def power_on(self):
        """Boots it, and returns when its systemd has started all that it starts."""
        self.cgroups.make()
        join = "".join(f"echo $$ >{folder}/cgroup.procs; " for folder in self.cgroups.folders)
        command = ["setpriv", "--pdeathsig", "KILL", "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--console=pipe",
                   "--link-journal=no", "--resolv-conf=off", "--timezone=off", f"--machine={self.name}", f"--directory={self.root}",
                   f"--network-namespace-path={self.space}"]
        with open(self.console, "ab") as console:
            self.container = subprocess.Popen(["sh", "-c", join + 'exec "$@"', "sh", *command], stdin=subprocess.DEVNULL, stdout=console,
                                              stderr=console, start_new_session=True)
        wait_until(f"{self.address} has booted", self.is_up, BOOT_TIMEOUT_S)

    def is_up(self):
        if self.container.poll() is not None:
            with open(self.console, errors="replace") as console:
                raise RuntimeError(f"{self.address} ended with {self.container.returncode}:\n{console.read()[-2000:]}")
        return bool(self.init()) and self.run("systemctl is-system-running")[1].strip() in ("running", "degraded")

    def init(self):
        """The process id of its systemd, as this machine sees it; None when it is off."""
        if self.container is None or self.container.poll() is not None:
            return None
        with open(f"/proc/{self.container.pid}/task/{self.container.pid}/children") as file:
            children = file.read().split()
        return children[0] if children else None

    def run(self, command, timeout_s=COMMAND_TIMEOUT_S):
        """Runs a line of shell in it; returns its exit code and what it printed."""
        init = self.init()
        if init is None:
            raise RuntimeError(f"{self.address} is off")
        done = subprocess.run(["nsenter", "--target", init, "--all", "bash", "-c", command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout_s, env=ENVIRONMENT)
        return done.returncode, done.stdout

    def wait_for_reboot(self):
        """Returns when it has gone down to boot again, and did."""
        ended = self.container.wait(BOOT_TIMEOUT_S)
        if ended != REBOOT:
            raise RuntimeError(f"{self.address} went down with {ended}, not to boot again")
        self.power_on()

    def kill(self):
        """Cuts its power: every process in it ends at once."""
        init = self.init()
        if init:
            os.kill(int(init), signal.SIGKILL)
        if self.container:
            self.container.wait()

    def remove(self):
        self.kill()
        self.cgroups.remove()
        shutil.rmtree(self.root, ignore_errors=True)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each."""

    def log_message(self, *_):
        pass


def serve(folder, address):
    """Serves a folder over HTTP at the address, until this process ends."""
    server = http.server.ThreadingHTTPServer((address, 80), lambda *given: QuietHandler(*given, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
