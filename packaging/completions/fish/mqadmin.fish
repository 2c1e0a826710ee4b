# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mqadmin_global_optspecs
    string join \n
end

function __fish_mqadmin_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mqadmin_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mqadmin_using_subcommand
    set -l cmd (__fish_mqadmin_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "updateTopic" -d 'Update or create topic'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "deleteTopic" -d 'Delete topic from broker and NameServer.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "updateSubGroup" -d 'Update or create subscription group'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "deleteSubGroup" -d 'Delete subscription group from broker.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "updateBrokerConfig" -d 'Update broker\'s config'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "updateTopicPerm" -d 'Update topic perm'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "topicRoute" -d 'Examine topic route info'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "topicStatus" -d 'Examine topic Status info'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "topicClusterList" -d 'get cluster info for topic'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "brokerStatus" -d 'Fetch broker runtime status data'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "queryMsgById" -d 'Query Message by Id'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "queryMsgByKey" -d 'Query Message by Key'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "queryMsgByUniqueKey" -d 'Query Message by Unique key'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "queryMsgByOffset" -d 'Query Message by offset'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "queryMsgTraceById" -d 'query a message trace'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "printMsg" -d 'Print Message Detail'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "printMsgByQueue" -d 'Print Message Detail'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "sendMsgStatus" -d 'send msg to broker.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "brokerConsumeStats" -d 'Fetch broker consume stats data'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "producerConnection" -d 'Query producer\'s socket connection and client version'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "consumerConnection" -d 'Query consumer\'s socket connection, client version and subscription'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "consumerProgress" -d 'Query consumers\'s progress, speed'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "consumerStatus" -d 'Query consumer\'s internal data structure'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "cloneGroupOffset" -d 'clone offset from other group.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "producer" -d 'Query producer\'s instances, connection, status, etc.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "clusterList" -d 'List all of clusters'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "topicList" -d 'Fetch all topic list from name server'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "updateKvConfig" -d 'Create or update KV config.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "deleteKvConfig" -d 'Delete KV config.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "wipeWritePerm" -d 'Wipe write perm of broker in all name server you defined in the -n param'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "addWritePerm" -d 'Add write perm of broker in all name server you defined in the -n param'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "resetOffsetByTime" -d 'Reset consumer offset by timestamp(without client restart).'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "skipAccumulatedMessage" -d 'Skip all messages that are accumulated (not consumed) currently'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "updateOrderConf" -d 'Create or update or delete order conf'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "cleanExpiredCQ" -d 'Clean expired ConsumeQueue on broker.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "deleteExpiredCommitLog" -d 'Delete expired CommitLog files'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "cleanUnusedTopic" -d 'Clean unused topic on broker.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "startMonitoring" -d 'Start Monitoring'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "statsAll" -d 'Topic and Consumer tps stats'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "allocateMQ" -d 'Allocate MQ'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "checkMsgSendRT" -d 'check message send response time'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "clusterRT" -d 'List All clusters Message Send RT'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "getNamesrvConfig" -d 'Get configs of name server.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "updateNamesrvConfig" -d 'Update configs of name server.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "getBrokerConfig" -d 'Get broker config by cluster or special broker!'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "getConsumerConfig" -d 'Get consumer config by subscription group name!'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "queryCq" -d 'Query cq command.'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "sendMessage" -d 'Send a message'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "consumeMessage" -d 'Consume message'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "updateAclConfig" -d 'Update acl config yaml file in broker'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "deleteAclConfig" -d 'Delete Acl Config Account in broker'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "clusterAclConfigVersion" -d 'List all of acl config version information in cluster'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "updateGlobalWhiteAddr" -d 'Update global white address for acl Config File in broker'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "getAclConfig" -d 'List all of acl config information in cluster'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "exportMetadata" -d 'export metadata'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "exportConfigs" -d 'export configs'
complete -c mqadmin -n "__fish_mqadmin_needs_command" -f -a "exportMetrics" -d 'export metrics'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopic" -s b -l brokerAddr -d 'create topic to which broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopic" -s c -l clusterName -d 'create topic to which cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopic" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopic" -s r -l readQueueNums -d 'set read queue nums' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopic" -s w -l writeQueueNums -d 'set write queue nums' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopic" -s p -l perm -d 'set topic\'s permission(2|4|6), intro[2:W 4:R; 6:RW]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopic" -s o -l order -d 'set topic\'s order(true|false)' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopic" -s u -l unit -d 'is unit topic (true|false)' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopic" -s s -l hasUnitSub -d 'has unit sub (true|false)' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopic" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopic" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteTopic" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteTopic" -s c -l clusterName -d 'delete topic from which cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteTopic" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteTopic" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s b -l brokerAddr -d 'create subscription group to which broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s c -l clusterName -d 'create subscription group to which cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s g -l groupName -d 'consumer group name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s s -l consumeEnable -d 'consume enable' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s m -l consumeFromMinEnable -d 'from min offset' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s d -l consumeBroadcastEnable -d 'broadcast' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s q -l retryQueueNums -d 'retry queue nums' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s r -l retryMaxTimes -d 'retry max times' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s i -l brokerId -d 'consumer from which broker id' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s w -l whichBrokerWhenConsumeSlowly -d 'which broker id when consume slowly' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s a -l notifyConsumerIdsChanged -d 'notify consumerId changed' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateSubGroup" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteSubGroup" -s b -l brokerAddr -d 'delete subscription group from which broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteSubGroup" -s c -l clusterName -d 'delete subscription group from which cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteSubGroup" -s g -l groupName -d 'subscription group name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteSubGroup" -s r -l removeOffset -d 'remove offset' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteSubGroup" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteSubGroup" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateBrokerConfig" -s b -l brokerAddr -d 'update which broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateBrokerConfig" -s c -l clusterName -d 'update which cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateBrokerConfig" -s k -l key -d 'config key' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateBrokerConfig" -s v -l value -d 'config value' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateBrokerConfig" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateBrokerConfig" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopicPerm" -s b -l brokerAddr -d 'create topic to which broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopicPerm" -s c -l clusterName -d 'create topic to which cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopicPerm" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopicPerm" -s p -l perm -d 'set topic\'s permission(2|4|6), intro[2:W; 4:R; 6:RW]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopicPerm" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateTopicPerm" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicRoute" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicRoute" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicRoute" -s l -l list -d 'Use list format to print data'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicRoute" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicStatus" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicStatus" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicStatus" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicClusterList" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicClusterList" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicClusterList" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand brokerStatus" -s b -l brokerAddr -d 'Broker address' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand brokerStatus" -s c -l clusterName -d 'which cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand brokerStatus" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand brokerStatus" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgById" -s i -l msgId -d 'Message Id' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgById" -s g -l consumerGroup -d 'consumer group name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgById" -s d -l clientId -d 'The consumer\'s client id' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgById" -s s -l sendMessage -d 'resend message' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgById" -s u -l unitName -d 'unit name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgById" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgById" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByKey" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByKey" -s k -l msgKey -d 'Message Key' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByKey" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByKey" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByUniqueKey" -s i -l msgId -d 'Message Id' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByUniqueKey" -s g -l consumerGroup -d 'consumer group name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByUniqueKey" -s d -l clientId -d 'The consumer\'s client id' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByUniqueKey" -s t -l topic -d 'The topic of msg' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByUniqueKey" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByUniqueKey" -s a -l showAll -d 'Print all message, the limit is 32'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByUniqueKey" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByOffset" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByOffset" -s b -l brokerName -d 'Broker Name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByOffset" -s i -l queueId -d 'Queue Id' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByOffset" -s o -l offset -d 'Queue Offset' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByOffset" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgByOffset" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgTraceById" -s i -l msgId -d 'Message Id' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgTraceById" -s t -l traceTopic -d 'The name value of message trace topic' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgTraceById" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryMsgTraceById" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsg" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsg" -s c -d 'CharsetName(eg: UTF-8,GBK)' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsg" -s s -d 'Subscribe Expression(eg: TagA || TagB)' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsg" -s b -d 'Begin timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsg" -s e -d 'End timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsg" -s d -d 'print body' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsg" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsg" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s a -d 'broker name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s i -d 'queue id' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s c -d 'CharsetName(eg: UTF-8,GBK)' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s s -d 'Subscribe Expression(eg: TagA || TagB)' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s b -d 'Begin timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s e -d 'End timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s p -d 'print msg. eg: true | false(default)' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s d -d 'print body. eg: true | false(default)' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s f -l calculate -d 'calculate by tag. eg: true | false(default)' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand printMsgByQueue" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMsgStatus" -s b -l brokerName -d 'Broker Name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMsgStatus" -s s -l messageSize -d 'Message Size, Default: 128' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMsgStatus" -s c -l count -d 'send message count, Default: 50' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMsgStatus" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMsgStatus" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand brokerConsumeStats" -s b -l brokerAddr -d 'Broker address' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand brokerConsumeStats" -s t -l timeoutMillis -d 'request timeout Millis' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand brokerConsumeStats" -s l -l level -d 'threshold of print diff' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand brokerConsumeStats" -s o -l order -d 'order topic' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand brokerConsumeStats" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand brokerConsumeStats" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand producerConnection" -s g -l producerGroup -d 'producer group name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand producerConnection" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand producerConnection" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand producerConnection" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerConnection" -s g -l consumerGroup -d 'consumer group name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerConnection" -s b -l brokerAddr -d 'broker address' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerConnection" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerConnection" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerProgress" -s g -l groupName -d 'consumer group name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerProgress" -s s -l showClientIP -d 'Show Client IP per Queue' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerProgress" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerProgress" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerStatus" -s g -l consumerGroup -d 'consumer group name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerStatus" -s i -l clientId -d 'The consumer\'s client id' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerStatus" -s b -l brokerAddr -d 'broker address' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerStatus" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerStatus" -s s -l jstack -d 'Run jstack command in the consumer progress'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumerStatus" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cloneGroupOffset" -s s -l srcGroup -d 'set source consumer group' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cloneGroupOffset" -s d -l destGroup -d 'set destination consumer group' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cloneGroupOffset" -s t -l topic -d 'set the topic' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cloneGroupOffset" -s o -l offline -d 'the group or the topic is offline' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cloneGroupOffset" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cloneGroupOffset" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand producer" -s b -l broker -d 'broker address' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand producer" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand producer" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterList" -s i -l interval -d 'specify intervals numbers, it is in seconds' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterList" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterList" -s m -l moreStats -d 'Print more stats'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterList" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicList" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicList" -s c -l clusterModel -d 'clusterModel'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand topicList" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateKvConfig" -s s -l namespace -d 'set the namespace' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateKvConfig" -s k -l key -d 'set the key name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateKvConfig" -s v -l value -d 'set the key value' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateKvConfig" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateKvConfig" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteKvConfig" -s s -l namespace -d 'set the namespace' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteKvConfig" -s k -l key -d 'set the key name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteKvConfig" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteKvConfig" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand wipeWritePerm" -s b -l brokerName -d 'broker name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand wipeWritePerm" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand wipeWritePerm" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand addWritePerm" -s b -l brokerName -d 'broker name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand addWritePerm" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand addWritePerm" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand resetOffsetByTime" -s g -l group -d 'set the consumer group' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand resetOffsetByTime" -s t -l topic -d 'set the topic' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand resetOffsetByTime" -s s -l timestamp -d 'set the timestamp[now|currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand resetOffsetByTime" -s f -l force -d 'set the force rollback by timestamp switch[true|false]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand resetOffsetByTime" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand resetOffsetByTime" -s c -l cplus -d 'reset c++ client offset'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand resetOffsetByTime" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand skipAccumulatedMessage" -s g -l group -d 'set the consumer group' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand skipAccumulatedMessage" -s t -l topic -d 'set the topic' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand skipAccumulatedMessage" -s f -l force -d 'set the force rollback by timestamp switch[true|false]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand skipAccumulatedMessage" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand skipAccumulatedMessage" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateOrderConf" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateOrderConf" -s v -l orderConf -d 'set order conf [eg. brokerName1:num;brokerName2:num]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateOrderConf" -s m -l method -d 'option type [eg. put|get|delete' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateOrderConf" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateOrderConf" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cleanExpiredCQ" -s b -l brokerAddr -d 'Broker address' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cleanExpiredCQ" -s c -l cluster -d 'clustername' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cleanExpiredCQ" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cleanExpiredCQ" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteExpiredCommitLog" -s n -l namesrvAddr -d 'Name server address' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteExpiredCommitLog" -s b -l brokerAddr -d 'Broker address' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteExpiredCommitLog" -s c -l cluster -d 'clustername' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteExpiredCommitLog" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cleanUnusedTopic" -s b -l brokerAddr -d 'Broker address' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cleanUnusedTopic" -s c -l cluster -d 'cluster name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cleanUnusedTopic" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand cleanUnusedTopic" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand startMonitoring" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand startMonitoring" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand statsAll" -s t -l topic -d 'print select topic only' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand statsAll" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand statsAll" -s a -l activeTopic -d 'print active topic only'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand statsAll" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand allocateMQ" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand allocateMQ" -s i -l ipList -d 'ipList' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand allocateMQ" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand allocateMQ" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand checkMsgSendRT" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand checkMsgSendRT" -s a -l amount -d 'message amount | default 100' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand checkMsgSendRT" -s s -l size -d 'message size | default 128 Byte' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand checkMsgSendRT" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand checkMsgSendRT" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterRT" -s a -l amount -d 'message amount | default 100' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterRT" -s s -l size -d 'message size | default 128 Byte' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterRT" -s c -l cluster -d 'cluster name | default display all cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterRT" -s p -d 'print as tlog | default false' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterRT" -s m -d 'machine room name | default noname' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterRT" -s i -l interval -d 'print interval | default 10 seconds' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterRT" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterRT" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getNamesrvConfig" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getNamesrvConfig" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateNamesrvConfig" -s k -l key -d 'config key' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateNamesrvConfig" -s v -l value -d 'config value' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateNamesrvConfig" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateNamesrvConfig" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getBrokerConfig" -s b -l brokerAddr -d 'get which broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getBrokerConfig" -s c -l clusterName -d 'get which cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getBrokerConfig" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getBrokerConfig" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getConsumerConfig" -s g -l groupName -d 'subscription group name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getConsumerConfig" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getConsumerConfig" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryCq" -s t -l topic -d 'topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryCq" -s q -l queue -d 'queue num, ie. 1' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryCq" -s i -l index -d 'start queue index.' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryCq" -s c -l count -d 'how many.' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryCq" -s b -l broker -d 'broker addr.' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryCq" -s g -l consumer -d 'consumer group.' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryCq" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand queryCq" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMessage" -s t -l topic -d 'Topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMessage" -s p -l body -d 'UTF-8 string format of the message body' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMessage" -s k -l key -d 'Message keys' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMessage" -s c -l tags -d 'Message tags' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMessage" -s b -l broker -d 'Send message to target broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMessage" -s i -l qid -d 'Send message to target queue' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMessage" -s m -l msgTraceEnable -d 'Message Trace Enable, Default: false' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMessage" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand sendMessage" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumeMessage" -s t -l topic -d 'Topic name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumeMessage" -s b -l brokerName -d 'Broker name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumeMessage" -s i -l queueId -d 'Queue Id' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumeMessage" -s o -l offset -d 'Queue offset' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumeMessage" -s g -l consumerGroup -d 'Consumer group name' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumeMessage" -s s -d 'Begin timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumeMessage" -s e -d 'End timestamp[currentTimeMillis|yyyy-MM-dd#HH:mm:ss:SSS]' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumeMessage" -s c -l MessageNumber -d 'Number of message to be consumed' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumeMessage" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand consumeMessage" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s b -l brokerAddr -d 'update acl config file to which broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s c -l clusterName -d 'update acl config file to which cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s a -l accessKey -d 'set accessKey in acl config file' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s s -l secretKey -d 'set secretKey in acl config file' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s w -l whiteRemoteAddress -d 'set white ip Address for account in acl config file' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s i -l defaultTopicPerm -d 'set default topicPerm in acl config file' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s u -l defaultGroupPerm -d 'set default GroupPerm in acl config file' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s t -l topicPerms -d 'set topicPerms list,eg: topicA=DENY,topicD=SUB' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s g -l groupPerms -d 'set groupPerms list,eg: groupD=DENY,groupD=SUB' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s m -l admin -d 'set admin flag in acl config file' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateAclConfig" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteAclConfig" -s b -l brokerAddr -d 'delete acl config account from which broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteAclConfig" -s c -l clusterName -d 'delete acl config account from which cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteAclConfig" -s a -l accessKey -d 'set accessKey in acl config file for deleting which account' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteAclConfig" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand deleteAclConfig" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterAclConfigVersion" -s b -l brokerAddr -d 'query acl config version for which broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterAclConfigVersion" -s c -l clusterName -d 'query acl config version for specified cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterAclConfigVersion" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand clusterAclConfigVersion" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateGlobalWhiteAddr" -s b -l brokerAddr -d 'update global white address to which broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateGlobalWhiteAddr" -s c -l clusterName -d 'update global white address to which cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateGlobalWhiteAddr" -s g -l globalWhiteRemoteAddresses -d 'set globalWhiteRemoteAddress list,eg: 10.10.103.*,192.168.0.*' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateGlobalWhiteAddr" -s p -l aclFileFullPath -d 'update global white address of specified acl file,eg: /xxx/plain_test.yml' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateGlobalWhiteAddr" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand updateGlobalWhiteAddr" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getAclConfig" -s b -l brokerAddr -d 'query acl config version for which broker' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getAclConfig" -s c -l clusterName -d 'query acl config version for specified cluster' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getAclConfig" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand getAclConfig" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetadata" -s c -l clusterName -d 'choose a cluster to export' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetadata" -s b -l brokerAddr -d 'choose a broker to export' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetadata" -s f -l filePath -d 'export metadata.json path | default /tmp/rocketmq/export' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetadata" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetadata" -s t -l topic -d 'only export topic metadata'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetadata" -s g -l subscriptionGroup -d 'only export subscriptionGroup metadata'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetadata" -s s -l specialTopic -d 'need retryTopic and dlqTopic'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetadata" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportConfigs" -s c -l clusterName -d 'choose a cluster to export' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportConfigs" -s f -l filePath -d 'export configs.json path | default /tmp/rocketmq/export' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportConfigs" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportConfigs" -s h -l help -d 'Print help'
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetrics" -s c -l clusterName -d 'choose a cluster to export' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetrics" -s f -l filePath -d 'export metrics.json path | default /tmp/rocketmq/export' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetrics" -s n -l namesrvAddr -d 'Name server address list, eg: \'192.168.0.1:9876;192.168.0.2:9876\'' -r
complete -c mqadmin -n "__fish_mqadmin_using_subcommand exportMetrics" -s h -l help -d 'Print help'
