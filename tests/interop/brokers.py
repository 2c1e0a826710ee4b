"""Name servers and brokers, ours and Apache's 4.9.4, for the tests that need more than one: masters and slaves of broker-a.

Each has a folder and an address of its own in 127/8 (4.9.4 binds every interface, so that it has ports of its own). Nothing
here checks anything; `pairs`, `takeover`, `transactions` and `timers` do.
"""

import contextlib
import os
import random
import signal
import tempfile

from remoting import Connection, pull_fields
from servers import CONSOLE, JDK_OPENINGS, LOGBACK, Process, can_bind, check_properties, check_settings, free_ports, is_open, wait_until

SEGMENT_BYTES = 2 << 20
MAX_MESSAGE_BYTES = 4 << 20
PULL, NO_TOPIC = 11, 17
# For tests, which start many; measurements give it more.
SMALL_JAVA = ("-Xms128m", "-Xmx384m", "-XX:TieredStopAtLevel=1")


def loopback(ports):
    """An address of 127/8 on which the ports are free."""
    while True:
        host = f"127.{random.randrange(1, 255)}.{random.randrange(0, 255)}.{random.randrange(1, 255)}"
        if all(can_bind(host, port) for port in ports):
            return host


class Names:
    """A name server of ours."""

    def __init__(self, binary):
        self.home = tempfile.mkdtemp(prefix="pairs-names-")
        host = loopback([CONSOLE, 9876])
        self.address = f"{host}:9876"
        with open(f"{self.home}/node.toml", "w") as file:
            # Without the empty list there would be a broker too.
            file.write(f'listen = "{host}"\nbroker = []\n[name_server]\nport = 9876\n')
        self.process = Process("name server", [binary, "run", "--data-dir", f"{self.home}/data", "--config", f"{self.home}/node.toml"],
                               self.home, f"{self.home}/node.log")

    def start(self):
        self.process.start()
        host, port = self.address.split(":")
        wait_until("name server", lambda: self.process.alive() and is_open(host, int(port)))


class ApacheNames:
    """A name server of 4.9.4."""

    def __init__(self, lib):
        self.home = tempfile.mkdtemp(prefix="pairs-apache-names-")
        port = free_ports("127.0.0.1", [0])
        self.address = f"127.0.0.1:{port}"
        os.makedirs(f"{self.home}/conf")
        with open(f"{self.home}/conf/logback_namesrv.xml", "w") as file:
            file.write(LOGBACK.format(file=f"{self.home}/namesrv.log"))
        with open(f"{self.home}/namesrv.properties", "w") as file:
            file.write(f"listenPort={port}\nkvConfigPath={self.home}/kvConfig.json\nconfigStorePath={self.home}/namesrv.properties\n")
        java = ["java", "-Xms32m", "-Xmx128m", "-XX:TieredStopAtLevel=1", *JDK_OPENINGS, f"-Duser.home={self.home}", "-cp", f"{lib}/*"]
        self.process = Process("4.9.4 name server", [*java, "org.apache.rocketmq.namesrv.NamesrvStartup", "-c", f"{self.home}/namesrv.properties"],
                               self.home, f"{self.home}/namesrv.out", {"ROCKETMQ_HOME": self.home})

    def start(self):
        self.process.start()
        host, port = self.address.split(":")
        wait_until("name server of 4.9.4", lambda: self.process.alive() and is_open(host, int(port)))


def quoted(names):
    """The addresses of name servers as a list of TOML."""
    return "[" + ", ".join(f'"{each.address}"' for each in names) + "]"


class Broker:
    """What both kinds have in common."""

    def start(self):
        self.process.start()
        host, port = self.address.split(":")
        wait_until(f"{self.process.name} on {self.address}", lambda: self.process.alive() and is_open(host, int(port)))

    def connect(self):
        return Connection(self.address, timeout_s=15)

    def knows(self, topic, group):
        """Whether it has the topic, which a slave of 4.9.4 asks for every 10 s; tried with a pull of the group."""
        connection = self.connect()
        answer = connection.call(PULL, pull_fields(group, topic, 0, 0))
        connection.close()
        return answer.code != NO_TOPIC

    def become_master(self):
        """Lets a slave that has ended start as the master, as an operator does."""
        with open(self.settings) as file:
            text = file.read()
        for old, new in self.promotion:
            if old not in text:
                raise RuntimeError(f"{self.settings} has no {old!r}")
            text = text.replace(old, new)
        with open(self.settings, "w") as file:
            file.write(text)

    def signal(self, which):
        self.process.child.send_signal(which)
        if which == signal.SIGSTOP:
            # Each thread stops when it is scheduled next, and may acknowledge something until then.
            wait_until("every thread to stand still", lambda: set(self.thread_states()) == {"T"})

    def thread_states(self):
        """The state of each thread of the process, as the kernel's letter."""
        tasks = f"/proc/{self.process.child.pid}/task"
        for task in os.listdir(tasks):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended
                with open(f"{tasks}/{task}/stat") as file:
                    yield file.read().rpartition(") ")[2][0]

    def segments(self):
        """The log's files with something in them, by name."""
        found = {}
        for name in sorted(os.listdir(self.log)):
            with open(f"{self.log}/{name}", "rb") as file:
                data = file.read()
            if data.strip(b"\0"):
                found[name] = data
        return found


