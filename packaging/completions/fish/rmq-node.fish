# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_rmq_node_global_optspecs
    string join \n h/help V/version
end

function __fish_rmq_node_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_rmq_node_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_rmq_node_using_subcommand
    set -l cmd (__fish_rmq_node_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c rmq-node -n "__fish_rmq_node_needs_command" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_needs_command" -s V -l version -d 'Print version'
complete -c rmq-node -n "__fish_rmq_node_needs_command" -f -a "run" -d 'Run the node: without any settings, a name server and a broker on 127.0.0.1'
complete -c rmq-node -n "__fish_rmq_node_needs_command" -f -a "config" -d 'Check, show, make or import the settings'
complete -c rmq-node -n "__fish_rmq_node_needs_command" -f -a "bench" -d 'Measure a cluster, ours or Apache\'s: send or pull as fast as it answers'
complete -c rmq-node -n "__fish_rmq_node_needs_command" -f -a "admin" -d 'Look at and change a cluster, ours or Apache\'s'
complete -c rmq-node -n "__fish_rmq_node_needs_command" -f -a "doctor" -d 'Look for what is wrong with this host and its cluster, before and after the start'
complete -c rmq-node -n "__fish_rmq_node_needs_command" -f -a "store" -d 'Work on a store while the node is stopped: adopt one of 4.9'
complete -c rmq-node -n "__fish_rmq_node_needs_command" -f -a "demo" -d 'Run a pair of hosts on this machine, kill one after the other under load, and count what was lost'
complete -c rmq-node -n "__fish_rmq_node_needs_command" -f -a "generate" -d 'Write man pages and completions below a folder'
complete -c rmq-node -n "__fish_rmq_node_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand run" -s c -l config -d 'The file with the settings; conf.d/*.toml beside it follow [default: /etc/rmq-node/rmq-node.toml if there]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand run" -l data-dir -d 'Where everything is kept [default: $STATE_DIRECTORY, else ./rmq-node-data]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand run" -l listen -d 'The address that all ports are bound on [default: 127.0.0.1 if no broker is configured]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand run" -l ends-with -d 'End at once when this process, which started us, ends' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand run" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and not __fish_seen_subcommand_from check show init import help" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and not __fish_seen_subcommand_from check show init import help" -f -a "check" -d 'Look for mistakes in the settings (exit code 78), and in the files of accounts, of logins and of TLS (1)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and not __fish_seen_subcommand_from check show init import help" -f -a "show" -d 'Print every setting with where it comes from'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and not __fish_seen_subcommand_from check show init import help" -f -a "init" -d 'Print the file of this host in a new cluster, or write those of all hosts'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and not __fish_seen_subcommand_from check show init import help" -f -a "import" -d 'Print the settings that replace 4.9.4\'s property files of one host, and tell what became of each line'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and not __fish_seen_subcommand_from check show init import help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from check" -s c -l config -d 'The file with the settings; conf.d/*.toml beside it follow [default: /etc/rmq-node/rmq-node.toml if there]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from check" -l data-dir -d 'Where everything is kept [default: $STATE_DIRECTORY, else ./rmq-node-data]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from check" -l listen -d 'The address that all ports are bound on [default: 127.0.0.1 if no broker is configured]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from check" -l running -d 'Refuse also what the node that wrote FILE, such as /run/rmq-node/settings.toml, cannot take over by a reload' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from show" -s c -l config -d 'The file with the settings; conf.d/*.toml beside it follow [default: /etc/rmq-node/rmq-node.toml if there]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from show" -l data-dir -d 'Where everything is kept [default: $STATE_DIRECTORY, else ./rmq-node-data]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from show" -l listen -d 'The address that all ports are bound on [default: 127.0.0.1 if no broker is configured]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from show" -l defaults -d 'Print the documented defaults instead, as a file to start from'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from init" -l cluster -d 'The cluster\'s name' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from init" -l hosts -d 'The addresses at which all hosts of the cluster are dialled' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from init" -l mode -d 'How the brokers stand to one another; three or more hosts make a ring in 2m-2s-async and 2m-2s-sync [default: 2m-2s-async, with one host single]' -r -f -a "single\t''
master-slave-async\t''
master-slave-sync\t''
2m-noslave\t''
2m-2s-async\t''
2m-2s-sync\t''"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from init" -l this -d 'Which of the hosts this one is [default: the one whose address it has]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from init" -l out -d 'Write into this folder: with --this its rmq-node.toml, else one in a folder for each host' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from init" -l force -d 'Replace files that are there and set something; each old one is kept beside its new one'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from import" -l accounts-to -d 'Copy plain_acl.yml and other account files into this folder' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Look for mistakes in the settings (exit code 78), and in the files of accounts, of logins and of TLS (1)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Print every setting with where it comes from'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "init" -d 'Print the file of this host in a new cluster, or write those of all hosts'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "import" -d 'Print the settings that replace 4.9.4\'s property files of one host, and tell what became of each line'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and not __fish_seen_subcommand_from produce consume echo help" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and not __fish_seen_subcommand_from produce consume echo help" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and not __fish_seen_subcommand_from produce consume echo help" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and not __fish_seen_subcommand_from produce consume echo help" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and not __fish_seen_subcommand_from produce consume echo help" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and not __fish_seen_subcommand_from produce consume echo help" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and not __fish_seen_subcommand_from produce consume echo help" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and not __fish_seen_subcommand_from produce consume echo help" -f -a "produce" -d 'Send messages'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and not __fish_seen_subcommand_from produce consume echo help" -f -a "consume" -d 'Pull all queues of a topic from their beginning'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and not __fish_seen_subcommand_from produce consume echo help" -f -a "echo" -d 'A peer that only answers: the floor that brokers are compared with'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and not __fish_seen_subcommand_from produce consume echo help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -s n -l name-server -d 'Name servers as HOST:PORT, separated by `;` or `,`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l broker -d 'One broker as HOST:PORT, asked directly; its topic is taken to have four queues' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -s t -l topic -d 'The topic; the first send creates it where brokers allow that' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -s c -l connections -d 'Connections to each broker' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -s i -l in-flight -d 'Requests in flight on each connection' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -s d -l duration -d 'Seconds to run; `consume` starts over at the queues\' ends' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -s m -l messages -d 'Messages to move' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -s o -l output -d 'How the summary is printed' -r -f -a "text\t''
json\t''"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -s s -l size -d 'Bytes of each body' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -s b -l batch -d 'Messages of one request' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l tags -d 'Give all messages this tag' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -s r -l rate -d 'Messages per second; without it, as many as possible' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l delay-levels -d 'Give each message the next of the first COUNT delay levels' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l binary -d 'Encode request headers in the binary form instead of JSON'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l oneway -d 'Send without waiting for answers'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l transactions -d 'Make each message a transaction, and commit it'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -l keys -d 'Give each message a key of its own'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from produce" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -s n -l name-server -d 'Name servers as HOST:PORT, separated by `;` or `,`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -l broker -d 'One broker as HOST:PORT, asked directly; its topic is taken to have four queues' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -s t -l topic -d 'The topic; the first send creates it where brokers allow that' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -s c -l connections -d 'Connections to each broker' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -s i -l in-flight -d 'Requests in flight on each connection' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -s d -l duration -d 'Seconds to run; `consume` starts over at the queues\' ends' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -s m -l messages -d 'Messages to move' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -s o -l output -d 'How the summary is printed' -r -f -a "text\t''
json\t''"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -s b -l batch -d 'Messages of one pull' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -l sql -d 'Pull only what matches this SQL92 expression' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -l binary -d 'Encode request headers in the binary form instead of JSON'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from consume" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from echo" -l listen -d 'Where to listen' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from echo" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from echo" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from echo" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from echo" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from echo" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from echo" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from echo" -l commands -d 'Decode and encode through the node\'s transport instead of bare TCP, which needs `--binary` requests'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from echo" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "produce" -d 'Send messages'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "consume" -d 'Pull all queues of a topic from their beginning'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "echo" -d 'A peer that only answers: the floor that brokers are compared with'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand bench; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -s n -l name-server -d 'Name servers of the cluster as HOST:PORT, separated by `,` or `;`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -l socket -d 'The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -s o -l output -d 'How results are printed' -r -f -a "table\t'Columns for people'
wide\t'The same with more columns'
json\t'Everything that is known, for programs'
yaml\t'The same as YAML'
tsv\t'The wide columns, with tabs between them'
name\t'Only names, one a line'"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -l watch -d 'Ask again every so many seconds, until it is interrupted; not for what changes something' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -f -a "cluster" -d 'Show every broker group with its master and slaves: addresses, versions, messages a second, and how they are'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -f -a "replication" -d 'How slaves copy their masters: list (also without a verb), resync'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -f -a "timers" -d 'Messages that wait for a time of their own (`TIMER_DELIVER_MS` and the like): list, cancel'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -f -a "topics" -d 'Topics: list (also without a verb), show, create, delete, repair'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -f -a "groups" -d 'Consumer groups: list (also without a verb), show'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -f -a "messages" -d 'Messages: show, find, tail'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -f -a "offsets" -d 'Positions of groups: reset'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -f -a "node" -d 'The node of this host: status (also without a verb), reload'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -f -a "alerts" -d 'What the node of this host finds wrong with its cluster: list (also without a verb), silence, silences, test'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -f -a "audit" -d 'What was changed through the node of this host, and by whom'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and not __fish_seen_subcommand_from cluster replication timers topics groups messages offsets node alerts audit help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from cluster" -s n -l name-server -d 'Name servers of the cluster as HOST:PORT, separated by `,` or `;`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from cluster" -l socket -d 'The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from cluster" -s o -l output -d 'How results are printed' -r -f -a "table\t'Columns for people'
wide\t'The same with more columns'
json\t'Everything that is known, for programs'
yaml\t'The same as YAML'
tsv\t'The wide columns, with tabs between them'
name\t'Only names, one a line'"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from cluster" -l watch -d 'Ask again every so many seconds, until it is interrupted; not for what changes something' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from cluster" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from cluster" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from cluster" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from cluster" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from cluster" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from cluster" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from cluster" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -s n -l name-server -d 'Name servers of the cluster as HOST:PORT, separated by `,` or `;`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -l socket -d 'The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -s o -l output -d 'How results are printed' -r -f -a "table\t'Columns for people'
wide\t'The same with more columns'
json\t'Everything that is known, for programs'
yaml\t'The same as YAML'
tsv\t'The wide columns, with tabs between them'
name\t'Only names, one a line'"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -l watch -d 'Ask again every so many seconds, until it is interrupted; not for what changes something' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -f -a "list" -d 'List slaves, each with its master, how far it is behind, and what went wrong last'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -f -a "resync" -d 'Let this host\'s slave of a group set its folder aside, beside the others, and copy all that its master has'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from replication" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -s n -l name-server -d 'Name servers of the cluster as HOST:PORT, separated by `,` or `;`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -l socket -d 'The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -s o -l output -d 'How results are printed' -r -f -a "table\t'Columns for people'
wide\t'The same with more columns'
json\t'Everything that is known, for programs'
yaml\t'The same as YAML'
tsv\t'The wide columns, with tabs between them'
name\t'Only names, one a line'"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -l watch -d 'Ask again every so many seconds, until it is interrupted; not for what changes something' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -f -a "list" -d 'List what waits, in the order of its times: when it is due, its topic and its id'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -f -a "cancel" -d 'Do not deliver a message that still waits'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from timers" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -s n -l name-server -d 'Name servers of the cluster as HOST:PORT, separated by `,` or `;`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -l socket -d 'The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -s o -l output -d 'How results are printed' -r -f -a "table\t'Columns for people'
wide\t'The same with more columns'
json\t'Everything that is known, for programs'
yaml\t'The same as YAML'
tsv\t'The wide columns, with tabs between them'
name\t'Only names, one a line'"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -l watch -d 'Ask again every so many seconds, until it is interrupted; not for what changes something' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -f -a "list" -d 'List topics with their queues and permissions on each broker, and where they differ'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -f -a "show" -d 'Show one topic with the offsets of each queue'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -f -a "create" -d 'Create a topic on every master; one that is there is not changed'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -f -a "repair" -d 'Make topics equal on all masters of their cluster: where one is missing it is created, and every master gets the most queues and all permissions that one of them has. Nothing is taken away'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -f -a "delete" -d 'Delete a topic with its messages'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from topics" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -s n -l name-server -d 'Name servers of the cluster as HOST:PORT, separated by `,` or `;`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -l socket -d 'The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -s o -l output -d 'How results are printed' -r -f -a "table\t'Columns for people'
wide\t'The same with more columns'
json\t'Everything that is known, for programs'
yaml\t'The same as YAML'
tsv\t'The wide columns, with tabs between them'
name\t'Only names, one a line'"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -l watch -d 'Ask again every so many seconds, until it is interrupted; not for what changes something' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -f -a "list" -d 'List groups with what they have not got yet; `-o wide` counts members too, with a call for each group'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -f -a "show" -d 'Show one group: its members, and each queue with its lag, its owner, and when that pulled last'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from groups" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -s n -l name-server -d 'Name servers of the cluster as HOST:PORT, separated by `,` or `;`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -l socket -d 'The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -s o -l output -d 'How results are printed' -r -f -a "table\t'Columns for people'
wide\t'The same with more columns'
json\t'Everything that is known, for programs'
yaml\t'The same as YAML'
tsv\t'The wide columns, with tabs between them'
name\t'Only names, one a line'"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -l watch -d 'Ask again every so many seconds, until it is interrupted; not for what changes something' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -f -a "show" -d 'Show the message of an id with its body, and which groups have got it'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -f -a "find" -d 'List messages of a topic that have a key, newest first'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -f -a "tail" -d 'Show messages of a topic as they are stored, until it is interrupted'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from messages" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -s n -l name-server -d 'Name servers of the cluster as HOST:PORT, separated by `,` or `;`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -l socket -d 'The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -s o -l output -d 'How results are printed' -r -f -a "table\t'Columns for people'
wide\t'The same with more columns'
json\t'Everything that is known, for programs'
yaml\t'The same as YAML'
tsv\t'The wide columns, with tabs between them'
name\t'Only names, one a line'"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -l watch -d 'Ask again every so many seconds, until it is interrupted; not for what changes something' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -f -a "reset" -d 'Let a group go on elsewhere in a topic. Connected members are told, which is possible for `earliest`, `latest` and a time; without members any target is'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from offsets" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -s n -l name-server -d 'Name servers of the cluster as HOST:PORT, separated by `,` or `;`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -l socket -d 'The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -s o -l output -d 'How results are printed' -r -f -a "table\t'Columns for people'
wide\t'The same with more columns'
json\t'Everything that is known, for programs'
yaml\t'The same as YAML'
tsv\t'The wide columns, with tabs between them'
name\t'Only names, one a line'"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -l watch -d 'Ask again every so many seconds, until it is interrupted; not for what changes something' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -f -a "status" -d 'Show the node\'s version, process, and how its roles are'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -f -a "reload" -d 'Have the node read its settings again; nothing changes if they are wrong or need a restart'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from node" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -s n -l name-server -d 'Name servers of the cluster as HOST:PORT, separated by `,` or `;`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -l socket -d 'The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -s o -l output -d 'How results are printed' -r -f -a "table\t'Columns for people'
wide\t'The same with more columns'
json\t'Everything that is known, for programs'
yaml\t'The same as YAML'
tsv\t'The wide columns, with tabs between them'
name\t'Only names, one a line'"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -l watch -d 'Ask again every so many seconds, until it is interrupted; not for what changes something' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -f -a "list" -d 'List what is wrong, by rule: what it is about, since when, and what to do'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -f -a "silence" -d 'Do not tell receivers of alerts for a while, or tell them again'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -f -a "silences" -d 'List what is silenced, until when and why'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -f -a "test" -d 'Send a message to every receiver of the settings'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from alerts" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -s l -l limit -d 'The last so many changes' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -s n -l name-server -d 'Name servers of the cluster as HOST:PORT, separated by `,` or `;`' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -l socket -d 'The socket of a node [default: /run/rmq-node/admin.sock, else that in the data directory]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -s o -l output -d 'How results are printed' -r -f -a "table\t'Columns for people'
wide\t'The same with more columns'
json\t'Everything that is known, for programs'
yaml\t'The same as YAML'
tsv\t'The wide columns, with tabs between them'
name\t'Only names, one a line'"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -l watch -d 'Ask again every so many seconds, until it is interrupted; not for what changes something' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -l access-key -d 'Account that signs the requests, where the cluster has accounts' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -l secret-key -d 'Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -l credentials -d 'File with accessKey and secretKey, as 4.9.4\'s conf/tools.yml' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -l tls-ca -d 'Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -l tls-certificate -d 'PEM file with the certificate to show, where the cluster lets nobody in without one' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -l tls-key -d 'PEM file with its private key' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from audit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "cluster" -d 'Show every broker group with its master and slaves: addresses, versions, messages a second, and how they are'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "replication" -d 'How slaves copy their masters: list (also without a verb), resync'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "timers" -d 'Messages that wait for a time of their own (`TIMER_DELIVER_MS` and the like): list, cancel'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "topics" -d 'Topics: list (also without a verb), show, create, delete, repair'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "groups" -d 'Consumer groups: list (also without a verb), show'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "messages" -d 'Messages: show, find, tail'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "offsets" -d 'Positions of groups: reset'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "node" -d 'The node of this host: status (also without a verb), reload'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "alerts" -d 'What the node of this host finds wrong with its cluster: list (also without a verb), silence, silences, test'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "audit" -d 'What was changed through the node of this host, and by whom'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand admin; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand doctor" -s c -l config -d 'The file with the settings; conf.d/*.toml beside it follow [default: /etc/rmq-node/rmq-node.toml if there]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand doctor" -l data-dir -d 'Where everything is kept [default: $STATE_DIRECTORY, else ./rmq-node-data]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand doctor" -l listen -d 'The address that all ports are bound on [default: 127.0.0.1 if no broker is configured]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand doctor" -s o -l output -d 'How findings are printed' -r -f -a "text\t''
json\t''"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and not __fish_seen_subcommand_from adopt help" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and not __fish_seen_subcommand_from adopt help" -f -a "adopt" -d 'Take the store of a stopped 4.9 broker over: its log, topics, groups and positions'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and not __fish_seen_subcommand_from adopt help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and __fish_seen_subcommand_from adopt" -l group -d 'The group (`brokerName`) that it was a broker of' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and __fish_seen_subcommand_from adopt" -s c -l config -d 'The file with the settings; conf.d/*.toml beside it follow [default: /etc/rmq-node/rmq-node.toml if there]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and __fish_seen_subcommand_from adopt" -l data-dir -d 'Where everything is kept [default: $STATE_DIRECTORY, else ./rmq-node-data]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and __fish_seen_subcommand_from adopt" -l listen -d 'The address that all ports are bound on [default: 127.0.0.1 if no broker is configured]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and __fish_seen_subcommand_from adopt" -l copy -d 'Copy every file, so that nothing is shared with the old store'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and __fish_seen_subcommand_from adopt" -l dry-run -d 'Only look whether it can be done'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and __fish_seen_subcommand_from adopt" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and __fish_seen_subcommand_from help" -f -a "adopt" -d 'Take the store of a stopped 4.9 broker over: its log, topics, groups and positions'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand store; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand demo" -l script -d 'What happens instead of keys, separated by `;`: `wait SECONDS`, `kill HOST` (kill -9), `stop HOST` (in order), `start HOST` (until clients can use it); hosts are 1 and 2 [default without a terminal: wait 3; kill 1; wait 5; start 1; wait 5; kill 2; wait 5; start 2; wait 3]' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand demo" -l hosts -d 'Both hosts\' addresses: two of this machine\'s own, 127.x.y.z' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand demo" -l mode -d 'Whether a sender waits for the slave\'s copy. Nothing is lost either way, as a killed host comes back with its disk' -r -f -a "2m-2s-async\t''
2m-2s-sync\t''"
complete -c rmq-node -n "__fish_rmq_node_using_subcommand demo" -l rate -d 'Messages to send each second' -r
complete -c rmq-node -n "__fish_rmq_node_using_subcommand demo" -l data-dir -d 'Keep all data in this new folder [default: a temporary one, which is removed]' -r -F
complete -c rmq-node -n "__fish_rmq_node_using_subcommand demo" -l keep -d 'Do not remove the temporary folder'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand generate" -s h -l help -d 'Print help'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and not __fish_seen_subcommand_from run config bench admin doctor store demo generate help" -f -a "run" -d 'Run the node: without any settings, a name server and a broker on 127.0.0.1'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and not __fish_seen_subcommand_from run config bench admin doctor store demo generate help" -f -a "config" -d 'Check, show, make or import the settings'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and not __fish_seen_subcommand_from run config bench admin doctor store demo generate help" -f -a "bench" -d 'Measure a cluster, ours or Apache\'s: send or pull as fast as it answers'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and not __fish_seen_subcommand_from run config bench admin doctor store demo generate help" -f -a "admin" -d 'Look at and change a cluster, ours or Apache\'s'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and not __fish_seen_subcommand_from run config bench admin doctor store demo generate help" -f -a "doctor" -d 'Look for what is wrong with this host and its cluster, before and after the start'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and not __fish_seen_subcommand_from run config bench admin doctor store demo generate help" -f -a "store" -d 'Work on a store while the node is stopped: adopt one of 4.9'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and not __fish_seen_subcommand_from run config bench admin doctor store demo generate help" -f -a "demo" -d 'Run a pair of hosts on this machine, kill one after the other under load, and count what was lost'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and not __fish_seen_subcommand_from run config bench admin doctor store demo generate help" -f -a "generate" -d 'Write man pages and completions below a folder'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and not __fish_seen_subcommand_from run config bench admin doctor store demo generate help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Look for mistakes in the settings (exit code 78), and in the files of accounts, of logins and of TLS (1)'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Print every setting with where it comes from'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "init" -d 'Print the file of this host in a new cluster, or write those of all hosts'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "import" -d 'Print the settings that replace 4.9.4\'s property files of one host, and tell what became of each line'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "produce" -d 'Send messages'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "consume" -d 'Pull all queues of a topic from their beginning'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from bench" -f -a "echo" -d 'A peer that only answers: the floor that brokers are compared with'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "cluster" -d 'Show every broker group with its master and slaves: addresses, versions, messages a second, and how they are'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "replication" -d 'How slaves copy their masters: list (also without a verb), resync'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "timers" -d 'Messages that wait for a time of their own (`TIMER_DELIVER_MS` and the like): list, cancel'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "topics" -d 'Topics: list (also without a verb), show, create, delete, repair'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "groups" -d 'Consumer groups: list (also without a verb), show'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "messages" -d 'Messages: show, find, tail'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "offsets" -d 'Positions of groups: reset'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "node" -d 'The node of this host: status (also without a verb), reload'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "alerts" -d 'What the node of this host finds wrong with its cluster: list (also without a verb), silence, silences, test'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from admin" -f -a "audit" -d 'What was changed through the node of this host, and by whom'
complete -c rmq-node -n "__fish_rmq_node_using_subcommand help; and __fish_seen_subcommand_from store" -f -a "adopt" -d 'Take the store of a stopped 4.9 broker over: its log, topics, groups and positions'
