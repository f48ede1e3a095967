//! Where a run ran: facts about the machine, as tags. Imports: nothing of ours.

use std::collections::BTreeMap;

/// The tags' names; `cvops runs show` has them in one line.
pub const HOST_TAGS: [&str; 4] = ["cvops.host", "cvops.cpus", "cvops.os", "cvops.version"];

/// Returns the machine's name, the number of its CPUs that may be used, its system, and the version
/// of this program.
pub(super) fn facts() -> BTreeMap<String, String> {
    let system = rustix::system::uname();
    let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let os = [system.sysname(), system.release(), system.machine()].map(text);
    let values = [
        text(system.nodename()),
        cpus.to_string(),
        os.join(" "),
        env!("CARGO_PKG_VERSION").to_owned(),
    ];
    HOST_TAGS
        .map(str::to_owned)
        .into_iter()
        .zip(values)
        .collect()
}
