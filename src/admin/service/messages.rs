//! The service `Messages`; what it does is in `admin::messages`, `admin::dead_letters`, `admin::direct`,
//! `admin::producer` and `admin::timers`.

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait};

use super::{Answered, Api, Filled, ITEMS_OF_A_PART, Parts, answer, in_parts};
use crate::admin::{Admin, DeadLetters};
use crate::proto::v1::messages_server::Messages;
use crate::proto::v1::{
    CancelTimerRequest, CancelTimerResponse, ConsumeDirectlyRequest, ConsumeDirectlyResponse,
    CountDeadLettersRequest, CountDeadLettersResponse, FindMessagesRequest, FindMessagesResponse,
    GetMessageRequest, GetMessageResponse, ListDeadLettersRequest, ListDeadLettersResponse,
    ListTimersRequest, ListTimersResponse, ResendDeadLettersRequest, ResendDeadLettersResponse,
    SendMessageRequest, SendMessageResponse, TailMessagesRequest, TailMessagesResponse,
    TimersOnBroker,
};
use crate::task::{self, Kind};

/// Parts of a tail that wait for their caller; then the brokers are not asked.
const PARTS_WAITING: usize = 4;

#[async_trait]
impl Messages for Api {
    type ListDeadLettersStream = ReceiverStream<Result<ListDeadLettersResponse, Status>>;
    type ListTimersStream = Parts<ListTimersResponse>;
    type FindStream = Parts<FindMessagesResponse>;
    type TailStream = ReceiverStream<Result<TailMessagesResponse, Status>>;

    async fn get(&self, request: Request<GetMessageRequest>) -> Answered<GetMessageResponse> {
        answer(self.admin(&request).message(request.get_ref()).await)
    }

    async fn find(&self, request: Request<FindMessagesRequest>) -> Answered<Self::FindStream> {
        in_parts(self.admin(&request).find_messages(request.get_ref()).await, |part| {
            &mut part.messages
        })
    }

