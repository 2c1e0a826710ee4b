import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;

/**
 * A group that gives messages up, and one beside it: {@code DeadLetters NAME_SERVER TOPIC}. Sends 8 messages, of which
 * {@code bad-0} to {@code bad-3} are given up by the group {@code Strict} at their first delivery, and taken at the next; the
 * group {@code Lenient} takes all. Both groups and the producer write traces. Prints {@code sent ID}, {@code gave-up ID},
 * {@code strict ID TOPIC TIMES TAGS KEYS} and {@code lenient ID}. For each line of standard input it sends 8 more, prints
 * {@code to BROKER} for each and then {@code all-sent}; ends with it. Its producer asks for routes every second.
 */
public final class DeadLetters {
    private static final int CLIENT_TIMEOUT_MS = 15_000;
    private static final Set<String> given = ConcurrentHashMap.newKeySet();

    private DeadLetters() {
    }

    public static void main(String[] args) throws Exception {
        String nameServer = args[0];
        String topic = args[1];
        DefaultMQPushConsumer strict = consumer("Strict", nameServer, topic, (messages, context) -> {
            for (var message : messages) {
                String body = new String(message.getBody(), StandardCharsets.UTF_8);
                if (body.startsWith("bad") && given.add(message.getMsgId())) {
                    say("gave-up " + message.getMsgId());
                    // No retry: a dead letter at once.
                    context.setDelayLevelWhenNextConsume(-1);
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
                say("strict " + message.getMsgId() + " " + message.getTopic() + " " + message.getReconsumeTimes() + " " + message.getTags()
                    + " " + message.getKeys());
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        DefaultMQPushConsumer lenient = consumer("Lenient", nameServer, topic, (messages, context) -> {
            messages.forEach(message -> say("lenient " + message.getMsgId()));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        DefaultMQProducer producer = new DefaultMQProducer("Dead-Producers", true);
        producer.setNamesrvAddr(nameServer);
        producer.setSendMsgTimeout(CLIENT_TIMEOUT_MS);
        producer.setPollNameServerInterval(1_000);
        producer.start();
        for (int number = 0; number < 8; number++) {
            String body = (number % 2 == 0 ? "bad-" : "good-") + number / 2;
            SendResult sent = producer.send(new Message(topic, "tag", "key-" + number, body.getBytes(StandardCharsets.UTF_8)));
            say("sent " + sent.getMsgId());
        }
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        while (lines.readLine() != null) {
            for (int number = 0; number < 8; number++) {
                say("to " + producer.send(new Message(topic, "more".getBytes(StandardCharsets.UTF_8))).getMessageQueue().getBrokerName());
            }
            say("all-sent");
        }
        producer.shutdown();
        strict.shutdown();
        lenient.shutdown();
    }

    private static DefaultMQPushConsumer consumer(String group, String nameServer, String topic, MessageListenerConcurrently listener)
        throws Exception {
        DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group, true);
        consumer.setNamesrvAddr(nameServer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeMessageBatchMaxSize(1);
        consumer.setMqClientApiTimeout(CLIENT_TIMEOUT_MS);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener(listener);
        consumer.start();
        return consumer;
    }

    private static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
