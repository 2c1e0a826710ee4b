"""The C++ client of the interop suite, through PyPI's `rocketmq`: `client.py NAME_SERVER PREFIX before|after`.

Prints one line a check, `ok NAME` or `FAIL NAME: why`. Its topics exist already (the client cannot make any, apart from
the broker's automatic ones). "after" runs once the server was restarted. RocketMQ promises "at least once", and this client
starts to pull a queue anew whenever an answer is late: no message may be missing and none foreign, repeats are counted in the ok line.
"""

import os
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
from remoting import Connection
from rocketmq.client import Message, MessageModel, Producer, PullConsumer, PushConsumer, SendStatus

WAIT_S = 120
name_server, prefix, phase = sys.argv[1:4]
repeats = 0


def check(name, body):
    global repeats
    started, repeats = time.monotonic(), 0
    try:
        body()
        again = f", {repeats} repeats" if repeats else ""
        print(f"ok {name}\t{(time.monotonic() - started) * 1000:.0f} ms{again}", flush=True)
    except Exception as error:
        print(f"FAIL {name}: {type(error).__name__} {error}".replace("\n", " "), flush=True)


def require(holds, why):
    if not holds:
        raise AssertionError(why)


def wait_for(what, condition, timeout_s=WAIT_S):
    deadline = time.monotonic() + timeout_s
    while not condition():
        require(time.monotonic() < deadline, f"timed out: {what}")
        time.sleep(0.02)


def message(topic, body, tags=None, keys=None, delay_level=None):
    made = Message(prefix + topic)
    made.set_body(body)
    if tags:
        made.set_tags(tags)
    if keys:
        made.set_keys(keys)
    if delay_level:
        made.set_delay_time_level(delay_level)
    return made


class Seen:
    """What a push consumer was given, in order."""

    def __init__(self, group, topic, expression="*", orderly=False, fail=lambda received: False, **more):
        self.bodies, self.queues, self.times, self.reconsumed, self.lock = [], [], {}, [], threading.Lock()
        self.consumer = PushConsumer(prefix + group, orderly=orderly, **more)
        self.consumer.set_namesrv_addr(name_server)
        self.consumer.set_instance_name(f"{group}-{id(self)}")

        def on_message(received):
            body = received.body.decode()
            with self.lock:
                self.bodies.append(body)
                self.queues.append(received.queue_id)
                self.reconsumed.append(received.reconsume_times)
                self.times[body] = time.time()
            if fail(received):
                raise RuntimeError("asked to fail")

        self.consumer.subscribe(prefix + topic, on_message, expression)
        self.consumer.start()

    def wait(self, count):
        """Until so many different messages came."""
        wait_for(f"{count} consumed", lambda: len(set(self.bodies)) >= count)

    def close(self):
        self.consumer.shutdown()


def require_set(bodies, wanted):
    """Each of them is there and nothing else; those that are there again are counted."""
    global repeats
    found = set(bodies)
    require(found == wanted, f"missing {sorted(wanted - found)}, foreign {sorted(found - wanted)}")
    repeats += len(bodies) - len(found)


def require_numbered(bodies, text, first, end):
    require_set(bodies, {f"{text}{i}" for i in range(first, end)})


def send_numbered(topic, text, first, end):
    for i in range(first, end):
        require(producer.send_sync(message(topic, f"{text}{i}")).status == SendStatus.OK, "send status")


def send_sync():
    for i in range(20):
        sent = producer.send_sync(message("_Basic", f"sync-{i}", "A", f"{prefix}-key-{i}"))
        require(sent.status == SendStatus.OK and len(sent.msg_id) == 32, f"result {sent}")


def send_async():
    done, failed = [], []
    for i in range(20):
        producer.send_async(message("_Basic", f"async-{i}"), done.append, failed.append)
    wait_for("20 callbacks", lambda: len(done) + len(failed) == 20)
    require(not failed, f"failed {failed}")


def send_oneway():
    seen = Seen("_OnewayGroup", "_Oneway")
    for i in range(20):
        producer.send_oneway(message("_Oneway", f"o-{i}"))
    seen.wait(20)
    seen.close()
    require_numbered(seen.bodies, "o-", 0, 20)


def send_batch():
    sent = producer.send_batch([message("_Batch", f"batch-{i}") for i in range(5)])
    require(sent.status == SendStatus.OK, f"result {sent}")


def auto_create():
    require(producer.send_sync(message("_Auto", "first")).status == SendStatus.OK, "send status")


def push_clustering():
    seen = Seen("_ClusterGroup", "_Cluster")
    send_numbered("_Cluster", "c-", 0, 50)
    seen.wait(50)
    seen.close()
    require_numbered(seen.bodies, "c-", 0, 50)


def push_broadcasting():
    first = Seen("_BroadcastGroup", "_Broadcast", message_model=MessageModel.BROADCASTING)
    wait_for("a message of each queue",
             lambda: producer.send_sync(message("_Broadcast", "warm")).status == SendStatus.OK and len(set(first.queues)) == 4)
    send_numbered("_Broadcast", "b-", 0, 20)
    wait_for("20 consumed", lambda: len(set(first.bodies) - {"warm"}) >= 20)
    first.close()
    require_numbered([body for body in first.bodies if body != "warm"], "b-", 0, 20)


