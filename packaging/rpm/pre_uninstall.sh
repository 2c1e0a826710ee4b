# Before removing ($1: how many versions stay): the last one is stopped and disabled; an upgrade leaves it running.
if [ "$1" -eq 0 ]; then
    if [ -d /run/systemd/system ]; then
        systemctl --no-reload disable --now rmq-node.service 'rmq-node@*.service' || :
    else
        systemctl --no-reload disable rmq-node.service || :
    fi
fi
