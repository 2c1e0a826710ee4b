import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.hook.SendMessageContext;
import org.apache.rocketmq.client.hook.SendMessageHook;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.protocol.body.ClusterInfo;
import org.apache.rocketmq.common.protocol.body.ConsumerConnection;
import org.apache.rocketmq.common.protocol.body.KVTable;
import org.apache.rocketmq.common.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.common.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.common.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.remoting.exception.RemotingException;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * The reference client of the interop suite: {@code Interop NAME_SERVER PREFIX before|after|alone}.
 *
 * Prints one line a check, {@code ok NAME} or {@code FAIL NAME: why}. "after" runs once the server was restarted and
 * relies on what "before" left (its working folder too). Topics and groups begin with PREFIX, so that several clients can share
 * one server.
 *
 * RocketMQ promises "at least once": a producer sends again what was not answered, and consumers that share queues out anew begin
 * at the last committed offset. So no message may be missing and none may be foreign, repeats are counted in the ok line, and
 * only a lone consumer must not be given the same place of a queue twice.
 */
public final class Interop {
    private static final long WAIT_MS = 120_000;
    /** The clients' own 3 s are too short for a loaded machine: past them they close the connection, and others lose their answers. */
    private static final int API_TIMEOUT_MS = 15_000;
    /** What "before" tells "after". */
    private static final Path ENDS = Path.of("ends");
    static String nameServer;
    static String prefix;
    static DefaultMQProducer producer;
    static DefaultMQAdminExt admin;
    static String broker;
    private static final AtomicInteger instances = new AtomicInteger();
    /** What the check of this thread saw again. */
    private static final ThreadLocal<AtomicInteger> repeats = ThreadLocal.withInitial(AtomicInteger::new);
    /** How often something was sent to a topic, the producer's own retries included. */
    private static final Map<String, Integer> attempts = new ConcurrentHashMap<>();

    interface Body {
        void run() throws Exception;
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        nameServer = args[0];
        prefix = args[1];
        producer = new DefaultMQProducer(prefix + "_Producer");
        producer.setNamesrvAddr(nameServer);
        producer.setInstanceName(prefix + "-producer");
        producer.setSendMsgTimeout(20_000);
        producer.setMqClientApiTimeout(API_TIMEOUT_MS);
        producer.getDefaultMQProducerImpl().registerSendMessageHook(new SendMessageHook() {
            @Override
            public String hookName() {
                return "attempts";
            }

            @Override
            public void sendMessageBefore(SendMessageContext context) {
                attempts.merge(context.getMessage().getTopic(), 1, Integer::sum);
            }

            @Override
            public void sendMessageAfter(SendMessageContext context) {
            }
        });
        producer.start();
        admin = new DefaultMQAdminExt(20_000);
        admin.setNamesrvAddr(nameServer);
        admin.setInstanceName(prefix + "-admin");
        admin.setMqClientApiTimeout(API_TIMEOUT_MS);
        admin.start();
        broker = admin.examineBrokerClusterInfo().getBrokerAddrTable().values().iterator().next().selectBrokerAddr();
        switch (args[2]) {
            case "before" -> before();
            case "after" -> after();
            // 4.9.4 unmaps queue files that are being read when a topic is deleted, so nobody else may be at work.
            case "alone" -> {
                check("delete topic", Interop::deleteTopic);
                check("traces switched off at the broker", Tracing::switchedOff);
            }
            default -> throw new IllegalArgumentException(args[2]);
        }
        admin.shutdown();
        producer.shutdown();
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void before() throws Exception {
        check("create topic and route", Interop::createTopicAndRoute);
        ExecutorService features = Features.begin();
        check("cluster info", Interop::clusterInfo);
        check("topic list", () -> require(admin.fetchAllTopicList().getTopicList().contains(prefix + "_Basic"), "topic is not listed"));
        check("subscription group", Interop::subscriptionGroup);
        check("runtime info", Interop::runtimeInfo);
        check("send sync", Interop::sendSync);
        check("send async", Interop::sendAsync);
        check("send oneway", Interop::sendOneway);
        check("send batch", Interop::sendBatch);
        check("send to an unknown topic creates it", Interop::autoCreate);
        check("push clustering", Interop::pushClustering);
        check("push broadcasting", Interop::pushBroadcasting);
        check("consumer connection", Interop::consumerConnection);
        check("pull", Interop::pull);
        check("pull of an unknown topic", Interop::pullUnknownTopic);
        check("lite pull", Interop::litePull);
        check("orderly", Interop::orderly);
        check("tag filter", Interop::tagFilter);
        check("SQL filter", Interop::sqlFilter);
        check("SQL filter of a lite pull consumer", Interop::sqlLitePull);
        check("broken SQL stops a consumer's start", Interop::brokenSql);
        check("delay level", Interop::delayLevel);
        check("retry then dead letter", Interop::retryThenDeadLetter);
        check("keys and ids looked up", Interop::lookUp);
        check("offset by time", Interop::offsetByTime);
        check("compressed body", Interop::compressedBody);
        check("large body", Interop::largeBody);
        check("consumer restart keeps offsets", Interop::consumerRestart);
        ThroughBroker.all();
        require(features.awaitTermination(WAIT_MS, TimeUnit.MILLISECONDS), "the features' checks do not end");
        Files.writeString(ENDS, ends());
    }

