"""The two servers the interop suite can run against: real RocketMQ 4.9.4 processes (the control) and our own node.

Both listen on loopback only as far as they can be told to (4.9.4 binds every interface), keep everything in a temporary
folder, and are ended by their process id. Nothing here checks anything; `run` does.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request

from remoting import Connection

# Of the web console and /metrics.
CONSOLE = 8080
START_TIMEOUT_S = 150
STOP_TIMEOUT_S = 90

# What the node's unit gives it.
UNIT_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}

LOGBACK = """<configuration><appender name="file" class="ch.qos.logback.core.FileAppender"><file>{file}</file>
<encoder><pattern>%d %p %c{{1}} - %m%n</pattern></encoder></appender><root level="INFO"><appender-ref ref="file"/></root></configuration>
"""

# 4.9.4 was written for JDK 8: it unmaps files and reads the page size through these.
JDK_OPENINGS = [
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
]


def wait_until(what, condition, timeout_s=START_TIMEOUT_S):
    """Polls until the condition holds; past the time-out it raises and says what did not come."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"timed out after {timeout_s} s: {what}")
        time.sleep(0.02)


# Opens what is asked over HTTP, here always on loopback: a proxy of the environment knows nothing of it.
open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


def is_open(host, port):
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False


def can_bind(host, port):
    """Whether the port is free on that address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            return True
        except OSError:
            return False


promised_ports, promising = set(), threading.Lock()


def free_ports(host, offsets):
    """A base port such that base + offset is free for every offset; below the range the kernel hands out by itself, and
    promised once, as who asks may bind it later."""
    with promising:
        while True:
            base = random.randrange(12000, 30000)
            ports = {base + offset for offset in offsets}
            if not ports & promised_ports and all(can_bind(host, port) for port in ports):
                promised_ports.update(ports)
                return base


def certificate(folder, host):
    """PEM files of a certificate for a host, which is its own CA, and of its key."""
    paths = f"{folder}/certificate.pem", f"{folder}/key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", f"/CN={host}", "-addext",
                    f"subjectAltName=IP:{host}", "-addext", "basicConstraints=critical,CA:FALSE", "-out", paths[0], "-keyout", paths[1]],
                   check=True, capture_output=True)
    return paths


def wait_for_registration(server):
    """Waits until the name server knows broker-a and its topics."""
    names = Connection(server.name_server)
    wait_until("broker-a registered", lambda: b"broker-a" in names.call(106).body and names.call(105, {"topic": "TBW102"}).code == 0)
    names.close()


class Process:
    """One server process with its output in a file."""

    def __init__(self, name, command, folder, log, environment=None):
        self.name, self.command, self.folder, self.log = name, command, folder, log
        self.environment = {**os.environ, **(environment or {})}
        self.child = None

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                                          env=self.environment)

    def alive(self):
        if self.child.poll() is not None:
            with open(self.log, errors="replace") as log:
                raise RuntimeError(f"{self.name} ended with {self.child.returncode}:\n{log.read()[-4000:]}")
        return True

    def running(self):
        return self.child is not None and self.child.poll() is None

    def kill(self):
        """kill -9; returns when it is gone."""
        if self.running():
            self.child.kill()
            self.child.wait()

    def stop(self, how=signal.SIGTERM):
        """Sends the signal and waits; what ended by itself before, or does not stop in time, raises."""
        if self.child is None:
            return
        self.alive()
        self.child.send_signal(how)
        try:
            self.child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise RuntimeError(f"{self.name} did not stop within {STOP_TIMEOUT_S} s") from None


def check_properties(checks):
    """The lines of a 4.9.4 broker's file for (time-out ms, checks at most, interval ms) of transactions."""
    return "transactionTimeOut={}\ntransactionCheckMax={}\ntransactionCheckInterval={}\n".format(*checks) if checks else ""


def check_settings(checks):
    """The table of our file for the same."""
    return "[transactions]\ntimeout_ms = {}\nchecks_max = {}\ncheck_interval_ms = {}\n".format(*checks) if checks else ""


