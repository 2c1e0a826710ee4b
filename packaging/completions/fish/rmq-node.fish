complete --keep-order --exclusive --command rmq-node --arguments "(RMQ_COMPLETE=fish rmq-node -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
