//! Where `cvops ui` looks for the project's prediction server: where `params.yaml` has `cvops serve`
//! listen. Imports: base, project.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::base::doc::{Document, Map, Value};
use crate::project::{PARAMS_FILE, Project};

/// Where it answers unless something else is said.
const HOST: &str = "127.0.0.1";
const PORT: i64 = 5001;

/// Returns the address of the prediction server, as the section `serve` has it. What that section gets
/// wrong is for `cvops serve` to tell.
pub(super) fn url(project: &Project) -> String {
    let path = project.root.join(PARAMS_FILE);
    let document = Document::read(&path, PARAMS_FILE).ok();
    let root = document
        .as_ref()
        .and_then(|document| document.root.as_map());
    let section = root.and_then(|root| root.get("serve")?.as_map());
    of_section(section.unwrap_or(&Map::new()), &project.root)
}

/// Paths are relative to `folder`.
fn of_section(serve: &Map, folder: &Path) -> String {
    let text = |key: &str| serve.get(key).and_then(Value::as_str);
    if let Some(path) = text("unix") {
        return format!("unix:{}", folder.join(path).display());
    }
    let scheme = if serve.contains_key("tls") {
        "https"
    } else {
        "http"
    };
    // 0 is any free port.
    let port = serve.get("port").and_then(Value::as_i64);
    let port = port.filter(|port| (1..=65_535).contains(port));
    let host = text("host").map(str::trim).filter(|host| !host.is_empty());
    let host = reachable(host.unwrap_or(HOST));
    format!("{scheme}://{host}:{}", port.unwrap_or(PORT))
}

/// Returns how a program on this machine reaches whoever listens on `host`.
fn reachable(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(address) if address == IpAddr::V4(Ipv4Addr::UNSPECIFIED) => HOST.to_owned(),
        Ok(address) if address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => "[::1]".to_owned(),
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        Ok(IpAddr::V4(_)) | Err(_) => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::doc::Format;

    #[test]
    fn the_server_is_where_the_parameters_say() {
        for (text, expected) in [
            ("train: {}", "http://127.0.0.1:5001"),
            ("serve: {port: 5002}", "http://127.0.0.1:5002"),
            ("serve: {port: 0}", "http://127.0.0.1:5001"),
            ("serve: {port: 70000}", "http://127.0.0.1:5001"),
            ("serve: {host: 0.0.0.0, port: 80}", "http://127.0.0.1:80"),
            ("serve: {host: '::'}", "http://[::1]:5001"),
            ("serve: {host: '2001:db8::1'}", "http://[2001:db8::1]:5001"),
            ("serve: {host: box.local}", "http://box.local:5001"),
            ("serve: {tls: {cert: a, key: b}}", "https://127.0.0.1:5001"),
            ("serve: {unix: run/s, port: 5002}", "unix:/p/run/s"),
            ("serve: 7", "http://127.0.0.1:5001"),
        ] {
            let document = Document::parse("params.yaml", text.to_owned(), Format::Yaml).unwrap();
            let section = document.root.as_map().and_then(|root| root.get("serve"));
            let section = section.and_then(Value::as_map);
            let url = of_section(section.unwrap_or(&Map::new()), Path::new("/p"));
            assert_eq!(url, expected, "{text}");
        }
    }
}
