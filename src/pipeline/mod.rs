//! The engine: stages, graph, judgement, execution, lock and run cache.
//!
//! Data flows one way: `spec` (what is declared) → `graph` → `plan` → `inputs` and `decide` (what is
//! true now and what follows) → `execute` → `lock` and `run_cache`. A stage is an opaque command;
//! nothing here branches on what it runs. `decide` is the only judge: `status`, `why`, `--dry` and
//! `repro` all ask it. Imports: base, project, store.

pub mod commit;
pub mod decide;
pub mod declare;
pub mod describe;
pub mod differences;
pub mod error;
pub mod execute;
pub mod forecast;
pub mod freeze;
pub mod graph;
pub mod index;
pub mod inputs;
pub mod lock;
pub mod lock_files;
pub mod outline;
pub mod params;
mod patterns;
pub mod plan;
pub mod pointer;
pub mod run_cache;
pub mod sources;
pub mod spec;
pub mod variant;
pub mod watch;
pub mod words;
pub mod workspace;

pub use decide::{RunReason, SkipReason, StageDecision};
pub use error::Error;
pub use forecast::Forecast;
pub use graph::{Maker, StageGraph};
pub use index::Index;
pub use plan::{Bare, Naming, Plan, Reach, Scope, Selection};
pub use pointer::{Pointer, PointerOut};
pub use spec::{StageName, StageSpec};
pub use workspace::Workspace;
