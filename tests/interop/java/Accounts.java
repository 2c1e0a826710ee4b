import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.acl.common.AclClientRPCHook;
import org.apache.rocketmq.acl.common.SessionCredentials;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.AclConfig;
import org.apache.rocketmq.common.PlainAccessConfig;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.common.protocol.body.ClusterAclVersionInfo;
import org.apache.rocketmq.remoting.RPCHook;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * Clients with accounts, driven by a script: {@code Accounts NAME_SERVERS BROKER_ADDRESS UNUSED}.
 *
 * Reads {@code ACCESS_KEY SECRET COMMAND ARGUMENT...} a line, {@code -} for no account, and answers each with a line that begins with
 * {@code "> "}: what was found, or {@code refused CODE: REMARK} without the place in the broker's source that 4.9.4 ends remarks with.
 * Each account has its clients once; everything else about them is as it comes.
 */
public final class Accounts {
    private static final int TIMEOUT_MS = 10_000;
    private static String nameServers;
    private static String broker;
    private static final Map<String, DefaultMQProducer> producers = new HashMap<>();
    private static final Map<String, DefaultMQPullConsumer> pullers = new HashMap<>();
    private static final Map<String, DefaultMQAdminExt> admins = new HashMap<>();

    public static void main(String[] args) throws Exception {
        nameServers = args[0];
        broker = args[1];
        Commands.obey(words -> {
            try {
                return obey(words);
            } catch (Exception e) {
                return refusal(e);
            }
        });
    }

    private static String refusal(Throwable error) {
        Integer code = null;
        String remark = null;
        // The broker's own words are the innermost ones.
        for (Throwable each = error; each != null; each = each.getCause()) {
            if (each instanceof MQBrokerException e) {
                code = e.getResponseCode();
                remark = e.getErrorMessage();
            } else if (each instanceof MQClientException e && e.getResponseCode() != -1) {
                code = e.getResponseCode();
                remark = e.getErrorMessage();
            }
        }
        if (code == null) {
            return "error: " + error;
        }
        return "refused " + code + ": " + String.valueOf(remark).replaceFirst(", org\\.apache\\.rocketmq\\.[\\w.$]+\\(.*", "");
    }

    private static String obey(String[] words) throws Exception {
        String[] rest = Arrays.copyOfRange(words, 3, words.length);
        String key = words[0];
        RPCHook hook = key.equals("-") ? null : new AclClientRPCHook(new SessionCredentials(key, words[1]));
        String client = key + "_" + words[1];
        switch (words[2]) {
            case "send": {
                Message message = new Message(rest[0], "", rest.length > 1 ? rest[1] : "", "body".getBytes(StandardCharsets.UTF_8));
                return "sent " + producer(client, hook).send(message, TIMEOUT_MS).getSendStatus();
            }
            case "batch": {
                List<Message> batch = new ArrayList<>();
                for (int i = 0; i < 3; i++) {
                    batch.add(new Message(rest[0], "batched".getBytes(StandardCharsets.UTF_8)));
                }
                return "sent " + producer(client, hook).send(batch, TIMEOUT_MS).getSendStatus();
            }
            case "pull":
                return pull(client, hook, rest[0], rest[1]);
            case "poll":
                return poll(client, hook, rest[0], rest[1], Integer.parseInt(rest[2]));
            case "query":
                return "found " + producer(client, hook).queryMessage(rest[0], rest[1], 8, 0, Long.MAX_VALUE).getMessageList().size();
            default:
                return administer(admin(client, hook), words[2], rest);
        }
    }

    private static String administer(DefaultMQAdminExt admin, String verb, String[] rest) throws Exception {
        switch (verb) {
            case "topic": {
                TopicConfig config = new TopicConfig(rest[0], 1, 1, 6);
                admin.createAndUpdateTopicConfig(broker, config);
                return "done";
            }
            case "update": {
                PlainAccessConfig config = new PlainAccessConfig();
                config.setAccessKey(rest[0]);
                config.setSecretKey(rest[1]);
                config.setTopicPerms(Arrays.asList(rest[2].split(",")));
                config.setDefaultGroupPerm("SUB");
                admin.createAndUpdatePlainAccessConfig(broker, config);
                return "done";
            }
            case "delete":
                admin.deletePlainAccessConfig(broker, rest[0]);
                return "done";
            case "white":
                admin.updateGlobalWhiteAddrConfig(broker, rest.length > 0 ? rest[0] : "");
                return "done";
            case "version": {
                ClusterAclVersionInfo info = admin.examineBrokerClusterAclVersionInfo(broker);
                return "version " + info.getBrokerName() + " " + info.getClusterName() + " " + info.getAllAclConfigDataVersion().values()
                    .iterator().next().getCounter() + " " + info.getAllAclConfigDataVersion().size();
            }
            case "config": {
                AclConfig config = admin.examineBrokerClusterAclConfig(broker);
                StringBuilder text = new StringBuilder("config " + config.getGlobalWhiteAddrs());
                for (PlainAccessConfig each : config.getPlainAccessConfigs()) {
                    text.append(' ').append(each.getAccessKey()).append('/').append(each.getSecretKey()).append('/').append(each.isAdmin())
                        .append('/').append(each.getTopicPerms());
                }
                return text.toString();
            }
            default:
                throw new IllegalArgumentException(verb);
        }
    }

    private static DefaultMQProducer producer(String client, RPCHook hook) throws MQClientException {
        DefaultMQProducer known = producers.get(client);
        if (known == null) {
            known = new DefaultMQProducer("AccountsProducer", hook);
            known.setNamesrvAddr(nameServers);
            known.setInstanceName("producer" + client);
            known.setVipChannelEnabled(false);
            known.start();
            producers.put(client, known);
        }
        return known;
    }

    private static DefaultMQAdminExt admin(String client, RPCHook hook) throws MQClientException {
        DefaultMQAdminExt known = admins.get(client);
        if (known == null) {
            known = new DefaultMQAdminExt(hook, TIMEOUT_MS);
            known.setNamesrvAddr(nameServers);
            known.setInstanceName("admin" + client);
            known.start();
            admins.put(client, known);
        }
        return known;
    }

    /** One pull of the first queue, as the broker answers it. */
    private static String pull(String client, RPCHook hook, String group, String topic) throws Exception {
        DefaultMQPullConsumer known = pullers.get(client + group);
        if (known == null) {
            known = new DefaultMQPullConsumer(group, hook);
            known.setNamesrvAddr(nameServers);
            known.setInstanceName("puller" + client + group);
            known.start();
            pullers.put(client + group, known);
        }
        MessageQueue queue = known.fetchSubscribeMessageQueues(topic).iterator().next();
        PullResult result = known.pull(queue, "*", 0, 32, TIMEOUT_MS);
        return "pulled " + result.getPullStatus();
    }

    /** A consumer of a group as applications have it, until it has so many messages. */
    private static String poll(String client, RPCHook hook, String group, String topic, int count) throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group, hook);
        consumer.setNamesrvAddr(nameServers);
        consumer.setInstanceName("poller" + client + group);
        consumer.subscribe(topic, "*");
        consumer.setConsumeFromWhere(org.apache.rocketmq.common.consumer.ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.start();
        int polled = 0;
        long end = System.nanoTime() + 60_000_000_000L;
        while (polled < count && System.nanoTime() < end) {
            List<MessageExt> messages = consumer.poll(1_000);
            polled += messages.size();
        }
        consumer.commitSync();
        consumer.shutdown();
        return "polled " + polled;
    }
}