    private static void after() {
        check("consumer goes on after the node's restart", Interop::consumerAfterRestart);
        check("topic and offsets are still there", Interop::stateAfterRestart);
        check("delayed message survives the restart", Interop::delayedAfterRestart);
        check("keys looked up after the restart", () -> requireFound(prefix + "-key-3", Long.MAX_VALUE, "sync-3"));
    }

    // --- admin ---

    private static void createTopicAndRoute() throws Exception {
        for (String topic : Arrays.asList("_Basic", "_Oneway", "_Cluster", "_Broadcast", "_Pull", "_Lite", "_Orderly", "_Tags", "_Sql", "_Delay", "_Retry",
            "_Time", "_Large", "_Delete", "_Restart", "_DelayRestart")) {
            createTopic(prefix + topic);
        }
        require(admin.examineTopicRouteInfo(prefix + "_Basic").getQueueDatas().get(0).getWriteQueueNums() == 4, "four write queues expected");
        require(admin.examineTopicRouteInfo(prefix + "_Basic").getBrokerDatas().get(0).getBrokerAddrs().get(0L).equals(broker), "broker address");
    }

    static void createTopic(String topic) throws Exception {
        admin.createAndUpdateTopicConfig(broker, new TopicConfig(topic, 4, 4, 6));
        await("route of " + topic, () -> admin.examineTopicRouteInfo(topic) != null);
    }

    private static void clusterInfo() throws Exception {
        ClusterInfo info = admin.examineBrokerClusterInfo();
        require(info.getClusterAddrTable().get("DefaultCluster").contains("broker-a"), "DefaultCluster has no broker-a: " + info.toJson());
        require(info.getBrokerAddrTable().get("broker-a").getBrokerAddrs().containsKey(0L), "no master");
    }

    private static void subscriptionGroup() throws Exception {
        SubscriptionGroupConfig group = new SubscriptionGroupConfig();
        group.setGroupName(prefix + "_Configured");
        group.setRetryMaxTimes(3);
        admin.createAndUpdateSubscriptionGroupConfig(broker, group);
        require(admin.examineSubscriptionGroupConfig(broker, prefix + "_Configured").getRetryMaxTimes() == 3, "retryMaxTimes");
    }

    private static void runtimeInfo() throws Exception {
        KVTable table = admin.fetchBrokerRuntimeStats(broker);
        for (String key : Arrays.asList("brokerVersionDesc", "brokerVersion", "msgPutTotalTodayNow", "putTps", "runtime", "commitLogMaxOffset")) {
            require(table.getTable().containsKey(key), "no " + key);
        }
        require(table.getTable().get("brokerVersion").equals("401"), "version " + table.getTable().get("brokerVersion"));
    }

    private static void consumerConnection() throws Exception {
        DefaultMQPushConsumer consumer = pushConsumer("_Connection", "_Basic", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        consumer.start();
        try {
            AtomicReference<ConsumerConnection> seen = new AtomicReference<>();
            await("consumer connection", () -> {
                try {
                    seen.set(admin.examineConsumerConnectionInfo(prefix + "_Connection"));
                    return true;
                } catch (MQBrokerException e) {
                    if (e.getResponseCode() == 3) {
                        throw e;
                    }
                    return false;
                }
            });
            require(seen.get().getConnectionSet().size() == 1, "one connection expected");
            require(seen.get().getSubscriptionTable().containsKey(prefix + "_Basic"), "subscription is missing");
        } finally {
            consumer.shutdown();
        }
    }

    private static void deleteTopic() throws Exception {
        String topic = prefix + "_Delete";
        producer.send(new Message(topic, bytes("gone")));
        admin.deleteTopicInBroker(Collections.singleton(broker), topic);
        admin.deleteTopicInNameServer(new HashSet<>(Arrays.asList(nameServer.split(";"))), topic, "DefaultCluster");
        await("topic gone from the name server", () -> !admin.fetchAllTopicList().getTopicList().contains(topic));
    }

    // --- sending ---

    private static void sendSync() throws Exception {
        for (int i = 0; i < 20; i++) {
            Message message = new Message(prefix + "_Basic", "A", prefix + "-key-" + i, bytes("sync-" + i));
            message.putUserProperty("number", Integer.toString(i));
            SendResult result = producer.send(message);
            require(result.getSendStatus() == SendStatus.SEND_OK, "status " + result);
            // A client with only an IPv6 address makes the longer unique id (ST-021).
            require(Arrays.asList(32, 56).contains(result.getMsgId().length()) && result.getOffsetMsgId().length() == 32, "ids " + result);
            require("DefaultRegion".equals(result.getRegionId()) && result.isTraceOn(), "region and trace " + result);
        }
        awaitTotal("_Basic", 20);
    }

    private static void sendAsync() throws Exception {
        long beforeSending = total("_Basic");
        CountDownLatch done = new CountDownLatch(50);
        AtomicReference<Throwable> failure = new AtomicReference<>();
        for (int i = 0; i < 50; i++) {
            producer.send(new Message(prefix + "_Basic", bytes("async-" + i)), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    done.countDown();
                }

                @Override
                public void onException(Throwable e) {
                    failure.set(e);
                    done.countDown();
                }
            });
        }
        require(done.await(WAIT_MS, TimeUnit.MILLISECONDS), "callbacks missing: " + done.getCount());
        require(failure.get() == null, "failed: " + failure.get());
        // The client sends again by itself, past the hook that counts.
        await("50 more messages", () -> total("_Basic") >= beforeSending + 50);
    }

