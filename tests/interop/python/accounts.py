"""The C++ client with accounts, through PyPI's `rocketmq`, driven by a script: `accounts.py NAME_SERVERS`.

The same commands and answers as go/accounts.
"""

import sys
import threading

from rocketmq.client import Message, Producer, PushConsumer

PATIENCE_S = 60
name_servers = sys.argv[1]
# A client that is taken down may end the process: they live as long as it does.
clients = []


def start(client, account):
    client.set_namesrv_addr(name_servers)
    if account[0] != "-":
        client.set_session_credentials(*account, "ALIYUN")
    client.start()
    clients.append(client)


def send(account, topic):
    producer = Producer(f"PythonAccounts{len(clients)}")
    start(producer, account)
    message = Message(topic)
    message.set_body("from python")
    producer.send_sync(message)
    return "sent"


def consume(account, group, topic):
    came = threading.Event()

    def take(_):
        came.set()
        return True
    consumer = PushConsumer(group)
    consumer.subscribe(topic, take)
    start(consumer, account)
    if not came.wait(PATIENCE_S):
        raise TimeoutError("nothing came")
    return "consumed"


for line in sys.stdin:
    key, secret, command, *rest = line.split()
    try:
        answer = {"send": send, "consume": consume}[command]((key, secret), *rest)
    except Exception as error:
        answer = f"refused: {error}".replace("\n", " ")
    print(f"> {answer}", flush=True)
