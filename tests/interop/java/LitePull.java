import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** The checks of {@link Features} for the lite pull consumer (C-040). */
final class LitePull {
    private LitePull() {
    }

    private static DefaultLitePullConsumer consumer(String group) {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(Interop.prefix + group);
        Interop.setUp(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        return consumer;
    }

    /** Polls until the count of different messages is there; what else comes is returned too. */
    private static List<MessageExt> poll(DefaultLitePullConsumer consumer, int count) throws Exception {
        List<MessageExt> polled = new ArrayList<>();
        Interop.await(count + " polled", () -> {
            polled.addAll(consumer.poll(200));
            return polled.stream().map(Interop::text).distinct().count() >= count;
        });
        return polled;
    }

    static void assigned() throws Exception {
        Interop.createTopic(Interop.prefix + "_Seek");
        Interop.sendNumbered("_Seek", "s-", 0, 40);
        Interop.awaitTotal("_Seek", 40);
        DefaultLitePullConsumer consumer = consumer("_SeekGroup");
        consumer.setAutoCommit(false);
        consumer.start();
        try {
            List<MessageQueue> queues = new ArrayList<>(consumer.fetchMessageQueues(Interop.prefix + "_Seek"));
            MessageQueue queue = queues.get(0);
            int held = (int) Interop.admin.maxOffset(queue);
            consumer.assign(queues);
            Interop.requireAtLeastOnce(poll(consumer, 40), "s-", 0, 40);
            consumer.commitSync();
            for (MessageQueue each : queues) {
                Interop.await("committed", () -> consumer.committed(each) == Interop.admin.maxOffset(each));
            }
            consumer.seek(queue, held - 2);
            requireOffsets(poll(consumer, 2), queue, held - 2, held);
            consumer.seekToBegin(queue);
            requireOffsets(poll(consumer, held), queue, 0, held);
            consumer.pause(List.of(queue));
            consumer.seekToEnd(queue);
            Interop.sendNumbered("_Seek", "s-", 40, 60);
            Interop.awaitTotal("_Seek", 60);
            int grown = (int) Interop.admin.maxOffset(queue);
            List<MessageExt> others = poll(consumer, 20 - (grown - held));
            Interop.require(others.stream().noneMatch(message -> message.getQueueId() == queue.getQueueId()), "a paused queue gave " + others);
            consumer.resume(List.of(queue));
            requireOffsets(poll(consumer, grown - held), queue, held, grown);
            long time = Interop.pullOne(queue, held).getStoreTimestamp();
            long at = consumer.offsetForTimestamp(queue, time);
            Interop.require(at <= held && Interop.pullOne(queue, at).getStoreTimestamp() == time, "offset for a time " + at);
            Interop.require(consumer.committed(queue) == held, "committed by itself " + consumer.committed(queue));
        } finally {
            consumer.shutdown();
        }
    }

    private static void requireOffsets(Collection<MessageExt> polled, MessageQueue queue, long from, long to) {
        Set<Long> missing = new HashSet<>();
        for (long offset = from; offset < to; offset++) {
            missing.add(offset);
        }
        polled.stream().filter(message -> message.getQueueId() == queue.getQueueId()).forEach(message -> missing.remove(message.getQueueOffset()));
        Interop.require(missing.isEmpty() && polled.stream().allMatch(message -> message.getQueueId() == queue.getQueueId()),
            "missing " + missing + " of " + from + " to " + to + ", polled " + polled);
    }

    /** Two consumers of a group, with a tag; one leaves, and the other goes on behind what was committed. */
    static void subscribed() throws Exception {
        Interop.createTopic(Interop.prefix + "_Shared");
        DefaultLitePullConsumer first = consumer("_SharedGroup");
        DefaultLitePullConsumer second = consumer("_SharedGroup");
        for (DefaultLitePullConsumer each : List.of(first, second)) {
            each.subscribe(Interop.prefix + "_Shared", "*");
            each.setAutoCommitIntervalMillis(1000);
            each.start();
        }
        try {
            List<MessageExt> polled = new ArrayList<>();
            Set<Integer> ofFirst = new HashSet<>();
            Set<Integer> ofSecond = new HashSet<>();
            Interop.sendNumbered("_Shared", "l-", 0, 40);
            Interop.await("40 polled by both", () -> {
                take(first, polled, ofFirst);
                take(second, polled, ofSecond);
                return polled.stream().map(Interop::text).distinct().count() >= 40;
            });
            Interop.requireAtLeastOnce(polled, "l-", 0, 40);
            first.shutdown();
            Interop.sendNumbered("_Shared", "l-", 40, 80);
            Interop.await("40 more polled by one", () -> {
                take(second, polled, ofSecond);
                return polled.stream().map(Interop::text).distinct().count() >= 80;
            });
            Interop.requireAtLeastOnce(polled, "l-", 0, 80);
            Interop.require(ofSecond.size() == 4, "queues of the one that stayed " + ofSecond);
        } finally {
            first.shutdown();
            second.shutdown();
        }
    }

    private static void take(DefaultLitePullConsumer consumer, List<MessageExt> polled, Set<Integer> queues) {
        for (MessageExt message : consumer.poll(200)) {
            polled.add(message);
            queues.add(message.getQueueId());
        }
    }
}
