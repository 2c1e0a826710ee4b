import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.RequestTimeoutException;
import org.apache.rocketmq.client.producer.RequestCallback;
import org.apache.rocketmq.client.utils.MessageUtil;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.protocol.body.CMResult;
import org.apache.rocketmq.common.protocol.body.ConsumerRunningInfo;

/** The checks of {@link Interop} in which one client asks another something through the broker. */
final class ThroughBroker {
    private static final int REQUESTS = 20;
    private static final int REQUEST_TIMEOUT_MS = 20_000;

    private ThroughBroker() {
    }

    static void all() {
        Interop.check("requests are replied to", ThroughBroker::requests);
        Interop.check("a request without a reply times out", ThroughBroker::requestToNobody);
        Interop.check("a consumer tells of itself, and where it is", ThroughBroker::runningInfo);
        Interop.check("a consumer takes a message that is handed to it", ThroughBroker::consumeDirectly);
        Interop.check("a consumer goes back to where it is told", ThroughBroker::resetOffsets);
    }

    /** Each with another body, synchronous and with a callback; the consumer replies with a producer of its own. */
    private static void requests() throws Exception {
        Interop.createTopic(Interop.prefix + "_Request");
        DefaultMQPushConsumer consumer = Interop.pushConsumer("_RequestGroup", "_Request", "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (messages, context) -> {
            for (MessageExt message : messages) {
                try {
                    Message reply = MessageUtil.createReplyMessage(message, Interop.bytes("re: " + Interop.text(message)));
                    Interop.producer.send(reply);
                } catch (Exception e) {
                    return ConsumeConcurrentlyStatus.RECONSUME_LATER;
                }
            }
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        try {
            Interop.await("queues", () -> Interop.queuesOf(consumer, "_Request") == 4);
            for (int i = 0; i < REQUESTS; i++) {
                Message reply = ask(request("_Request", "sync-" + i), REQUEST_TIMEOUT_MS);
                Interop.require(new String(reply.getBody()).equals("re: sync-" + i), "replied " + new String(reply.getBody()));
            }
            ConcurrentLinkedQueue<String> replies = new ConcurrentLinkedQueue<>();
            for (int i = 0; i < REQUESTS; i++) {
                Interop.producer.request(request("_Request", "async-" + i), new RequestCallback() {
                    @Override
                    public void onSuccess(Message reply) {
                        replies.add(new String(reply.getBody()));
                    }

                    @Override
                    public void onException(Throwable e) {
                        replies.add(e.toString());
                    }
                }, REQUEST_TIMEOUT_MS);
            }
            // Without a selector the client may call back a second time, when the send is acknowledged after the reply came.
            Interop.await("all replies", () -> replies.stream().distinct().count() >= REQUESTS);
            for (int i = 0; i < REQUESTS; i++) {
                Interop.require(replies.contains("re: async-" + i), "replies " + replies);
            }
        } finally {
            consumer.shutdown();
        }
    }

    private static void requestToNobody() throws Exception {
        Interop.createTopic(Interop.prefix + "_Unanswered");
        try {
            Message reply = ask(request("_Unanswered", "hello"), 10_000);
            throw new IllegalStateException("replied " + reply);
        } catch (RequestTimeoutException e) {
            Interop.awaitTotal("_Unanswered", 1);
        }
    }

    /** Without a selector the client of 4.9.4 takes its own request for the reply as soon as that is sent. */
    private static Message ask(Message message, long timeoutMs) throws Exception {
        return Interop.producer.request(message, (queues, sent, nothing) -> queues.get(0), null, timeoutMs);
    }

    private static Message request(String topic, String text) {
        return new Message(Interop.prefix + topic, Interop.bytes(text));
    }

    private static void runningInfo() throws Exception {
        Interop.createTopic(Interop.prefix + "_Info");
        Interop.Inbox inbox = new Interop.Inbox();
        DefaultMQPushConsumer consumer = Interop.collecting("_InfoGroup", "_Info", "a || b", inbox);
        try {
            String group = consumer.getConsumerGroup();
            String client = consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId();
            Interop.await("the client is known", () -> Interop.queuesOf(consumer, "_Info") == 4);
            ConsumerRunningInfo info = Interop.admin.getConsumerRunningInfo(group, client, true);
            Interop.require(info.getJstack().contains("ConsumeMessageThread") || info.getJstack().contains("RebalanceService"), "no threads");
            Interop.require(info.getSubscriptionSet().stream().anyMatch(one -> one.getTopic().equals(Interop.prefix + "_Info")
                && one.getSubString().equals("a || b")), "subscriptions " + info.getSubscriptionSet());
            Interop.require(info.getMqTable().keySet().stream().filter(queue -> queue.getTopic().endsWith("_Info")).count() == 4,
                "queues " + info.getMqTable().keySet());
            Map<String, Map<MessageQueue, Long>> status = Interop.admin.getConsumeStatus(Interop.prefix + "_Info", group, client);
            Interop.require(status.keySet().equals(java.util.Set.of(client)) && status.get(client).size() == 4, "status " + status);
        } finally {
            consumer.shutdown();
        }
    }

    private static void consumeDirectly() throws Exception {
        Interop.createTopic(Interop.prefix + "_Direct");
        Interop.Inbox inbox = new Interop.Inbox();
        DefaultMQPushConsumer consumer = Interop.collecting("_DirectGroup", "_Direct", "*", inbox);
        try {
            Interop.await("queues", () -> Interop.queuesOf(consumer, "_Direct") == 4);
            String id = Interop.producer.send(request("_Direct", "again")).getOffsetMsgId();
            inbox.await(1);
            String client = consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId();
            CMResult result = Interop.admin.consumeMessageDirectly(consumer.getConsumerGroup(), client, id).getConsumeResult();
            Interop.require(result == CMResult.CR_SUCCESS, "result " + result);
            List<String> texts = inbox.messages.stream().map(Interop::text).toList();
            Interop.require(texts.equals(List.of("again", "again")), "consumed " + texts);
        } finally {
            consumer.shutdown();
        }
    }

    /** Everything is consumed once more; the client takes ten seconds to go back. */
    private static void resetOffsets() throws Exception {
        Interop.createTopic(Interop.prefix + "_Reset");
        Interop.Inbox inbox = new Interop.Inbox();
        DefaultMQPushConsumer consumer = Interop.collecting("_ResetGroup", "_Reset", "*", inbox);
        try {
            Interop.await("queues", () -> Interop.queuesOf(consumer, "_Reset") == 4);
            Interop.sendNumbered("_Reset", "r-", 0, 40);
            inbox.await(40);
            consumer.getDefaultMQPushConsumerImpl().persistConsumerOffset();
            Interop.await("all committed", () -> Interop.committed("_ResetGroup", "_Reset") == Interop.total("_Reset"));
            inbox.messages.clear();
            Map<MessageQueue, Long> offsets =
                Interop.admin.resetOffsetByTimestamp(Interop.prefix + "_Reset", consumer.getConsumerGroup(), 0, true);
            Interop.require(offsets.size() == 4 && offsets.values().stream().allMatch(offset -> offset == 0), "offsets " + offsets);
            inbox.await(40);
            Interop.requireAtLeastOnce(inbox.messages, "r-", 0, 40);
        } finally {
            consumer.shutdown();
        }
    }
}