class Apache:
    """Name server and broker of RocketMQ 4.9.4, from the jars in `lib`."""

    def __init__(self, lib, flush="async", names_port=None, broker_port=None, heap_mb=512, checks=None, accounts=None, tls=False):
        self.home = tempfile.mkdtemp(prefix="interop-apache-")
        host = "127.0.0.1"
        names, broker = names_port or free_ports(host, [0]), broker_port or free_ports(host, [-2, 0, 1])
        self.name_server, self.ports = f"{host}:{names}", [(host, names), (host, broker)]
        os.makedirs(f"{self.home}/conf")
        for part in ("namesrv", "broker", "tools"):
            with open(f"{self.home}/conf/logback_{part}.xml", "w") as file:
                file.write(LOGBACK.format(file=f"{self.home}/{part}.log"))
        with open(f"{self.home}/namesrv.properties", "w") as file:
            file.write(f"listenPort={names}\nkvConfigPath={self.home}/kvConfig.json\nconfigStorePath={self.home}/namesrv.properties\n")
        with open(f"{self.home}/broker.properties", "w") as file:
            file.write(
                f"brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId=0\nbrokerIP1={host}\nlistenPort={broker}\n"
                f"namesrvAddr={self.name_server}\nstorePathRootDir={self.home}/store\nstorePathCommitLog={self.home}/store/commitlog\n"
                # A loaded two-core machine must not look like an overloaded broker.
                "autoCreateTopicEnable=true\nenablePropertyFilter=true\nwaitTimeMillsInSendQueue=15000\nosPageCacheBusyTimeOutMills=15000\n"
                f"diskMaxUsedSpaceRatio=95\nflushDiskType={flush.upper()}_FLUSH\naclEnable={str(bool(accounts)).lower()}\n{check_properties(checks)}"
            )
        if accounts:
            with open(f"{self.home}/conf/plain_acl.yml", "w") as file:
                file.write(accounts.text)
        java = ["java", f"-Xms{heap_mb // 2}m", f"-Xmx{heap_mb}m", *JDK_OPENINGS, f"-Duser.home={self.home}"]
        if tls:
            self.ca, key = certificate(self.home, host)
            with open(f"{self.home}/tls.properties", "w") as file:
                file.write(f"tls.test.mode.enable=false\ntls.server.need.client.auth=none\ntls.server.keyPath={key}\ntls.server.certPath={self.ca}\n")
            java += ["-Dtls.server.mode=permissive", f"-Dtls.config.file={self.home}/tls.properties"]
        java += ["-cp", f"{os.path.abspath(lib)}/*"]
        environment = {"ROCKETMQ_HOME": self.home}
        self.names = Process("4.9.4 name server", [*java, "org.apache.rocketmq.namesrv.NamesrvStartup", "-c", f"{self.home}/namesrv.properties"],
                             self.home, f"{self.home}/namesrv.out", environment)
        self.broker = Process("4.9.4 broker", [*java, "org.apache.rocketmq.broker.BrokerStartup", "-c", f"{self.home}/broker.properties"],
                              self.home, f"{self.home}/broker.out", environment)

    def start_names(self):
        self.start_one(self.names, self.ports[0])

    def start(self):
        self.start_names()
        self.start_one(self.broker, self.ports[1])

    @staticmethod
    def start_one(process, port):
        if not process.running():
            process.start()
        wait_until(f"{process.name} on {port}", lambda: process.alive() and is_open(*port))

    def stop(self):
        self.broker.stop()
        self.names.stop()

    def kill(self):
        """kill -9 of the broker; the name server keeps no messages and stays."""
        self.broker.kill()

    def logs(self):
        return [f"{self.home}/{name}" for name in ("namesrv.out", "broker.out", "namesrv.log", "broker.log")]

    def remove(self):
        self.broker.kill()
        self.names.kill()
        shutil.rmtree(self.home, ignore_errors=True)


class Ours:
    """One node of ours with its default ports on a loopback address of its own; a lonely one is a name server only."""

    def __init__(self, binary, flush="async", checks=None, lonely=False, accounts=None, tls=False):
        self.home = tempfile.mkdtemp(prefix="interop-ours-")
        while True:
            host = f"127.{random.randrange(1, 255)}.{random.randrange(0, 255)}.{random.randrange(1, 255)}"
            self.ports = [(host, 9876), (host, 10911)]
            if all(can_bind(host, port) for port in (CONSOLE, 9876, 10909, 10911, 10912)):
                break
        self.name_server = f"{host}:9876"
        command = [binary, "run", "--data-dir", f"{self.home}/data"]
        if flush == "async" and not checks and not lonely and not accounts and not tls:
            command += ["--listen", host]
        else:
            with open(f"{self.home}/rmq-node.toml", "w") as file:
                file.write(f'listen = "{host}"\nadvertise = "{host}"\nname_servers = ["{self.name_server}"]\n')
                if lonely:
                    file.write("broker = []\n\n[name_server]\nport = 9876\n")
                else:
                    file.write(f'\n[name_server]\nport = 9876\n\n[[broker]]\ngroup = "broker-a"\nrole = "master"\nport = 10911\n'
                               f'flush = "{flush}"\n{check_settings(checks)}')
                if accounts:
                    file.write(f'\n[acl]\nenabled = true\nnode_account = "{accounts.node}"\naccounts_dir = "{self.home}/accounts"\n')
                if tls:
                    self.ca, key = certificate(self.home, host)
                    file.write(f'\n[tls]\nmode = "permissive"\ncertificate_file = "{self.ca}"\nkey_file = "{key}"\n')
            if accounts:
                # Where tools change it, as they do 4.9.4's.
                os.makedirs(f"{self.home}/data/acl")
                with open(f"{self.home}/data/acl/plain_acl.yml", "w") as file:
                    file.write(accounts.text)
            command += ["--config", f"{self.home}/rmq-node.toml"]
        self.node = Process("rmq-node", command, self.home, f"{self.home}/node.log", UNIT_ENVIRONMENT)

    def start_names(self):
        self.node.start()
        self.wait_for(self.ports[0])

    def start(self):
        self.start_names()
        self.wait_for(self.ports[1])

    def wait_for(self, port):
        wait_until(f"rmq-node on {port}", lambda: self.node.alive() and is_open(*port))

    def stop(self):
        self.node.stop()

    def kill(self):
        """kill -9."""
        self.node.kill()

    def logs(self):
        return [self.node.log]

    def remove(self):
        self.node.kill()
        shutil.rmtree(self.home, ignore_errors=True)
