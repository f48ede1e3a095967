//! The ports on which something of the project would listen: are they free? Imports: pipeline.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};

use crate::pipeline::StageGraph;

use super::Finding;

/// Where `cvops serve` listens unless told otherwise.
pub(super) const SERVE: u16 = 5001;

/// Tries the port `serve` of `cvops serve`, and those of the services.
pub(super) fn examine(serve: u16, graph: Option<&StageGraph>) -> Vec<Finding> {
    let mut users: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    users.insert(serve, vec!["`cvops serve`".to_owned()]);
    for stage in graph.iter().flat_map(|graph| graph.stages()) {
        if let Some(service) = &stage.service {
            let who = format!("the service `{}`", stage.name);
            users.entry(service.port).or_default().push(who);
        }
    }
    // Port 0 is whichever is free.
    users.remove(&0);
    users
        .iter()
        .map(|(port, who)| examine_one(*port, who))
        .collect()
}

fn examine_one(port: u16, who: &[String]) -> Finding {
    let verb = if who.len() == 1 { "listens" } else { "listen" };
    let who = who.join(" and ");
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Finding::ok("port", format!("{port} is free for {who}")),
        Err(error) => Finding::warning(
            "port",
            format!("{port}, where {who} {verb}, cannot be used: {error}"),
            "stop what listens there, or serve on another port",
        ),
    }
}
