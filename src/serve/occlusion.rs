//! Which parts of a picture an answer depends on, for every protocol that asks.
//!
//! What is covered, and what the answers mean, is `vision::explain`'s; here the network is asked, by way
//! of the queue that all pictures take. An explanation costs a hundred pictures and more, so it gives
//! way: one is computed at a time, in portions that are at most a quarter of the queue, one batch and a
//! twentieth of a second of the network's time, and for the second portion and those after it, it waits
//! for room instead of taking that of others. One that cannot be computed in time is not begun.
//! What is left when its time is over, or its client has gone, is not computed. The prediction itself is
//! one as any: it is counted and logged. Pictures with a part covered are nobody's: they count neither as
//! predictions nor in the log.
//!
//! Imports: vision, tokio, `serve::*`.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::vision::explain::{Occlusion, mean_colour, usual_patch, usual_stride};
use crate::vision::image::Target;

use super::answer::{Explanation, likeliest};
use super::drift::Wants;
use super::feedback::names;
use super::model::Model;
use super::picture::Fitted;
use super::predict::{Predicted, blocking, take_slots};
use super::queue::{Picture, Slots};
use super::refusal::{FieldProblem, Refusal};
use super::service::{Chosen, Ends, Service};

/// Pictures with a part covered that are computed for one explanation, at most.
const COVERED_MAX: usize = 1024;

/// The part of the queue that an explanation takes at a time, at most.
const QUEUE_SHARE: usize = 4;

/// A portion takes the network no longer than this, where it computes a picture in that time at all: so
/// long do those wait who come meanwhile.
const PORTION_TIME: Duration = Duration::from_millis(50);

/// After this time it is looked again whether the queue has room.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// One explanation is computed at a time.
static TURN: Semaphore = Semaphore::const_new(1);

/// What is to be explained, and how.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wish {
    /// Which class; the likeliest if not given.
    class: Option<usize>,
    plan: Arc<Occlusion>,
}

/// What becomes of an explanation that finds the queue full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenFull {
    /// It is refused, as a prediction is.
    Refuse,
    /// It waits: others of the same request are done already.
    Wait,
}

/// A picture that was explained.
pub(super) struct Explained {
    /// What the network says of all of it.
    pub(super) predicted: Predicted,
    /// The picture as the network sees it.
    pub(super) values: Arc<[u8]>,
    /// Which class was explained.
    pub(super) class: usize,
    /// By how much its probability falls, for each pixel, row by row.
    pub(super) grid: Vec<Vec<f32>>,
}

/// Explains the picture that `read` finds, on a decoding thread.
///
/// # Errors
/// The picture cannot be read, the queue is full, or time is over or known to be too short.
pub(super) async fn explain(
    service: &Service,
    chosen: &Chosen,
    wish: &Wish,
    ends: Ends,
    when_full: WhenFull,
    read: impl FnOnce() -> Result<Fitted, Refusal> + Send + 'static,
) -> Result<Explained, Refusal> {
    require_time(&wish.plan, service.queue.time_per_picture(), ends.timeout)?;
    let turn = tokio::time::timeout_at(ends.at, TURN.acquire()).await;
    // The semaphore is never closed, so what went wrong is the time.
    let Ok(Ok(_turn)) = turn else {
        return Err(Refusal::deadline(ends.timeout));
    };
    let Chosen { served, model, .. } = chosen;
    let slots = match when_full {
        WhenFull::Refuse => take_slots(service, chosen, 1)?,
        WhenFull::Wait => room(service, chosen, 1, ends).await?,
    };
    let ((fitted, mut slots), decode) = blocking(service, ends, slots, read).await?;
    let Fitted {
        picture,
        fitting,
        seen,
        ..
    } = fitted;
    served.metrics.decoded(decode, fitting);
    let Picture::Bytes(values) = picture else {
        return Err(Refusal::internal("a picture was read as numbers"));
    };
    let values: Arc<[u8]> = values.into();
    let whole = Picture::Bytes(values.to_vec());
    let pending = slots.submit(model, whole, Wants::default(), ends.at.into_std());
    let predicted = Predicted {
        answer: service.wait(pending, ends).await?,
        decode,
        seen,
        properties: None,
    };
    let probabilities = predicted.probabilities();
    let class = wish.class.unwrap_or_else(|| likeliest(probabilities));
    let before = probabilities[class];
    let after = covered(service, chosen, &wish.plan, &values, class, ends).await?;
    let drops: Vec<f32> = after.into_iter().map(|after| before - after).collect();
    Ok(Explained {
        grid: wish.plan.grid(&drops),
        predicted,
        values,
        class,
    })
}

