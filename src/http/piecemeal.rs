//! Answers that are written while they are sent: files too long to be held in memory. Imports: tokio.
//!
//! Whoever writes one is asked for a piece at a time, on a thread that may wait, and only while its
//! reader takes them: the writer is plain code that holds neither a thread nor anything else between
//! two pieces. An answer that does not come to its end, because a piece cannot be written or the writer
//! is given up, breaks the connection off, which is how a client learns that it has not got all.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use tokio::sync::{Semaphore, mpsc};
use warp::Reply;
use warp::reply::Response;

use super::coding::Coding;
use super::live::Ending;

/// Pieces that may wait for a slow reader.
const WAITING_MAX: usize = 2;

/// What a writer hands on.
enum Part {
    Piece(Bytes),
    /// There are no more pieces: without it the answer is not whole.
    End,
}

type Sender = mpsc::Sender<io::Result<Part>>;

/// Returns an answer of the pieces that `next` writes until it says `None`; compressed, if the
/// request's headers `asked` allow it. Must be called within the server's runtime.
pub fn piecemeal(
    content_type: HeaderValue,
    asked: &HeaderMap,
    ending: &Ending,
    next: impl FnMut() -> io::Result<Option<Vec<u8>>> + Send + 'static,
) -> Response {
    let is_zipped = Coding::Gzip.is_asked_for(asked);
    let zip = is_zipped.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
    let (sender, receiver) = mpsc::channel(WAITING_MAX);
    let polls = ending.polls();
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            () = write(polls, Writer { next, zip }, &sender) => {}
        }
    });
    let pieces = stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver: mpsc::Receiver<io::Result<Part>> = receiver?;
        match receiver.recv().await {
            Some(Ok(Part::Piece(piece))) => Some((Ok(piece), Some(receiver))),
            Some(Ok(Part::End)) => None,
            Some(Err(error)) => Some((Err(error), None)),
            None => {
                let what = "what writes the answer was given up";
                Some((Err(io::Error::other(what)), None))
            }
        }
    });
    let mut response = warp::reply::stream(pieces).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_zipped {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Asks for pieces until there are no more, in turn with whatever else is written bit by bit.
async fn write<N>(polls: Arc<Semaphore>, mut writer: Writer<N>, sender: &Sender)
where
    N: FnMut() -> io::Result<Option<Vec<u8>>> + Send + 'static,
{
    loop {
        // With a place for it before it is asked for, no more than the places are ever held.
        let Ok(place) = sender.reserve().await else {
            return;
        };
        let Ok(permit) = Arc::clone(&polls).acquire_owned().await else {
            return;
        };
        let writing = tokio::task::spawn_blocking(move || {
            let piece = writer.piece();
            // Held by the thread: who gives up waiting does not stop it.
            drop(permit);
            (writer, piece)
        });
        let piece = match writing.await {
            Ok((again, piece)) => {
                writer = again;
                piece
            }
            Err(_) => {
                // The panic's hook has told of it.
                place.send(Err(io::Error::other("what writes the answer panicked")));
                return;
            }
        };
        match piece {
            Ok(Some(piece)) if piece.is_empty() => {}
            Ok(Some(piece)) => place.send(Ok(Part::Piece(piece.into()))),
            Ok(None) => {
                place.send(Ok(Part::End));
                return;
            }
            Err(error) => {
                place.send(Err(error));
                return;
            }
        }
    }
}

struct Writer<N> {
    next: N,
    /// `None` where nothing is compressed, and behind the end.
    zip: Option<GzEncoder<Vec<u8>>>,
}

impl<N: FnMut() -> io::Result<Option<Vec<u8>>>> Writer<N> {
    /// Returns what is to be sent next. Behind the last piece of a compressed answer its end follows,
    /// so that `next` is asked once more and says `None` again.
    fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        let piece = (self.next)()?;
        match (piece, &mut self.zip) {
            (Some(piece), Some(zip)) => {
                zip.write_all(&piece)?;
                zip.flush()?;
                Ok(Some(std::mem::take(zip.get_mut())))
            }
            (None, zip) => zip.take().map(GzEncoder::finish).transpose(),
            (piece, None) => Ok(piece),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use http_body_util::BodyExt;
    use hyper::header::ACCEPT_ENCODING;

    use super::super::ending;
    use super::*;

    /// Returns what a client gets, and whether the connection is broken off behind it.
    async fn sent(
        accepts: &'static str,
        next: impl FnMut() -> io::Result<Option<Vec<u8>>> + Send + 'static,
    ) -> (Vec<u8>, bool) {
        let (_switch, ending) = ending();
        sent_by(&ending, accepts, next).await
    }

    async fn sent_by(
        ending: &Ending,
        accepts: &'static str,
        next: impl FnMut() -> io::Result<Option<Vec<u8>>> + Send + 'static,
    ) -> (Vec<u8>, bool) {
        let mut asked = HeaderMap::new();
        asked.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepts));
        let kind = HeaderValue::from_static("text/csv");
        let mut body = piecemeal(kind, &asked, ending, next).into_body();
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                Ok(piece) => bytes.extend_from_slice(&piece.unwrap_or_default()),
                Err(_) => return (bytes, true),
            }
        }
        (bytes, false)
    }

    fn lines(count: u32) -> impl FnMut() -> io::Result<Option<Vec<u8>>> + Send {
        let mut rest = 0..count;
        move || Ok(rest.next().map(|n| format!("{n}\n").into_bytes()))
    }

    #[tokio::test]
    async fn pieces_come_in_their_order_and_compressed_for_who_asks() {
        let all: Vec<String> = (0..100).map(|n| format!("{n}\n")).collect();
        let whole = all.concat();
        let plain = sent("identity", lines(100)).await;
        assert_eq!(plain, (whole.clone().into_bytes(), false));
        let (zipped, is_broken) = sent("gzip", lines(100)).await;
        let mut text = String::new();
        GzDecoder::new(&zipped[..])
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!((text, is_broken), (whole, false));
    }

    #[tokio::test]
    async fn a_piece_that_cannot_be_written_breaks_the_answer_off() {
        let mut lines = lines(1);
        let failing = move || match lines()? {
            Some(line) => Ok(Some(line)),
            None => Err(io::Error::other("gone")),
        };
        assert_eq!(sent("identity", failing).await, (b"0\n".to_vec(), true));
        let panicking = || -> io::Result<Option<Vec<u8>>> { panic!("on purpose") };
        assert_eq!(sent("identity", panicking).await, (Vec::new(), true));
    }

    #[tokio::test]
    async fn an_answer_whose_writer_is_given_up_is_no_whole_one() {
        let (_switch, ending) = ending();
        let (polls, mut lines) = (ending.polls(), lines(2));
        let next = move || {
            // No turn follows the one in which the first line is written.
            polls.close();
            lines()
        };
        let sent = sent_by(&ending, "identity", next).await;
        assert_eq!(sent, (b"0\n".to_vec(), true));
    }

    #[tokio::test]
    async fn nothing_is_written_ahead_of_a_slow_reader_nor_for_one_that_is_gone() {
        let (_switch, ending) = ending();
        let (told, written) = std::sync::mpsc::channel();
        let next = move || {
            told.send(()).map_err(io::Error::other)?;
            Ok(Some(b"line".to_vec()))
        };
        let kind = HeaderValue::from_static("text/csv");
        let response = piecemeal(kind, &HeaderMap::new(), &ending, next);
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert_eq!(written.try_iter().count(), WAITING_MAX);
        drop(response);
        // The writer is dropped with what it holds.
        tokio::task::spawn_blocking(move || {
            assert_eq!(written.into_iter().count(), 0);
        })
        .await
        .unwrap();
    }
}
