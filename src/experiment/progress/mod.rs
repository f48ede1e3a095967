//! What a command that runs stages does, as another process can see it: `.cvops/logs/`, one journal
//! per command.
//!
//! A journal is a text of JSON lines that only grows: `Entry` says what a line can be, `Journal`
//! writes them while stages run, `list` and `Tail` read them, and `Story` is what they add up to. The
//! journal begins with the first stage that runs or is restored: a command that finds everything up to
//! date writes nothing.
//!
//! **A crash** leaves the lines that were written, up to a fifth of a second before it, and at most
//! one torn line, which readers pass over. While the command lives it holds a lock on its journal; one
//! without an end and without a lock died. Nothing is synced: after a power loss a log may be short.
//!
//! **Bounds**: output per stage and per journal, journals and bytes in the folder. A journal that
//! cannot be written is a warning; the command goes on. Imports: base, project, pipeline.

mod entry;
mod journal;
mod read;
mod story;

pub use entry::{Entry, Finish, Head, Judgement, Line, Reached, VERSION};
pub use journal::Journal;
pub use read::{Log, Tail, find, going_on, list, names_of_commands, state_of};
pub use story::{StageState, StageStory, State, Story};

pub(super) use journal::WRITE_EVERY;
