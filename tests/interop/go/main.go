// The Go client of the interop suite: `interop NAME_SERVER PREFIX before|after`.
//
// Prints one line a check, `ok NAME` or `FAIL NAME: why`. The environment's BROKER is the broker's address, which this
// client's admin part cannot find by itself. Topics and groups begin with PREFIX. "after" runs once the
// server was restarted. RocketMQ promises "at least once", and two rebalances of this client at the same time start to pull a queue
// twice: no message may be missing and none foreign, repeats are counted in the ok line.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/admin"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const (
	wait = 150 * time.Second // its own timers for routes and queues are 30 s and 20 s
	// A request or a trace whose answer does not come in this time may be lost, and another one is sent.
	lost       = 5 * time.Second
	traceTopic = "RMQ_SYS_TRACE_TOPIC"
)

var (
	nameServer, prefix string
	broker             = os.Getenv("BROKER")
	sender             rocketmq.Producer
	instances          atomic.Int64
	background         = context.Background()
	everything         = consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}
	repeats            int
)

func main() {
	nameServer, prefix = os.Args[1], os.Args[2]
	// After a send without an answer in 3 s the client calls back with the error, and then again with what it has not.
	primitive.PanicHandler = func(any) {}
	rlog.SetLogLevel("error")
	var err error
	sender, err = rocketmq.NewProducer(producer.WithNameServer(primitive.NamesrvAddr{nameServer}), producer.WithGroupName(prefix+"_Producer"),
		producer.WithSendMsgTimeout(10*time.Second), producer.WithRetry(2))
	if err == nil {
		err = sender.Start()
	}
	if err != nil {
		fmt.Println("the producer does not start:", err)
		os.Exit(1)
	}
	if os.Args[3] == "before" {
		before()
	} else {
		check("consumer goes on after the node's restart", consumerAfterRestart)
	}
	_ = sender.Shutdown()
}

func before() {
	check("create topics", createTopics)
	// The client asks for routes every 30 s, so that of its retry topic comes late: this consumer waits beside the others.
	failing := consume("_RetryGroup", "_Retry", "*", func(*primitive.MessageExt) bool { return false }, consumer.WithMaxReconsumeTimes(1))
	failing.err = join(failing.err, sendText("_Retry", "again"))
	check("send sync", sendSync)
	check("send async", sendAsync)
	check("send oneway", sendOneway)
	check("send batch", sendBatch)
	check("send to an unknown topic creates it", func() error { return sendText("_Auto", "first") })
	check("push clustering", pushClustering)
	check("push broadcasting", pushBroadcasting)
	check("pull", pull)
	check("orderly", orderly)
	check("tag filter", tagFilter)
	check("SQL filter", sqlFilter)
	check("delay level", delayLevel)
	check("compressed body", compressedBody)
	check("consumer restart keeps offsets", consumerRestart)
	check("request and reply", requestAndReply)
	check("trace", trace)
	check("namespace", namespace)
	check("retry then dead letter", func() error { return retryThenDeadLetter(failing) })
}

// A push consumer that remembers what it was given.
type seen struct {
	lock     sync.Mutex
	messages []*primitive.MessageExt
	times    []time.Time
	// How often each had been given back when it came: the client changes what it handed over.
	reconsumed []int32
	consumer   rocketmq.PushConsumer
	err        error
}

func consume(group, topic, tags string, handle func(*primitive.MessageExt) bool, options ...consumer.Option) *seen {
	return consumeSelected(group, topic, consumer.MessageSelector{Type: consumer.TAG, Expression: tags}, handle, options...)
}

func consumeSelected(group, topic string, selector consumer.MessageSelector, handle func(*primitive.MessageExt) bool, options ...consumer.Option) *seen {
	return consumeNamed(group, prefix+topic, selector, handle, options...)
}

