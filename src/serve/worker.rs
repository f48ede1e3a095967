//! The thread that owns the network: takes batches from the queue, computes, scatters the answers.
//!
//! One thread, and the network's inner loops stay on it: a batch of a few small pictures is done
//! before another core would have woken up, and at full load the other cores decode. Imports: base,
//! vision, rayon, prometheus (the gauge of slots), `serve::{queue, model}`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::IntGauge;

use crate::vision;

use super::Error;
use super::model::Model;
use super::queue::{Answer, Failure, Job, Picture, Queue, Work};

/// How batches are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batching {
    /// Pictures per batch.
    pub(super) max: usize,
    /// How long a batch that is not full waits.
    pub(super) wait: Duration,
}

/// Starts the model thread; it ends when the queue was closed and is empty.
///
/// # Errors
/// The system has no thread left.
pub(super) fn start(queue: Arc<Queue>, batching: Batching) -> Result<(), Error> {
    // A pool of one: parallel loops of the back end run in place on this thread.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .thread_name(|_| "cvops-model".to_owned())
        .build()
        .map_err(|e| Error::Start {
            problem: e.to_string(),
        })?;
    pool.spawn(move || {
        while let Some(work) = queue.next_work(batching.max, batching.wait) {
            match work {
                Work::Batch(batch) => {
                    let Some(length) = batch.first().map(length) else {
                        continue;
                    };
                    let began = Instant::now();
                    let pictures = batch.len();
                    run(batch, began, Counted::All);
                    queue.done(pictures, began.elapsed(), &length);
                }
                Work::Shadows(batch) => run(batch, Instant::now(), Counted::Batches),
                Work::Errand(errand) => {
                    // Who asked for it learns of a panic by getting no answer.
                    let _ = catch_unwind(AssertUnwindSafe(errand));
                }
            }
        }
    });
    Ok(())
}

fn length(job: &Job) -> IntGauge {
    job.model.metrics.queue_length.clone()
}

/// What is counted of a batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counted {
    /// Batches, waiting and answers.
    All,
    /// Batches only: nobody waited for the answers, and nobody was sent them.
    Batches,
}

/// Computes one batch of one model and answers its jobs.
fn run(batch: Vec<Job>, began: Instant, counted: Counted) {
    let Some(first) = batch.first() else { return };
    let model = Arc::clone(&first.model);
    // A bug in a kernel must not end the thread on which all requests depend.
    let rows = catch_unwind(AssertUnwindSafe(|| forward(&model, &batch))).unwrap_or_else(|_| {
        tracing::error!(model = %model.name, "the network panicked");
        Err(Failure::Bug)
    });
    let infer = began.elapsed();
    let metrics = &model.metrics;
    metrics.batch(batch.len(), infer);
    let mut rows = rows.map(Vec::into_iter);
    for job in batch {
        let queued = began.saturating_duration_since(job.since);
        if counted == Counted::All {
            metrics.queued(queued);
        }
        let answer = match &mut rows {
            Err(failure) => Err(*failure),
            Ok(rows) => rows
                .next()
                .ok_or(Failure::Bug)
                .and_then(|(probabilities, embedding)| {
                    if probabilities.iter().any(|p| !p.is_finite()) {
                        return Err(Failure::NotFinite);
                    }
                    match (counted, &job.picture) {
                        (Counted::All, Picture::Bytes(_) | Picture::Unit(_)) => {
                            metrics.predicted(&probabilities);
                        }
                        (Counted::All, Picture::Covered(_)) | (Counted::Batches, _) => {}
                    }
                    Ok(Answer {
                        probabilities,
                        embedding,
                        queued,
                        infer,
                    })
                }),
        };
        // The client may have gone while its batch was computed.
        let _ = job.answer.send(answer);
    }
}

/// The probabilities of a picture, and what entered the last layer, if that is wanted and known.
type Row = (Vec<f32>, Option<Vec<f32>>);

fn forward(model: &Model, batch: &[Job]) -> Result<Vec<Row>, Failure> {
    let samples: Vec<_> = batch.iter().map(|job| job.picture.sample()).collect();
    let failed = |error: vision::Error| {
        tracing::error!(model = %model.name, %error, "a batch failed");
        Failure::Bug
    };
    let network = &model.predictor;
    // It is in memory when the logits are: to tell it costs a copy, which nobody pays who does not want it.
    let (logits, embeddings) = if batch.iter().any(|job| job.wants.embedding) {
        let observed = network.observe_batch(&samples).map_err(failed)?;
        (observed.logits, observed.embeddings)
    } else {
        (network.predict_batch(&samples).map_err(failed)?, None)
    };
    let rows = logits.probabilities().into_iter().zip(batch).enumerate();
    Ok(rows
        .map(|(index, (row, job))| {
            let of_picture = embeddings.as_ref().filter(|_| job.wants.embedding);
            let embedding = of_picture.map(|all| {
                let from = index * all.width;
                all.rows[from..from + all.width].to_vec()
            });
            (row.into_iter().map(|p| p as f32).collect(), embedding)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::serve::drift::Wants;
    use crate::serve::model::tests::tiny_model;

    #[test]
    fn an_embedding_is_told_to_those_who_want_it_and_changes_no_answer() {
        let model = tiny_model();
        let len = model.predictor.model().target.image_len();
        let told = |wanted: [bool; 3]| {
            let jobs = [0, 100, 255].into_iter().zip(wanted);
            let jobs: Vec<Job> = jobs
                .map(|(level, embedding)| Job {
                    model: Arc::clone(&model),
                    picture: Picture::Bytes(vec![level; len]),
                    wants: Wants {
                        embedding,
                        properties: false,
                    },
                    since: Instant::now(),
                    deadline: Instant::now(),
                    answer: oneshot::channel().0,
                })
                .collect();
            let (probabilities, embeddings): (Vec<_>, Vec<_>) =
                forward(&model, &jobs).unwrap().into_iter().unzip();
            (probabilities, embeddings)
        };
        let (expected, none) = told([false; 3]);
        assert!(none.iter().all(Option::is_none));
        let (all, embeddings) = told([true; 3]);
        let width = model.predictor.embedding_width().unwrap();
        let widths = embeddings.iter().flatten().map(Vec::len);
        assert_eq!(widths.collect::<Vec<_>>(), [width; 3]);
        let (some, of_one) = told([false, true, false]);
        assert_eq!(of_one, [None, embeddings[1].clone(), None]);
        assert_eq!([&all, &some], [&expected; 2], "bit by bit");
    }
}
