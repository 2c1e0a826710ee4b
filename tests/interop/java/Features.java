import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.consumer.store.OffsetStore;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.selector.SelectMessageQueueByHash;
import org.apache.rocketmq.common.MixAll;
import org.apache.rocketmq.common.UtilAll;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.protocol.RequestCode;
import org.apache.rocketmq.common.protocol.header.ConsumerSendMsgBackRequestHeader;
import org.apache.rocketmq.common.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.common.protocol.route.TopicRouteData;
import org.apache.rocketmq.common.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.common.sysflag.MessageSysFlag;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/**
 * The checks of {@link Interop} of features that mostly wait for something: they run beside the others and beside each other, each
 * with topics of its own.
 */
final class Features {
    private static final int AT_ONCE = 6;
    /** The delays of levels 1 to 18. */
    private static final List<Integer> DELAYS_S =
        List.of(1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200);

    private Features() {
    }

    /** Returns what ends once all have run. */
    static ExecutorService begin() {
        ExecutorService threads = Executors.newFixedThreadPool(AT_ONCE);
        Map<String, Interop.Body> checks = new LinkedHashMap<>();
        // The longest first: a queue changes its orderly consumer every 20 s only.
        checks.put("a queue's order outlives its consumer", Features::orderlyMoves);
        checks.put("a namespace's retries and dead letters", Features::namespace);
        checks.put("retries end at the group's limit", Features::groupLimit);
        checks.put("an orderly consumer's limit ends in the dead letters", Features::orderlyLimit);
        checks.put("lite pull seeks, pauses and commits", LitePull::assigned);
        checks.put("lite pull shares queues out", LitePull::subscribed);
        checks.put("trace of producers and consumers", Tracing::traced);
        checks.put("trace in a topic of one's own", Tracing::ownTopic);
        checks.put("queues of an ordered topic", Features::orderConf);
        checks.put("broadcasting goes on after a restart", Features::broadcastingRestart);
        checks.put("where a new group begins", Features::beginnings);
        checks.put("LZ4, zstd and zlib bodies", Features::compressions);
        checks.put("keys in a time window", Features::keysInTime);
        checks.put("delay levels up to the last", Features::delayLevels);
        checks.put("limits of a batch", Features::batchLimits);
        checks.forEach((name, body) -> threads.execute(() -> Interop.check(name, body)));
        threads.shutdown();
        return threads;
    }

    // --- retries ---

    /** A request without a limit of its own, as old clients send it, is held to the group's; the Java client's says 16 (S-58). */
    private static void groupLimit() throws Exception {
        Interop.createTopic(Interop.prefix + "_Limited");
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(Interop.prefix + "_LimitedGroup");
        config.setRetryMaxTimes(1);
        config.setRetryQueueNums(2);
        Interop.admin.createAndUpdateSubscriptionGroupConfig(Interop.broker, config);
        AtomicInteger refused = new AtomicInteger();
        DefaultMQPushConsumer consumer = Interop.pushConsumer("_LimitedGroup", "_Limited", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            try {
                for (MessageExt message : messages) {
                    giveBack(message, consumer.getConsumerGroup());
                    refused.incrementAndGet();
                }
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            } catch (Exception e) {
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
        });
        consumer.start();
        try {
            Interop.producer.send(new Message(Interop.prefix + "_Limited", Interop.bytes("refused")));
            MessageExt dead = deadLetter(Interop.prefix + "_LimitedGroup");
            Interop.require(dead.getReconsumeTimes() == 2, "given back " + dead.getReconsumeTimes() + " times");
            // The letter is there a little before the answer that it was given back.
            Interop.await("given back twice", () -> refused.get() == 2);
            String retry = MixAll.getRetryTopic(Interop.prefix + "_LimitedGroup");
            int queues = Interop.admin.examineTopicRouteInfo(retry).getQueueDatas().get(0).getReadQueueNums();
            Interop.require(queues == 2 || queues == 1, "retry queues " + queues);
        } finally {
            consumer.shutdown();
        }
    }

    private static void giveBack(MessageExt message, String group) throws Exception {
        ConsumerSendMsgBackRequestHeader header = new ConsumerSendMsgBackRequestHeader();
        header.setGroup(group);
        header.setOffset(message.getCommitLogOffset());
        header.setDelayLevel(1);
        RemotingCommand request = RemotingCommand.createRequestCommand(RequestCode.CONSUMER_SEND_MSG_BACK, header);
        RemotingCommand answer = Interop.producer.getDefaultMQProducerImpl().getmQClientFactory().getMQClientAPIImpl().getRemotingClient()
            .invokeSync(Interop.broker, request, 15_000);
        Interop.require(answer.getCode() == 0, "answered " + answer);
    }

