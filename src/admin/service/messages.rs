//! The service `Messages`; what it does is in `admin::messages`, `admin::dead_letters` and `admin::timers`.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, async_trait};

use super::{Answered, Api, ITEMS_OF_A_PART, Parts, answer, in_parts};
use crate::proto::v1::messages_server::Messages;
use crate::proto::v1::{
    CancelTimerRequest, CancelTimerResponse, CountDeadLettersRequest, CountDeadLettersResponse,
    FindMessagesRequest, FindMessagesResponse, GetMessageRequest, GetMessageResponse,
    ListDeadLettersRequest, ListDeadLettersResponse, ListTimersRequest, ListTimersResponse,
    ResendDeadLettersRequest, ResendDeadLettersResponse, TailMessagesRequest, TailMessagesResponse,
    TimersOnBroker,
};
use crate::task::{self, Kind};

/// Parts of a tail that wait for their caller; then the brokers are not asked.
const PARTS_WAITING: usize = 4;

#[async_trait]
impl Messages for Api {
    type ListDeadLettersStream = Parts<ListDeadLettersResponse>;
    type ListTimersStream = Parts<ListTimersResponse>;
    type FindStream = Parts<FindMessagesResponse>;
    type TailStream = ReceiverStream<Result<TailMessagesResponse, Status>>;

    async fn get(&self, request: Request<GetMessageRequest>) -> Answered<GetMessageResponse> {
        answer(self.admin.message(request.get_ref()).await)
    }

    async fn find(&self, request: Request<FindMessagesRequest>) -> Answered<Self::FindStream> {
        in_parts(self.admin.find_messages(request.get_ref()).await, |part| &mut part.messages)
    }

    async fn tail(&self, request: Request<TailMessagesRequest>) -> Answered<Self::TailStream> {
        let (out, parts) = mpsc::channel(PARTS_WAITING);
        let admin = Arc::clone(&self.admin);
        task::spawn(Kind::Ignore, "tail", async move {
            if let Err(error) = admin.tail(request.get_ref(), &out).await {
                // Who has gone does not hear it.
                let _ = out.send(Err(error.into())).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(parts)))
    }

    async fn count_dead_letters(
        &self,
        _: Request<CountDeadLettersRequest>,
    ) -> Answered<CountDeadLettersResponse> {
        answer(self.admin.count_dead_letters().await)
    }

    async fn list_dead_letters(
        &self,
        request: Request<ListDeadLettersRequest>,
    ) -> Answered<Self::ListDeadLettersStream> {
        in_parts(self.admin.dead_letters(request.get_ref()).await, |part| &mut part.letters)
    }

    async fn resend_dead_letters(
        &self,
        request: Request<ResendDeadLettersRequest>,
    ) -> Answered<ResendDeadLettersResponse> {
        let change = self.change("Messages/ResendDeadLetters", &request);
        change.end(self.admin.resend_dead_letters(request.get_ref()).await).await
    }

    async fn list_timers(
        &self,
        request: Request<ListTimersRequest>,
    ) -> Answered<Self::ListTimersStream> {
        let mut answer = self.admin.timers(request.get_ref()).await?;
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
        change.end(self.admin.cancel_timer(&request.get_ref().id).await).await
    }
}
