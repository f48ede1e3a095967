//! `cvops train`: train the network that `params.yaml` declares.

mod live;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::base::doc::{Document, Problems};
use crate::base::{Diagnostic, Error as BaseError, fs, units};
use crate::cli::ctx::Ctx;
use crate::cli::error::CliError;
use crate::cli::exit::Outcome;
use crate::cli::out::{Form, Out};
use crate::cli::params::{ParamsArg, at_parameter, section};
use crate::cli::progress::Progress;
use crate::cli::written::write;
use crate::vision;
use crate::vision::artifact::ModelArtifact;
use crate::vision::device::Device;
use crate::vision::model::ModelSpec;
use crate::vision::shard::Prepared;
use crate::vision::train::{EpochRecord, TrainData, TrainEvent, TrainParams, TrainSpec, fit};

/// Where no bar can be drawn, progress is told this often.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Train the network that params.yaml declares
///
/// The sections `model` and `train` of params.yaml say what and how. Equal data, parameters and seed
/// give the same model file, byte for byte.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  cvops train --data data/prepared --out models/classifier")]
pub(in crate::cli) struct Args {
    /// Folder of prepared data
    #[arg(long, value_name = "DIR", default_value = "data/prepared")]
    data: PathBuf,
    /// Folder for the model; replaced
    #[arg(long, value_name = "DIR", default_value = "models/classifier")]
    out: PathBuf,
    /// File for the figures of each epoch, one JSON object per line
    #[arg(long, value_name = "FILE", default_value = "reports/train.jsonl")]
    history: PathBuf,
    /// Go on from the checkpoint of an interrupted training (in a pipeline this happens by itself)
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    params: ParamsArg,
}

pub(in crate::cli) fn run(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    work(ctx, args).map_err(|error| error.seen_from(&ctx.dir))
}

fn work(ctx: &Ctx, args: &Args) -> Result<Outcome, CliError> {
    ctx.listen();
    let document = args.params.document(ctx)?;
    let problems = Problems::new(&document);
    let model = ModelSpec::read(section(ctx, &problems, "model"));
    let params = TrainParams::read(section(ctx, &problems, "train"));
    let spec = problems.into_result(TrainSpec { model, params })?;
    let device = Device::pick(spec.params.device).map_err(|e| at_parameter(&document, e))?;
    let out = ctx.dir.join(&args.out);
    let history = ctx.dir.join(&args.history);
    check_destinations(args, &out, &history)?;
    let prepared = Prepared::open(&ctx.dir.join(&args.data))?;
    let data = TrainData::load(&prepared)?;
    let scratch = scratch(ctx, args, &out)?;
    let live = live::Logger::start(ctx);
    let teller = Teller::new(&ctx.out, live.as_ref());
    let fitted = fit(
        &spec,
        &data,
        &device,
        Some(&scratch),
        &ctx.cancel,
        &|event| teller.tell(event),
    );
    teller.bar.end();
    drop(teller);
    if let Some(live) = live {
        live.end(&ctx.out);
    }
    let fitted = fitted.map_err(|error| unfinished(ctx, &document, &scratch, error))?;
    ModelArtifact::new(&fitted, &spec.params, &prepared).save(&out)?;
    write_history(&history, &fitted.history)?;
    // The result is safe: the checkpoints have done their work.
    fs::remove_dir_all(&scratch).map_err(BaseError::io("remove", &scratch))?;
    let kept = fitted.history.iter().find(|r| r.epoch == fitted.kept_epoch);
    let accuracy = kept.and_then(|r| r.val_accuracy);
    match ctx.out.form {
        Form::Json => ctx.out.json(&json!({
            "model": args.out, "epochs": fitted.history.len(), "kept_epoch": fitted.kept_epoch,
            "val_accuracy": accuracy,
        })),
        Form::Text | Form::Md => {
            let val =
                accuracy.map_or_else(String::new, |a| format!(", validation accuracy {a:.3}"));
            ctx.out.result(&format!(
                "model of epoch {} in {}{val}",
                fitted.kept_epoch,
                args.out.display()
            ));
        }
    }
    Ok(Outcome::Done)
}

/// Returns the folder of checkpoints: what the pipeline provides, else one beside the model.
fn scratch(ctx: &Ctx, args: &Args, out: &Path) -> Result<PathBuf, CliError> {
    let dir = match ctx.env.get("CVOPS_SCRATCH") {
        Some(dir) => PathBuf::from(dir).join("checkpoints"),
        None => {
            let name = out
                .file_name()
                .map(|n| n.to_string_lossy().into_owned())
                .unwrap_or_default();
            let dir = out.with_file_name(format!(".{name}-checkpoints"));
            if !args.resume {
                fs::remove_dir_all(&dir).map_err(BaseError::io("remove", &dir))?;
            } else if !dir.exists() {
                ctx.out
                    .note("there is no checkpoint to go on from: starting with epoch 1");
            }
            dir
        }
    };
    Ok(dir)
}

