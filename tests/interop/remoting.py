"""Plain remoting frames over plain sockets: what the tests need to talk to a name server or broker without a client library.

Requests carry a JSON header. A connection is used by one thread: call, then read the answer with that opaque.
"""

import base64
import hashlib
import hmac
import json
import socket
import struct

JSON_TYPE = 0
BINARY_TYPE = 1
VERSION_4_9_4 = 401


def frame(code, fields=None, body=b"", opaque=1, flag=0, version=VERSION_4_9_4, language="JAVA"):
    """The bytes of one request with a JSON header; field values become strings, None is left out."""
    header = {"code": code, "flag": flag, "language": language, "opaque": opaque, "serializeTypeCurrentRPC": "JSON", "version": version}
    if fields is not None:
        header["extFields"] = {key: text(value) for key, value in fields.items() if value is not None}
    header = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    return struct.pack(">ii", 4 + len(header) + len(body), len(header)) + header + body


def text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def signed(account, fields, body=b"", without=()):
    """The fields with a signature as 4.9.4's client makes it, but for the names that are left out of it; the same each time."""
    fields = {key: text(value) for key, value in (fields or {}).items() if value is not None}
    fields["AccessKey"] = account[0]
    content = "".join(fields[key] for key in sorted(fields) if key not in without).encode() + body
    fields["Signature"] = base64.b64encode(hmac.new(account[1].encode(), content, hashlib.sha1).digest()).decode()
    return fields


class Answer:
    """One answer: code, remark, fields (strings), body, and the frame as it came."""

    def __init__(self, raw):
        self.raw = raw
        word = struct.unpack(">i", raw[4:8])[0]
        self.header_type, length = word >> 24, word & 0xFFFFFF
        header, self.body = raw[8:8 + length], raw[8 + length:]
        if self.header_type != JSON_TYPE:
            raise ValueError(f"a JSON header was expected, not type {self.header_type}")
        self.header = json.loads(header)
        self.code, self.opaque, self.flag = self.header["code"], self.header["opaque"], self.header["flag"]
        self.remark, self.fields = self.header.get("remark"), self.header.get("extFields") or {}


class Connection:
    """One TCP connection; every call has a time-out."""

    def __init__(self, address, timeout_s=60):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.opaque = 0

    def close(self):
        self.socket.close()

    def send(self, raw):
        self.socket.sendall(raw)

    def read_exactly(self, count):
        while len(self.buffer) < count:
            more = self.socket.recv(1 << 16)
            if not more:
                raise ConnectionError("the peer closed the connection")
            self.buffer += more
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def read_frame(self):
        length = self.read_exactly(4)
        return length + self.read_exactly(struct.unpack(">i", length)[0])

    def call(self, code, fields=None, body=b"", **more):
        """Sends a request and returns its answer; requests of the server in between are ignored."""
        self.opaque += 1
        self.send(frame(code, fields, body, opaque=self.opaque, **more))
        while True:
            answer = Answer(self.read_frame())
            if answer.flag & 1 and answer.opaque == self.opaque:
                return answer

    def must(self, code, fields=None, body=b"", **more):
        """`call`, but anything but success raises."""
        answer = self.call(code, fields, body, **more)
        if answer.code != 0:
            raise RuntimeError(f"code {code} {fields} was answered {answer.code}: {answer.remark}")
        return answer


def send_fields(topic, queue_id, properties="", group="P"):
    """The header of a send (310) with 4.9.4's one-letter keys."""
    return {"a": group, "b": topic, "c": "TBW102", "d": 4, "e": queue_id, "f": 0, "g": 1_600_000_000_000, "h": 0, "i": properties,
            "j": 0, "k": False, "m": False}


def pull_fields(group, topic, queue_id, offset, count=32, expression="*"):
    """The header of a pull (11) that brings its own subscription and does not wait."""
    return {"consumerGroup": group, "topic": topic, "queueId": queue_id, "queueOffset": offset, "maxMsgNums": count, "sysFlag": 4,
            "commitOffset": 0, "suspendTimeoutMillis": 0, "subscription": expression, "subVersion": 0, "expressionType": "TAG"}


def create_topic(broker, topic, queues=4):
    """Creates or changes a topic at the broker of that connection."""
    broker.must(17, {"topic": topic, "defaultTopic": "TBW102", "readQueueNums": queues, "writeQueueNums": queues, "perm": 6,
                     "topicFilterType": "SINGLE_TAG", "topicSysFlag": 0, "order": False})


class Record:
    """The parts of a stored record (ST-001) the tests look at."""

    __slots__ = ("queue_id", "queue_offset", "physical_offset", "size", "body")


def records(data):
    """Splits the body of a pull into its records."""
    at, found = 0, []
    while at < len(data):
        size, _magic, _crc, queue_id, _flag, queue_offset, physical_offset, sys_flag = struct.unpack_from(">iiiiiqqi", data, at)
        born = 20 if sys_flag & 0x10 else 8
        store = 20 if sys_flag & 0x20 else 8
        body_at = at + 40 + 8 + born + 8 + store + 4 + 8
        length = struct.unpack_from(">i", data, body_at)[0]
        record = Record()
        record.queue_id, record.queue_offset, record.physical_offset, record.size = queue_id, queue_offset, physical_offset, size
        record.body = data[body_at + 4:body_at + 4 + length]
        found.append(record)
        at += size
    return found
