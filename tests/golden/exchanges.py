"""The exchanges with a name server and a broker whose answers are kept in captured.txt.

Each is handed to a `seen(name, connection, code, fields, body, binary, **more)`: `capture` writes them down, `compare`
holds another server's answers against them. Their order matters: later ones rely on what earlier ones did.
"""

import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "interop"))
from remoting import pull_fields, send_fields  # noqa: E402
from servers import wait_until  # noqa: E402

TOPIC = "Golden"
REGISTER = (b'{"filterServerList":[],"topicConfigSerializeWrapper":{"dataVersion":{"counter":1,"timestamp":1650000000000},"topicConfigTable":'
            b'{"GoldenNames":{"order":false,"perm":6,"readQueueNums":4,"topicFilterType":"SINGLE_TAG","topicName":"GoldenNames","topicSysFlag":0,'
            b'"writeQueueNums":4}}}}')
HEARTBEAT = (b'{"clientID":"127.0.0.1@golden","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY",'
             b'"groupName":"GoldenGroup","messageModel":"CLUSTERING","subscriptionDataSet":[{"classFilterMode":false,"codeSet":[],'
             b'"expressionType":"TAG","subString":"*","subVersion":1650000000000,"tagsSet":[],"topic":"Golden"}],"unitMode":false}],'
             b'"producerDataSet":[{"groupName":"GoldenProducer"}]}')
LOCK = b'{"clientId":"127.0.0.1@golden","consumerGroup":"GoldenGroup","mqSet":[{"brokerName":"broker-a","queueId":0,"topic":"Golden"}]}'


def binary_frame(code, fields, body=b"", opaque=1):
    """A request with the ROCKETMQ header (R-020)."""
    extra = b"".join(struct.pack(">h", len(key)) + key.encode() + struct.pack(">i", len(value)) + value.encode() for key, value in fields.items())
    header = struct.pack(">hbhiiii", code, 0, 401, opaque, 0, 0, len(extra)) + extra
    return struct.pack(">ii", 4 + len(header) + len(body), 1 << 24 | len(header)) + header + body


def name_server(seen, names):
    master = {"brokerName": "golden-a", "brokerAddr": "127.0.0.1:7000", "clusterName": "GoldenCluster", "haServerAddr": "127.0.0.1:7001",
              "brokerId": 0, "compressed": False, "bodyCrc32": 0}
    slave = {**master, "brokerAddr": "127.0.0.1:7100", "haServerAddr": "127.0.0.1:7101", "brokerId": 1}
    version = {key: master[key] for key in ("brokerName", "brokerAddr", "clusterName", "brokerId")}
    seen("register-master", names, 103, master, REGISTER)
    seen("register-slave", names, 103, slave, REGISTER)
    seen("register-bad-crc", names, 103, {**master, "bodyCrc32": 1}, REGISTER)
    seen("data-version-same", names, 322, version, b'{"counter":1,"timestamp":1650000000000}')
    seen("data-version-changed", names, 322, version, b'{"counter":2,"timestamp":1650000000000}')
    seen("route-v401", names, 105, {"topic": "GoldenNames"})
    seen("route-v395", names, 105, {"topic": "GoldenNames"}, version=395)
    seen("route-v395-standard", names, 105, {"topic": "GoldenNames", "acceptStandardJsonOnly": True}, version=395)
    seen("route-binary", names, 105, {"topic": "GoldenNames"}, binary=True)
    seen("route-missing", names, 105, {"topic": "Missing"})
    seen("cluster-info", names, 106)
    seen("topics-of-cluster", names, 224, {"cluster": "GoldenCluster"})
    seen("topics-of-missing-cluster", names, 224, {"cluster": "Missing"})
    seen("kv-missing", names, 101, {"namespace": "golden", "key": "k"})
    seen("kv-put", names, 100, {"namespace": "golden", "key": "k", "value": "v"})
    seen("kv-get", names, 101, {"namespace": "golden", "key": "k"})
    seen("kv-list", names, 219, {"namespace": "golden"})
    seen("kv-delete", names, 102, {"namespace": "golden", "key": "k"})
    seen("wipe-write", names, 205, {"brokerName": "golden-a"})
    seen("add-write", names, 327, {"brokerName": "golden-a"})
    seen("delete-topic-in-names", names, 216, {"topic": "GoldenNames"})
    seen("unregister", names, 104, version)