/// Returns the probability of `class` for each place of the patch.
async fn covered(
    service: &Service,
    chosen: &Chosen,
    plan: &Arc<Occlusion>,
    values: &Arc<[u8]>,
    class: usize,
    ends: Ends,
) -> Result<Vec<f32>, Refusal> {
    let model = &chosen.model;
    let channels = model.predictor.model().target.channels.count();
    let colour: Arc<[u8]> = mean_colour(values, channels).into();
    let most = (service.config.queue_max / QUEUE_SHARE).clamp(1, service.config.batch_max);
    let mut found = Vec::with_capacity(plan.count());
    while found.len() < plan.count() {
        let from = found.len();
        let size = portion(most, service.queue.time_per_picture());
        let to = plan.count().min(from + size);
        let slots = room(service, chosen, to - from, ends).await?;
        let (plan, values, colour) = (Arc::clone(plan), Arc::clone(values), Arc::clone(&colour));
        let cover = move || {
            let places = from..to;
            Ok(places
                .map(|place| plan.covered(&values, &colour, place))
                .collect::<Vec<_>>())
        };
        let ((pictures, mut slots), _) = blocking(service, ends, slots, cover).await?;
        let pending: Vec<_> = pictures
            .into_iter()
            .map(|picture| {
                let covered = Picture::Covered(picture);
                slots.submit(model, covered, Wants::default(), ends.at.into_std())
            })
            .collect();
        for answer in join_all(pending.into_iter().map(|p| service.wait(p, ends))).await {
            found.push(answer?.probabilities[class]);
        }
    }
    Ok(found)
}

/// Returns how many pictures are computed at a time, at most `most`, if one takes so long.
fn portion(most: usize, time_per_picture: Option<Duration>) -> usize {
    let fitting = time_per_picture.map_or(most, |each| times(PORTION_TIME, each));
    fitting.clamp(1, most)
}

/// Returns how often `part` fits into `whole`.
fn times(whole: Duration, part: Duration) -> usize {
    let times = whole.as_nanos() / part.as_nanos().max(1);
    usize::try_from(times).unwrap_or(usize::MAX)
}

/// Can what is planned be computed in time, as far as that is known?
fn require_time(
    plan: &Occlusion,
    time_per_picture: Option<Duration>,
    timeout: Duration,
) -> Result<(), Refusal> {
    let Some(each) = time_per_picture else {
        return Ok(());
    };
    let most = times(timeout, each);
    // In less than the time of one picture, no stride is long enough.
    if most == 0 || plan.count() <= most {
        return Ok(());
    }
    let msg = format!(
        "Value error, {} pictures would have to be computed, and there is time for about {most} within {} ms: take a longer stride",
        plan.count(),
        timeout.as_millis()
    );
    let loc = [json!("query"), json!("stride")];
    let problem = FieldProblem::new("value_error", loc, msg, &json!(plan.stride()));
    Err(Refusal::invalid(vec![problem]))
}

/// Waits for `count` slots.
async fn room(
    service: &Service,
    chosen: &Chosen,
    count: usize,
    ends: Ends,
) -> Result<Slots, Refusal> {
    loop {
        match take_slots(service, chosen, count) {
            Ok(slots) => return Ok(slots),
            Err(_) if ends.at <= Instant::now() => return Err(Refusal::deadline(ends.timeout)),
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
}

impl Wish {
    /// Reads `label`, `patch` and `stride` of a query, for pictures that are brought to `target`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn read(
        query: &str,
        target: &Target,
        classes: &[String],
    ) -> Result<Self, Vec<FieldProblem>> {
        let (height, width) = (target.height as usize, target.width as usize);
        let mut problems = Vec::new();
        let (mut class, mut patch, mut stride) = (None, None, None);
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let mut wrong = |kind, msg: String, ctx: Value| {
                let loc = [json!("query"), json!(key)];
                problems.push(FieldProblem::new(kind, loc, msg, &json!(value)).ctx(ctx));
            };
            match &*key {
                "label" => match classes.iter().position(|class| *class == value) {
                    Some(position) => class = Some(position),
                    None => {
                        let expected = names(classes);
                        let msg = format!("Input should be {expected}");
                        wrong("literal_error", msg, json!({"expected": expected}));
                    }
                },
                "patch" => match whole(&value, height.min(width)) {
                    Ok(pixels) => patch = Some(pixels),
                    Err((kind, msg, ctx)) => wrong(kind, msg, ctx),
                },
                "stride" => match whole(&value, height.min(width)) {
                    Ok(pixels) => stride = Some(pixels),
                    Err((kind, msg, ctx)) => wrong(kind, msg, ctx),
                },
                _ => {}
            }
        }
        let patch = patch.unwrap_or_else(|| usual_patch(height, width));
        let step = stride.unwrap_or_else(|| usual_stride(patch));
        if patch < step {
            let msg = format!("Value error, a stride longer than the patch ({patch}) leaves gaps");
            let loc = [json!("query"), json!("stride")];
            problems.push(FieldProblem::new("value_error", loc, msg, &json!(step)));
        }
        let plan = Occlusion::new(height, width, target.channels.count(), patch, step);
        if COVERED_MAX < plan.count() {
            let msg = format!(
                "Value error, {} pictures would have to be computed, at most {COVERED_MAX} are: take a longer stride",
                plan.count()
            );
            let loc = [json!("query"), json!("stride")];
            problems.push(FieldProblem::new("value_error", loc, msg, &json!(step)));
        }
        if problems.is_empty() {
            let plan = Arc::new(plan);
            Ok(Self { class, plan })
        } else {
            Err(problems)
        }
    }

    /// Puts what was found out into words.
    pub(super) fn explanation<'m>(
        &self,
        model: &'m Model,
        class: usize,
        grid: Vec<Vec<f32>>,
    ) -> Explanation<'m> {
        let classes = &model.predictor.model().classes;
        Explanation {
            method: "occlusion",
            label: &classes[class],
            class_id: class,
            patch: self.plan.patch(),
            stride: self.plan.stride(),
            pictures: self.plan.count(),
            grid,
        }
    }
}

