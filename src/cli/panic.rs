//! A panic is a bug: the user sees one line that asks for a report, never a backtrace.
#![expect(clippy::disallowed_methods, reason = "this is a door to the terminal")]

use std::io::Write;

/// Installs the hook.
pub(super) fn install() {
    std::panic::set_hook(Box::new(|info| {
        let place = info
            .location()
            .map_or_else(String::new, |l| format!(" at {l}"));
        let what = info
            .payload()
            .downcast_ref::<&str>()
            .map(|s| (*s).to_owned())
            .or_else(|| info.payload().downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let version = env!("CARGO_PKG_VERSION");
        let log = write_log(&format!(
            "cvops {version}\n{what}{place}\n{}\n",
            std::backtrace::Backtrace::force_capture()
        ));
        let saved = log.map_or_else(String::new, |p| {
            format!("; details are in `{}`", p.display())
        });
        let _ = writeln!(
            std::io::stderr(),
            "error: this is a bug in cvops {version}: {what}{place}; please report it{saved}"
        );
    }));
}

fn write_log(text: &str) -> Option<std::path::PathBuf> {
    let path = std::env::temp_dir().join(format!("cvops-bug-{}.log", std::process::id()));
    crate::base::fs::write_atomic(&path, text.as_bytes())
        .ok()
        .map(|()| path)
}
