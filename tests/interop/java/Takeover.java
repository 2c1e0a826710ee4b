import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.exception.RemotingException;

/**
 * A producer and consumers that a script drives while it ends brokers: {@code Takeover NAME_SERVERS TOPIC GROUP}.
 *
 * Everything about the clients is as they come: their 3 s, their look for routes every 30 s, their commits every 5 s. Reads a
 * command a line and answers each with a line that begins with {@code "> "}, since libraries print too: {@code figures} with a
 * JSON object, all others with {@code ok} or {@code error: why}. Messages are numbered; what was acknowledged must be delivered,
 * what was not may be.
 */
public final class Takeover {
    private static final int SEND_DEADLINE_S = 120;
    private static final int LOAD_PAUSE_MS = 2;
    private static String nameServers;
    private static String topic;
    private static String group;
    private static DefaultMQProducer producer;
    private static final AtomicInteger next = new AtomicInteger();
    private static final AtomicInteger failed = new AtomicInteger();
    private static volatile String lastFailure = "";
    /** With the unique key. */
    private static final Map<Integer, String> acknowledged = new ConcurrentHashMap<>();
    private static final Map<Integer, AtomicInteger> deliveries = new ConcurrentHashMap<>();
    private static final List<DefaultMQPushConsumer> consumers = new ArrayList<>();
    private static int instances;
    private static volatile boolean isLoading;
    private static Thread load;

    // Since the last "mark".
    private static volatile long markedNs = System.nanoTime();
    private static final AtomicLong lastAcknowledgedNs = new AtomicLong(System.nanoTime());
    private static final AtomicLong longestPauseNs = new AtomicLong();
    private static final Map<String, Long> wentOnMs = new ConcurrentHashMap<>();
    private static final Map<String, AtomicInteger> acknowledgedBy = new ConcurrentHashMap<>();
    private static final Map<String, AtomicInteger> deliveredBy = new ConcurrentHashMap<>();

    public static void main(String[] args) throws Exception {
        nameServers = args[0];
        topic = args[1];
        group = args[2];
        producer = new DefaultMQProducer(group + "_Producer");
        producer.setNamesrvAddr(nameServers);
        producer.start();
        Commands.obey(Takeover::obey);
    }

    private static String obey(String[] command) throws Exception {
        switch (command[0]) {
            case "send" -> send(Integer.parseInt(command[1]));
            case "load" -> startLoad();
            case "unload" -> stopLoad();
            case "consume" -> consume(Integer.parseInt(command[1]));
            case "suspend" -> consumers.forEach(DefaultMQPushConsumer::suspend);
            case "resume" -> consumers.forEach(DefaultMQPushConsumer::resume);
            case "leave" -> leave();
            case "mark" -> mark();
            case "look" -> look(Integer.parseInt(command[1]));
            case "figures" -> {
                return figures();
            }
            default -> throw new IllegalArgumentException(command[0]);
        }
        return "ok";
    }

    /** Sends one message; whether it was acknowledged. */
    private static boolean sendOne() throws InterruptedException {
        int number = next.getAndIncrement();
        try {
            SendResult result = producer.send(new Message(topic, "", "key-" + number, Integer.toString(number).getBytes(StandardCharsets.UTF_8)));
            acknowledged.put(number, result.getMsgId());
            acknowledgedBy.computeIfAbsent(result.getMessageQueue().getBrokerName(), name -> new AtomicInteger()).incrementAndGet();
            long now = System.nanoTime();
            longestPauseNs.accumulateAndGet(now - lastAcknowledgedNs.getAndSet(now), Math::max);
            return true;
        } catch (InterruptedException e) {
            throw e;
        } catch (Exception e) {
            failed.incrementAndGet();
            lastFailure = String.valueOf(e).replaceAll("[^ -~]|[\"\\\\]", " ");
            return false;
        }
    }

