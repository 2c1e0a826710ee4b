import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageClientIDSetter;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.topic.TopicValidator;

/** The checks of {@link Features} for traces: what clients tell of messages, in messages (contract 8.4). */
final class Tracing {
    private static final String SEPARATOR = String.valueOf((char) 1);
    private static final String RECORDS_SEPARATOR = String.valueOf((char) 2);
    private static final Set<String> ALL_KINDS = Set.of("Pub", "SubBefore", "SubAfter");
    /** After so long a trace will not come any more. */
    private static final long LOST_MS = 20_000;

    private Tracing() {
    }

    static void traced() throws Exception {
        trace("_Traced", null, TopicValidator.RMQ_SYS_TRACE_TOPIC);
    }

    static void ownTopic() throws Exception {
        Interop.createTopic(Interop.prefix + "_OwnTrace");
        trace("_TracedToo", Interop.prefix + "_OwnTrace", Interop.prefix + "_OwnTrace");
    }

    /**
     * Sends and consumes one message with traces, and finds what was told of it under its id and under its key. One at a time:
     * 4.9.4's clients share what sends their traces, and who takes it while another one shuts it down never sends any.
     */
    private static synchronized void trace(String topic, String customized, String traceTopic) throws Exception {
        Interop.createTopic(Interop.prefix + topic);
        DefaultMQProducer producer = tracing(topic, customized);
        List<MessageExt> consumed = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(Interop.prefix + topic + "Group", true, customized);
        Interop.setUp(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(Interop.prefix + topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            consumed.addAll(messages);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        try {
            Map<String, SendResult> told = new LinkedHashMap<>();
            Interop.await("traces of sending and consuming", () -> isTold(producer, topic, traceTopic, told, ALL_KINDS));
            String key = told.keySet().iterator().next();
            SendResult sent = told.get(key);
            Interop.await("traces by key", () -> kinds(traceTopic, key).equals(ALL_KINDS));
            String[] pub = records(traceTopic, sent.getMsgId()).stream().filter(record -> record[0].equals("Pub")).findFirst().orElseThrow();
            Interop.require(pub[2].equals("DefaultRegion") && pub[4].equals(Interop.prefix + topic) && pub[5].equals(sent.getMsgId())
                && pub[6].equals("T") && pub[7].equals(key) && pub[12].equals(sent.getOffsetMsgId()) && pub[13].equals("true"), "told " + String.join(" ", pub));
            // The region and the switch are in answers only; a stored message has neither.
            Interop.require("DefaultRegion".equals(sent.getRegionId()) && sent.isTraceOn(), "answered " + sent);
            Map<String, String> stored = consumed.get(0).getProperties();
            Interop.require(!stored.containsKey(MessageConst.PROPERTY_MSG_REGION) && !stored.containsKey(MessageConst.PROPERTY_TRACE_SWITCH), "stored " + stored);
        } finally {
            consumer.shutdown();
            producer.shutdown();
        }
    }

    /**
     * Whether these kinds are told of the newest message in {@code sent}. 4.9.4's client drops a trace whose one send failed, so
     * that after a while another message is sent in its place.
     */
    private static boolean isTold(DefaultMQProducer producer, String topic, String traceTopic, Map<String, SendResult> sent, Set<String> kinds) throws Exception {
        boolean isLost = sent.values().stream().allMatch(one -> System.currentTimeMillis() - MessageClientIDSetter.getNearlyTimeFromID(one.getMsgId()).getTime() > LOST_MS);
        if (isLost) {
            String key = Interop.prefix + topic + "-key" + System.nanoTime();
            SendResult one = producer.send(new Message(Interop.prefix + topic, "T", key, Interop.bytes("traced")));
            sent.clear();
            sent.put(key, one);
        }
        return kinds(traceTopic, sent.values().iterator().next().getMsgId()).equals(kinds);
    }

    private static DefaultMQProducer tracing(String topic, String customized) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer(Interop.prefix + topic + "Producer", true, customized);
        Interop.setUp(producer);
        producer.start();
        return producer;
    }

    /** Alone, as the switch is the whole broker's: what it is off for is not told of. */
    static void switchedOff() throws Exception {
        String topic = "_Switched";
        Interop.createTopic(Interop.prefix + topic);
        DefaultMQProducer producer = tracing(topic, null);
        try {
            switchTo(false);
            SendResult untold = producer.send(new Message(Interop.prefix + topic, "T", "untold", Interop.bytes("untold")));
            Interop.require(!untold.isTraceOn(), "the answer says that traces are on");
            switchTo(true);
            Map<String, SendResult> told = new LinkedHashMap<>();
            Interop.await("a trace", () -> isTold(producer, topic, TopicValidator.RMQ_SYS_TRACE_TOPIC, told, Set.of("Pub")));
            Interop.require(kinds(TopicValidator.RMQ_SYS_TRACE_TOPIC, untold.getMsgId()).isEmpty(), "it was told of");
        } finally {
            switchTo(true);
            producer.shutdown();
        }
    }

    private static void switchTo(boolean isOn) throws Exception {
        Properties settings = new Properties();
        settings.setProperty("traceOn", Boolean.toString(isOn));
        Interop.admin.updateBrokerConfig(Interop.broker, settings);
    }

    private static List<String[]> records(String traceTopic, String key) throws Exception {
        List<String[]> records = new ArrayList<>();
        try {
            for (MessageExt message : Interop.admin.queryMessage(traceTopic, key, 32, 0, Long.MAX_VALUE).getMessageList()) {
                for (String record : Interop.text(message).split(RECORDS_SEPARATOR)) {
                    String[] fields = record.split(SEPARATOR);
                    if (Arrays.asList(fields).contains(key)) {
                        records.add(fields);
                    }
                }
            }
        } catch (MQClientException e) {
            Interop.require(e.getResponseCode() == 208 || e.getResponseCode() == 17, "code " + e.getResponseCode());
        }
        return records;
    }

    private static Set<String> kinds(String traceTopic, String key) throws Exception {
        Set<String> kinds = new HashSet<>();
        records(traceTopic, key).forEach(record -> kinds.add(record[0]));
        return kinds;
    }
}
