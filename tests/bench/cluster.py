"""A large cluster of ours for the measurements that look at one: many topics, and groups that are behind in one of them each.

Nothing here measures; `admin` and `console` do.
"""

import os
import shutil
import sys
import tempfile
import time

from measure import INTEROP

sys.path.insert(0, INTEROP)
from brokers import loopback  # noqa: E402
from remoting import Connection, create_topic, send_fields  # noqa: E402
from servers import UNIT_ENVIRONMENT, Process, is_open, wait_until  # noqa: E402

QUEUES = 8
PORTS = [8080, 9876, 10909, 10911, 10912]
PUT_GROUP, SET_POSITION, SEND, ALL_TOPICS = 200, 15, 310, 206


class Cluster:
    """Nodes that are a name server and a master each; every master has every topic and group."""

    def __init__(self, binary, hosts, topics, groups, settings=""):
        self.binary, self.topics, self.groups, self.settings = binary, topics, groups, settings
        self.folder = tempfile.mkdtemp(prefix="bench-cluster-")
        self.hosts = [loopback(PORTS) for _ in range(hosts)]
        self.nodes = []

    def make(self):
        """Starts and fills it, and tells how long that took; returns how long the topics of each host did, in seconds."""
        begin = time.monotonic()
        self.start()
        created = self.fill()
        print(f"{len(self.hosts)} hosts, {self.topics} topics of {QUEUES} queues, {self.groups} groups, made in {time.monotonic() - begin:.0f} s",
              flush=True)
        return created

    def start(self):
        names = ", ".join(f'"{host}:9876"' for host in self.hosts)
        for at, host in enumerate(self.hosts):
            home = f"{self.folder}/{at}"
            os.makedirs(home)
            with open(f"{home}/node.toml", "w") as file:
                file.write(f'listen = "{host}"\nadvertise = "{host}"\nname_servers = [{names}]\ndata_dir = "{home}/data"\n[name_server]\n'
                           f'[store]\nsegment_bytes = 67108864\ndisk_expire_percent = 97\ndisk_force_percent = 98\ndisk_read_only_percent = 99\n'
                           f'[[broker]]\ngroup = "broker-{"abc"[at]}"\n{self.settings}')
            node = Process(f"host {at}", [self.binary, "run", "--config", f"{home}/node.toml"], home, f"{home}/log",
                           {"RUNTIME_DIRECTORY": home, **UNIT_ENVIRONMENT})
            node.start()
            self.nodes.append(node)
        for node, host in zip(self.nodes, self.hosts):
            wait_until(host, lambda: node.alive() and is_open(host, 10911))

    def fill(self):
        created = []
        for host in self.hosts:
            broker = Connection(f"{host}:10911", timeout_s=60)
            begin = time.monotonic()
            for number in range(self.topics):
                create_topic(broker, f"topic-{number:05}", QUEUES)
            created.append(time.monotonic() - begin)
            for number in range(self.groups):
                group = f"group-{number:05}"
                broker.must(PUT_GROUP, body=b'{"groupName":"%s","consumeEnable":true,"retryQueueNums":1,"retryMaxTimes":16}' % group.encode())
                # As a consumer's first heartbeat makes it; 4.9.4's tool knows groups by these.
                create_topic(broker, f"%RETRY%{group}", 1)
                topic = f"topic-{number % self.topics:05}"
                for queue in range(QUEUES):
                    broker.must(SEND, send_fields(topic, queue), b"message")
                    broker.must(SET_POSITION, {"consumerGroup": group, "topic": topic, "queueId": queue, "commitOffset": 0})
            broker.close()
        names = Connection(f"{self.hosts[0]}:9876")
        last = f"topic-{self.topics - 1:05}".encode()
        wait_until("all topics registered", lambda: last in names.call(ALL_TOPICS).body)
        names.close()
        return created

    def close(self):
        for node in self.nodes:
            node.kill()
        shutil.rmtree(self.folder)

    @property
    def names(self):
        return ";".join(f"{host}:9876" for host in self.hosts)
