# After removing ($1: how many versions stay). Messages and the user that they belong to are kept.
[ ! -d /run/systemd/system ] || systemctl daemon-reload || :
if [ "$1" -eq 0 ] && [ -d /var/lib/rmq-node ]; then
    echo "the messages in /var/lib/rmq-node are kept, and the user rmq-node that they belong to. To delete them:"
    echo "  rm -r /var/lib/rmq-node"
fi