// The same of a topic of any name.
func consumeNamed(group, topic string, selector consumer.MessageSelector, handle func(*primitive.MessageExt) bool, options ...consumer.Option) *seen {
	s := &seen{}
	options = append([]consumer.Option{consumer.WithNameServer(primitive.NamesrvAddr{nameServer}), consumer.WithGroupName(prefix + group),
		consumer.WithInstance(fmt.Sprintf("%s-%d", prefix, instances.Add(1))), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset)}, options...)
	s.consumer, s.err = rocketmq.NewPushConsumer(options...)
	if s.err != nil {
		return s
	}
	s.err = s.consumer.Subscribe(topic, selector,
		func(ctx context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			s.lock.Lock()
			defer s.lock.Unlock()
			for _, message := range messages {
				s.messages = append(s.messages, message)
				s.times = append(s.times, time.Now())
				s.reconsumed = append(s.reconsumed, message.ReconsumeTimes)
				if handle != nil && !handle(message) {
					if concurrent, ok := primitive.GetConcurrentlyCtx(ctx); ok {
						concurrent.DelayLevelWhenNextConsume = 1
					}
					return consumer.ConsumeRetryLater, nil
				}
			}
			return consumer.ConsumeSuccess, nil
		})
	if s.err == nil {
		s.err = s.consumer.Start()
	}
	return s
}

// A producer of its own.
func produce(group string, options ...producer.Option) (rocketmq.Producer, error) {
	options = append([]producer.Option{producer.WithNameServer(primitive.NamesrvAddr{nameServer}), producer.WithGroupName(prefix + group),
		producer.WithInstanceName(fmt.Sprintf("%s-%d", prefix, instances.Add(1))), producer.WithSendMsgTimeout(10 * time.Second), producer.WithRetry(2)}, options...)
	made, err := rocketmq.NewProducer(options...)
	if err == nil {
		err = made.Start()
	}
	return made, err
}

func (s *seen) count() int {
	s.lock.Lock()
	defer s.lock.Unlock()
	return len(s.messages)
}

func (s *seen) bodies() []string {
	s.lock.Lock()
	defer s.lock.Unlock()
	var bodies []string
	for _, message := range s.messages {
		bodies = append(bodies, string(message.Body))
	}
	return bodies
}

// How many different messages came.
func (s *seen) distinct() int { return distinct(s.bodies()) }

// Waits for count different messages and until the consumer counts the last of them as consumed, which is after its handler.
func (s *seen) settle(topic string, count int) error {
	return waitFor(fmt.Sprintf("%d consumed and counted", count), func() bool {
		return s.distinct() >= count && s.consumer.GetOffsetDiffMap()[prefix+topic] == 0
	})
}

// Tells the broker how far it is, and asks it something on the same connection: what is told while that ends may be lost.
func (s *seen) commit() error {
	inner := s.consumer.(interface {
		PersistConsumerOffset() error
		Rebalance()
	})
	err := inner.PersistConsumerOffset()
	inner.Rebalance()
	return err
}

// Waits for count different messages and then ends the consumer.
func (s *seen) finish(count int) error {
	if s.err != nil {
		return s.err
	}
	err := waitFor(fmt.Sprintf("%d consumed", count), func() bool { return s.distinct() >= count })
	return join(err, s.consumer.Shutdown())
}

