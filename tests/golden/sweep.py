"""Every request code of 4.9.4, asked of both servers: without a header, and for topics, groups and clients that do not exist.

Part of exchanges.py, which says how requests are handed on, and asks the same codes in earnest. The lists are the contract's (1.11);
`tests/it/codes.rs` makes codes.txt from what is asked here and there.
"""

from remoting import pull_fields, send_fields

BROKER = [10, 11, 12, 14, 15, 17, 21, 25, 26, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 41, 42, 43, 45, 46, 50, 51, 52, 53, 54, 200, 201, 202, 203, 204, 207, 208,
          215, 222, 223, 300, 301, 303, 305, 306, 307, 308, 309, 310, 314, 315, 316, 317, 320, 321, 323, 324, 325, 328, 329]
NAMES = [100, 101, 102, 103, 104, 105, 106, 205, 206, 216, 219, 224, 304, 311, 312, 313, 318, 319, 322, 327]
CLIENTS = [39, 40, 220, 221, 326]
NOBODY = [13, 22, 23, 27, 209, 210, 211, 212, 213, 214, 302]
# A broker without accounts says nothing to these.
SILENT = [52, 54]


def bare_broker(seen, connection):
    """No header, no body."""
    for code in sorted(BROKER + NAMES + CLIENTS + NOBODY):
        seen(f"bare-{code}", connection, code, answered=code not in SILENT)


def bare_names(seen, names):
    for code in sorted(BROKER + NAMES + CLIENTS + NOBODY):
        seen(f"names-bare-{code}", names, code, answered=code in NAMES)


def nowhere(seen, connection):
    """What a client could ask, of things that are not there."""
    topic, group = "GoldenNowhere", "GoldenNobody"
    queue = {"topic": topic, "queueId": 0}
    both = {"topic": topic, "group": group}
    send = {**send_fields(topic, 0), "c": "GoldenNever"}
    long = {"producerGroup": "P", "topic": topic, "defaultTopic": "GoldenNever", "defaultTopicQueueNums": 4, "queueId": 0, "sysFlag": 0, "bornTimestamp": 1650000000000,
            "flag": 0, "properties": "", "reconsumeTimes": 0, "unitMode": False}
    lock = ('{"clientId":"nobody","consumerGroup":"%s","mqSet":[{"brokerName":"nowhere","queueId":7,"topic":"%s"}]}' % (group, topic)).encode()
    subscription = ('{"clientId":"nobody","group":"%s","subscriptionData":{"expressionType":"SQL92","subString":"a > ","subVersion":1,"topic":"%s"}}' % (group, topic)).encode()
    for code, fields, body in (
        (10, long, b"x"), (11, pull_fields(group, topic, 0, 0), b""), (12, {"topic": topic, "key": "k", "maxNum": 1, "beginTimestamp": 0, "endTimestamp": 1}, b""),
        (14, {"consumerGroup": group, **queue}, b""), (15, {"consumerGroup": group, **queue, "commitOffset": 1}, b""),
        (29, {**queue, "timestamp": 1}, b""), (30, queue, b""), (31, queue, b""), (32, queue, b""), (33, {"offset": 1 << 50}, b""),
        (35, {"clientID": "nobody", "producerGroup": group, "consumerGroup": group}, b""), (36, {"offset": 1 << 50, "group": group, "delayLevel": 0}, b""),
        (37, {"producerGroup": group, "tranStateTableOffset": 0, "commitLogOffset": 1 << 50, "commitOrRollback": 8, "fromTransactionCheck": False, "msgId": "x", "transactionId": "x"}, b""),
        (38, {"consumerGroup": group}, b""), (41, None, lock), (42, None, lock), (46, None, subscription),
        (50, {"accessKey": "GoldenNobody", "secretKey": "12345678"}, b""), (51, {"accessKey": "GoldenNobody"}, b""), (53, {"globalWhiteAddrs": "127.0.0.1"}, b""),
        (202, {"topic": topic}, b""), (203, {"consumerGroup": group}, b""), (204, {"producerGroup": group}, b""), (207, {"groupName": group, "removeOffset": True}, b""),
        (208, {"consumerGroup": group, "topic": topic}, b""), (215, {"topic": topic}, b""), (222, {**both, "timestamp": -1, "isForce": True}, b""), (223, both, b""),
        (300, {"topic": topic}, b""), (301, {"filterServerAddr": "nowhere"}, b""), (303, both, b""), (307, {"consumerGroup": group, "clientId": "nobody"}, b""),
        (308, {"compareGroup": group, "topic": topic}, b""), (309, {"consumerGroup": group, "clientId": "nobody", "msgId": "7F00000100002A9F0004000000000000", "brokerName": "x"}, b""),
        (310, send, b"x"), (314, {"srcGroup": group, "destGroup": "GoldenNobodyElse", "topic": topic, "offline": False}, b""), (315, {"statsName": "TOPIC_PUT_NUMS", "statsKey": topic}, b""),
        (320, {**send, "m": True}, b"\0\0\0\x17" + b"\0" * 12 + b"\0\0\0\x01x\0\0"), (321, {**queue, "index": 0, "count": 1, "consumerGroup": group}, b""),
        (323, {"msgId": "7F00000100002A9F0004000000000000"}, b""), (324, long, b"x"), (325, send, b"x"),
    ):
        seen(f"nowhere-{code}", connection, code, fields, body)


