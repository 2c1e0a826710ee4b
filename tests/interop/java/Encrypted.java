import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * A producer and a consumer, with TLS as the process's properties {@code tls.*} say: {@code Encrypted NAME_SERVERS}.
 *
 * Reads {@code COMMAND ARGUMENT...} a line and answers each with a line that begins with {@code "> "}. {@code send TOPIC BODY PORT}
 * sends, at the VIP port if PORT is {@code vip}; {@code pull TOPIC} counts what the first look at each queue finds. A
 * producer is made once, so that what it is connected to is kept.
 */
public final class Encrypted {
    private static final int TIMEOUT_MS = 10_000;
    private static String nameServers;
    private static final Map<String, DefaultMQProducer> producers = new HashMap<>();
    private static DefaultMQPullConsumer consumer;

    public static void main(String[] args) throws Exception {
        nameServers = args[0];
        Commands.obey(Encrypted::obey);
    }

    private static String obey(String[] words) throws Exception {
        switch (words[0]) {
            case "send": {
                Message message = new Message(words[1], words[2].getBytes(StandardCharsets.UTF_8));
                SendResult result = producer(words[3]).send(message, TIMEOUT_MS);
                return "sent " + result.getSendStatus();
            }
            case "pull":
                return "pulled " + pull(words[1]);
            default:
                throw new IllegalArgumentException(words[0]);
        }
    }

    private static DefaultMQProducer producer(String port) throws MQClientException {
        DefaultMQProducer known = producers.get(port);
        if (known == null) {
            known = new DefaultMQProducer("EncryptedProducer");
            known.setNamesrvAddr(nameServers);
            known.setInstanceName("producer-" + port);
            known.setVipChannelEnabled(port.equals("vip"));
            known.setRetryTimesWhenSendFailed(0);
            known.start();
            producers.put(port, known);
        }
        return known;
    }

    private static int pull(String topic) throws Exception {
        if (consumer == null) {
            consumer = new DefaultMQPullConsumer("EncryptedConsumer");
            consumer.setNamesrvAddr(nameServers);
            consumer.start();
        }
        int found = 0;
        for (MessageQueue queue : consumer.fetchSubscribeMessageQueues(topic)) {
            PullResult result = consumer.pull(queue, "*", 0, 32, TIMEOUT_MS);
            found += result.getMsgFoundList() == null ? 0 : result.getMsgFoundList().size();
        }
        return found;
    }
}
