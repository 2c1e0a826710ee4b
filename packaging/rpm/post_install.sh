# After unpacking ($1: how many versions are there now): folders, then what to do next. Never enables, starts or
# restarts the node.
systemd-tmpfiles --create rmq-node.conf || :
[ ! -d /run/systemd/system ] || systemctl daemon-reload || :
if [ "$1" -eq 1 ]; then
    echo "rmq-node is installed, neither enabled nor started. In a cluster with your addresses, --this the host's own, then in any case:"
    echo "  rmq-node config init --hosts 192.168.1.161,192.168.1.162 --this 192.168.1.161 --out /etc/rmq-node"
    echo "  systemctl enable --now rmq-node"
elif [ -d /run/systemd/system ]; then
    systemctl list-units --plain --no-legend --state=active,reloading 'rmq-node.service' 'rmq-node@*.service' |
        while read -r unit rest; do
            echo "$unit goes on with the version that it was started with. One host after the other; this looks whether anybody"
            echo "would notice, lets producers go elsewhere, restarts it, and lets them come back:"
            instance=${unit#rmq-node@}
            case $unit in
            rmq-node@*) socket=" --socket /run/rmq-node/${instance%.service}/admin.sock" ;;
            *) socket="" ;;
            esac
            echo "  rmq-node admin node restart --drain$socket"
        done
fi
