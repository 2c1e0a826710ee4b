import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.exception.MQBrokerException;
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
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * The reference client of the interop suite: {@code Interop NAME_SERVER PREFIX before|after|alone}.
 *
 * Prints one line a check, {@code ok NAME} or {@code FAIL NAME: why}. "after" runs once the server was restarted and
 * relies on what "before" left. Topics and groups begin with PREFIX, so that several clients can share one server.
 */
public final class Interop {
    private static final long WAIT_MS = 40_000;
    private static String nameServer;
    private static String prefix;
    private static DefaultMQProducer producer;
    private static DefaultMQAdminExt admin;
    private static String broker;
    private static final AtomicInteger instances = new AtomicInteger();

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
        producer.setSendMsgTimeout(10_000);
        producer.start();
        admin = new DefaultMQAdminExt(20_000);
        admin.setNamesrvAddr(nameServer);
        admin.setInstanceName(prefix + "-admin");
        admin.start();
        broker = admin.examineBrokerClusterInfo().getBrokerAddrTable().values().iterator().next().selectBrokerAddr();
        switch (args[2]) {
            case "before" -> before();
            case "after" -> after();
            // 4.9.4 unmaps queue files that are being read when a topic is deleted, so nobody else may be at work.
            case "alone" -> check("delete topic", Interop::deleteTopic);
            default -> throw new IllegalArgumentException(args[2]);
        }
        admin.shutdown();
        producer.shutdown();
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }

    private static void before() {
        check("create topic and route", Interop::createTopicAndRoute);
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
        check("delay level", Interop::delayLevel);
        check("retry then dead letter", Interop::retryThenDeadLetter);
        check("keys and ids looked up", Interop::lookUp);
        check("offset by time", Interop::offsetByTime);
        check("compressed body", Interop::compressedBody);
        check("large body", Interop::largeBody);
        check("consumer restart keeps offsets", Interop::consumerRestart);
    }

    private static void after() {
        check("consumer goes on after the node's restart", Interop::consumerAfterRestart);
        check("topic and offsets are still there", Interop::stateAfterRestart);
        check("delayed message survives the restart", Interop::delayedAfterRestart);
        check("keys looked up after the restart", () -> require(
            admin.queryMessage(prefix + "_Basic", prefix + "-key-3", 32, 0, Long.MAX_VALUE).getMessageList().size() == 1, "key not found"));
    }

    // --- admin ---

    private static void createTopicAndRoute() throws Exception {
        for (String topic : Arrays.asList("_Basic", "_Oneway", "_Cluster", "_Broadcast", "_Pull", "_Lite", "_Orderly", "_Tags", "_Delay", "_Retry",
            "_Time", "_Large", "_Delete", "_Restart", "_DelayRestart")) {
            createTopic(prefix + topic);
        }
        require(admin.examineTopicRouteInfo(prefix + "_Basic").getQueueDatas().get(0).getWriteQueueNums() == 4, "four write queues expected");
        require(admin.examineTopicRouteInfo(prefix + "_Basic").getBrokerDatas().get(0).getBrokerAddrs().get(0L).equals(broker), "broker address");
    }

    private static void createTopic(String topic) throws Exception {
        admin.createAndUpdateTopicConfig(broker, new TopicConfig(topic, 4, 4, 6));
        await("route of " + topic, () -> {
            try {
                return admin.examineTopicRouteInfo(topic) != null;
            } catch (org.apache.rocketmq.client.exception.MQClientException notThereYet) {
                return false;
            }
        });
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
        awaitTotal("_Basic", beforeSending + 50);
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
        ConcurrentLinkedQueue<String> first = new ConcurrentLinkedQueue<>();
        ConcurrentLinkedQueue<String> second = new ConcurrentLinkedQueue<>();
        DefaultMQPushConsumer a = collecting("_ClusterGroup", "_Cluster", "*", first);
        DefaultMQPushConsumer b = collecting("_ClusterGroup", "_Cluster", "*", second);
        try {
            await("queues shared", () -> queuesOf(a, "_Cluster") == 2 && queuesOf(b, "_Cluster") == 2);
            sendNumbered("_Cluster", "c-", 0, 100);
            await("100 consumed", () -> first.size() + second.size() >= 100);
            List<String> all = new ArrayList<>(first);
            all.addAll(second);
            requireNumbered(all, "c-", 0, 100);
            require(!first.isEmpty() && !second.isEmpty(), "one consumer got nothing");
        } finally {
            a.shutdown();
            b.shutdown();
        }
    }

    private static void pushBroadcasting() throws Exception {
        ConcurrentLinkedQueue<String> first = new ConcurrentLinkedQueue<>();
        ConcurrentLinkedQueue<String> second = new ConcurrentLinkedQueue<>();
        DefaultMQPushConsumer a = collecting("_BroadcastGroup", "_Broadcast", "*", first, MessageModel.BROADCASTING);
        DefaultMQPushConsumer b = collecting("_BroadcastGroup", "_Broadcast", "*", second, MessageModel.BROADCASTING);
        try {
            await("all queues at both", () -> queuesOf(a, "_Broadcast") == 4 && queuesOf(b, "_Broadcast") == 4);
            sendNumbered("_Broadcast", "b-", 0, 40);
            await("40 at both", () -> first.size() >= 40 && second.size() >= 40);
            requireNumbered(new ArrayList<>(first), "b-", 0, 40);
            requireNumbered(new ArrayList<>(second), "b-", 0, 40);
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
            List<String> bodies = new ArrayList<>();
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
                    result.getMsgFoundList().forEach(message -> bodies.add(text(message)));
                    offset = result.getNextBeginOffset();
                }
                require(consumer.pull(queue, "*", offset + 1000, 7).getPullStatus() == PullStatus.OFFSET_ILLEGAL, "beyond the end");
                consumer.updateConsumeOffset(queue, offset);
                consumer.getOffsetStore().persist(queue);
                long stored = offset;
                await("offset stored", () -> consumer.fetchConsumeOffset(queue, true) == stored);
            }
            requireNumbered(bodies, "p-", 0, 40);
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
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.start();
        try {
            List<MessageQueue> queues = new ArrayList<>(consumer.fetchMessageQueues(prefix + "_Lite"));
            consumer.assign(queues);
            for (MessageQueue queue : queues) {
                consumer.seek(queue, 0);
            }
            List<String> bodies = new ArrayList<>();
            await("40 polled", () -> {
                consumer.poll(1000).forEach(message -> bodies.add(text(message)));
                return bodies.size() >= 40;
            });
            requireNumbered(bodies, "l-", 0, 40);
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
        ConcurrentLinkedQueue<String> seen = new ConcurrentLinkedQueue<>();
        DefaultMQPushConsumer consumer = collecting("_TagsGroup", "_Tags", "red || blue", seen);
        try {
            await("20 consumed", () -> seen.size() >= 20);
            require(seen.size() == 20 && seen.stream().noneMatch(body -> body.startsWith("1-")), "consumed " + seen);
        } finally {
            consumer.shutdown();
        }
        awaitTotal("_Tags", 30);
        DefaultMQPullConsumer puller = pullConsumer("_TagsPull");
        try {
            int found = 0;
            for (MessageQueue queue : puller.fetchSubscribeMessageQueues(prefix + "_Tags")) {
                PullResult result = puller.pull(queue, "nothing-has-this-tag", 0, 32);
                require(result.getPullStatus() == PullStatus.NO_MATCHED_MSG, "status " + result);
                result = puller.pull(queue, "green", 0, 32);
                found += result.getMsgFoundList() == null ? 0 : result.getMsgFoundList().size();
            }
            require(found == 10, "green found " + found);
        } finally {
            puller.shutdown();
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
            await("dead letter stored", () -> admin.maxOffset(queue) == 1);
            require(deliveries.size() == 2, "delivered " + deliveries.size() + " times");
            require(deliveries.get(0).getReconsumeTimes() == 0 && deliveries.get(1).getReconsumeTimes() == 1, "reconsume times");
            require(deliveries.get(1).getTopic().equals(prefix + "_Retry"), "topic of the retry " + deliveries.get(1).getTopic());
            require(deliveries.get(1).getMsgId().equals(sent.getMsgId()), "unique id changed");
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
            await("index has " + key, () -> {
                try {
                    return !admin.queryMessage(topic, key, 32, 0, now + 60_000).getMessageList().isEmpty();
                } catch (org.apache.rocketmq.client.exception.MQClientException notIndexedYet) {
                    return false;
                }
            });
            List<MessageExt> found = admin.queryMessage(topic, key, 32, 0, now + 60_000).getMessageList();
            require(found.size() == 1 && text(found.get(0)).equals("wanted"), "found " + found);
        }
        require(text(admin.viewMessage(topic, sent.getMsgId())).equals("wanted"), "by unique id");
        MessageExt byOffset = admin.viewMessage(topic, sent.getOffsetMsgId());
        require(text(byOffset).equals("wanted") && byOffset.getMsgId().equals(sent.getMsgId()), "by offset id");
        require("DefaultCluster".equals(byOffset.getProperty(MessageConst.PROPERTY_CLUSTER)), "CLUSTER " + byOffset.getProperties());
        try {
            admin.queryMessage(topic, "no-such-key", 32, 0, now + 60_000);
            throw new IllegalStateException("an unknown key was found");
        } catch (org.apache.rocketmq.client.exception.MQClientException expected) {
            require(expected.getResponseCode() == 208, "code " + expected.getResponseCode() + " " + expected.getErrorMessage());
        }
    }

    private static void offsetByTime() throws Exception {
        MessageQueue queue = new MessageQueue(prefix + "_Time", "broker-a", 1);
        for (int i = 0; i < 5; i++) {
            producer.send(new Message(prefix + "_Time", bytes("early-" + i)), queue);
        }
        MessageExt last = pullOne(queue, 4);
        await("clock moved on", () -> System.currentTimeMillis() > last.getStoreTimestamp() + 20);
        for (int i = 0; i < 5; i++) {
            producer.send(new Message(prefix + "_Time", bytes("late-" + i)), queue);
        }
        await("ten messages", () -> admin.maxOffset(queue) >= 10);
        MessageExt sixth = pullOne(queue, 5);
        require(admin.searchOffset(queue, sixth.getStoreTimestamp()) == 5, "at the sixth: " + admin.searchOffset(queue, sixth.getStoreTimestamp()));
        require(admin.searchOffset(queue, 0) == 0, "at the start: " + admin.searchOffset(queue, 0));
        require(admin.searchOffset(queue, System.currentTimeMillis() + 100_000) == 9, "beyond the end (S-28): " + admin.searchOffset(queue, System.currentTimeMillis() + 100_000));
        require(admin.minOffset(queue) == 0 && admin.maxOffset(queue) == 10, "limits");
        require(admin.earliestMsgStoreTime(queue) == pullOne(queue, 0).getStoreTimestamp(), "earliest store time");
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
        ConcurrentLinkedQueue<String> seen = new ConcurrentLinkedQueue<>();
        DefaultMQPushConsumer first = collecting("_RestartGroup", "_Restart", "*", seen);
        await("20 consumed and committed", () -> seen.size() >= 20 && committed("_RestartGroup", "_Restart") == 20);
        first.shutdown();
        requireNumbered(new ArrayList<>(seen), "r-", 0, 20);
        sendNumbered("_Restart", "r-", 20, 40);
        ConcurrentLinkedQueue<String> later = new ConcurrentLinkedQueue<>();
        DefaultMQPushConsumer second = collecting("_RestartGroup", "_Restart", "*", later);
        await("20 more consumed and committed", () -> later.size() >= 20 && committed("_RestartGroup", "_Restart") == 40);
        second.shutdown();
        requireNumbered(new ArrayList<>(later), "r-", 20, 40);
        sendNumbered("_Restart", "r-", 40, 50);
        Message delayed = new Message(prefix + "_DelayRestart", bytes("late"));
        delayed.setDelayTimeLevel(4);
        producer.send(delayed);
    }

    private static void consumerAfterRestart() throws Exception {
        sendNumbered("_Restart", "r-", 50, 60);
        ConcurrentLinkedQueue<String> seen = new ConcurrentLinkedQueue<>();
        DefaultMQPushConsumer consumer = collecting("_RestartGroup", "_Restart", "*", seen);
        await("20 consumed", () -> seen.size() >= 20);
        sendNumbered("_Restart", "r-", 60, 70);
        await("30 consumed", () -> seen.size() >= 30);
        consumer.shutdown();
        requireNumbered(new ArrayList<>(seen), "r-", 40, 70);
    }

    private static void stateAfterRestart() throws Exception {
        require(admin.examineTopicRouteInfo(prefix + "_Basic").getQueueDatas().get(0).getWriteQueueNums() == 4, "route");
        require(admin.examineSubscriptionGroupConfig(broker, prefix + "_Configured").getRetryMaxTimes() == 3, "subscription group");
        require(total("_Broadcast") == 40 && total("_Cluster") == 100, "queue ends moved");
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
        require(total("_DelayRestart") == 1, "it came " + total("_DelayRestart") + " times");
    }

    // --- helpers ---

    private static DefaultMQPushConsumer pushConsumer(String group, String topic, String tags) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(prefix + group);
        consumer.setNamesrvAddr(nameServer);
        consumer.setInstanceName(prefix + "-" + instances.incrementAndGet());
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setPollNameServerInterval(1000);
        consumer.subscribe(prefix + topic, tags);
        return consumer;
    }

    private static DefaultMQPushConsumer collecting(String group, String topic, String tags, ConcurrentLinkedQueue<String> into) throws Exception {
        return collecting(group, topic, tags, into, MessageModel.CLUSTERING);
    }

    private static DefaultMQPushConsumer collecting(String group, String topic, String tags, ConcurrentLinkedQueue<String> into, MessageModel model)
        throws Exception {
        DefaultMQPushConsumer consumer = pushConsumer(group, topic, tags);
        consumer.setMessageModel(model);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> into.add(text(message)));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    private static DefaultMQPullConsumer pullConsumer(String group) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(prefix + group);
        consumer.setNamesrvAddr(nameServer);
        consumer.setInstanceName(prefix + "-" + instances.incrementAndGet());
        consumer.start();
        return consumer;
    }

    private static MessageExt pullOne(MessageQueue queue, long offset) throws Exception {
        await("offset " + offset, () -> admin.maxOffset(queue) > offset);
        DefaultMQPullConsumer consumer = pullConsumer("_PullOne");
        try {
            return consumer.pull(queue, "*", offset, 1).getMsgFoundList().get(0);
        } finally {
            consumer.shutdown();
        }
    }

    private static long queuesOf(DefaultMQPushConsumer consumer, String topic) {
        return consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl().getProcessQueueTable().keySet().stream()
            .filter(queue -> queue.getTopic().equals(prefix + topic)).count();
    }

    /** What a group has committed. It tells the broker oneway, so that a successor may be quicker. */
    private static long committed(String group, String topic) throws Exception {
        long sum = 0;
        for (int queue = 0; queue < 4; queue++) {
            QueryConsumerOffsetRequestHeader header = new QueryConsumerOffsetRequestHeader();
            header.setConsumerGroup(prefix + group);
            header.setTopic(prefix + topic);
            header.setQueueId(queue);
            sum += producer.getDefaultMQProducerImpl().getmQClientFactory().getMQClientAPIImpl().queryConsumerOffset(broker, header, 5000);
        }
        return sum;
    }

    private static long total(String topic) throws Exception {
        long sum = 0;
        for (MessageQueue queue : producer.fetchPublishMessageQueues(prefix + topic)) {
            sum += admin.maxOffset(queue);
        }
        return sum;
    }

    /** A message is filed in its queue a little after it was acknowledged. */
    private static void awaitTotal(String topic, long count) throws Exception {
        await(count + " messages in the queues of " + topic, () -> total(topic) >= count);
        require(total(topic) == count, "the queues hold " + total(topic));
    }

    private static void sendNumbered(String topic, String text, int from, int to) throws Exception {
        for (int i = from; i < to; i++) {
            SendResult result = producer.send(new Message(prefix + topic, bytes(text + i)));
            require(result.getSendStatus() == SendStatus.SEND_OK, "status " + result);
        }
    }

    private static void requireNumbered(List<String> bodies, String text, int from, int to) {
        Set<String> missing = new HashSet<>();
        for (int i = from; i < to; i++) {
            missing.add(text + i);
        }
        List<String> surplus = bodies.stream().filter(body -> !missing.remove(body)).collect(Collectors.toList());
        require(missing.isEmpty() && surplus.isEmpty(), "missing " + missing + ", surplus " + surplus);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(MessageExt message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    private static void require(boolean holds, String why) {
        if (!holds) {
            throw new IllegalStateException(why);
        }
    }

    private static void await(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(WAIT_MS);
        while (!condition.holds()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("timed out: " + what);
            }
            Thread.sleep(20);
        }
    }

    private static void check(String name, Body body) {
        long start = System.nanoTime();
        try {
            body.run();
            System.out.println("ok " + name + "\t" + TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start) + " ms");
        } catch (Throwable e) {
            System.out.println("FAIL " + name + ": " + String.valueOf(e).replace('\n', ' '));
        }
        System.out.flush();
    }
}
