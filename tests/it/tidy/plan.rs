//! The floor table of ARCHITECTURE.md, read: which room may import which, and whose a crate is.

use std::collections::{BTreeMap, BTreeSet};

/// One row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) floor: u32,
    pub(crate) imports: BTreeSet<String>,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rooms: BTreeMap<String, Room>,
    /// Crate, as paths spell it (`_`), to the module paths where it may be named.
    pub(crate) homes: BTreeMap<String, BTreeSet<String>>,
}

const BEGIN: &str = "<!-- floors: begin -->";
const END: &str = "<!-- floors: end -->";

impl Plan {
    /// Reads the table between the two markers. Columns: floor, room, one line, imports, own crates.
    pub(crate) fn parse(architecture: &str) -> Result<Self, String> {
        let table = architecture
            .split_once(BEGIN)
            .and_then(|(_, rest)| rest.split_once(END))
            .map(|(table, _)| table)
            .ok_or_else(|| {
                format!("ARCHITECTURE.md: no floor table between `{BEGIN}` and `{END}`")
            })?;
        let mut plan = Self {
            rooms: BTreeMap::new(),
            homes: BTreeMap::new(),
        };
        for line in table
            .lines()
            .map(str::trim)
            .filter(|l| l.starts_with('|'))
            .skip(2)
        {
            plan.row(line)
                .map_err(|e| format!("ARCHITECTURE.md: {e} in `{line}`"))?;
        }
        plan.check()?;
        Ok(plan)
    }

    fn row(&mut self, line: &str) -> Result<(), String> {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [floor, name, _, imports, crates] = cells[..] else {
            return Err(format!("expected 5 columns, found {}", cells.len()));
        };
        let floor = floor
            .parse()
            .map_err(|_| format!("`{floor}` is no floor"))?;
        let imports = match imports {
            "–" => BTreeSet::new(),
            rooms => rooms.split_whitespace().map(str::to_owned).collect(),
        };
        if self
            .rooms
            .insert(name.to_owned(), Room { floor, imports })
            .is_some()
        {
            return Err(format!("a second row for `{name}`"));
        }
        for (krate, elsewhere) in own_crates(crates)? {
            let home = std::iter::once(name.to_owned()).chain(elsewhere).collect();
            if self.homes.insert(krate.clone(), home).is_some() {
                return Err(format!("a second home for `{krate}`"));
            }
        }
        Ok(())
    }

    /// Every import is a room, and lies on a lower floor.
    fn check(&self) -> Result<(), String> {
        for (name, room) in &self.rooms {
            for import in &room.imports {
                let Some(other) = self.rooms.get(import) else {
                    return Err(format!(
                        "ARCHITECTURE.md: `{name}` imports `{import}`, which has no row"
                    ));
                };
                if room.floor <= other.floor {
                    return Err(format!(
                        "ARCHITECTURE.md: `{name}` (floor {}) imports `{import}` (floor {}); only lower floors",
                        room.floor, other.floor
                    ));
                }
            }
        }
        Ok(())
    }
}

/// `rusqlite (also store::state, x), serde_yaml` → each crate with its further homes.
fn own_crates(cell: &str) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut crates = Vec::new();
    let mut rest = cell;
    while !rest.is_empty() {
        let end = rest.find([',', '(']).unwrap_or(rest.len());
        let name = rest[..end].trim().replace('-', "_");
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
            return Err(format!("`{name}` is no crate"));
        }
        rest = rest[end..].trim_start();
        let mut also = Vec::new();
        if let Some(tail) = rest.strip_prefix("(also ") {
            let (places, tail) = tail.split_once(')').ok_or("unclosed `(also`")?;
            also.extend(places.split(',').map(|p| p.trim().to_owned()));
            rest = tail.trim_start();
        }
        crates.push((name, also));
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
    Ok(crates)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(rows: &str) -> Result<Plan, String> {
        let head = "| floor | room | one line | imports | own crates |\n|---|---|---|---|---|";
        Plan::parse(&format!("# x\n{BEGIN}\n{head}\n{rows}\n{END}\n"))
    }

    #[test]
    fn a_table_is_read() {
        let plan = plan("| 0 | base | g | – | blake3, rusqlite (also store::state, x) |\n| 1 | store | s | base | reflink-copy |").unwrap();
        assert_eq!(
            plan.rooms["store"],
            Room {
                floor: 1,
                imports: ["base".to_owned()].into()
            }
        );
        let homes = ["base", "store::state", "x"].map(str::to_owned).into();
        assert_eq!(plan.homes["rusqlite"], homes);
        assert!(plan.homes.contains_key("reflink_copy"));
    }

    #[test]
    fn a_crooked_table_is_refused() {
        for (rows, complaint) in [
            (
                "| 1 | a | x | b | |\n| 1 | b | x | – | |",
                "only lower floors",
            ),
            ("| 1 | a | x | c | |", "has no row"),
            ("| 1 | a | x | – | |\n| 2 | a | x | – | |", "second row"),
            (
                "| 1 | a | x | – | clap |\n| 2 | b | x | – | clap |",
                "second home",
            ),
            ("| x | a | x | – | |", "no floor"),
            ("| 1 | a | – | |", "5 columns"),
        ] {
            let error = plan(rows).unwrap_err();
            assert!(error.contains(complaint), "{rows}: {error}");
        }
        assert!(Plan::parse("no table").is_err());
    }
}
