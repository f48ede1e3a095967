//! Files: the only place that writes them. Atomic replacement, batched durability, sorted walks,
//! links, locks, and the fault points that tests arm.
//!
//! What stands on disk after a crash: a file is replaced by `rename`, so readers see the old bytes
//! or the new ones, never a mixture; leftovers are temporary files, which nobody reads.
//! Imports: nothing of ours.

mod append;
mod atomic;
pub mod fault;
mod link;
mod probe;
mod walk;

pub use append::{Appender, is_locked};
pub use atomic::{
    Owner, Staged, create_dir_all, create_dir_all_for_group, create_new, is_temp_name,
    remove_dir_all, remove_file, rename, sync_dir, sync_filesystem, temp_path, write_atomic,
    write_through_links,
};
pub use link::{
    Executable, LinkKind, copy_seen, fill, is_executable, keep_from_others, place, set_executable,
    set_read_only, set_writable, share_read_only,
};
pub use probe::{Volume, volume, working_links};
pub use walk::{Entry, walk, walk_with};