/// Finds out before the training, not after it, that its result has no place to go to.
fn check_destinations(args: &Args, out: &Path, history: &Path) -> Result<(), CliError> {
    let shown = args.out.display();
    if out.exists() && !out.is_dir() {
        let headline = format!("`{shown}` is a file, and a model is a folder");
        let error = Diagnostic::error("output-not-ours", headline);
        return Err(CliError::usage(
            error.help("name another folder with `--out`"),
        ));
    }
    if out.is_dir() && !out.join("model.json").exists() {
        let hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
        let entries = std::fs::read_dir(out).map_err(BaseError::io("list folder", out))?;
        if entries.flatten().any(|e| !hidden(&e.file_name())) {
            let headline = format!("`{shown}` holds something else than a model");
            let error = Diagnostic::error("output-not-ours", headline);
            return Err(CliError::usage(
                error.help("move it away, or name another folder with `--out`"),
            ));
        }
    }
    if history.is_dir() {
        let shown = args.history.display();
        let headline = format!("`{shown}` is a folder, and the history is a file");
        let error = Diagnostic::error("output-not-ours", headline);
        return Err(CliError::usage(error.help(format!(
            "name a file: `--history {}`",
            args.history.join("train.jsonl").display()
        ))));
    }
    Ok(())
}

/// Says where the parameter is that does not fit, or how an interrupted training goes on.
fn unfinished(ctx: &Ctx, document: &Document, scratch: &Path, error: vision::Error) -> CliError {
    let can_go_on = matches!(error, vision::Error::Cancelled(_)) && scratch.exists();
    let mut error = at_parameter(document, error);
    if let (true, Some(first)) = (can_go_on, error.diagnostics.first_mut()) {
        let command = match ctx.env.get("CVOPS_SCRATCH") {
            Some(_) => "cvops repro",
            None => "cvops train --resume",
        };
        let help = format!("`{command}` goes on after the last whole epoch");
        *first = first.clone().help(help);
    }
    error
}

fn write_history(path: &Path, history: &[EpochRecord]) -> Result<(), CliError> {
    let text: String = history.iter().map(|r| r.to_json() + "\n").collect();
    write(path, text.as_bytes())
}

/// Tells the training's story: a bar on a terminal, now and then a line elsewhere.
struct Teller<'a> {
    out: &'a Out,
    bar: Progress,
    told: Mutex<Instant>,
    live: Option<&'a live::Logger>,
}

impl<'a> Teller<'a> {
    fn new(out: &'a Out, live: Option<&'a live::Logger>) -> Self {
        Self {
            out,
            bar: Progress::new(out, "training", "steps"),
            told: Mutex::new(Instant::now()),
            live,
        }
    }

    fn tell(&self, event: TrainEvent) {
        match event {
            TrainEvent::Start {
                epochs,
                steps,
                images,
                val_images,
                parameters,
                device,
            } => {
                self.bar.start((epochs * steps) as u64);
                self.say(&format!(
                    "{images} images, {val_images} for validation; {parameters} parameters; {device}"
                ));
            }
            TrainEvent::Resumed { epochs_done } => {
                self.say(&format!(
                    "going on after epoch {epochs_done} of an interrupted training"
                ));
            }
            TrainEvent::CheckpointIgnored { reason } => {
                self.say(&format!("starting anew: {reason}"));
            }
            TrainEvent::Batch {
                epoch,
                step,
                steps,
                images_per_s,
                remaining,
                ..
            } => {
                self.bar.at(((epoch - 1) * steps + step) as u64);
                self.now_and_then(|| {
                    format!(
                        "epoch {epoch} step {step}/{steps}  {images_per_s:.0} images/s  {} left",
                        units::duration(remaining)
                    )
                });
            }
            TrainEvent::Epoch {
                record,
                seconds,
                is_best,
            } => {
                if let Ok(mut told) = self.told.lock() {
                    *told = Instant::now();
                }
                if let Some(live) = self.live {
                    live.log(&record);
                }
                let text = epoch_line(&record, seconds, is_best);
                self.bar.above(|| match self.out.form {
                    Form::Text | Form::Md => self.out.result(&text),
                    Form::Json => {}
                });
            }
            TrainEvent::EarlyStop { epoch, best_epoch } => self.say(&format!(
                "stopping after epoch {epoch}: no improvement since epoch {best_epoch}"
            )),
            TrainEvent::Checkpoint { .. } | TrainEvent::End { .. } => {}
        }
    }

    fn say(&self, text: &str) {
        self.bar.above(|| self.out.note(text));
    }

    fn now_and_then(&self, text: impl FnOnce() -> String) {
        if self.out.draws() {
            return;
        }
        let Ok(mut told) = self.told.lock() else {
            return;
        };
        if TELL_EVERY <= told.elapsed() {
            *told = Instant::now();
            self.out.note(&text());
        }
    }
}

fn epoch_line(record: &EpochRecord, seconds: f64, is_best: bool) -> String {
    let mut line = format!(
        "epoch {:>3}  loss {:.4}  accuracy {:.3}",
        record.epoch, record.train_loss, record.train_accuracy
    );
    if let (Some(loss), Some(accuracy)) = (record.val_loss, record.val_accuracy) {
        line += &format!("  val_loss {loss:.4}  val_accuracy {accuracy:.3}");
    }
    line += &format!("  {seconds:.1} s");
    if is_best {
        line += "  best";
    }
    line
}
