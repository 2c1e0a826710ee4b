// Producers of transactions and a consumer that a script drives: `transactions NAME_SERVERS TOPIC GROUP`.
//
// The same commands and answers as java/Transactions.java. The clients are as they come.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const senders = 4

var (
	nameServers  []string
	topic, group string
	lock         sync.Mutex
	producers    = map[string]rocketmq.TransactionProducer{}
	ends         = map[string]primitive.LocalTransactionState{}
	answers      = map[string]primitive.LocalTransactionState{}
	delivered    = map[string]int{}
	checks       = map[string]map[string]int{}
)

func main() {
	nameServers, topic, group = strings.Split(os.Args[1], ";"), os.Args[2], os.Args[3]
	rlog.SetLogLevel("fatal")
	if err := consume(); err != nil {
		fmt.Println("the consumer does not start:", err)
		os.Exit(1)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := obey(strings.Split(lines.Text(), " "))
		if err != nil {
			answer = "error: " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println("> " + answer)
	}
}

func obey(command []string) (string, error) {
	switch command[0] {
	case "start":
		return "ok", start(command[1])
	case "stop":
		err := producers[command[1]].Shutdown()
		delete(producers, command[1])
		return "ok", err
	case "send":
		return "ok", send(producers[command[1]], command[2], stateOf(command[3]), stateOf(command[4]))
	case "many":
		count, err := strconv.Atoi(command[3])
		if err == nil {
			err = sendMany(producers[command[1]], command[2], count)
		}
		return "ok", err
	case "answer":
		lock.Lock()
		defer lock.Unlock()
		answers[command[1]] = stateOf(command[2])
		return "ok", nil
	case "figures":
		lock.Lock()
		defer lock.Unlock()
		text, err := json.Marshal(map[string]any{"delivered": delivered, "checks": checks})
		return string(text), err
	}
	return "", fmt.Errorf("no such command: %s", command[0])
}

func stateOf(word string) primitive.LocalTransactionState {
	switch word {
	case "commit":
		return primitive.CommitMessageState
	case "rollback":
		return primitive.RollbackMessageState
	}
	return primitive.UnknowState
}

func consume() error {
	c, err := rocketmq.NewPushConsumer(consumer.WithNameServer(nameServers), consumer.WithGroupName(group+"_Consumer"),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset))
	if err != nil {
		return err
	}
	err = c.Subscribe(topic, consumer.MessageSelector{}, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		lock.Lock()
		defer lock.Unlock()
		for _, message := range messages {
			delivered[string(message.Body)]++
		}
		return consumer.ConsumeSuccess, nil
	})
	if err != nil {
		return err
	}
	return c.Start()
}

// What a producer asks what became of its transactions.
type listener struct{ name string }

func (l *listener) ExecuteLocalTransaction(message *primitive.Message) primitive.LocalTransactionState {
	lock.Lock()
	defer lock.Unlock()
	return ends[string(message.Body)]
}

func (l *listener) CheckLocalTransaction(message *primitive.MessageExt) primitive.LocalTransactionState {
	lock.Lock()
	defer lock.Unlock()
	key := string(message.Body)
	if checks[key] == nil {
		checks[key] = map[string]int{}
	}
	checks[key][l.name]++
	if answer, known := answers[key]; known {
		return answer
	}
	return primitive.UnknowState
}

func start(name string) error {
	p, err := rocketmq.NewTransactionProducer(&listener{name}, producer.WithNameServer(nameServers), producer.WithGroupName(group),
		producer.WithInstanceName(group+"-"+name), producer.WithSendMsgTimeout(15*time.Second))
	if err != nil {
		return err
	}
	producers[name] = p
	return p.Start()
}

func send(p rocketmq.TransactionProducer, key string, end, answer primitive.LocalTransactionState) error {
	lock.Lock()
	ends[key], answers[key] = end, answer
	lock.Unlock()
	message := primitive.NewMessage(topic, []byte(key)).WithTag("TagA").WithKeys([]string{key})
	result, err := p.SendMessageInTransaction(context.Background(), message)
	if err == nil && (result.Status != primitive.SendOK || result.State != end) {
		err = fmt.Errorf("%v", result)
	}
	return err
}

// One after the other is committed, rolled back, and committed when it is checked.
func sendMany(p rocketmq.TransactionProducer, prefix string, count int) error {
	var group sync.WaitGroup
	failures := make(chan error, count)
	for sender := 0; sender < senders; sender++ {
		group.Add(1)
		go func(first int) {
			defer group.Done()
			for number := first; number < count; number += senders {
				end := []string{"commit", "rollback", "unknown"}[number%3]
				if err := send(p, fmt.Sprintf("%s-%d", prefix, number), stateOf(end), primitive.CommitMessageState); err != nil {
					failures <- err
				}
			}
		}(sender)
	}
	group.Wait()
	select {
	case err := <-failures:
		return err
	default:
		return nil
	}
}