    async fn tail(&self, request: Request<TailMessagesRequest>) -> Answered<Self::TailStream> {
        let (out, parts) = mpsc::channel(PARTS_WAITING);
        let admin = self.admin(&request);
        task::spawn(Kind::Ignore, "tail", async move {
            let ended = tokio::select! {
                ended = admin.tail(request.get_ref(), &out) => ended.map_err(Status::from),
                () = admin.ended() => Err(Status::deadline_exceeded("the time that was given is over")),
                // Whoever asked has gone: nobody is asked for them any more.
                () = out.closed() => Ok(()),
            };
            if let Err(error) = ended {
                // Who has gone does not hear it.
                let _ = out.send(Err(error)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(parts)))
    }

    async fn send(&self, request: Request<SendMessageRequest>) -> Answered<SendMessageResponse> {
        let shown = request.get_ref().without_body();
        let change = self.change_with("Messages/Send", &request, &shown);
        change.end(self.admin(&request).send_message(request.get_ref()).await).await
    }

    async fn consume_directly(
        &self,
        request: Request<ConsumeDirectlyRequest>,
    ) -> Answered<ConsumeDirectlyResponse> {
        let change = self.change("Messages/ConsumeDirectly", &request);
        change.end(self.admin(&request).hand_to_member(request.get_ref()).await).await
    }

    async fn count_dead_letters(
        &self,
        request: Request<CountDeadLettersRequest>,
    ) -> Answered<CountDeadLettersResponse> {
        answer(self.admin(&request).count_dead_letters().await)
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Answered<Self::ListDeadLettersStream> {
        let admin = self.admin(&request);
        let found = admin.dead_letters(request.get_ref()).await?;
        let (out, parts) = mpsc::channel(PARTS_WAITING);
        task::spawn(Kind::Ignore, "dead letters", async move {
            send_letters(&admin, found, &out).await;
        });
        Ok(Response::new(ReceiverStream::new(parts)))
    }

    async fn resend_dead_letters(
        &self,
        request: Request<ResendDeadLettersRequest>,
    ) -> Answered<ResendDeadLettersResponse> {
        let change = self.change("Messages/ResendDeadLetters", &request);
        change.end(self.admin(&request).resend_dead_letters(request.get_ref()).await).await
    }

    async fn list_timers(
        &self,
        request: Request<ListTimersRequest>,
    ) -> Answered<Self::ListTimersStream> {
        let mut answer = self.admin(&request).timers(request.get_ref()).await?;
        // Each broker's messages are what is long.
        let brokers = std::mem::take(&mut answer.brokers);
        let mut parts = vec![Ok(answer)];
        for mut broker in brokers {
            let messages = std::mem::take(&mut broker.messages);
            let chunks = messages.chunks(ITEMS_OF_A_PART).map(<[_]>::to_vec);
            for messages in chunks.chain(messages.is_empty().then(Vec::new)) {
                let brokers = vec![TimersOnBroker { messages, ..broker.clone() }];
                parts.push(Ok(ListTimersResponse { brokers, problems: Vec::new() }));
            }
        }
        Ok(Response::new(tokio_stream::iter(parts)))
    }

    async fn cancel_timer(
        &self,
        request: Request<CancelTimerRequest>,
    ) -> Answered<CancelTimerResponse> {
        let change = self.change("Messages/CancelTimer", &request);
        change.end(self.admin(&request).cancel_timer(request.get_ref()).await).await
    }
}

/// Sends dead letters as they are read, until nobody takes them.
async fn send_letters(
    admin: &Admin,
    mut found: DeadLetters,
    out: &mpsc::Sender<Result<ListDeadLettersResponse, Status>>,
) {
    let mut part = ListDeadLettersResponse {
        queues: std::mem::take(&mut found.queues),
        problems: std::mem::take(&mut found.problems),
        letters: Vec::new(),
    };
    let mut filled = Filled::default();
    while let Some(letter) = found.next(admin).await {
        if filled.is_too_full_for(&letter) && out.send(Ok(std::mem::take(&mut part))).await.is_err()
        {
            return;
        }
        part.letters.push(letter);
    }
    part.problems.append(&mut found.problems);
    // Who has gone does not hear it.
    let _ = out.send(Ok(part)).await;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio_stream::StreamExt;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::remoting::{Command, request};
    use crate::transport::{Limits, Responder, Server, Service};

    /// A name server and broker in one, with a queue that gets nothing.
    struct Quiet(String);

    impl Service for Quiet {
        fn on_request(&self, request: Command, responder: Responder) {
            let body = match request.code {
                request::GET_ROUTEINFO_BY_TOPIC => format!(
                    "{{\"brokerDatas\":[{{\"brokerAddrs\":{{0:\"{}\"}},\"brokerName\":\"a\",\"cluster\":\"C\"}}],\"queueDatas\":[]}}",
                    self.0
                ),
                request::GET_TOPIC_STATS_INFO => {
                    r#"{"offsetTable":{{"brokerName":"a","queueId":0,"topic":"T"}:{"lastUpdateTimestamp":0,"maxOffset":0,"minOffset":0}}}"#.to_owned()
                }
                // A pull: it is never answered.
                _ => return,
            };
            responder.send(Command::response(0).with_body(body));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_tail_ends_when_nobody_waits_for_it_any_more() {
        let server =
            Server::bind("127.0.0.1:0".parse().unwrap(), Arc::<Limits>::default()).unwrap();
        let (address, stop) = (server.local_addr().to_string(), CancellationToken::new());
        let serving = server.serve(Arc::new(Quiet(address.clone())), stop.clone());
        task::spawn(Kind::Ignore, "peer", serving);
        let admin = Arc::new(Admin::new(vec![address], Default::default()));
        let api = Api { admin, of_node: None };
        let wanted = TailMessagesRequest { topic: "T".to_owned(), ..Default::default() };
        let mut request = Request::new(wanted);
        request.set_timeout(Duration::from_secs(1));
        let parts = api.tail(request).await.unwrap().into_inner();
        let told: Vec<_> = parts.collect().await;
        let Some(Err(error)) = told.last() else { panic!("it ends: {told:?}") };
        assert!(matches!(error.code(), tonic::Code::DeadlineExceeded), "{error}");
        stop.cancel();
    }
}