class Ours(Broker):
    promotion = [('role = "slave"', 'role = "master"'), ("id = 1\n", "")]

    def __init__(self, binary, names, role, number, sync=False, segment_bytes=SEGMENT_BYTES, checks=None, light_queues=False, group="broker-a"):
        self.home = tempfile.mkdtemp(prefix=f"pairs-ours-{role}-")
        host = loopback([CONSOLE, 10909, 10911, 10912])
        self.address, self.log = f"{host}:10911", f"{self.home}/data/{group}/commitlog"
        self.settings = f"{self.home}/node.toml"
        with open(self.settings, "w") as file:
            file.write(f'listen = "{host}"\nadvertise = "{host}"\nname_servers = {quoted(names)}\n'
                       f'[store]\nsegment_bytes = {segment_bytes}\nmax_message_bytes = {min(segment_bytes // 4, MAX_MESSAGE_BYTES)}\n'
                       + ("light_queues = true\n" if light_queues else "") + f'{check_settings(checks)}'
                       f'[[broker]]\ngroup = "{group}"\nrole = "{role}"\nport = 10911\n'
                       + (f"id = {number}\n" if number else "") + ('replication = "sync"\n' if sync else ""))
        self.process = Process(f"our {role}", [binary, "run", "--data-dir", f"{self.home}/data", "--config", f"{self.home}/node.toml"],
                               self.home, f"{self.home}/node.log")


class Apache(Broker):
    promotion = [("brokerRole=SLAVE", "brokerRole=ASYNC_MASTER"), ("brokerId=1", "brokerId=0")]

    def __init__(self, lib, names, role, number, sync=False, segment_bytes=SEGMENT_BYTES, memory=SMALL_JAVA, checks=None, group="broker-a",
                 light_queues=False):
        self.home = tempfile.mkdtemp(prefix=f"pairs-apache-{role}-")
        port = free_ports("127.0.0.1", [-2, 0, 1])
        self.address, self.log = f"127.0.0.1:{port}", f"{self.home}/store/commitlog"
        os.makedirs(f"{self.home}/conf")
        with open(f"{self.home}/conf/logback_broker.xml", "w") as file:
            file.write(LOGBACK.format(file=f"{self.home}/broker.log"))
        name_servers = ";".join(each.address for each in names)
        kind = "SLAVE" if role == "slave" else "SYNC_MASTER" if sync else "ASYNC_MASTER"
        self.settings = f"{self.home}/broker.properties"
        with open(self.settings, "w") as file:
            file.write(f"brokerClusterName=DefaultCluster\nbrokerName={group}\nbrokerId={number}\nbrokerRole={kind}\nbrokerIP1=127.0.0.1\n"
                       f"listenPort={port}\nhaListenPort={port + 1}\nnamesrvAddr={name_servers}\nstorePathRootDir={self.home}/store\n"
                       f"storePathCommitLog={self.home}/store/commitlog\nmappedFileSizeCommitLog={segment_bytes}\n"
                       f"maxMessageSize={min(segment_bytes // 4, MAX_MESSAGE_BYTES)}\nwaitTimeMillsInSendQueue=5000\nosPageCacheBusyTimeOutMills=10000\ndiskMaxUsedSpaceRatio=95\n{check_properties(checks)}"
                       + ("enableLmq=true\nenableMultiDispatch=true\n" if light_queues else ""))
        java = ["java", *memory, *JDK_OPENINGS, f"-Duser.home={self.home}", "-cp", f"{lib}/*"]
        self.process = Process(f"4.9.4 {role}", [*java, "org.apache.rocketmq.broker.BrokerStartup", "-c", f"{self.home}/broker.properties"],
                               self.home, f"{self.home}/broker.out", {"ROCKETMQ_HOME": self.home})
