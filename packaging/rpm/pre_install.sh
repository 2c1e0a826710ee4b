# Before unpacking: the user that files belong to. The line is that of /usr/lib/sysusers.d/rmq-node.conf, which is not
# there yet.
systemd-sysusers --replace=/usr/lib/sysusers.d/rmq-node.conf - <<'END' || exit 1
u rmq-node - "rmq-node message broker" /var/lib/rmq-node /usr/sbin/nologin
END