    private static MessageExt deadLetter(String group) throws Exception {
        MessageQueue queue = new MessageQueue(MixAll.getDLQTopic(group), "broker-a", 0);
        Interop.await("dead letter of " + group, () -> Interop.admin.fetchAllTopicList().getTopicList().contains(queue.getTopic())
            && Interop.admin.maxOffset(queue) >= 1);
        return Interop.pullOne(queue, 0);
    }

    private static void orderlyLimit() throws Exception {
        Interop.createTopic(Interop.prefix + "_Suspended");
        List<String> seen = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = Interop.pushConsumer("_SuspendedGroup", "_Suspended", "*");
        consumer.setMaxReconsumeTimes(2);
        consumer.setSuspendCurrentQueueTimeMillis(100);
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            for (MessageExt message : messages) {
                seen.add(Interop.text(message) + " " + message.getReconsumeTimes());
            }
            return Interop.text(messages.get(0)).endsWith("bad") ? ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT : ConsumeOrderlyStatus.SUCCESS;
        });
        String bad = Interop.prefix + "-bad";
        for (String text : List.of(bad, "good")) {
            Interop.producer.send(new Message(Interop.prefix + "_Suspended", Interop.bytes(text)), (queues, message, key) -> queues.get(0), null);
        }
        // The client gives it up with a delay of three levels more than it was tried, and the broker keeps to that on the way to the dead letters.
        MessageQueue delayed = new MessageQueue("SCHEDULE_TOPIC_XXXX", "broker-a", 5 - 1);
        long from = Interop.admin.maxOffset(delayed);
        consumer.start();
        try {
            MessageExt dead = waiting(delayed, from, bad);
            String topic = MixAll.getDLQTopic(consumer.getConsumerGroup());
            Interop.require(topic.equals(dead.getProperty(MessageConst.PROPERTY_REAL_TOPIC)), "it is for " + dead.getProperties());
            Interop.await("the next message", () -> seen.contains("good 0"));
            Interop.require(seen.equals(List.of(bad + " 0", bad + " 1", bad + " 2", "good 0")), "consumed " + seen);
        } finally {
            consumer.shutdown();
        }
    }

    /** Two consumers lock queues for themselves; when one leaves, the other goes on behind what that one committed. */
    private static void orderlyMoves() throws Exception {
        Interop.createTopic(Interop.prefix + "_Moves");
        Map<Integer, List<Integer>> perQueue = new ConcurrentHashMap<>();
        DefaultMQPushConsumer first = orderedConsumer(perQueue);
        DefaultMQPushConsumer second = orderedConsumer(perQueue);
        try {
            Interop.await("queues shared", () -> Interop.queuesOf(first, "_Moves") == 2 && Interop.queuesOf(second, "_Moves") == 2);
            sendOrdered(0, 80);
            Interop.await("80 consumed", () -> count(perQueue) >= 80);
            first.shutdown();
            sendOrdered(80, 160);
            Interop.await("160 consumed", () -> count(perQueue) >= 160);
            for (List<Integer> numbers : perQueue.values()) {
                List<Integer> fresh = numbers.stream().distinct().collect(Collectors.toList());
                Interop.require(fresh.equals(fresh.stream().sorted().collect(Collectors.toList())), "order " + numbers);
            }
            Interop.require(count(perQueue) == 160, "consumed " + count(perQueue));
        } finally {
            first.shutdown();
            second.shutdown();
        }
    }

    private static DefaultMQPushConsumer orderedConsumer(Map<Integer, List<Integer>> perQueue) throws Exception {
        DefaultMQPushConsumer consumer = Interop.pushConsumer("_MovesGroup", "_Moves", "*");
        consumer.registerMessageListener((MessageListenerOrderly) (messages, context) -> {
            for (MessageExt message : messages) {
                perQueue.computeIfAbsent(message.getQueueId(), id -> Collections.synchronizedList(new ArrayList<>()))
                    .add(Integer.parseInt(Interop.text(message)));
            }
            return ConsumeOrderlyStatus.SUCCESS;
        });
        consumer.start();
        return consumer;
    }

    /** Messages of one group, here of one last digit, go to one queue. */
    private static void sendOrdered(int from, int to) throws Exception {
        for (int i = from; i < to; i++) {
            Interop.producer.send(new Message(Interop.prefix + "_Moves", Interop.bytes(Integer.toString(i))), new SelectMessageQueueByHash(), i % 10);
        }
    }

    private static long count(Map<Integer, List<Integer>> perQueue) {
        return perQueue.values().stream().mapToLong(numbers -> List.copyOf(numbers).stream().distinct().count()).sum();
    }

    // --- names ---

    /** Names are wrapped on the way out and unwrapped on the way in; the broker knows nothing of it (C-020). */
    private static void namespace() throws Exception {
        String space = Interop.prefix + "-space";
        Interop.createTopic(space + "%_Spaced");
        DefaultMQProducer producer = new DefaultMQProducer(space, "_SpacedProducer");
        Interop.setUp(producer);
        producer.start();
        List<String> topics = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(space, "_SpacedGroup");
        Interop.setUp(consumer);
        consumer.setMaxReconsumeTimes(1);
        consumer.subscribe("_Spaced", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> topics.add(message.getTopic() + " " + message.getReconsumeTimes()));
            context.setDelayLevelWhenNextConsume(1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        try {
            SendResult sent = producer.send(new Message("_Spaced", Interop.bytes("spaced")));
            Interop.require(sent.getMessageQueue().getTopic().equals("_Spaced"), "sent to " + sent.getMessageQueue());
            MessageExt dead = deadLetter(space + "%_SpacedGroup");
            Interop.require((space + "%_Spaced").equals(dead.getProperty(MessageConst.PROPERTY_RETRY_TOPIC)), "RETRY_TOPIC " + dead.getProperties());
            // A client whose request to take the message back is not answered in time consumes it again by itself.
            Interop.require(List.copyOf(topics).stream().distinct().limit(2).toList().equals(List.of("_Spaced 0", "_Spaced 1")), "consumed " + topics);
            Set<String> all = Interop.admin.fetchAllTopicList().getTopicList();
            Interop.require(all.contains(MixAll.getRetryTopic(space + "%_SpacedGroup")), "no retry topic of the namespace");
        } finally {
            consumer.shutdown();
            producer.shutdown();
        }
    }

    /** The name server's order configuration says how many queues of each broker a producer uses (N-054, C-017); a consumer reads all. */
    private static void orderConf() throws Exception {
        String topic = Interop.prefix + "_OrderConf";
        Interop.createTopic(topic);
        Properties settings = new Properties();
        settings.setProperty("orderMessageEnable", "true");
        Interop.admin.updateNameServerConfig(settings, Arrays.asList(Interop.nameServer.split(";")));
        Interop.admin.createOrUpdateOrderConf(topic, "broker-a:2", false);
        TopicRouteData route = Interop.admin.examineTopicRouteInfo(topic);
        Interop.require("broker-a:2".equals(route.getOrderTopicConf()), "order conf " + route.getOrderTopicConf());
        DefaultMQProducer producer = new DefaultMQProducer(Interop.prefix + "_OrderConfProducer");
        Interop.setUp(producer);
        producer.start();
        try {
            Interop.require(producer.fetchPublishMessageQueues(topic).size() == 2, "queues " + producer.fetchPublishMessageQueues(topic));
            for (int i = 0; i < 8; i++) {
                Interop.require(producer.send(new Message(topic, Interop.bytes("o-" + i))).getMessageQueue().getQueueId() < 2, "queue");
            }
            DefaultMQPullConsumer reader = Interop.pullConsumer("_OrderConfReader");
            Interop.require(reader.fetchSubscribeMessageQueues(topic).size() == 4, "queues to read");
            reader.shutdown();
            Interop.admin.deleteKvConfig("ORDER_TOPIC_CONFIG", topic);
            Interop.require(Interop.admin.examineTopicRouteInfo(topic).getOrderTopicConf() == null, "order conf stayed");
        } finally {
            producer.shutdown();
        }
    }

    // --- where to begin ---

    /** A broadcasting consumer keeps its positions in a file of its own, under the name of its instance (C-033). */
    private static void broadcastingRestart() throws Exception {
        Interop.createTopic(Interop.prefix + "_Again");
        Interop.sendNumbered("_Again", "a-", 0, 20);
        for (int from = 0; from <= 20; from += 20) {
            Interop.Inbox inbox = new Interop.Inbox();
            DefaultMQPushConsumer consumer = broadcasting("_AgainGroup", "_Again", ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET, null, inbox);
            if (from == 20) {
                Interop.sendNumbered("_Again", "a-", 20, 40);
            }
            inbox.await(20);
            // A listener's messages are noted when it has returned; a consumer that stops before is given them again.
            long end = from + 20;
            Interop.await("positions of all", () -> noted(consumer, "_Again") == end);
            consumer.shutdown();
            Interop.requireOnce(inbox.messages, "a-", from, from + 20);
        }
    }

    /** How many messages of a topic that a consumer reads from its beginning are noted as consumed. */
    private static long noted(DefaultMQPushConsumer consumer, String topic) {
        OffsetStore positions = consumer.getDefaultMQPushConsumerImpl().getOffsetStore();
        return positions.cloneOffsetTable(Interop.prefix + topic).values().stream().mapToLong(Long::longValue).sum();
    }

    private static DefaultMQPushConsumer broadcasting(String group, String topic, ConsumeFromWhere where, String time, Interop.Inbox inbox) throws Exception {
        DefaultMQPushConsumer consumer = Interop.pushConsumer(group, topic, "*");
        consumer.setInstanceName(Interop.prefix + group);
        consumer.setMessageModel(MessageModel.BROADCASTING);
        consumer.setConsumeFromWhere(where);
        if (time != null) {
            consumer.setConsumeTimestamp(time);
        }
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            inbox.messages.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Interop.await("queues of " + group, () -> Interop.queuesOf(consumer, topic) == 4);
        return consumer;
    }

    /**
     * Broadcasting consumers ask the broker only for ends and times; a clustering group's position is 0 for as long as the first
     * message is in memory, wherever it wants to begin (S-19).
     */
    private static void beginnings() throws Exception {
        Interop.createTopic(Interop.prefix + "_Begin");
        Interop.sendNumbered("_Begin", "early-", 0, 20);
        Interop.awaitTotal("_Begin", 20);
        // Times of consumers are whole seconds.
        long second = System.currentTimeMillis() / 1000 + 2;
        Interop.await("the next second", () -> System.currentTimeMillis() > second * 1000);
        String time = UtilAll.timeMillisToHumanString3(second * 1000);
        Interop.sendNumbered("_Begin", "late-", 0, 20);
        Interop.awaitTotal("_Begin", 40);
        Map<String, Interop.Inbox> inboxes = new ConcurrentHashMap<>();
        List<DefaultMQPushConsumer> consumers = new ArrayList<>();
        for (ConsumeFromWhere where : List.of(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET, ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET,
            ConsumeFromWhere.CONSUME_FROM_TIMESTAMP)) {
            Interop.Inbox inbox = inboxes.computeIfAbsent(where.name(), name -> new Interop.Inbox());
            consumers.add(broadcasting("_Begin" + where.name(), "_Begin", where, time, inbox));
        }
        Interop.Inbox shared = new Interop.Inbox();
        DefaultMQPushConsumer clustering = Interop.pushConsumer("_BeginShared", "_Begin", "*");
        clustering.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_LAST_OFFSET);
        clustering.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            shared.messages.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        clustering.start();
        consumers.add(clustering);
        try {
            shared.await(40);
            Interop.sendNumbered("_Begin", "new-", 0, 20);
            Interop.Inbox byTime = inboxes.get("CONSUME_FROM_TIMESTAMP");
            Interop.Inbox last = inboxes.get("CONSUME_FROM_LAST_OFFSET");
            inboxes.get("CONSUME_FROM_FIRST_OFFSET").await(60);
            byTime.await(40);
            last.await(20);
            shared.await(60);
            Interop.requireOnce(last.messages, "new-", 0, 20);
            Interop.require(byTime.messages.stream().noneMatch(message -> Interop.text(message).startsWith("early-")), "from the time on " + byTime);
        } finally {
            consumers.forEach(DefaultMQPushConsumer::shutdown);
        }
    }

    // --- bodies and queries ---

    /** Each body lies as the client packed it, and says in the message's flags how (bits 8 to 10). */
    private static void compressions() throws Exception {
        Interop.createTopic(Interop.prefix + "_Packed");
        Interop.Inbox inbox = new Interop.Inbox();
        String body = String.join(" ", Collections.nCopies(4000, "compress me"));
        DefaultMQPushConsumer consumer = Interop.collecting("_PackedGroup", "_Packed", "*", inbox);
        try {
            for (CompressionType type : CompressionType.values()) {
                DefaultMQProducer producer = compressing(type);
                try {
                    SendResult sent = producer.send(new Message(Interop.prefix + "_Packed", Interop.bytes(type + " " + body)));
                    MessageExt stored = Interop.admin.viewMessage(Interop.prefix + "_Packed", sent.getOffsetMsgId());
                    Interop.require(Interop.text(stored).equals(type + " " + body), type + ": the body differs");
                    int flag = stored.getSysFlag() & MessageSysFlag.COMPRESSION_TYPE_COMPARATOR;
                    Interop.require(flag == type.getCompressionFlag(), type + ": flags " + stored.getSysFlag());
                    Interop.require(stored.getStoreSize() < body.length() / 10, type + ": stored size " + stored.getStoreSize());
                } finally {
                    producer.shutdown();
                }
            }
            inbox.await(CompressionType.values().length);
            Interop.require(inbox.messages.stream().allMatch(message -> Interop.text(message).endsWith(" " + body)), "a body that was consumed differs");
        } finally {
            consumer.shutdown();
        }
    }

    /** The client of 4.9.4 looks at this property when a producer is made, and nowhere else. */
    private static DefaultMQProducer compressing(CompressionType type) throws Exception {
        DefaultMQProducer producer;
        synchronized (Features.class) {
            System.setProperty(MixAll.MESSAGE_COMPRESS_TYPE, type.name());
            producer = new DefaultMQProducer(Interop.prefix + "_Packing" + type);
            System.clearProperty(MixAll.MESSAGE_COMPRESS_TYPE);
        }
        Interop.setUp(producer);
        producer.start();
        return producer;
    }

    private static void keysInTime() throws Exception {
        String topic = Interop.prefix + "_Keyed";
        Interop.createTopic(topic);
        String key = Interop.prefix + "-same";
        List<MessageExt> stored = new ArrayList<>();
        for (String text : List.of("first", "second", "third")) {
            SendResult sent = Interop.producer.send(new Message(topic, "T", key + " of-" + text, Interop.bytes(text)));
            stored.add(Interop.admin.viewMessage(topic, sent.getOffsetMsgId()));
            Interop.await("indexed " + text, () -> found(topic, "of-" + text, 32, 0, Long.MAX_VALUE).equals(Set.of(text)));
            // Times of the index are whole seconds (S-27).
            long next = stored.get(stored.size() - 1).getStoreTimestamp() + 2100;
            Interop.await("two seconds", () -> System.currentTimeMillis() > next);
        }
        long first = stored.get(0).getStoreTimestamp();
        long third = stored.get(2).getStoreTimestamp();
        Interop.require(found(topic, key, 32, 0, Long.MAX_VALUE).equals(Set.of("first", "second", "third")), "all " + found(topic, key, 32, 0, Long.MAX_VALUE));
        Interop.require(found(topic, key, 32, 0, first + 1000).equals(Set.of("first")), "until " + found(topic, key, 32, 0, first + 1000));
        Interop.require(found(topic, key, 32, third - 1000, Long.MAX_VALUE).equals(Set.of("third")), "from " + found(topic, key, 32, third - 1000, Long.MAX_VALUE));
        Interop.require(found(topic, key, 32, first + 1100, third - 1100).equals(Set.of("second")), "between " + found(topic, key, 32, first + 1100, third - 1100));
        Interop.require(found(topic, key, 1, 0, Long.MAX_VALUE).equals(Set.of("third")), "one " + found(topic, key, 1, 0, Long.MAX_VALUE));
        Interop.require(found(topic, key, 32, third + 5000, Long.MAX_VALUE).isEmpty(), "later " + found(topic, key, 32, third + 5000, Long.MAX_VALUE));
        MessageExt byUniqueKey = Interop.admin.viewMessage(topic, stored.get(1).getMsgId());
        Interop.require(Interop.text(byUniqueKey).equals("second"), "by unique key " + Interop.text(byUniqueKey));
    }

    private static Set<String> found(String topic, String key, int count, long from, long until) throws Exception {
        try {
            return Interop.admin.queryMessage(topic, key, count, from, until).getMessageList().stream().map(Interop::text).collect(Collectors.toSet());
        } catch (MQClientException e) {
            Interop.require(e.getResponseCode() == 208, "code " + e.getResponseCode());
            return Set.of();
        }
    }

    /** The last level's wait is two hours, so that most are only looked for where they wait. */
    private static void delayLevels() throws Exception {
        String topic = Interop.prefix + "_Levels";
        Interop.createTopic(topic);
        long began = System.nanoTime();
        for (int level : List.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 100)) {
            MessageQueue queue = new MessageQueue("SCHEDULE_TOPIC_XXXX", "broker-a", Math.min(level, 18) - 1);
            long from = Interop.admin.maxOffset(queue);
            // Both header formats are tried at once, and their messages wait in the same queue.
            String text = topic + " level-" + level;
            Message message = new Message(topic, Interop.bytes(text));
            message.setDelayTimeLevel(level);
            Interop.producer.send(message);
            MessageExt waiting = waiting(queue, from, text);
            Interop.require(topic.equals(waiting.getProperty(MessageConst.PROPERTY_REAL_TOPIC)), "REAL_TOPIC " + waiting.getProperties());
            String said = waiting.getProperty(MessageConst.PROPERTY_DELAY_TIME_LEVEL);
            Interop.require(Integer.toString(Math.min(level, 18)).equals(said), "level " + level + " is " + said);
        }
        long came = Interop.total("_Levels");
        long took = System.nanoTime() - began;
        long due = DELAYS_S.stream().filter(delay -> TimeUnit.SECONDS.toNanos(delay) <= took).count();
        Interop.require(came <= due, "came too early: " + came + ", due were " + due);
    }

    /** Others delay messages meanwhile. */
    private static MessageExt waiting(MessageQueue queue, long from, String text) throws Exception {
        for (long offset = from; ; offset++) {
            MessageExt message = Interop.pullOne(queue, offset);
            if (Interop.text(message).equals(text)) {
                return message;
            }
        }
    }

    private static void batchLimits() throws Exception {
        String topic = Interop.prefix + "_Batch";
        Interop.createTopic(topic);
        Interop.createTopic(topic + "2");
        DefaultMQProducer producer = new DefaultMQProducer(Interop.prefix + "_BatchProducer");
        Interop.setUp(producer);
        producer.setMaxMessageSize(16 << 20);
        producer.setRetryTimesWhenSendFailed(0);
        producer.start();
        try {
            Message delayed = new Message(topic, Interop.bytes("delayed"));
            delayed.setDelayTimeLevel(1);
            refusedByClient(producer, List.of(new Message(topic, Interop.bytes("1")), delayed));
            refusedByClient(producer, List.of(new Message(topic, Interop.bytes("1")), new Message(topic + "2", Interop.bytes("2"))));
            refusedByClient(producer, List.of(new Message(MixAll.getRetryTopic("any"), Interop.bytes("1")), new Message(MixAll.getRetryTopic("any"), Interop.bytes("2"))));
            List<Message> large = Collections.nCopies(3, 1 << 20).stream().map(size -> new Message(topic, new byte[size])).collect(Collectors.toList());
            Interop.require(producer.send(large).getOffsetMsgId().split(",").length == 3, "3 MiB in one batch");
            Interop.require(refusedByBroker(producer, Collections.nCopies(5, 1 << 20).stream().map(size -> new Message(topic, new byte[size])).collect(Collectors.toList())) == 13, "5 MiB in one batch");
            try {
                producer.send(new Message(topic, random(5 << 20)));
                throw new IllegalStateException("a message of 5 MiB was stored");
            } catch (MQBrokerException e) {
                Interop.require(e.getResponseCode() == 13, "code " + e.getResponseCode() + " " + e.getErrorMessage());
            }
            Interop.await("queues are filled", () -> Interop.total("_Batch") >= 3);
            Interop.require(Interop.total("_Batch") == 3, "stored " + Interop.total("_Batch"));
        } finally {
            producer.shutdown();
        }
    }

    private static byte[] random(int size) {
        byte[] bytes = new byte[size];
        new Random(1).nextBytes(bytes);
        return bytes;
    }

    private static void refusedByClient(DefaultMQProducer producer, Collection<Message> batch) throws Exception {
        try {
            producer.send(batch);
        } catch (MQClientException e) {
            return;
        }
        throw new IllegalStateException("sent " + batch);
    }

    private static int refusedByBroker(DefaultMQProducer producer, Collection<Message> batch) throws Exception {
        try {
            producer.send(batch);
            return 0;
        } catch (MQBrokerException e) {
            return e.getResponseCode();
        }
    }
}