/// Reads a number of pixels from 1 to `most`; else kind, words and bounds of what is wrong.
fn whole(text: &str, most: usize) -> Result<usize, (&'static str, String, Value)> {
    match text.parse::<i64>().map(usize::try_from) {
        Ok(Ok(pixels)) if (1..=most).contains(&pixels) => Ok(pixels),
        Ok(Ok(pixels)) if most < pixels => {
            let msg = format!("Input should be less than or equal to {most}");
            Err(("less_than_equal", msg, json!({"le": most})))
        }
        Ok(_) => {
            let msg = "Input should be greater than or equal to 1".to_owned();
            Err(("greater_than_equal", msg, json!({"ge": 1})))
        }
        Err(_) => {
            let msg = "Input should be a valid integer, unable to parse string as an integer";
            let ctx = json!({"expected": format!("1 to {most}")});
            Err(("int_parsing", msg.to_owned(), ctx))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::image::{Channels, Filter};

    fn read(query: &str) -> Result<Wish, String> {
        let target = Target {
            height: 35,
            width: 40,
            channels: Channels::Rgb,
            filter: Filter::Bilinear,
            background: [0; 3],
        };
        let classes = ["a", "b c"].map(str::to_owned);
        Wish::read(query, &target, &classes).map_err(|problems| {
            let item = Refusal::invalid(problems).item();
            let problems = item["detail"].as_array().unwrap().iter();
            let told = problems.map(|p| format!("{}: {}", p["loc"][1], p["type"]));
            told.collect::<Vec<_>>().join(", ")
        })
    }

    #[test]
    fn portions_of_a_slow_network_are_small() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (each, expected) in [
            (None, 32),
            (Some(Duration::from_nanos(1)), 32),
            (ms(1), 32),
            (ms(5), 10),
            (ms(20), 2),
            (ms(49), 1),
            (ms(800), 1),
        ] {
            assert_eq!(portion(32, each), expected, "{each:?}");
        }
    }

    #[test]
    fn what_takes_too_long_is_not_begun() {
        let plan = read("").unwrap().plan;
        let timeout = Duration::from_secs(1);
        let count = u32::try_from(plan.count()).unwrap();
        let refused = |each, timeout| require_time(&plan, each, timeout).err();
        assert_eq!(refused(None, timeout), None);
        assert_eq!(refused(Some(timeout / count), timeout), None);
        assert_eq!(refused(Some(timeout), Duration::ZERO), None);
        let refusal = refused(Some(timeout / 50), timeout).unwrap();
        let problem = &refusal.item()["detail"][0];
        assert_eq!(problem["loc"], json!(["query", "stride"]));
        let told = problem["msg"].as_str().unwrap();
        let expected = "there is time for about 50 within 1000 ms: take a longer stride";
        assert!(50 < count && told.contains(expected), "{told}");
    }

    #[test]
    fn queries_say_what_is_wanted() {
        let usual = read("").unwrap();
        assert_eq!(usual.class, None);
        assert_eq!((usual.plan.patch(), usual.plan.stride()), (7, 3));
        let wish = read("format=png&label=b+c&patch=10&stride=10&other=1").unwrap();
        assert_eq!(wish.class, Some(1));
        assert_eq!((wish.plan.patch(), wish.plan.stride()), (10, 10));
        assert_eq!(read("label=b%20c").unwrap().class, Some(1));
        for (query, expected) in [
            ("label=c", "\"label\": \"literal_error\""),
            ("patch=0", "\"patch\": \"greater_than_equal\""),
            ("patch=36", "\"patch\": \"less_than_equal\""),
            ("patch=-1", "\"patch\": \"greater_than_equal\""),
            ("stride=x", "\"stride\": \"int_parsing\""),
            ("patch=2&stride=3", "\"stride\": \"value_error\""),
            ("patch=2&stride=1", "\"stride\": \"value_error\""),
            (
                "patch=0&label=",
                "\"patch\": \"greater_than_equal\", \"label\": \"literal_error\"",
            ),
        ] {
            assert_eq!(read(query).unwrap_err(), expected, "{query}");
        }
    }
}