def pull():
    send_numbered("_Pull", "p-", 0, 20)
    consumer = PullConsumer(prefix + "_PullGroup")
    consumer.set_namesrv_addr(name_server)
    consumer.start()
    bodies = []

    def pulled_all():  # the broker may file a message a little after it acknowledged it; the consumer remembers its offsets
        bodies.extend(received.body.decode() for received in consumer.pull(prefix + "_Pull"))
        return len(set(bodies)) >= 20

    wait_for("20 pulled", pulled_all)
    consumer.shutdown()
    require_numbered(bodies, "p-", 0, 20)


def orderly():
    for i in range(40):
        require(producer.send_orderly(message("_Orderly", str(i)), i).status == SendStatus.OK, "send status")
    seen = Seen("_OrderlyGroup", "_Orderly", orderly=True)
    seen.wait(40)
    seen.close()
    require_numbered(seen.bodies, "", 0, 40)
    require(len(set(seen.queues)) == 4, f"from queues {set(seen.queues)}")
    for queue in set(seen.queues):
        numbers = list(dict.fromkeys(int(body) for body, at in zip(seen.bodies, seen.queues) if at == queue))
        require(numbers == sorted(numbers), f"order of queue {queue}: {numbers}")


def tag_filter():
    seen = Seen("_TagsGroup", "_Tags", "red||blue")
    for i in range(30):
        producer.send_sync(message("_Tags", f"{i % 3}-{i}", ("red", "green", "blue")[i % 3]))
    seen.wait(20)
    seen.close()
    require_set(seen.bodies, {f"{i % 3}-{i}" for i in range(30) if i % 3 != 1})


def delay_level():
    seen = Seen("_DelayGroup", "_Delay")
    sent = time.time()
    producer.send_sync(message("_Delay", "late", delay_level=2))
    seen.wait(1)
    seen.close()
    require(seen.times["late"] - sent >= 4.99, f"came after {seen.times['late'] - sent:.2f} s")


def compressed_body():
    body = "compress me " * 4000
    seen = Seen("_LargeGroup", "_Large")
    producer.send_sync(message("_Large", body))
    seen.wait(1)
    seen.close()
    require(set(seen.bodies) == {body}, "body differs")


def retry():
    wait_for("the retry", lambda: 1 in retried.reconsumed)
    retried.close()
    require(set(retried.bodies) == {"again"} and retried.reconsumed[0] == 0, f"{retried.bodies} {retried.reconsumed}")


def wait_for_commits(group, topic, count):
    """The consumer counts a message as consumed after its callback, and tells the broker some seconds later."""
    broker = Connection(os.environ["BROKER"])

    def committed():
        answers = [broker.call(14, {"consumerGroup": prefix + group, "topic": prefix + topic, "queueId": queue}) for queue in range(4)]
        return sum(int(answer.fields.get("offset", 0)) for answer in answers)

    wait_for(f"{count} committed", lambda: committed() >= count)
    broker.close()


def consumer_restart():
    first = Seen("_RestartGroup", "_Restart")
    send_numbered("_Restart", "r-", 0, 20)
    first.wait(20)
    wait_for_commits("_RestartGroup", "_Restart", 20)
    first.close()
    send_numbered("_Restart", "r-", 20, 40)
    second = Seen("_RestartGroup", "_Restart")
    second.wait(20)
    wait_for_commits("_RestartGroup", "_Restart", 40)
    second.close()
    require_numbered(first.bodies, "r-", 0, 20)
    require_numbered(second.bodies, "r-", 20, 40)
    send_numbered("_Restart", "r-", 40, 50)


def consumer_after_restart():
    send_numbered("_Restart", "r-", 50, 60)
    seen = Seen("_RestartGroup", "_Restart")
    seen.wait(20)
    seen.close()
    require_numbered(seen.bodies, "r-", 40, 60)


producer = Producer(prefix + "_Producer")
producer.set_namesrv_addr(name_server)
producer.set_timeout(10_000)
producer.start()
if phase == "before":
    # The client asks for routes every 30 s, so that of its retry topic comes late: this consumer waits beside the others.
    retried = Seen("_RetryGroup", "_Retry", fail=lambda received: received.reconsume_times == 0)
    producer.send_sync(message("_Retry", "again"))
    check("send sync", send_sync)
    check("send async", send_async)
    check("send oneway", send_oneway)
    check("send batch", send_batch)
    check("send to an unknown topic creates it", auto_create)
    check("push clustering", push_clustering)
    check("push broadcasting", push_broadcasting)
    check("pull", pull)
    check("orderly", orderly)
    check("tag filter", tag_filter)
    check("delay level", delay_level)
    check("compressed body", compressed_body)
    check("consumer restart keeps offsets", consumer_restart)
    check("retry", retry)
else:
    check("consumer goes on after the node's restart", consumer_after_restart)
sys.stdout.flush()
os._exit(0)  # the C++ core's own threads must not decide when this ends
