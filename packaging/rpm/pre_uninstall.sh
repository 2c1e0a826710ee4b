# Before removing ($1: how many versions stay): the last one is stopped and disabled; an upgrade leaves it running.
if [ "$1" -eq 0 ]; then
    [ ! -d /run/systemd/system ] || systemctl stop rmq-node.service 'rmq-node@*.service' || :
    systemctl --no-reload disable rmq-node.service || :
    # What is no unit's whole name cannot be disabled.
    rm -f /etc/systemd/system/*.wants/rmq-node@*.service
fi
