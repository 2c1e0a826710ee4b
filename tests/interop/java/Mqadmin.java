import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.security.Permission;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/**
 * Runs commands of 4.9.4's mqadmin in one JVM: {@code Mqadmin NAME_SERVER}, a line a command on standard input, its words
 * separated by tabs; for each a line {@code > EXIT OUTPUT ERRORS} comes back, both in Base64. A line that begins with @ is done by
 * clients of this JVM: {@code @consumer GROUP TOPIC}, {@code @producer GROUP TOPIC}, {@code @send TOPIC COUNT},
 * {@code @consumed COUNT}, {@code @committed}, {@code @reset}, {@code @stop}.
 */
public final class Mqadmin {
    /** What runs longer is broken off: two commands never end by themselves. */
    private static final int LIMIT_S = 20;
    private static final int CLIENT_TIMEOUT_MS = 15_000;
    private static String nameServer;
    private static DefaultMQPushConsumer consumer;
    private static DefaultMQProducer producer;
    private static final AtomicInteger consumed = new AtomicInteger();

    /** What a command ends the JVM with. */
    private static final class Exit extends SecurityException {
        final int status;

        Exit(int status) {
            this.status = status;
        }
    }

    private Mqadmin() {
    }

    @SuppressWarnings("removal")
    public static void main(String[] args) throws Exception {
        nameServer = args[0];
        PrintStream answers = System.out;
        System.setSecurityManager(new SecurityManager() {
            @Override
            public void checkExit(int status) {
                throw new Exit(status);
            }

            @Override
            public void checkPermission(Permission permission) {
            }
        });
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split("\t");
            ByteArrayOutputStream output = new ByteArrayOutputStream();
            ByteArrayOutputStream errors = new ByteArrayOutputStream();
            System.setOut(new PrintStream(output, true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(errors, true, StandardCharsets.UTF_8));
            int exit = words[0].startsWith("@") ? client(words) : command(words);
            System.out.flush();
            System.err.flush();
            answers.println("> " + exit + " " + text(output) + " " + text(errors));
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static String text(ByteArrayOutputStream bytes) {
        return Base64.getEncoder().encodeToString(bytes.toByteArray());
    }

    private static int command(String[] words) throws Exception {
        // It registers all commands again each time.
        Field commands = MQAdminStartup.class.getDeclaredField("subCommandList");
        commands.setAccessible(true);
        ((List<?>) commands.get(null)).clear();
        int[] exit = {0};
        Thread thread = new Thread(() -> {
            try {
                MQAdminStartup.main0(words[0].isEmpty() ? new String[0] : words, null);
            } catch (Exit e) {
                exit[0] = e.status;
            }
        });
        thread.start();
        thread.join(TimeUnit.SECONDS.toMillis(LIMIT_S));
        if (thread.isAlive()) {
            exit[0] = -1;
            thread.interrupt();
            thread.join();
        }
        return exit[0];
    }

    private static int client(String[] words) {
        try {
            switch (words[0]) {
                case "@consumer" -> startConsumer(words[1], words[2]);
                case "@producer" -> startProducer(words[1], words[2]);
                case "@send" -> send(words[1], Integer.parseInt(words[2]));
                case "@consumed" -> await("consumed", () -> consumed.get() >= Integer.parseInt(words[1]));
                case "@committed" -> {
                    // The client counts what its listener took a little later.
                    await("counted", () -> counted() >= consumed.get());
                    consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
                }
                case "@reset" -> {
                    // It stands still for ten seconds, and then goes on where it was told to.
                    await("reset begins", () -> consumer.getDefaultMQPushConsumerImpl().isPause());
                    await("reset ends", () -> !consumer.getDefaultMQPushConsumerImpl().isPause());
                }
                case "@stop" -> {
                    consumer.shutdown();
                    producer.shutdown();
                }
                default -> throw new IllegalArgumentException(words[0]);
            }
            return 0;
        } catch (Throwable e) {
            e.printStackTrace();
            return 1;
        }
    }

    /** Of all its topics: nothing is retried. */
    private static long counted() {
        return consumer.getDefaultMQPushConsumerImpl().getOffsetStore().cloneOffsetTable("").values().stream().mapToLong(Long::longValue).sum();
    }

    private static void startConsumer(String group, String topic) throws Exception {
        consumer = new DefaultMQPushConsumer(group);
        consumer.setNamesrvAddr(nameServer);
        consumer.setClientIP("127.0.0.9");
        consumer.setInstanceName("watched");
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setMqClientApiTimeout(CLIENT_TIMEOUT_MS);
        consumer.subscribe(topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            consumed.addAndGet(messages.size());
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
    }

    private static void startProducer(String group, String topic) throws Exception {
        producer = new DefaultMQProducer(group);
        producer.setNamesrvAddr(nameServer);
        producer.setClientIP("127.0.0.9");
        producer.setInstanceName("watched-producer");
        producer.setSendMsgTimeout(CLIENT_TIMEOUT_MS);
        producer.start();
        await("route", () -> producer.fetchPublishMessageQueues(topic).size() > 0);
        // Brokers know a producer by its heartbeats.
        producer.getDefaultMQProducerImpl().getmQClientFactory().sendHeartbeatToAllBrokerWithLock();
    }

    /** One after the other to each queue in its order, so that every cluster stores the same. */
    private static void send(String topic, int count) throws Exception {
        List<MessageQueue> queues = new ArrayList<>(producer.fetchPublishMessageQueues(topic));
        queues.sort(null);
        for (int i = 0; i < count; i++) {
            Message message = new Message(topic, i % 2 == 0 ? "even" : "odd", "key-" + i, ("body " + i).getBytes(StandardCharsets.UTF_8));
            SendResult sent = producer.send(message, queues.get(i % queues.size()), CLIENT_TIMEOUT_MS);
            if (i == 0) {
                System.out.println("first " + sent.getOffsetMsgId() + " " + sent.getMsgId());
            }
        }
    }

    private interface Condition {
        boolean holds() throws Exception;
    }

    private static void await(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (!condition.holds()) {
            if (System.nanoTime() > deadline) {
                throw new IllegalStateException("timed out: " + what);
            }
            Thread.sleep(20);
        }
    }
}