    private static void sendOneway() throws Exception {
        for (int i = 0; i < 20; i++) {
            producer.sendOneway(new Message(prefix + "_Oneway", bytes("oneway-" + i)));
        }
        awaitTotal("_Oneway", 20);
    }

    private static void sendBatch() throws Exception {
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            batch.add(new Message(prefix + "_Basic", "B", prefix + "-batch-" + i, bytes("batch-" + i)));
        }
        SendResult result = producer.send(batch);
        require(result.getMsgId().split(",").length == 10, "unique ids " + result.getMsgId());
        require(result.getOffsetMsgId().split(",").length == 10, "offset ids " + result.getOffsetMsgId());
        long first = result.getQueueOffset();
        String[] ids = result.getOffsetMsgId().split(",");
        for (int i = 0; i < 10; i++) {
            MessageExt message = admin.viewMessage(prefix + "_Basic", ids[i]);
            require(message.getQueueOffset() == first + i, "offset of " + i + " is " + message.getQueueOffset());
            require(text(message).equals("batch-" + i), "body of " + i);
        }
    }

    private static void autoCreate() throws Exception {
        SendResult result = producer.send(new Message(prefix + "_Auto", bytes("first")));
        require(result.getSendStatus() == SendStatus.SEND_OK, "status " + result);
        await("route of the new topic", () -> admin.fetchAllTopicList().getTopicList().contains(prefix + "_Auto"));
        require(admin.examineTopicRouteInfo(prefix + "_Auto").getQueueDatas().get(0).getWriteQueueNums() == 4, "four queues expected");
    }

    // --- consuming ---

    private static void pushClustering() throws Exception {
        Inbox first = new Inbox();
        Inbox second = new Inbox();
        DefaultMQPushConsumer a = collecting("_ClusterGroup", "_Cluster", "*", first);
        DefaultMQPushConsumer b = collecting("_ClusterGroup", "_Cluster", "*", second);
        try {
            await("queues shared", () -> queuesOf(a, "_Cluster") == 2 && queuesOf(b, "_Cluster") == 2);
            sendNumbered("_Cluster", "c-", 0, 100);
            List<MessageExt> all = new ArrayList<>();
            await("100 consumed", () -> {
                all.clear();
                all.addAll(first.messages);
                all.addAll(second.messages);
                return distinct(all) >= 100;
            });
            requireAtLeastOnce(all, "c-", 0, 100);
            require(!first.messages.isEmpty() && !second.messages.isEmpty(), "one consumer got nothing");
        } finally {
            a.shutdown();
            b.shutdown();
        }
    }

    private static void pushBroadcasting() throws Exception {
        Inbox first = new Inbox();
        Inbox second = new Inbox();
        DefaultMQPushConsumer a = collecting("_BroadcastGroup", "_Broadcast", "*", first, MessageModel.BROADCASTING);
        DefaultMQPushConsumer b = collecting("_BroadcastGroup", "_Broadcast", "*", second, MessageModel.BROADCASTING);
        try {
            await("all queues at both", () -> queuesOf(a, "_Broadcast") == 4 && queuesOf(b, "_Broadcast") == 4);
            sendNumbered("_Broadcast", "b-", 0, 40);
            first.await(40);
            second.await(40);
            requireOnce(first.messages, "b-", 0, 40);
            requireOnce(second.messages, "b-", 0, 40);
        } finally {
            a.shutdown();
            b.shutdown();
        }
    }

    private static void pull() throws Exception {
        sendNumbered("_Pull", "p-", 0, 40);
        awaitTotal("_Pull", 40);
        DefaultMQPullConsumer consumer = pullConsumer("_PullGroup");
        try {
            List<MessageExt> pulled = new ArrayList<>();
            for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(prefix + "_Pull")) {
                long offset = consumer.fetchConsumeOffset(queue, false);
                require(offset <= 0, "a new group starts at " + offset);
                offset = 0;
                while (true) {
                    PullResult result = consumer.pull(queue, "*", offset, 7);
                    require(result.getMinOffset() == 0 && result.getMaxOffset() == admin.maxOffset(queue), "limits " + result);
                    if (result.getPullStatus() == PullStatus.NO_NEW_MSG) {
                        break;
                    }
                    require(result.getPullStatus() == PullStatus.FOUND, "status " + result);
                    require(result.getNextBeginOffset() == offset + result.getMsgFoundList().size(), "next " + result);
                    pulled.addAll(result.getMsgFoundList());
                    offset = result.getNextBeginOffset();
                }
                require(consumer.pull(queue, "*", offset + 1000, 7).getPullStatus() == PullStatus.OFFSET_ILLEGAL, "beyond the end");
                consumer.updateConsumeOffset(queue, offset);
                consumer.getOffsetStore().persist(queue);
                long stored = offset;
                await("offset stored", () -> consumer.fetchConsumeOffset(queue, true) == stored);
            }
            requireOnce(pulled, "p-", 0, 40);
        } finally {
            consumer.shutdown();
        }
    }

    private static void pullUnknownTopic() throws Exception {
        DefaultMQPullConsumer consumer = pullConsumer("_PullUnknown");
        try {
            consumer.pull(new MessageQueue(prefix + "_Basic", "broker-a", 0), "*", 0, 1); // so that it knows broker-a
            consumer.pull(new MessageQueue(prefix + "_Missing", "broker-a", 0), "*", 0, 1);
            throw new IllegalStateException("no error");
        } catch (MQBrokerException e) {
            require(e.getResponseCode() == 17, "code " + e.getResponseCode() + " " + e.getErrorMessage());
        } finally {
            consumer.shutdown();
        }
    }

    private static void litePull() throws Exception {
        sendNumbered("_Lite", "l-", 0, 40);
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(prefix + "_LiteGroup");
        consumer.setNamesrvAddr(nameServer);
        consumer.setInstanceName(prefix + "-" + instances.incrementAndGet());
        consumer.setMqClientApiTimeout(API_TIMEOUT_MS);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.start();
        try {
            List<MessageQueue> queues = new ArrayList<>(consumer.fetchMessageQueues(prefix + "_Lite"));
            consumer.assign(queues);
            for (MessageQueue queue : queues) {
                consumer.seek(queue, 0);
            }
            List<MessageExt> polled = new ArrayList<>();
            await("40 polled", () -> {
                polled.addAll(consumer.poll(1000));
                return distinct(polled) >= 40;
            });
            // The client may have pulled before the seek what it pulls again after it.
            requireAtLeastOnce(polled, "l-", 0, 40);
            consumer.commitSync();
        } finally {
            consumer.shutdown();
        }
    }

    private static void orderly() throws Exception {
        Map<Integer, List<Integer>> perQueue = new ConcurrentHashMap<>();
        AtomicInteger count = new AtomicInteger();
        for (int i = 0; i < 60; i++) {
            producer.send(new Message(prefix + "_Orderly", bytes(Integer.toString(i))), (queues, message, key) -> queues.get((Integer) key % queues.size()), i);
        }
        DefaultMQPushConsumer consumer = pushConsumer("_OrderlyGroup", "_Orderly", "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            for (MessageExt message : messages) {
                perQueue.computeIfAbsent(message.getQueueId(), id -> Collections.synchronizedList(new ArrayList<>())).add(Integer.parseInt(text(message)));
                count.incrementAndGet();
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        try {
            await("60 consumed", () -> count.get() >= 60);
            // This way of sending never sends twice.
            require(count.get() == 60 && perQueue.size() == 4, "count " + count + " queues " + perQueue.size());
            for (List<Integer> numbers : perQueue.values()) {
                require(numbers.equals(numbers.stream().sorted().collect(Collectors.toList())), "order " + numbers);
            }
        } finally {
            consumer.shutdown();
        }
    }

    private static void tagFilter() throws Exception {
        for (int i = 0; i < 30; i++) {
            producer.send(new Message(prefix + "_Tags", Arrays.asList("red", "green", "blue").get(i % 3), bytes(i % 3 + "-" + i)));
        }
        Inbox seen = new Inbox();
        DefaultMQPushConsumer consumer = collecting("_TagsGroup", "_Tags", "red || blue", seen);
        try {
            seen.await(20);
            require(distinct(seen.messages) == 20 && seen.messages.stream().noneMatch(message -> text(message).startsWith("1-")), "consumed " + seen);
            requireNoPlaceTwice(seen.messages);
        } finally {
            consumer.shutdown();
        }
        awaitTotal("_Tags", 30);
        DefaultMQPullConsumer puller = pullConsumer("_TagsPull");
        try {
            List<MessageExt> found = new ArrayList<>();
            for (MessageQueue queue : puller.fetchSubscribeMessageQueues(prefix + "_Tags")) {
                PullResult result = puller.pull(queue, "nothing-has-this-tag", 0, 32);
                require(result.getPullStatus() == PullStatus.NO_MATCHED_MSG, "status " + result);
                result = puller.pull(queue, "green", 0, 32);
                found.addAll(result.getMsgFoundList() == null ? Collections.emptyList() : result.getMsgFoundList());
            }
            require(distinct(found) == 10 && found.stream().allMatch(message -> text(message).startsWith("1-")), "green found " + found);
        } finally {
            puller.shutdown();
        }
    }

    private static final String SQL = "(number BETWEEN 5 AND 14 OR colour IS NULL) AND colour <> 'green' AND TAGS IN ('a', 'b')";

    /** Messages whose properties say their number and colour. */
    private static void sendColoured(int from, int to) throws Exception {
        for (int i = from; i < to; i++) {
            Message message = new Message(prefix + "_Sql", i % 4 == 3 ? "c" : "a", bytes("s-" + i));
            message.putUserProperty("number", Integer.toString(i));
            message.putUserProperty("colour", i % 3 == 0 ? "green" : "red");
            producer.send(message);
        }
    }

    private static Set<String> wantedBySql() {
        return new HashSet<>(Arrays.asList("s-5", "s-8", "s-10", "s-13", "s-14"));
    }

    private static Set<String> texts(Collection<MessageExt> messages) {
        return messages.stream().map(Interop::text).collect(Collectors.toSet());
    }

    private static void sqlFilter() throws Exception {
        sendColoured(0, 12);
        Inbox seen = new Inbox();
        DefaultMQPushConsumer consumer = pushConsumer("_SqlGroup", "_Sql", "*");
        consumer.subscribe(prefix + "_Sql", MessageSelector.bySql(SQL));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            seen.messages.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        try {
            seen.await(3);
            // The rest comes while the consumer's pulls wait.
            sendColoured(12, 20);
            seen.await(5);
            await("all committed", () -> committed("_SqlGroup", "_Sql") == total("_Sql"));
            require(texts(seen.messages).equals(wantedBySql()), "consumed " + seen);
            requireNoPlaceTwice(seen.messages);
        } finally {
            consumer.shutdown();
        }
        DefaultMQPullConsumer puller = pullConsumer("_SqlPull");
        try {
            List<MessageExt> found = new ArrayList<>();
            for (MessageQueue queue : puller.fetchSubscribeMessageQueues(prefix + "_Sql")) {
                await("the broker's version heard with a heartbeat (S-24)", () -> {
                    try {
                        return puller.pull(queue, MessageSelector.bySql("nobody = 'has this'"), 0, 32).getPullStatus() == PullStatus.NO_MATCHED_MSG;
                    } catch (MQClientException e) {
                        return false;
                    }
                });
                PullResult result = puller.pull(queue, MessageSelector.bySql(SQL), 0, 32);
                found.addAll(result.getMsgFoundList() == null ? Collections.emptyList() : result.getMsgFoundList());
            }
            require(texts(found).equals(wantedBySql()), "found " + found);
        } finally {
            puller.shutdown();
        }
    }

    private static void sqlLitePull() throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(prefix + "_SqlLite");
        consumer.setNamesrvAddr(nameServer);
        consumer.setInstanceName(prefix + "-" + instances.incrementAndGet());
        consumer.setMqClientApiTimeout(API_TIMEOUT_MS);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(prefix + "_Sql", MessageSelector.bySql(SQL));
        consumer.start();
        try {
            List<MessageExt> polled = new ArrayList<>();
            await("5 polled", () -> {
                polled.addAll(consumer.poll(1000));
                return distinct(polled) >= 5;
            });
            require(texts(polled).equals(wantedBySql()), "polled " + texts(polled));
        } finally {
            consumer.shutdown();
        }
    }

    private static void brokenSql() throws Exception {
        DefaultMQPushConsumer consumer = pushConsumer("_SqlBroken", "_Sql", "*");
        consumer.subscribe(prefix + "_Sql", MessageSelector.bySql("number >"));
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> ConsumeConcurrentlyStatus.CONSUME_SUCCESS);
        try {
            consumer.start();
            throw new IllegalStateException("a consumer with broken SQL started");
        } catch (MQClientException e) {
            require(e.getResponseCode() == 23 && e.getErrorMessage() != null, "refused with " + e);
        } finally {
            consumer.shutdown();
        }
    }

    private static void delayLevel() throws Exception {
        Map<String, MessageExt> seen = new ConcurrentHashMap<>();
        Map<String, Long> arrived = new ConcurrentHashMap<>();
        DefaultMQPushConsumer consumer = pushConsumer("_DelayGroup", "_Delay", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                arrived.put(text(message), System.currentTimeMillis());
                seen.put(text(message), message);
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        try {
            await("queues assigned", () -> queuesOf(consumer, "_Delay") == 4);
            long sent = System.currentTimeMillis();
            for (int level = 0; level <= 2; level++) {
                Message message = new Message(prefix + "_Delay", bytes("level-" + level));
                message.setDelayTimeLevel(level);
                producer.send(message);
            }
            await("all three levels arrived", () -> seen.size() == 3);
            require(arrived.get("level-1") - sent >= 990, "level 1 after " + (arrived.get("level-1") - sent));
            require(arrived.get("level-2") - sent >= 4990, "level 2 after " + (arrived.get("level-2") - sent));
            require("1".equals(seen.get("level-1").getProperty(MessageConst.PROPERTY_DELAY_TIME_LEVEL)), "DELAY is gone");
            require((prefix + "_Delay").equals(seen.get("level-1").getProperty(MessageConst.PROPERTY_REAL_TOPIC)), "REAL_TOPIC is gone");
        } finally {
            consumer.shutdown();
        }
    }

    private static void retryThenDeadLetter() throws Exception {
        List<MessageExt> deliveries = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = pushConsumer("_RetryGroup", "_Retry", "*");
        consumer.setMaxReconsumeTimes(1);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            deliveries.addAll(messages);
            context.setDelayLevelWhenNextConsume(1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        try {
            SendResult sent = producer.send(new Message(prefix + "_Retry", "T", prefix + "-retry", bytes("never succeeds")));
            String dead = "%DLQ%" + prefix + "_RetryGroup";
            await("dead letter topic", () -> admin.fetchAllTopicList().getTopicList().contains(dead));
            MessageQueue queue = new MessageQueue(dead, "broker-a", 0);
            await("dead letter stored", () -> admin.maxOffset(queue) >= 1);
            // A client whose request to take the message back is not answered in time consumes it again by itself.
            require(deliveries.size() >= 2, "delivered " + deliveries.size() + " times");
            repeats.get().addAndGet(deliveries.size() - 2);
            require(deliveries.get(0).getReconsumeTimes() == 0 && deliveries.get(1).getReconsumeTimes() == 1, "reconsume times");
            for (MessageExt delivery : deliveries) {
                require(delivery.getTopic().equals(prefix + "_Retry"), "topic of the retry " + delivery.getTopic());
                require(delivery.getMsgId().equals(sent.getMsgId()), "unique id changed");
            }
            DefaultMQPullConsumer puller = pullConsumer("_DeadGroup");
            try {
                MessageExt letter = puller.pull(queue, "*", 0, 1).getMsgFoundList().get(0);
                require(text(letter).equals("never succeeds"), "body " + text(letter));
                require((prefix + "_Retry").equals(letter.getProperty(MessageConst.PROPERTY_RETRY_TOPIC)), "RETRY_TOPIC " + letter.getProperties());
                require(sent.getOffsetMsgId().equals(letter.getProperty(MessageConst.PROPERTY_ORIGIN_MESSAGE_ID)), "ORIGIN_MESSAGE_ID " + letter.getProperties());
            } finally {
                puller.shutdown();
            }
        } finally {
            consumer.shutdown();
        }
    }

    // --- looking up ---

    private static void lookUp() throws Exception {
        String topic = prefix + "_Basic";
        Message message = new Message(topic, "K", prefix + "-k1 " + prefix + "-k2", bytes("wanted"));
        SendResult sent = producer.send(message);
        long now = System.currentTimeMillis();
        for (String key : Arrays.asList(prefix + "-k1", prefix + "-k2")) {
            await("index has " + key, () -> !admin.queryMessage(topic, key, 32, 0, now + 60_000).getMessageList().isEmpty());
            requireFound(key, now + 60_000, "wanted");
        }
        require(text(admin.viewMessage(topic, sent.getMsgId())).equals("wanted"), "by unique id");
        MessageExt byOffset = admin.viewMessage(topic, sent.getOffsetMsgId());
        require(text(byOffset).equals("wanted") && byOffset.getMsgId().equals(sent.getMsgId()), "by offset id");
        require("DefaultCluster".equals(byOffset.getProperty(MessageConst.PROPERTY_CLUSTER)), "CLUSTER " + byOffset.getProperties());
        try {
            admin.queryMessage(topic, "no-such-key", 32, 0, now + 60_000);
            throw new IllegalStateException("an unknown key was found");
        } catch (MQClientException expected) {
            require(expected.getResponseCode() == 208, "code " + expected.getResponseCode() + " " + expected.getErrorMessage());
        }
    }

    private static void offsetByTime() throws Exception {
        MessageQueue queue = new MessageQueue(prefix + "_Time", "broker-a", 1);
        sendAndLetTimePass(queue, 5);
        MessageExt sixth = sendAndLetTimePass(queue, 1);
        sendAndLetTimePass(queue, 4);
        require(admin.searchOffset(queue, sixth.getStoreTimestamp()) == 5, "at the sixth: " + admin.searchOffset(queue, sixth.getStoreTimestamp()));
        require(admin.searchOffset(queue, 0) == 0, "at the start: " + admin.searchOffset(queue, 0));
        require(admin.searchOffset(queue, System.currentTimeMillis() + 100_000) == 9, "beyond the end (S-28): " + admin.searchOffset(queue, System.currentTimeMillis() + 100_000));
        require(admin.minOffset(queue) == 0 && admin.maxOffset(queue) == 10, "limits");
        require(admin.earliestMsgStoreTime(queue) == pullOne(queue, 0).getStoreTimestamp(), "earliest store time");
    }

    /** Sends so many and gives back the last of them, stored at a time that no later message has: of messages of one millisecond 4.9.4 finds any. */
    private static MessageExt sendAndLetTimePass(MessageQueue queue, int messages) throws Exception {
        long end = 0;
        for (int i = 0; i < messages; i++) {
            end = producer.send(new Message(prefix + "_Time", bytes("timed-" + i)), queue).getQueueOffset();
        }
        MessageExt last = pullOne(queue, end);
        await("clock moved on", () -> System.currentTimeMillis() > last.getStoreTimestamp() + 20);
        return last;
    }

    private static void compressedBody() throws Exception {
        String body = String.join(" ", Collections.nCopies(4000, "compress me"));
        SendResult sent = producer.send(new Message(prefix + "_Large", bytes(body)));
        MessageExt stored = admin.viewMessage(prefix + "_Large", sent.getOffsetMsgId());
        require(text(stored).equals(body), "body differs");
        require((stored.getSysFlag() & 1) == 1, "compressed flag is gone");
        require(stored.getStoreSize() < body.length() / 10, "stored size " + stored.getStoreSize());
    }

    private static void largeBody() throws Exception {
        byte[] body = new byte[3 * 1024 * 1024];
        new java.util.Random(1).nextBytes(body);
        SendResult sent = producer.send(new Message(prefix + "_Large", body));
        require(Arrays.equals(admin.viewMessage(prefix + "_Large", sent.getOffsetMsgId()).getBody(), body), "body differs");
    }

    // --- restarts ---

    private static void consumerRestart() throws Exception {
        sendNumbered("_Restart", "r-", 0, 20);
        Inbox seen = new Inbox();
        DefaultMQPushConsumer first = collecting("_RestartGroup", "_Restart", "*", seen);
        seen.await(20);
        await("20 committed", () -> committed("_RestartGroup", "_Restart") == total("_Restart"));
        first.shutdown();
        requireOnce(seen.messages, "r-", 0, 20);
        sendNumbered("_Restart", "r-", 20, 40);
        Inbox later = new Inbox();
        DefaultMQPushConsumer second = collecting("_RestartGroup", "_Restart", "*", later);
        later.await(20);
        await("40 committed", () -> committed("_RestartGroup", "_Restart") == total("_Restart"));
        second.shutdown();
        requireOnce(later.messages, "r-", 20, 40);
        sendNumbered("_Restart", "r-", 40, 50);
        Message delayed = new Message(prefix + "_DelayRestart", bytes("late"));
        delayed.setDelayTimeLevel(4);
        producer.send(delayed);
    }

    private static void consumerAfterRestart() throws Exception {
        sendNumbered("_Restart", "r-", 50, 60);
        Inbox seen = new Inbox();
        DefaultMQPushConsumer consumer = collecting("_RestartGroup", "_Restart", "*", seen);
        seen.await(20);
        sendNumbered("_Restart", "r-", 60, 70);
        seen.await(30);
        consumer.shutdown();
        requireOnce(seen.messages, "r-", 40, 70);
    }

    private static void stateAfterRestart() throws Exception {
        require(admin.examineTopicRouteInfo(prefix + "_Basic").getQueueDatas().get(0).getWriteQueueNums() == 4, "route");
        require(admin.examineSubscriptionGroupConfig(broker, prefix + "_Configured").getRetryMaxTimes() == 3, "subscription group");
        require(ends().equals(Files.readString(ENDS)), "queue ends moved to " + ends() + " from " + Files.readString(ENDS));
        DefaultMQPullConsumer consumer = pullConsumer("_PullGroup");
        try {
            for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(prefix + "_Pull")) {
                require(consumer.fetchConsumeOffset(queue, true) == admin.maxOffset(queue), "offset of " + queue);
            }
        } finally {
            consumer.shutdown();
        }
    }

    private static void delayedAfterRestart() throws Exception {
        await("the delayed message arrived", () -> total("_DelayRestart") >= 1);
        // It may have come due while the server was stopped.
        repeats.get().addAndGet((int) total("_DelayRestart") - 1);
    }

    // --- helpers ---

    /** An instance of its own, with the name server, and patience. */
    static void setUp(ClientConfig client) {
        client.setNamesrvAddr(nameServer);
        client.setInstanceName(prefix + "-" + instances.incrementAndGet());
        client.setPollNameServerInterval(1000);
        client.setMqClientApiTimeout(API_TIMEOUT_MS);
        if (client instanceof DefaultMQProducer sender) {
            sender.setSendMsgTimeout(20_000);
        }
    }

    static DefaultMQPushConsumer pushConsumer(String group, String topic, String tags) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(prefix + group);
        setUp(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(prefix + topic, tags);
        return consumer;
    }

    static DefaultMQPushConsumer collecting(String group, String topic, String tags, Inbox into) throws Exception {
        return collecting(group, topic, tags, into, MessageModel.CLUSTERING);
    }

    private static DefaultMQPushConsumer collecting(String group, String topic, String tags, Inbox into, MessageModel model)
        throws Exception {
        DefaultMQPushConsumer consumer = pushConsumer(group, topic, tags);
        consumer.setMessageModel(model);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            into.messages.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    static DefaultMQPullConsumer pullConsumer(String group) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(prefix + group);
        consumer.setNamesrvAddr(nameServer);
        consumer.setMqClientApiTimeout(API_TIMEOUT_MS);
        consumer.setHeartbeatBrokerInterval(1000);
        consumer.setInstanceName(prefix + "-" + instances.incrementAndGet());
        consumer.start();
        return consumer;
    }

    static MessageExt pullOne(MessageQueue queue, long offset) throws Exception {
        await("offset " + offset, () -> admin.maxOffset(queue) > offset);
        DefaultMQPullConsumer consumer = pullConsumer("_PullOne");
        try {
            return consumer.pull(queue, "*", offset, 1).getMsgFoundList().get(0);
        } finally {
            consumer.shutdown();
        }
    }

    static long queuesOf(DefaultMQPushConsumer consumer, String topic) {
        return consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet().stream()
            .filter(queue -> queue.getTopic().equals(prefix + topic)).count();
    }

    /** What a group has committed. It tells the broker oneway, so that a successor may be quicker. */
    static long committed(String group, String topic) throws Exception {
        long sum = 0;
        for (int queue = 0; queue < 4; queue++) {
            QueryConsumerOffsetRequestHeader header = new QueryConsumerOffsetRequestHeader();
            header.setConsumerGroup(prefix + group);
            header.setTopic(prefix + topic);
            header.setQueueId(queue);
            sum += producer.getDefaultMQProducerImpl().getmQClientFactory().getMQClientAPIImpl().queryConsumerOffset(broker, header, API_TIMEOUT_MS);
        }
        return sum;
    }

    static long total(String topic) throws Exception {
        long sum = 0;
        for (MessageQueue queue : producer.fetchPublishMessageQueues(prefix + topic)) {
            sum += admin.maxOffset(queue);
        }
        return sum;
    }

    /** A message is filed in its queue a little after it was acknowledged. */
    static void awaitTotal(String topic, long count) throws Exception {
        await(count + " messages in the queues of " + topic, () -> total(topic) >= count);
        long stored = total(topic);
        int sent = attempts.get(prefix + topic);
        require(stored <= sent, "the queues hold " + stored + " of " + sent + " messages sent");
        repeats.get().addAndGet((int) (stored - count));
    }

    /** Where queues end that nobody sends to any more. */
    private static String ends() throws Exception {
        return total("_Broadcast") + " " + total("_Cluster");
    }

    static void sendNumbered(String topic, String text, int from, int to) throws Exception {
        for (int i = from; i < to; i++) {
            SendResult result = producer.send(new Message(prefix + topic, bytes(text + i)));
            require(result.getSendStatus() == SendStatus.SEND_OK, "status " + result);
        }
    }

    /** What a consumer was given. */
    static final class Inbox {
        final ConcurrentLinkedQueue<MessageExt> messages = new ConcurrentLinkedQueue<>();

        void await(int count) throws Exception {
            Interop.await(count + " consumed", () -> distinct(messages) >= count);
        }

        @Override
        public String toString() {
            return messages.stream().map(Interop::text).collect(Collectors.toList()).toString();
        }
    }

    private static long distinct(Collection<MessageExt> messages) {
        return messages.stream().map(Interop::text).distinct().count();
    }

    /** Each of the numbered messages is there and nothing else; one that is there again is counted. */
    static void requireAtLeastOnce(Collection<MessageExt> messages, String text, int from, int to) {
        Set<String> missing = new HashSet<>();
        for (int i = from; i < to; i++) {
            missing.add(text + i);
        }
        Set<String> foreign = messages.stream().map(Interop::text).collect(Collectors.toSet());
        Set<String> found = new HashSet<>(foreign);
        foreign.removeAll(missing);
        missing.removeAll(found);
        require(missing.isEmpty() && foreign.isEmpty(), "missing " + missing + ", foreign " + foreign);
        Set<Long> stored = messages.stream().map(MessageExt::getCommitLogOffset).collect(Collectors.toSet());
        require(stored.size() == places(messages), "a message lies at two places of a queue: " + messages);
        repeats.get().addAndGet(messages.size() - found.size());
    }

    /** The same for a lone consumer that nothing disturbs. */
    static void requireOnce(Collection<MessageExt> messages, String text, int from, int to) {
        requireAtLeastOnce(messages, text, from, to);
        requireNoPlaceTwice(messages);
    }

    private static void requireNoPlaceTwice(Collection<MessageExt> messages) {
        require(messages.size() == places(messages), "the same place of a queue was given out twice: " + messages);
    }

    private static long places(Collection<MessageExt> messages) {
        return messages.stream().map(message -> message.getQueueId() + ":" + message.getQueueOffset()).distinct().count();
    }

    /** All that the index has under a key is the message with that body, which the producer may have sent twice. */
    private static void requireFound(String key, long until, String body) throws Exception {
        List<MessageExt> found = admin.queryMessage(prefix + "_Basic", key, 32, 0, until).getMessageList();
        require(!found.isEmpty() && found.stream().allMatch(message -> text(message).equals(body)), "found " + found);
        repeats.get().addAndGet(found.size() - 1);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String text(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    static void require(boolean holds, String why) {
        if (!holds) {
            throw new IllegalStateException(why);
        }
    }

    /** An error of the network or "there is none" may pass; what a broker refused does not. */
    static void await(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(WAIT_MS);
        Exception last = null;
        while (System.nanoTime() < deadline) {
            try {
                if (condition.holds()) {
                    return;
                }
                last = null;
            } catch (RemotingException | MQClientException e) {
                last = e;
            }
            Thread.sleep(20);
        }
        throw new IllegalStateException("timed out: " + what + (last == null ? "" : ", " + last));
    }

    static void check(String name, Body body) {
        long start = System.nanoTime();
        repeats.get().set(0);
        try {
            body.run();
            String again = repeats.get().get() == 0 ? "" : ", " + repeats.get() + " repeats";
            System.out.println("ok " + name + "\t" + TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start) + " ms" + again);
        } catch (Throwable e) {
            System.out.println("FAIL " + name + ": " + String.valueOf(e).replace('\n', ' '));
        }
        System.out.flush();
    }
}
