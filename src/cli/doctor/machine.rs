//! This program and the machine: version, helpers, processor, devices.

use std::process::Command;

use crate::base::units;
use crate::cli::cmd::version;

use super::Finding;

pub(super) fn examine() -> Vec<Finding> {
    vec![
        Finding::ok("cvops", version::line()),
        git(),
        shell(),
        processor(),
        #[cfg(feature = "vision")]
        devices(),
    ]
}

fn git() -> Finding {
    match Command::new("git").arg("--version").output() {
        Ok(output) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Finding::ok("git", text.trim())
        }
        _ => Finding::warning(
            "git",
            "not found: revisions cannot be compared",
            "install git",
        ),
    }
}

fn shell() -> Finding {
    let ran = Command::new("/bin/sh").args(["-c", "exit 0"]).status();
    match ran {
        Ok(status) if status.success() => Finding::ok("shell", "/bin/sh"),
        Ok(status) => Finding::problem(
            "shell",
            format!("/bin/sh does not work: {status}"),
            "stages are run by `/bin/sh -c`: mend it",
        ),
        Err(error) => Finding::problem(
            "shell",
            format!("/bin/sh cannot be started: {error}"),
            "stages are run by `/bin/sh -c`: install a shell there",
        ),
    }
}

fn processor() -> Finding {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let features = features();
    let with = if features.is_empty() {
        String::new()
    } else {
        format!(" with {}", features.join(", "))
    };
    let text = format!(
        "{}, {}{with}",
        std::env::consts::ARCH,
        units::count(cores, "core")
    );
    Finding::ok("processor", text)
}

/// Returns the vector units that speed up training and hashing, as far as they are there.
fn features() -> Vec<&'static str> {
    #[cfg(target_arch = "x86_64")]
    let found = [
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("FMA", std::arch::is_x86_feature_detected!("fma")),
        ("AVX-512", std::arch::is_x86_feature_detected!("avx512f")),
    ];
    #[cfg(target_arch = "aarch64")]
    let found = [("NEON", std::arch::is_aarch64_feature_detected!("neon"))];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let found: [(&str, bool); 0] = [];
    let names = found
        .into_iter()
        .filter_map(|(name, is)| is.then_some(name));
    names.collect()
}

/// Says on what a network would be trained, and why not on what `params.yaml` could ask for.
#[cfg(feature = "vision")]
fn devices() -> Finding {
    use crate::vision::Error;
    use crate::vision::device::{Device, DeviceChoice, cpu_form};
    let mut parts = vec![format!("cpu ({})", cpu_form())];
    let mut missing = None;
    for (name, choice) in [("cuda", DeviceChoice::Cuda), ("wgpu", DeviceChoice::Wgpu)] {
        match Device::pick(choice) {
            Ok(_) => parts.insert(0, name.to_owned()),
            Err(Error::NoBackEnd { .. }) => parts.push(format!("{name} not built in")),
            Err(_) => missing = Some(name),
        }
    }
    let text = parts.join(", ");
    match missing {
        None => Finding::ok("devices", text),
        Some(name) => Finding::warning(
            "devices",
            format!("{text}; no {name} device was found"),
            "check that its driver is installed",
        ),
    }
}
