"""What tools ask a broker with accounts about them (50 to 54): as an admin, as somebody who is none, and unsigned.

Part of exchanges.py, which says how requests are handed on. A signature depends on the fields alone, so that a new capture has the same
requests. What we refuse and 4.9.4 does comes last, because accounts are not the same after it.
"""

import json

from remoting import Connection, signed
from servers import wait_until

ADMIN, APP, NEW = ("golden-admin", "golden-secret"), ("golden-app", "app-secret"), ("golden-new", "new-secret")
WHITE = "127.0.0.77"
CODES = {50: {"accessKey": "golden-made", "secretKey": "made-secret", "admin": True}, 51: {"accessKey": "golden-made"}, 52: None,
         53: {"globalWhiteAddrs": WHITE}, 54: None}


class File:
    """What the servers start with; the admin's account is our node's own, too."""
    node = ADMIN[0]
    text = (f"globalWhiteRemoteAddresses:\n- {WHITE}\naccounts:\n- accessKey: {ADMIN[0]}\n  secretKey: {ADMIN[1]}\n  admin: true\n"
            f"- accessKey: {APP[0]}\n  secretKey: {APP[1]}\n  whiteRemoteAddress:\n  defaultTopicPerm: DENY\n  defaultGroupPerm: SUB\n"
            "  topicPerms:\n  - Golden=PUB|SUB\ndataVersion:\n- counter: 1\n  timestamp: 1650000000000\n")


def tools(seen, connection):
    def ask(name, code, fields=None, account=ADMIN):
        seen(f"acl-{name}", connection, code, signed(account, fields))

    ask("version", 52)
    ask("config", 54)
    update(ask)
    ask("config-updated", 54)
    wait_until_read(connection)
    ask("version-updated", 52)
    ask("delete", 51, {"accessKey": NEW[0]})
    ask("delete-again", 51, {"accessKey": NEW[0]})
    ask("delete-no-key", 51)
    ask("delete-empty-key", 51, {"accessKey": ""})
    white = {"globalWhiteAddrs": f"{WHITE},10.1.*.*", "aclFileFullPath": ""}
    ask("white", 53, white)
    ask("white-none", 53)
    ask("white-elsewhere", 53, {**white, "aclFileFullPath": "/etc/passwd"})
    ask("config-white", 54)
    wait_until_read(connection)
    ask("version-white", 52)
    # As mqadmin sends it.
    ask("white-no-path", 53, CODES[53])
    strangers(seen, connection, ask)
    ask("white-empty", 53, {"globalWhiteAddrs": ""})
    ask("config-white-empty", 54)
    ask("white-odd", 53, {"globalWhiteAddrs": "nowhere"})
    for code, fields in CODES.items():
        ask(f"app-{code}", code, fields, APP)


def update(ask):
    """50, in earnest and with what is wrong."""
    whole = {"accessKey": NEW[0], "secretKey": NEW[1], "whiteRemoteAddress": "127.0.0.78", "admin": False, "defaultTopicPerm": "PUB", "defaultGroupPerm": "SUB",
             "topicPerms": "Golden=PUB|SUB,Other=DENY", "groupPerms": "GoldenGroup=SUB"}
    ask("create", 50, whole)
    ask("create-least", 50, {"accessKey": "golden-least", "secretKey": "least-secret"})
    ask("change", 50, {"accessKey": NEW[0], "secretKey": "other-secret", "admin": True, "defaultGroupPerm": "", "topicPerms": "Golden=SUB"})
    ask("change-to-nothing", 50, {"accessKey": "golden-least", "secretKey": "least-secret", "topicPerms": ",", "whiteRemoteAddress": ""})
    ask("change-no-secret", 50, {"accessKey": NEW[0], "defaultTopicPerm": "SUB"})
    for name, change in {"no-key": {"accessKey": None}, "empty-key": {"accessKey": ""}, "short-key": {"accessKey": "golden"}, "no-secret": {"secretKey": None},
                         "short-secret": {"secretKey": "123456"}, "topic-odd": {"topicPerms": "Golden=PUB,T=pub"}, "topic-no-perm": {"topicPerms": "Golden"},
                         "topics-empty": {"topicPerms": ""}, "group-odd": {"groupPerms": "G=ANY"}, "two-odd": {"topicPerms": "T=pub", "groupPerms": "G"},
                         "no-secret-and-odd": {"secretKey": None, "topicPerms": "T=pub"}, "default-odd": {"accessKey": "golden-default", "defaultTopicPerm": "pub"},
                         "admin-odd": {"accessKey": "golden-maybe", "admin": "maybe"}, "white-odd": {"accessKey": "golden-nowhere", "whiteRemoteAddress": "nowhere"}}.items():
        ask(f"create-{name}", 50, {**whole, "accessKey": "golden-odd", **change})


def strangers(seen, connection, ask):
    """Who is not let in."""
    for code, fields in CODES.items():
        seen(f"acl-unsigned-{code}", connection, code, fields)
    ask("wrong-secret", 54, None, (APP[0], "another-secret"))
    ask("stranger", 54, None, ("golden-nobody", "any-secret"))
    seen("acl-no-signature", connection, 54, {"AccessKey": ADMIN[0]})


def wait_until_read(connection):
    """4.9.4 looks at its file every 5 s, shows the new version only then, and may lose a change that comes while it looks."""
    other = Connection("{}:{}".format(*connection.socket.getpeername()))

    def has_read():
        fields = other.must(52, signed(ADMIN, None)).fields
        return json.loads(fields["version"]) in json.loads(fields["allAclFileVersion"]).values()
    wait_until("the accounts read again", has_read)
    other.close()