    private static void send(int count) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(SEND_DEADLINE_S);
        for (int done = 0; done < count;) {
            if (sendOne()) {
                done++;
            } else if (System.nanoTime() > deadline) {
                throw new IllegalStateException("only " + done + " of " + count + " were acknowledged");
            } else {
                Thread.sleep(100);
            }
        }
    }

    private static void startLoad() {
        isLoading = true;
        lastAcknowledgedNs.set(System.nanoTime());
        load = new Thread(() -> {
            try {
                while (isLoading) {
                    sendOne();
                    Thread.sleep(LOAD_PAUSE_MS);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        load.start();
    }

    private static void stopLoad() throws InterruptedException {
        isLoading = false;
        load.join();
    }

    private static void consume(int count) throws Exception {
        for (int i = 0; i < count; i++) {
            String name = "consumer-" + ++instances;
            DefaultMQPushConsumer consumer = new DefaultMQPushConsumer(group);
            consumer.setNamesrvAddr(nameServers);
            consumer.setInstanceName(name);
            consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
            consumer.subscribe(topic, "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
                wentOnMs.putIfAbsent(name, TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - markedNs));
                messages.forEach(Takeover::note);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
            consumer.start();
            consumers.add(consumer);
        }
    }

    private static void note(MessageExt message) {
        int number = Integer.parseInt(new String(message.getBody(), StandardCharsets.UTF_8));
        deliveries.computeIfAbsent(number, one -> new AtomicInteger()).incrementAndGet();
        deliveredBy.computeIfAbsent(message.getBrokerName(), name -> new AtomicInteger()).incrementAndGet();
    }

    private static void leave() {
        consumers.forEach(DefaultMQPushConsumer::shutdown);
        consumers.clear();
    }

    private static void mark() {
        wentOnMs.clear();
        acknowledgedBy.clear();
        deliveredBy.clear();
        longestPauseNs.set(0);
        markedNs = System.nanoTime();
    }

    /** Looks the first and the last acknowledged messages up, by key and by unique key; the client asks a dead broker until its next look for routes. */
    private static void look(int count) throws Exception {
        List<Integer> numbers = acknowledged.keySet().stream().sorted().collect(Collectors.toList());
        List<Integer> wanted = new ArrayList<>(numbers.subList(0, count));
        wanted.addAll(numbers.subList(numbers.size() - count, numbers.size()));
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(SEND_DEADLINE_S);
        for (int at = 0; at < wanted.size();) {
            int number = wanted.get(at);
            try {
                List<MessageExt> found = producer.queryMessage(topic, "key-" + number, 32, 0, Long.MAX_VALUE).getMessageList();
                found.add(producer.viewMessage(topic, acknowledged.get(number)));
                // A producer may have sent it twice.
                if (found.size() < 2 || !found.stream().allMatch(message -> new String(message.getBody(), StandardCharsets.UTF_8).equals("" + number))) {
                    throw new IllegalStateException("found for " + number + ": " + found);
                }
                at++;
            } catch (RemotingException | MQClientException e) {
                if (System.nanoTime() > deadline) {
                    throw e;
                }
                Thread.sleep(500);
            }
        }
    }

    private static String figures() {
        long missing = acknowledged.keySet().stream().filter(number -> !deliveries.containsKey(number)).count();
        long repeats = deliveries.values().stream().mapToInt(AtomicInteger::get).sum() - deliveries.size();
        return "{\"acknowledged\": " + acknowledged.size() + ", \"failed\": " + failed + ", \"last_failure\": \"" + lastFailure
            + "\", \"missing\": " + missing + ", \"repeats\": " + repeats
            + ", \"went_on\": " + wentOnMs.size() + ", \"last_went_on_ms\": " + wentOnMs.values().stream().mapToLong(Long::longValue).max().orElse(0)
            + ", \"longest_pause_ms\": " + TimeUnit.NANOSECONDS.toMillis(longestPauseNs.get())
            + ", \"acknowledged_by\": " + json(acknowledgedBy) + ", \"delivered_by\": " + json(deliveredBy) + "}";
    }

    private static String json(Map<String, AtomicInteger> counts) {
        List<String> parts = new ArrayList<>();
        counts.forEach((name, count) -> parts.add("\"" + name + "\": " + count));
        return "{" + String.join(", ", parts) + "}";
    }
}