func createTopics() error {
	tool, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver([]string{nameServer})))
	if err != nil {
		return err
	}
	for _, topic := range []string{"_Basic", "_Oneway", "_Cluster", "_Broadcast", "_Pull", "_Orderly", "_Tags", "_Sql", "_Delay", "_Large", "_Retry", "_Restart",
		"_Request", "_Traced", "_SpaceA%Named", "_SpaceB%Named"} {
		// The client waits 5 s for the answer.
		err = waitFor("topic "+topic, func() bool {
			return tool.CreateTopic(background, admin.WithTopicCreate(prefix+topic), admin.WithBrokerAddrCreate(broker),
				admin.WithReadQueueNums(4), admin.WithWriteQueueNums(4)) == nil
		})
		if err != nil {
			return err
		}
		err = waitFor("route of "+topic, func() bool {
			list, err := tool.FetchAllTopicList(background)
			return err == nil && strings.Contains(strings.Join(list.TopicList, " ")+" ", prefix+topic+" ")
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func message(topic, body string) *primitive.Message {
	return primitive.NewMessage(prefix+topic, []byte(body))
}

func send(message *primitive.Message) error {
	result, err := sender.SendSync(background, message)
	if err != nil {
		return err
	}
	if result.Status != primitive.SendOK || len(result.OffsetMsgID) != 32 || len(result.MsgID) != 32 {
		return fmt.Errorf("result %s", result)
	}
	return nil
}

func sendText(topic, body string) error { return send(message(topic, body)) }

func sendNumbered(topic, text string, first, end int) error {
	for i := first; i < end; i++ {
		if err := sendText(topic, text+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

func sendSync() error {
	for i := 0; i < 20; i++ {
		if err := send(message("_Basic", "sync").WithTag("A").WithKeys([]string{prefix + "-key-" + strconv.Itoa(i)})); err != nil {
			return err
		}
	}
	return nil
}

func sendAsync() error {
	results := make(chan error, 20)
	for i := 0; i < 20; i++ {
		err := sender.SendAsync(background, func(_ context.Context, result *primitive.SendResult, err error) {
			if err != nil {
				err = sendText("_Basic", "async")
			} else if result.Status != primitive.SendOK {
				err = fmt.Errorf("result %s", result)
			}
			results <- err
		}, message("_Basic", "async"))
		if err != nil {
			return err
		}
	}
	for i := 0; i < 20; i++ {
		select {
		case err := <-results:
			if err != nil {
				return err
			}
		case <-time.After(wait):
			return fmt.Errorf("only %d callbacks", i)
		}
	}
	return nil
}

func sendOneway() error {
	for i := 0; i < 20; i++ {
		if err := sender.SendOneWay(background, message("_Oneway", "o-"+strconv.Itoa(i))); err != nil {
			return err
		}
	}
	s := consume("_OnewayGroup", "_Oneway", "*", nil)
	return join(s.finish(20), numbered(s.bodies(), "o-", 0, 20))
}

func sendBatch() error {
	var batch []*primitive.Message
	for i := 0; i < 10; i++ {
		batch = append(batch, message("_Basic", "batch-"+strconv.Itoa(i)))
	}
	result, err := sender.SendSync(background, batch...)
	if err != nil {
		return err
	}
	if result.Status != primitive.SendOK || len(strings.Split(result.OffsetMsgID, ",")) != 10 {
		return fmt.Errorf("result %s", result)
	}
	return nil
}

func pushClustering() error {
	first, second := consume("_ClusterGroup", "_Cluster", "*", nil), consume("_ClusterGroup", "_Cluster", "*", nil)
	if err := join(first.err, second.err, waitUntilShared(first, second)); err != nil {
		return err
	}
	if err := sendNumbered("_Cluster", "c-", 0, 100); err != nil {
		return err
	}
	both := func() []string { return append(only("c-", first.bodies()), only("c-", second.bodies())...) }
	err := waitFor("100 consumed", func() bool { return distinct(both()) >= 100 })
	return join(err, first.finish(0), second.finish(0), numbered(both(), "c-", 0, 100))
}

// Sends a message to each queue, again and again, until each consumer is given two of them: then the queues are shared out.
func waitUntilShared(first, second *seen) error {
	round := 0
	return waitFor("queues shared out", func() bool {
		round++
		name := fmt.Sprintf("warm-%d-", round)
		if sendNumbered("_Cluster", name, 0, 4) != nil {
			return false
		}
		ofFirst, ofSecond := func() []string { return only(name, first.bodies()) }, func() []string { return only(name, second.bodies()) }
		_ = waitFor("warm messages", func() bool { return distinct(append(ofFirst(), ofSecond()...)) >= 4 })
		return len(ofFirst()) == 2 && len(ofSecond()) == 2
	})
}

func only(text string, bodies []string) []string {
	var found []string
	for _, body := range bodies {
		if strings.HasPrefix(body, text) {
			found = append(found, body)
		}
	}
	return found
}

func pushBroadcasting() error {
	first := consume("_BroadcastGroup", "_Broadcast", "*", nil, consumer.WithConsumerModel(consumer.BroadCasting))
	second := consume("_BroadcastGroup", "_Broadcast", "*", nil, consumer.WithConsumerModel(consumer.BroadCasting))
	if err := join(first.err, second.err, sendNumbered("_Broadcast", "b-", 0, 20)); err != nil {
		return err
	}
	return join(first.finish(20), second.finish(20), numbered(first.bodies(), "b-", 0, 20), numbered(second.bodies(), "b-", 0, 20))
}

func pull() error {
	if err := sendNumbered("_Pull", "p-", 0, 20); err != nil {
		return err
	}
	puller, err := rocketmq.NewPullConsumer(consumer.WithNameServer(primitive.NamesrvAddr{nameServer}), consumer.WithGroupName(prefix+"_PullGroup"),
		consumer.WithInstance(fmt.Sprintf("%s-%d", prefix, instances.Add(1))))
	if err != nil {
		return err
	}
	if err = puller.Subscribe(prefix+"_Pull", consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}); err != nil {
		return err
	}
	if err = puller.Start(); err != nil {
		return err
	}
	// It goes on to the program's end: a message that comes while a consumer shuts down is put into a closed channel, which ends all.
	var bodies []string
	var next [4]int64
	var last error
	// A message is filed in its queue a little after it was acknowledged.
	err = waitFor("20 pulled", func() bool {
		for id := range next {
			queue := &primitive.MessageQueue{Topic: prefix + "_Pull", BrokerName: "broker-a", QueueId: id}
			result, err := puller.PullFrom(background, queue, next[id], 3)
			if err != nil || result.Status != primitive.PullFound {
				last = err
				continue
			}
			if result.MaxOffset < result.NextBeginOffset || result.MinOffset != 0 {
				last = fmt.Errorf("queue %d at %d: %+v", id, next[id], result)
				continue
			}
			for _, message := range result.GetMessageExts() {
				bodies = append(bodies, string(message.Body))
			}
			next[id] = result.NextBeginOffset
		}
		return distinct(bodies) >= 20
	})
	if err != nil {
		return fmt.Errorf("%w: %v", err, last)
	}
	return numbered(bodies, "p-", 0, 20)
}

func orderly() error {
	for i := 0; i < 40; i++ {
		if err := send(message("_Orderly", strconv.Itoa(i)).WithShardingKey(strconv.Itoa(i % 4))); err != nil {
			return err
		}
	}
	s := consume("_OrderlyGroup", "_Orderly", "*", nil, consumer.WithConsumerOrder(true))
	if err := s.finish(40); err != nil {
		return err
	}
	last, known := map[int]int{}, map[string]bool{}
	for _, message := range s.messages {
		if known[string(message.Body)] {
			continue
		}
		known[string(message.Body)] = true
		number, _ := strconv.Atoi(string(message.Body))
		if before, there := last[message.Queue.QueueId]; there && before >= number {
			return fmt.Errorf("queue %d: %d after %d", message.Queue.QueueId, number, before)
		}
		last[message.Queue.QueueId] = number
	}
	return numbered(s.bodies(), "", 0, 40)
}

func tagFilter() error {
	for i := 0; i < 30; i++ {
		tag := []string{"red", "green", "blue"}[i%3]
		if err := send(message("_Tags", tag+strconv.Itoa(i)).WithTag(tag)); err != nil {
			return err
		}
	}
	s := consume("_TagsGroup", "_Tags", "red || blue", nil)
	if err := s.finish(20); err != nil {
		return err
	}
	if all := strings.Join(s.bodies(), " "); s.distinct() != 20 || strings.Contains(all, "green") {
		return fmt.Errorf("consumed %s", all)
	}
	repeats += s.count() - s.distinct()
	return nil
}

func sqlFilter() error {
	sendColoured := func(from, to int) error {
		for i := from; i < to; i++ {
			m := message("_Sql", "s-"+strconv.Itoa(i))
			m.WithProperty("number", strconv.Itoa(i))
			m.WithProperty("colour", []string{"green", "red", "red"}[i%3])
			if err := send(m); err != nil {
				return err
			}
		}
		return nil
	}
	if err := sendColoured(0, 12); err != nil {
		return err
	}
	selector := consumer.MessageSelector{Type: consumer.SQL92, Expression: "number BETWEEN 5 AND 14 AND colour <> 'green'"}
	s := consumeSelected("_SqlGroup", "_Sql", selector, nil)
	// The rest comes while the consumer's pulls wait.
	err := waitFor("5 consumed", func() bool { return distinct(s.bodies()) >= 5 })
	if err := join(s.err, err, sendColoured(12, 20), s.finish(7)); err != nil {
		return err
	}
	repeats += s.count() - s.distinct()
	for _, body := range s.bodies() {
		if number, _ := strconv.Atoi(strings.TrimPrefix(body, "s-")); number < 5 || number > 14 || number%3 == 0 {
			return fmt.Errorf("consumed %v", s.bodies())
		}
	}
	return nil
}

func delayLevel() error {
	s := consume("_DelayGroup", "_Delay", "*", nil)
	sent := time.Now()
	if err := send(message("_Delay", "late").WithDelayTimeLevel(2)); err != nil {
		return err
	}
	if err := s.finish(1); err != nil {
		return err
	}
	if after := s.times[0].Sub(sent); after < 4990*time.Millisecond {
		return fmt.Errorf("came after %s", after)
	}
	return nil
}

func compressedBody() error {
	body := strings.Repeat("compress me ", 4000)
	s := consume("_LargeGroup", "_Large", "*", nil)
	if err := join(sendText("_Large", body), s.finish(1)); err != nil {
		return err
	}
	if s.bodies()[0] != body || s.messages[0].StoreSize > 4000 {
		return fmt.Errorf("body differs, or was stored with %d bytes", s.messages[0].StoreSize)
	}
	return nil
}

func retryThenDeadLetter(failing *seen) error {
	tool, err := admin.NewAdmin(admin.WithResolver(primitive.NewPassthroughResolver([]string{nameServer})))
	if err = join(failing.err, err); err != nil {
		return err
	}
	// The client gives a message back after its handler returned, and forgets to when it was shut down between the two.
	err = waitFor("dead letter topic", func() bool {
		list, err := tool.FetchAllTopicList(background)
		return err == nil && strings.Contains(strings.Join(list.TopicList, " "), "%DLQ%"+prefix+"_RetryGroup")
	})
	if err = join(err, failing.consumer.Shutdown()); err != nil {
		return err
	}
	if failing.count() < 2 {
		return fmt.Errorf("consumed %d times", failing.count())
	}
	repeats += failing.count() - 2
	if first, last := failing.reconsumed[0], failing.reconsumed[failing.count()-1]; first != 0 || last == 0 {
		return fmt.Errorf("reconsume times %d to %d", first, last)
	}
	return nil
}

func consumerRestart() error {
	first := consume("_RestartGroup", "_Restart", "*", nil)
	if err := join(first.err, sendNumbered("_Restart", "r-", 0, 20), first.settle("_Restart", 20), first.commit(), first.finish(20), numbered(first.bodies(), "r-", 0, 20)); err != nil {
		return err
	}
	if err := sendNumbered("_Restart", "r-", 20, 40); err != nil {
		return err
	}
	return join(restarted(20, 40), sendNumbered("_Restart", "r-", 40, 50))
}

func consumerAfterRestart() error {
	return join(sendNumbered("_Restart", "r-", 50, 60), restarted(40, 60))
}

// A consumer that goes on where another ended is given the messages first to end-1. The client tells its offsets oneway while it ends,
// so that some may be lost and earlier messages come again, but not all of them.
func restarted(first, end int) error {
	s := consume("_RestartGroup", "_Restart", "*", nil)
	if s.err != nil {
		return s.err
	}
	split := func() (earlier, later []string) {
		for _, body := range s.bodies() {
			if number, err := strconv.Atoi(strings.TrimPrefix(body, "r-")); err == nil && number < first {
				earlier = append(earlier, body)
			} else {
				later = append(later, body)
			}
		}
		return
	}
	err := waitFor(fmt.Sprintf("%d to %d consumed", first, end-1), func() bool {
		_, later := split()
		return distinct(later) >= end-first && s.consumer.GetOffsetDiffMap()[prefix+"_Restart"] == 0
	})
	if err = join(err, s.commit(), s.consumer.Shutdown()); err != nil {
		return err
	}
	earlier, later := split()
	if distinct(earlier) == first {
		return errors.New("everything came again: no offset was kept")
	}
	repeats += len(earlier)
	return numbered(later, "r-", first, end)
}

// Consumers to which messages may still come go on to the program's end (see pull).

// A reply finds its request while the broker knows the client that asked, which tells of itself every 30 s only: it is asked again until then.
func requestAndReply() error {
	replier, err := produce("_Replier")
	if err != nil {
		return err
	}
	defer replier.Shutdown()
	var failed error // of the last reply, under the consumer's lock
	s := consume("_RequestGroup", "_Request", "*", func(request *primitive.MessageExt) bool {
		if string(request.Body) == "never" {
			return true
		}
		reply, err := consumer.CreateReplyMessage(request, nil)
		if err == nil {
			// Given to the line above, the client would take it for properties.
			reply.Body = []byte("re: " + string(request.Body))
			_, err = replier.SendSync(background, reply)
		}
		failed = err
		return true
	})
	if s.err != nil {
		return s.err
	}
	if err = askAndWait(); err == nil {
		err = askAndGoOn()
	}
	if err != nil {
		s.lock.Lock()
		defer s.lock.Unlock()
		return fmt.Errorf("%w; error of the last reply: %v", err, failed)
	}
	_, err = sender.Request(background, time.Second, message("_Request", "never"))
	if err == nil || !strings.Contains(err.Error(), "wait reply message timeout") {
		return fmt.Errorf("a request without a reply ended with %v", err)
	}
	return nil
}

func askAndWait() error {
	var request, reply *primitive.Message
	err := waitFor("a reply", func() bool {
		var err error
		request = message("_Request", "waiting")
		reply, err = sender.Request(background, lost, request)
		return err == nil
	})
	if err != nil {
		return err
	}
	asked, answered := request.GetProperty(primitive.PropertyCorrelationID), reply.GetProperty(primitive.PropertyCorrelationID)
	if string(reply.Body) != "re: waiting" || asked == "" || answered != asked {
		return fmt.Errorf("asked %s, replied %q to %s", asked, reply.Body, answered)
	}
	return nil
}

func askAndGoOn() error {
	replies := make(chan string, 1)
	var text string
	err := waitFor("a reply for a callback", func() bool {
		err := sender.RequestAsync(background, lost, func(_ context.Context, reply *primitive.Message, _ error) {
			// The client calls again when it drops the request, and without a reply when none came.
			if reply != nil {
				select {
				case replies <- string(reply.Body):
				default:
				}
			}
		}, message("_Request", "going on"))
		if err != nil {
			return false
		}
		select {
		case text = <-replies:
			return true
		case <-time.After(lost):
			return false
		}
	})
	if err == nil && text != "re: going on" {
		err = fmt.Errorf("replied %q", text)
	}
	return err
}

func trace() error {
	// The first message makes the topic, without which the client drops its traces.
	if _, err := sender.SendSync(background, primitive.NewMessage(traceTopic, []byte("first"))); err != nil {
		return err
	}
	var reader *seen
	err := waitFor("a route of "+traceTopic, func() bool {
		reader = consumeNamed("_TraceReader", traceTopic, everything, nil)
		return reader.err == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %v", err, reader.err)
	}
	settings := &primitive.TraceConfig{GroupName: prefix + "_Traces", Access: primitive.Local, NamesrvAddrs: []string{nameServer}}
	tracer, err := produce("_Tracer", producer.WithTrace(settings))
	if err != nil {
		return err
	}
	defer tracer.Shutdown()
	s := consume("_TracedGroup", "_Traced", "*", nil, consumer.WithTrace(settings))
	if s.err != nil {
		return s.err
	}
	var id string
	var told map[string][]string
	sent := map[string]string{} // where each message is stored, by its id
	err = waitFor("traces of sending and consuming", func() bool {
		if result, err := tracer.SendSync(background, message("_Traced", "traced")); err == nil {
			sent[result.MsgID] = result.OffsetMsgID
		}
		for deadline := time.Now().Add(lost); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			told = traces(reader.bodies())
			for id = range sent {
				if told["Pub "+id] != nil && told["SubBefore "+id] != nil && told["SubAfter "+id] != nil {
					return true
				}
			}
		}
		return false
	})
	if err != nil {
		return fmt.Errorf("%w: %d messages sent, %d records read", err, len(sent), len(told))
	}
	pub, before, after := told["Pub "+id], told["SubBefore "+id], told["SubAfter "+id]
	if pub[2] != "DefaultRegion" || pub[3] != prefix+"_Tracer" || pub[4] != prefix+"_Traced" || pub[12] != sent[id] || pub[13] != "true" ||
		before[3] != prefix+"_TracedGroup" || after[4] != "true" || after[8] != prefix+"_TracedGroup" {
		return fmt.Errorf("told %q, %q, %q", pub, before, after)
	}
	return nil
}

// The fields of each whole record in traces, by its kind and the message's id.
func traces(bodies []string) map[string][]string {
	ids, counts := map[string]int{"Pub": 5, "SubBefore": 5, "SubAfter": 2}, map[string]int{"Pub": 15, "SubBefore": 9, "SubAfter": 9}
	found := map[string][]string{}
	for _, record := range strings.Split(strings.Join(bodies, "\x02"), "\x02") {
		fields := strings.Split(record, "\x01")
		if count, known := counts[fields[0]]; known && len(fields) >= count {
			found[fields[0]+" "+fields[ids[fields[0]]]] = fields
		}
	}
	return found
}

// The same names in two namespaces are two topics and two groups, and neither is the group of that name without a namespace.
func namespace() error {
	spaces := []string{"_SpaceA", "_SpaceB"}
	var readers []*seen
	for _, space := range spaces {
		made, err := produce("_Named", producer.WithNamespace(prefix+space))
		if err != nil {
			return err
		}
		defer made.Shutdown()
		for i := 0; i < 10; i++ {
			if _, err = made.SendSync(background, primitive.NewMessage("Named", []byte(space+strconv.Itoa(i)))); err != nil {
				return err
			}
		}
		readers = append(readers, consumeNamed("_NamedGroup", "Named", everything, nil, consumer.WithNamespace(prefix+space)))
	}
	spaces, readers = append(spaces, spaces[0]), append(readers, consume("_NamedGroup", spaces[0]+"%Named", "*", nil))
	for i, s := range readers {
		if s.err != nil {
			return s.err
		}
		s := s
		if err := waitFor("10 consumed by reader "+strconv.Itoa(i), func() bool { return s.distinct() >= 10 }); err != nil {
			return err
		}
	}
	for i, s := range readers {
		if err := numbered(s.bodies(), spaces[i], 0, 10); err != nil {
			return err
		}
	}
	return nil
}

func distinct(bodies []string) int {
	known := map[string]bool{}
	for _, body := range bodies {
		known[body] = true
	}
	return len(known)
}

// Each of the numbered messages is there and nothing else; those that are there again are counted.
func numbered(bodies []string, text string, first, end int) error {
	missing := map[string]bool{}
	for i := first; i < end; i++ {
		missing[text+strconv.Itoa(i)] = true
	}
	wanted := len(missing)
	for _, body := range bodies {
		delete(missing, body)
	}
	if len(missing) > 0 || distinct(bodies) != wanted {
		return fmt.Errorf("got %v, wanted %s%d to %d", bodies, text, first, end-1)
	}
	repeats += len(bodies) - wanted
	return nil
}

// The first of the errors; errors.Join is newer than the Go of Debian 12.
func join(all ...error) error {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

func waitFor(what string, holds func() bool) error {
	for deadline := time.Now().Add(wait); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("timed out: " + what)
		}
	}
	return nil
}

func check(name string, body func() error) {
	started := time.Now()
	repeats = 0
	if err := body(); err != nil {
		fmt.Printf("FAIL %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	again := ""
	if repeats > 0 {
		again = fmt.Sprintf(", %d repeats", repeats)
	}
	fmt.Printf("ok %s\t%d ms%s\n", name, time.Since(started).Milliseconds(), again)
}
