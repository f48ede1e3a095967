//! Answers that never end by themselves: Server-Sent Events (WHATWG HTML, section 9.2) for pages that
//! show what goes on. Imports: tokio.
//!
//! Who writes them is asked now and then, on a thread that may wait, so the writer is plain code. A
//! stream ends when its reader is gone, when the server drains, or when the writer says so.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use warp::Reply;
use warp::reply::Response;

use super::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};

/// After so much silence a comment is sent: proxies give up silent connections, and a reader that has
/// gone is noticed by writing to it.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Messages that may wait for a slow reader: then the writer is not asked.
const WAITING_MAX: usize = 4;

/// Writers that are asked at a time; the others wait, so that slow ones leave threads to requests.
const POLLS_MAX: usize = 8;

/// A stream ends by itself after so long. A browser comes back at once, and is asked again who it is:
/// whoever may no longer read does not read on.
const LIFETIME: Duration = Duration::from_mins(10);

/// It is cut off so long after that, if its reader takes nothing.
const LIFETIME_SLACK: Duration = Duration::from_mins(1);

/// One message to a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveEvent {
    /// What kind it is, for `addEventListener`. No line breaks.
    pub event: &'static str,
    /// What it says, usually JSON.
    pub data: String,
}

/// Tells live answers that the server ends.
#[derive(Debug)]
pub struct EndSwitch(watch::Sender<bool>);

impl EndSwitch {
    /// Lets all live answers end.
    pub fn end(&self) {
        self.0.send_replace(true);
    }
}

/// Learns that the server ends. All live answers of one server share one.
#[derive(Clone, Debug)]
pub struct Ending {
    is_over: watch::Receiver<bool>,
    /// One for each writer that may be asked at a time.
    polls: Arc<Semaphore>,
}

impl Ending {
    /// Returns the turns of everything that is written bit by bit.
    pub(super) fn polls(&self) -> Arc<Semaphore> {
        Arc::clone(&self.polls)
    }
}

/// Makes a switch and what listens to it.
#[must_use]
pub fn ending() -> (EndSwitch, Ending) {
    let (sender, receiver) = watch::channel(false);
    let ending = Ending {
        is_over: receiver,
        polls: Arc::new(Semaphore::new(POLLS_MAX)),
    };
    (EndSwitch(sender), ending)
}

/// Returns an answer that sends what `poll` has to say, asking it at once and then `every` so often;
/// `None` ends it. Must be called within the server's runtime.
pub fn live(
    every: Duration,
    ending: Ending,
    poll: impl FnMut() -> Option<Vec<LiveEvent>> + Send + 'static,
) -> Response {
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    tokio::spawn(write(every, LIFETIME, ending, poll, sender));
    let pieces = stream::unfold(receiver, |mut receiver: mpsc::Receiver<Bytes>| async move {
        let piece = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(piece), receiver))
    });
    let mut response = warp::reply::stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn write(
    every: Duration,
    lifetime: Duration,
    mut ending: Ending,
    poll: impl FnMut() -> Option<Vec<LiveEvent>> + Send + 'static,
    sender: mpsc::Sender<Bytes>,
) {
    let polls = Arc::clone(&ending.polls);
    // A reader that takes nothing must not hold up the end of the server, so all of it is given up.
    tokio::select! {
        _ = ending.is_over.wait_for(|is_over| *is_over) => {}
        () = sender.closed() => {}
        () = tokio::time::sleep(LIFETIME_SLACK + lifetime) => {}
        () = ask(every, lifetime, polls, poll, &sender) => {}
    }
}

/// Asks until the writer has no more to say, or for as long as `lifetime`.
async fn ask(
    every: Duration,
    lifetime: Duration,
    polls: Arc<Semaphore>,
    mut poll: impl FnMut() -> Option<Vec<LiveEvent>> + Send + 'static,
    sender: &mpsc::Sender<Bytes>,
) {
    let began = Instant::now();
    let mut told = began;
    loop {
        // It is never closed.
        let Ok(permit) = Arc::clone(&polls).acquire_owned().await else {
            return;
        };
        let asking = tokio::task::spawn_blocking(move || {
            let events = poll();
            // Held by the thread: who gives up waiting does not stop it.
            drop(permit);
            (poll, events)
        });
        // A writer that panics was told of by the panic's hook.
        let Ok((again, Some(events))) = asking.await else {
            return;
        };
        poll = again;
        let text = if events.is_empty() && KEEP_ALIVE <= told.elapsed() {
            ":\n\n".to_owned()
        } else {
            lines(&events)
        };
        if !text.is_empty() {
            told = Instant::now();
            if sender.send(text.into()).await.is_err() {
                return;
            }
        }
        if lifetime <= began.elapsed() {
            return;
        }
        tokio::time::sleep(every).await;
    }
}

/// Returns events as they are sent: a line break in the data begins another `data:` line.
fn lines(events: &[LiveEvent]) -> String {
    let mut text = String::new();
    for LiveEvent { event, data } in events {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "event: {event}");
        for line in data.split(['\n', '\r']) {
            let _ = writeln!(text, "data: {line}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_the_data_ends_no_event() {
        let event = LiveEvent {
            event: "log",
            data: "a\nevent: other\n\nb".to_owned(),
        };
        assert_eq!(
            lines(&[event]),
            "event: log\ndata: a\ndata: event: other\ndata: \ndata: b\n\n"
        );
    }

    fn one() -> impl FnMut() -> Option<Vec<LiveEvent>> + Send {
        || {
            let event = LiveEvent {
                event: "state",
                data: String::new(),
            };
            Some(vec![event])
        }
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_does_not_hold_up_the_end() {
        let (switch, ending) = ending();
        let (sender, mut receiver) = mpsc::channel(1);
        let writing = tokio::spawn(write(Duration::ZERO, LIFETIME, ending, one(), sender));
        // The first has come, and the second fills the place that is left.
        assert!(receiver.recv().await.is_some());
        switch.end();
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn a_stream_ends_by_itself() {
        let (_switch, ending) = ending();
        let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
        write(LIFETIME, Duration::ZERO, ending, one(), sender).await;
        assert!(receiver.recv().await.is_some());
        assert!(receiver.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_writer_waits_for_its_turn() {
        let (_switch, ending) = ending();
        let polls = Arc::clone(&ending.polls);
        let all = u32::try_from(POLLS_MAX).unwrap();
        let held = polls.acquire_many(all).await.unwrap();
        let (sender, mut receiver) = mpsc::channel(WAITING_MAX);
        let writing = tokio::spawn(write(LIFETIME, Duration::ZERO, ending, one(), sender));
        tokio::task::yield_now().await;
        assert!(receiver.try_recv().is_err());
        drop(held);
        writing.await.unwrap();
        assert!(receiver.recv().await.is_some());
    }
}