def broker(seen, connection):
    topic = {"topic": TOPIC, "defaultTopic": "TBW102", "readQueueNums": 4, "writeQueueNums": 4, "perm": 6, "topicFilterType": "SINGLE_TAG",
             "topicSysFlag": 0, "order": False}
    properties = "KEYS\x01golden-key\x02TAGS\x01A\x02UNIQ_KEY\x01GOLDEN0001\x02WAIT\x01true\x02x\x01y"
    seen("create-topic", connection, 17, topic)
    seen("create-topic-reserved", connection, 17, {**topic, "topic": "TBW102"})
    seen("send-v2", connection, 310, send_fields(TOPIC, 0, properties), b"hello")
    seen("send-v2-binary", connection, 310, {key: str(value).lower() if isinstance(value, bool) else str(value)
                                                         for key, value in send_fields(TOPIC, 0, properties).items()}, b"hello", binary=True)
    seen("send-v1", connection, 10, {"producerGroup": "P", "topic": TOPIC, "defaultTopic": "TBW102", "defaultTopicQueueNums": 4,
                                                 "queueId": 0, "sysFlag": 0, "bornTimestamp": 1650000000000, "flag": 0, "properties": properties,
                                                 "reconsumeTimes": 0, "unitMode": False, "batch": False}, b"hello")
    item = struct.pack(">iiiii", 25, 0, 0, 0, 3) + b"one" + struct.pack(">h", 0)
    seen("send-batch", connection, 320, {**send_fields(TOPIC, 1), "m": True}, item + item)
    seen("send-illegal-queue", connection, 310, send_fields(TOPIC, 99), b"hello")
    seen("send-illegal-topic", connection, 310, send_fields("bad topic!", 0), b"hello")
    seen("send-system-topic", connection, 310, send_fields("SCHEDULE_TOPIC_XXXX", 0), b"hello")
    seen("send-retry-without-group", connection, 310, send_fields("%RETRY%Missing", 0), b"hello")
    where = {"topic": TOPIC, "queueId": 0}
    wait_until("three messages filed", lambda: int(connection.call(30, where).fields["offset"]) == 3)
    wait_until("two messages filed", lambda: int(connection.call(30, {"topic": TOPIC, "queueId": 1}).fields["offset"]) == 2)
    seen("pull-found", connection, 11, pull_fields("GoldenPull", TOPIC, 0, 0, 2))
    seen("pull-no-new", connection, 11, pull_fields("GoldenPull", TOPIC, 0, 3))
    seen("pull-empty-queue", connection, 11, pull_fields("GoldenPull", TOPIC, 3, 0))
    seen("pull-beyond-end", connection, 11, pull_fields("GoldenPull", TOPIC, 0, 10))
    seen("pull-no-match", connection, 11, pull_fields("GoldenPull", TOPIC, 0, 0, expression="none"))
    seen("pull-missing-topic", connection, 11, pull_fields("GoldenPull", "Missing", 0, 0))
    seen("pull-illegal-queue", connection, 11, pull_fields("GoldenPull", TOPIC, 9, 0))
    seen("pull-group-not-online", connection, 11, {**pull_fields("GoldenPull", TOPIC, 0, 0), "sysFlag": 0})
    seen("max-offset", connection, 30, where)
    seen("min-offset", connection, 31, where)
    seen("search-offset", connection, 29, {**where, "timestamp": 0})
    seen("earliest-store-time", connection, 32, where)
    seen("view-message", connection, 33, {"offset": 0})
    seen("view-missing", connection, 33, {"offset": 99999999})
    by_key = {"topic": TOPIC, "key": "golden-key", "maxNum": 1, "beginTimestamp": 0, "endTimestamp": 9223372036854775807}
    seen("query-key", connection, 12, by_key)
    seen("query-missing", connection, 12, {**by_key, "key": "none"})
    seen("consumers-none", connection, 38, {"consumerGroup": "Nobody"})
    seen("heartbeat", connection, 34, None, HEARTBEAT)
    seen("consumers", connection, 38, {"consumerGroup": "GoldenGroup"})
    offset = {"consumerGroup": "GoldenGroup", "topic": TOPIC, "queueId": 0}
    seen("offset-unset", connection, 14, offset)
    seen("offset-update", connection, 15, {**offset, "commitOffset": 2})
    seen("offset-query", connection, 14, offset)
    seen("lock", connection, 41, None, LOCK)
    seen("unlock", connection, 42, None, LOCK)
    seen("send-back", connection, 36, {"offset": 0, "group": "GoldenGroup", "delayLevel": 0, "originMsgId": "x", "originTopic": TOPIC,
                                                   "unitMode": False, "maxReconsumeTimes": 16})
    seen("send-back-without-group", connection, 36, {"offset": 0, "group": "Missing", "delayLevel": 0})
    seen("group-update", connection, 200, None, b'{"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,"consumeFromMinEnable":'
                     b'true,"groupName":"GoldenConfigured","groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":3,"retryQueueNums":1,'
                     b'"whichBrokerWhenConsumeSlowly":1}')
    seen("unregister-client", connection, 35, {"clientID": "127.0.0.1@golden", "consumerGroup": "GoldenGroup"})
    seen("unknown-code", connection, 999)
    seen("delete-topic", connection, 215, {"topic": TOPIC})
