import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Producers of transactions and a consumer that a script drives: {@code Transactions NAME_SERVERS TOPIC GROUP}.
 *
 * The clients are as they come. Reads a command a line and answers each with a line that begins with {@code "> "}:
 * {@code figures} with a JSON object, all others with {@code ok} or {@code error: why}. A message's body is its key; what becomes of
 * it, and what a check of it is answered, is {@code commit}, {@code rollback} or {@code unknown}.
 */
public final class Transactions {
    private static final int SENDERS = 4;
    private static String nameServers;
    private static String topic;
    private static String group;
    private static final Map<String, TransactionMQProducer> producers = new ConcurrentHashMap<>();
    private static final Map<String, LocalTransactionState> answers = new ConcurrentHashMap<>();
    private static final Map<String, AtomicInteger> delivered = new ConcurrentHashMap<>();
    private static final Map<String, Map<String, AtomicInteger>> checks = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        nameServers = args[0];
        topic = args[1];
        group = args[2];
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group + "_Consumer");
        consumer.setNamesrvAddr(nameServers);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> delivered.computeIfAbsent(keyOf(message), key -> new AtomicInteger()).incrementAndGet());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Commands.obey(Transactions::obey);
    }

    private static String obey(String[] command) throws Exception {
        switch (command[0]) {
            case "start" -> start(command[1]);
            case "stop" -> producers.remove(command[1]).shutdown();
            case "send" -> send(producers.get(command[1]), command[2], stateOf(command[3]), stateOf(command[4]));
            case "many" -> sendMany(producers.get(command[1]), command[2], Integer.parseInt(command[3]));
            case "answer" -> answers.put(command[1], stateOf(command[2]));
            case "figures" -> {
                return figures();
            }
            default -> throw new IllegalArgumentException(command[0]);
        }
        return "ok";
    }

    private static LocalTransactionState stateOf(String word) {
        return switch (word) {
            case "commit" -> LocalTransactionState.COMMIT_MESSAGE;
            case "rollback" -> LocalTransactionState.ROLLBACK_MESSAGE;
            default -> LocalTransactionState.UNKNOW;
        };
    }

    private static String keyOf(Message message) {
        return new String(message.getBody(), StandardCharsets.UTF_8);
    }

    private static void start(String name) throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(group);
        producer.setNamesrvAddr(nameServers);
        producer.setInstanceName(group + "-" + name);
        producer.setSendMsgTimeout(15_000);
        // A heartbeat without an answer in 3 s ends the connection, and no check would come before the next one.
        producer.setMqClientApiTimeout(15_000);
        producer.setTransactionListener(new TransactionListener() {
            @Override
            public LocalTransactionState executeLocalTransaction(Message message, Object state) {
                return (LocalTransactionState) state;
            }

            @Override
            public LocalTransactionState checkLocalTransaction(MessageExt message) {
                String key = keyOf(message);
                checks.computeIfAbsent(key, one -> new ConcurrentHashMap<>()).computeIfAbsent(name, one -> new AtomicInteger()).incrementAndGet();
                return answers.getOrDefault(key, LocalTransactionState.UNKNOW);
            }
        });
        producer.start();
        producers.put(name, producer);
    }

    private static void send(TransactionMQProducer producer, String key, LocalTransactionState end, LocalTransactionState answer)
        throws Exception {
        answers.put(key, answer);
        TransactionSendResult result = producer.sendMessageInTransaction(new Message(topic, "TagA", key, key.getBytes(StandardCharsets.UTF_8)), end);
        if (result.getSendStatus() != SendStatus.SEND_OK || result.getLocalTransactionState() != end) {
            throw new IllegalStateException(result.toString());
        }
    }

    /** One after the other is committed, rolled back, and committed when it is checked. */
    private static void sendMany(TransactionMQProducer producer, String prefix, int count) throws Exception {
        String[] ends = {"commit", "rollback", "unknown"};
        AtomicInteger next = new AtomicInteger();
        List<Exception> failures = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < SENDERS; i++) {
            Thread thread = new Thread(() -> {
                for (int number = next.getAndIncrement(); number < count; number = next.getAndIncrement()) {
                    try {
                        send(producer, prefix + "-" + number, stateOf(ends[number % 3]), LocalTransactionState.COMMIT_MESSAGE);
                    } catch (Exception e) {
                        synchronized (failures) {
                            failures.add(e);
                        }
                    }
                }
            });
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
        if (!failures.isEmpty()) {
            throw failures.get(0);
        }
    }

    private static String figures() {
        List<String> asked = new ArrayList<>();
        checks.forEach((key, counts) -> asked.add("\"" + key + "\": " + json(counts)));
        return "{\"delivered\": " + json(delivered) + ", \"checks\": {" + String.join(", ", asked) + "}}";
    }

    private static String json(Map<String, AtomicInteger> counts) {
        List<String> parts = new ArrayList<>();
        counts.forEach((name, count) -> parts.add("\"" + name + "\": " + count));
        return "{" + String.join(", ", parts) + "}";
    }
}
