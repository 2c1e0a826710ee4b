import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * The producer and the consumers of a cluster that moves, driven by {@code moving}: {@code Moving NAME_SERVERS}.
 *
 * Reads a command a line and answers each with a line that begins with {@code "> "}: a number, {@code ok}, or {@code error: why}.
 * Each message has a key TOPIC-NUMBER, which its body begins with, and the tag even or odd; a group counts what it took.
 */
public final class Moving {
    private static final int FOUND_MAX = 40;
    private static final byte SEPARATOR = '\n';
    private static String nameServers;
    private static TransactionMQProducer producer;
    private static int instances;
    private static final Map<String, SendResult> acknowledged = new ConcurrentHashMap<>();
    private static final Map<String, AtomicInteger> taken = new ConcurrentHashMap<>();
    private static final Map<String, AtomicInteger> sent = new ConcurrentHashMap<>();
    private static final List<DefaultMQPushConsumer> consumers = new ArrayList<>();

    public static void main(String[] args) throws Exception {
        setNameServers(args[0]);
        Commands.obey(Moving::obey);
    }

    private static String obey(String[] command) throws Exception {
        switch (command[0]) {
            case "names" -> setNameServers(command[1]);
            case "send" -> send(command[1], Integer.parseInt(command[2]), Integer.parseInt(command[3]), Integer.parseInt(command[4]));
            case "half" -> half(command[1], Integer.parseInt(command[2]));
            case "consume" -> consume(command[1], command[2], command[3], command[4].equals("later"));
            case "leave" -> leave();
            case "left" -> {
                return Long.toString(left(command[1], command[2], command[3]));
            }
            case "repeats" -> {
                return Long.toString(taken.values().stream().mapToInt(count -> count.get() - 1).sum());
            }
            case "find" -> find(command[1], command[2].equals("offset"));
            default -> throw new IllegalArgumentException(command[0]);
        }
        return "ok";
    }

    /** What is made from now on asks these. */
    private static void setNameServers(String addresses) throws Exception {
        if (producer != null) {
            producer.shutdown();
        }
        nameServers = addresses;
        producer = new TransactionMQProducer("Movers");
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
                return LocalTransactionState.UNKNOW;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                return LocalTransactionState.COMMIT_MESSAGE;
            }
        });
        producer.setNamesrvAddr(nameServers);
        producer.setInstanceName("producer-" + ++instances);
        producer.setSendMsgTimeout(15_000);
        producer.setMqClientApiTimeout(15_000);
        producer.start();
    }

    private static String key(String topic, int number) {
        return topic + "-" + number;
    }

    private static String tag(String key) {
        return Integer.parseInt(key.substring(key.indexOf('-') + 1)) % 2 == 0 ? "even" : "odd";
    }

    private static void send(String topic, int count, int level, int bytes) throws Exception {
        for (int i = 0; i < count; i++) {
            Message message = next(topic, bytes);
            message.setDelayTimeLevel(level);
            acknowledged.put(message.getKeys(), producer.send(message));
        }
    }

    /** Sends half messages; the producer says yes when a broker asks. */
    private static void half(String topic, int count) throws Exception {
        for (int i = 0; i < count; i++) {
            Message message = next(topic, 200);
            acknowledged.put(message.getKeys(), producer.sendMessageInTransaction(message, null));
        }
    }

    private static Message next(String topic, int bytes) {
        int number = sent.computeIfAbsent(topic, one -> new AtomicInteger()).getAndIncrement();
        String key = key(topic, number);
        byte[] head = key.getBytes(StandardCharsets.UTF_8);
        byte[] body = new byte[Math.max(bytes, head.length + 1)];
        // So that a client does not compress it to nothing.
        new Random(number).nextBytes(body);
        System.arraycopy(head, 0, body, 0, head.length);
        body[head.length] = SEPARATOR;
        return new Message(topic, tag(key), key, body);
    }

    private static void consume(String group, String topic, String tags, boolean isLater) throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(nameServers);
        consumer.setInstanceName("consumer-" + ++instances);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, tags);
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            MessageExt message = messages.get(0);
            if (isLater && message.getReconsumeTimes() == 0 && message.getKeys().endsWith("0")) {
                return ConsumeConcurrentlyStatus.RECONSUME_LATER;
            }
            String key = keyInBody(message);
            taken.computeIfAbsent(group + " " + key, one -> new AtomicInteger()).incrementAndGet();
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        consumers.add(consumer);
    }

    private static String keyInBody(MessageExt message) {
        byte[] body = message.getBody();
        int end = 0;
        while (body[end] != SEPARATOR) {
            end++;
        }
        return new String(Arrays.copyOf(body, end), StandardCharsets.UTF_8);
    }

    private static void leave() {
        consumers.forEach(DefaultMQPushConsumer::shutdown);
        consumers.clear();
    }

    /** How many acknowledged messages of the topic, with the tag, the group has not taken. */
    private static long left(String group, String topic, String tags) {
        return acknowledged.keySet().stream().filter(key -> key.startsWith(topic + "-") && (tags.equals("*") || tags.equals(tag(key))))
            .filter(key -> !taken.containsKey(group + " " + key)).count();
    }

    /** Looks the topic's first messages up by key and by unique id, and by offset id if that broker's address is still one. */
    private static void find(String topic, boolean isOffset) throws Exception {
        int last = Math.min(FOUND_MAX, sent.get(topic).get());
        for (int number = 0; number < last; number++) {
            String key = key(topic, number);
            SendResult result = acknowledged.get(key);
            QueryResult found = producer.queryMessage(topic, key, 2, 0, Long.MAX_VALUE);
            if (found.getMessageList().size() != 1) {
                throw new IllegalStateException(found.getMessageList().size() + " messages with the key " + key);
            }
            check(key, found.getMessageList().get(0));
            check(key, producer.viewMessage(topic, result.getMsgId()));
            if (isOffset) {
                check(key, producer.viewMessage(result.getOffsetMsgId()));
            }
        }
    }

    private static void check(String key, MessageExt message) {
        if (!keyInBody(message).equals(key)) {
            throw new IllegalStateException(keyInBody(message) + " was found for " + key);
        }
    }
}
