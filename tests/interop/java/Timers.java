import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * A producer and a consumer of messages with a time of their own, driven by a script: {@code Timers NAME_SERVERS TOPIC GROUP}.
 *
 * Reads a command a line and answers each with a line that begins with {@code "> "}: {@code send KEY PROPERTY=VALUE...} with the
 * message's id, {@code figures} with a JSON object of each key's store times, or {@code error: why}. 5.x's clients set the same
 * properties by methods that 4.9.4's has not. A message's body is its key.
 */
public final class Timers {
    private static final Map<String, List<Long>> stored = new ConcurrentHashMap<>();
    private static DefaultMQProducer producer;
    private static String topic;

    public static void main(String[] args) throws Exception {
        topic = args[1];
        producer = new DefaultMQProducer(args[2] + "_Producer");
        producer.setNamesrvAddr(args[0]);
        producer.setSendMsgTimeout(15_000);
        producer.start();
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(args[2]);
        consumer.setNamesrvAddr(args[0]);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            messages.forEach(message -> stored
                .computeIfAbsent(new String(message.getBody(), StandardCharsets.UTF_8), key -> new CopyOnWriteArrayList<>())
                .add(message.getStoreTimestamp()));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        Commands.obey(Timers::obey);
    }

    private static String obey(String[] command) throws Exception {
        return switch (command[0]) {
            case "send" -> send(command);
            case "figures" -> stored.entrySet().stream()
                .map(entry -> "\"" + entry.getKey() + "\": " + entry.getValue())
                .collect(Collectors.joining(", ", "{", "}"));
            default -> throw new IllegalArgumentException(command[0]);
        };
    }

    private static String send(String[] command) throws Exception {
        Message message = new Message(topic, command[1].getBytes(StandardCharsets.UTF_8));
        for (int i = 2; i < command.length; i++) {
            String[] property = command[i].split("=");
            message.putUserProperty(property[0], property[1]);
        }
        SendResult result = producer.send(message);
        if (result.getSendStatus() != SendStatus.SEND_OK) {
            throw new IllegalStateException(result.toString());
        }
        return result.getMsgId();
    }
}