def nowhere_names(seen, names):
    broker = {"brokerName": "nobody", "brokerAddr": "127.0.0.1:1", "clusterName": "Nowhere", "brokerId": 0}
    for code, fields in ((101, {"namespace": "nowhere", "key": "k"}), (102, {"namespace": "nowhere", "key": "k"}), (104, broker), (105, {"topic": "GoldenNowhere"}), (205, {"brokerName": "nobody"}),
                         (216, {"topic": "GoldenNowhere"}), (219, {"namespace": "nowhere"}), (224, {"cluster": "Nowhere"}), (322, broker), (327, {"brokerName": "nobody"})):
        seen(f"names-nowhere-{code}", names, code, fields, b'{"counter":1,"timestamp":1}' if code == 322 else b"")


def odd_names(seen, names, broker):
    """Fields and bodies that are not what they should be; `broker` is a header of 103."""
    other = {**broker, "brokerName": "golden-c", "brokerAddr": "127.0.0.1:7400", "haServerAddr": ""}
    seen("names-odd-id", names, 103, {**other, "brokerId": "x"})
    seen("names-odd-crc", names, 103, {**other, "bodyCrc32": "x"})
    seen("names-odd-compressed", names, 103, {**other, "compressed": True}, b"no zlib")
    seen("names-odd-body-array", names, 103, other, b"[]")
    seen("names-odd-body-null", names, 103, other, b"null")
    seen("names-odd-negative-id", names, 103, {**other, "brokerId": -1})
    seen("names-odd-listed", names, 106)
    seen("names-odd-unregister-other-id", names, 104, {**other, "brokerId": 5})
    seen("names-odd-unregister", names, 104, {**other, "brokerId": -1})
    seen("names-odd-unregister-id", names, 104, {**other, "brokerId": "x"})
    seen("names-odd-version-body", names, 322, other, b"{")
    seen("names-odd-version-id", names, 322, {**other, "brokerId": "x"}, b'{"counter":1,"timestamp":1}')
    seen("names-odd-version-empty", names, 322, other, b"{}")
    for code, field in ((105, "topic"), (205, "brokerName"), (216, "topic"), (219, "namespace"), (224, "cluster"), (327, "brokerName")):
        seen(f"names-empty-{code}", names, code, {field: ""})
    seen("names-empty-kv", names, 100, {"namespace": "", "key": "", "value": ""})
    seen("names-empty-kv-get", names, 101, {"namespace": "", "key": ""})
    seen("names-empty-kv-delete", names, 102, {"namespace": "", "key": ""})
    seen("names-odd-json-only", names, 105, {"topic": "TBW102", "acceptStandardJsonOnly": "maybe"}, version=300)
    seen("names-topics", names, 206)
    seen("names-system-topics", names, 304)
    seen("names-topics-of-cluster", names, 224, {"cluster": "DefaultCluster"})


def lonely_names(seen, names):
    """A name server that no broker registered with."""
    for code in (106, 206, 304, 311, 312, 313, 319):
        seen(f"lonely-{code}", names, code)
    for code, fields in ((105, {"topic": "TBW102"}), (205, {"brokerName": "broker-a"}), (216, {"topic": "TBW102"}), (219, {"namespace": "ORDER_TOPIC_CONFIG"}), (224, {"cluster": "DefaultCluster"}),
                         (327, {"brokerName": "broker-a"})):
        seen(f"lonely-{code}", names, code, fields)


def names_settings(seen, names, edge):
    """318 and 319. `edge` registers a broker with the topic GoldenUnit."""
    change = lambda name, text: seen(f"names-settings-{name}", names, 318, None, text)
    seen("names-settings-register", names, 103, *edge)
    seen("names-settings-kv", names, 100, {"namespace": "ORDER_TOPIC_CONFIG", "key": "GoldenUnit", "value": "golden-b:4"})
    change("order", b"orderMessageEnable=true\n")
    seen("names-settings-ordered-route", names, 105, {"topic": "GoldenUnit"})
    seen("names-settings-shown", names, 319)
    change("unknown-key", b"goldenUnknown=1\n")
    change("order-odd", b"orderMessageEnable=maybe\n")
    seen("names-settings-after-odd", names, 105, {"topic": "GoldenUnit"})
    change("order-off", b"# off\n  orderMessageEnable : false\n")
    seen("names-settings-unordered-route", names, 105, {"topic": "GoldenUnit"})
    change("empty", b"")
    change("not-a-property", b"\\u12")
    change("not-utf8", b"\xff\xfe=1\n")
    change("mixed-case", b"orderMessageEnable=TRUE\n")
    change("off-again", b"orderMessageEnable=false\n")
    change("kv-path", b"kvConfigPath=moved.json\n")
    change("store-path", b"configStorePath=moved.properties\n")
    change("home", b"rocketmqHome=moved\n")
    change("port", b"listenPort=1\n")
    change("threads", b"serverWorkerThreads=9\n")
    change("threads-back", b"serverWorkerThreads=8\n")
    seen("names-settings-kv-off", names, 102, {"namespace": "ORDER_TOPIC_CONFIG", "key": "GoldenUnit"})
    seen("names-settings-unregister", names, 104, {"brokerName": "golden-b", "brokerAddr": "127.0.0.1:7200", "clusterName": "GoldenCluster", "brokerId": 0})
