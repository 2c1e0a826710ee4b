// Clients with accounts that a script drives: `accounts NAME_SERVERS`.
//
// Reads `ACCESS_KEY SECRET send TOPIC` and `ACCESS_KEY SECRET consume GROUP TOPIC` a line, `-` for no account, and answers each with a
// line that begins with "> ": `sent`, `consumed` once a message came, or what the broker said. The clients are as they come.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const patience = 60 * time.Second

var nameServers []string

func main() {
	nameServers = strings.Split(os.Args[1], ";")
	rlog.SetLogLevel("fatal")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		answer, err := obey(strings.Split(lines.Text(), " "))
		if err != nil {
			answer = "refused: " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println("> " + answer)
	}
}

func obey(words []string) (string, error) {
	account := primitive.Credentials{}
	if words[0] != "-" {
		account = primitive.Credentials{AccessKey: words[0], SecretKey: words[1]}
	}
	switch words[2] {
	case "send":
		return send(account, words[3])
	case "consume":
		return consume(account, words[3], words[4])
	}
	return "", errors.New("unknown command " + words[2])
}

func send(account primitive.Credentials, topic string) (string, error) {
	// The client shares what it knows by instance names: each account has its own.
	sender, err := rocketmq.NewProducer(producer.WithNameServer(nameServers), producer.WithGroupName("GoAccounts"), producer.WithRetry(2),
		producer.WithInstanceName(account.AccessKey+account.SecretKey+topic), producer.WithCredentials(account))
	if err != nil {
		return "", err
	}
	if err = sender.Start(); err != nil {
		return "", err
	}
	defer sender.Shutdown()
	result, err := sender.SendSync(context.Background(), primitive.NewMessage(topic, []byte("from go")))
	if err != nil {
		return "", err
	}
	if result.Status != primitive.SendOK {
		return "", errors.New(result.String())
	}
	return "sent", nil
}

func consume(account primitive.Credentials, group, topic string) (string, error) {
	reader, err := rocketmq.NewPushConsumer(consumer.WithNameServer(nameServers), consumer.WithGroupName(group), consumer.WithInstance(group),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset), consumer.WithCredentials(account))
	if err != nil {
		return "", err
	}
	came := make(chan struct{}, 1024)
	err = reader.Subscribe(topic, consumer.MessageSelector{}, func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		select {
		case came <- struct{}{}:
		default:
		}
		return consumer.ConsumeSuccess, nil
	})
	if err == nil {
		err = reader.Start()
	}
	if err != nil {
		return "", err
	}
	// It goes on to the program's end: a message that comes while it shuts down is put into a closed channel, which ends all.
	select {
	case <-came:
		return "consumed", nil
	case <-time.After(patience):
		return "", errors.New("nothing came")
	}
}
