//! The command reference as Markdown, made from the command table: what `--help` says, one page per
//! command. Pure: a tree in, texts out; the same tree gives the same bytes. Imports: clap.

use std::fmt::Write;

use clap::{Arg, Command};

const NOTICE: &str =
    "<!-- Written by `cvops man --markdown`; edit the doc comments in src/cli/ instead. -->\n\n";

/// Returns every page of the reference as file name and text, the index first.
pub(super) fn pages(root: &Command) -> Vec<(String, String)> {
    let mut pages = vec![("README.md".to_owned(), index(root))];
    pages.extend(
        shown(root).map(|command| (format!("{}.md", command.get_name()), page(root, command))),
    );
    pages
}

/// Returns the subcommands that users are told of, in the order of the table.
pub(super) fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    let listed = |c: &&Command| !c.is_hide_set() && c.get_name() != "help";
    command.get_subcommands().filter(listed)
}

fn index(root: &Command) -> String {
    let mut text = format!("# Commands\n\n{NOTICE}");
    text.push_str(&format!("{}\n\n", prose(&about(root))));
    text.push_str("| command | |\n|---|---|\n");
    for command in shown(root) {
        let name = command.get_name();
        let _ = writeln!(text, "| [`cvops {name}`]({name}.md) | {} |", cell(command));
    }
    text.push_str("\n## Global options\n\nEvery command takes them, before or after its name.\n\n");
    for arg in root.get_arguments().filter(|a| a.is_global_set()) {
        option(&mut text, arg);
    }
    text.push_str(
        "\n## Exit codes\n\n| code | meaning |\n|---|---|\n\
         | 0 | done |\n\
         | 1 | failed: a stage failed, or a check found something |\n\
         | 2 | the arguments, the configuration or the project's files are wrong |\n\
         | 3 | there are changes (only with `--exit-code`) |\n\
         | 130 | interrupted; what finished is recorded |\n",
    );
    text
}

/// The first sentence of a command, as a cell of a table.
fn cell(command: &Command) -> String {
    let about = command.get_about().map(ToString::to_string);
    prose(&about.unwrap_or_default()).replace('|', "\\|")
}

fn page(root: &Command, command: &Command) -> String {
    let mut text = String::new();
    let path = format!("{} {}", root.get_name(), command.get_name());
    section(&mut text, command, &path, 1);
    text.push_str("\nThe [global options](README.md#global-options) go with every command.\n");
    text
}

/// Writes a command and, below it, its subcommands.
fn section(text: &mut String, command: &Command, path: &str, level: usize) {
    let hashes = "#".repeat(level);
    let _ = writeln!(text, "{hashes} {path}\n");
    if level == 1 {
        text.push_str(NOTICE);
    }
    let _ = writeln!(text, "{}\n", prose(&about(command)));
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let lines: Vec<&str> = usage.lines().map(str::trim).collect();
    let _ = writeln!(text, "```console\n{}\n```", lines.join("\n"));
    let aliases: Vec<String> = command
        .get_visible_aliases()
        .map(|a| format!("`{a}`"))
        .collect();
    if !aliases.is_empty() {
        let _ = writeln!(text, "\nAlso as {}.", aliases.join(", "));
    }
    let own = |arg: &&Arg| {
        !arg.is_global_set()
            && !arg.is_hide_set()
            && !matches!(arg.get_id().as_str(), "help" | "version")
    };
    let (positional, options): (Vec<&Arg>, Vec<&Arg>) = command
        .get_arguments()
        .filter(own)
        .partition(|a| a.is_positional());
    for (title, args) in [("Arguments", positional), ("Options", options)] {
        if !args.is_empty() {
            let _ = writeln!(text, "\n**{title}**\n");
        }
        for arg in args {
            option(text, arg);
        }
    }
    if let Some(after) = command.get_after_long_help().or(command.get_after_help()) {
        examples(text, &after.to_string());
    }
    for inner in shown(command) {
        text.push('\n');
        section(
            text,
            inner,
            &format!("{path} {}", inner.get_name()),
            level + 1,
        );
    }
}

fn about(command: &Command) -> String {
    let about = command.get_long_about().or(command.get_about());
    about.map(ToString::to_string).unwrap_or_default()
}

/// Writes one argument or option as an item of a list.
fn option(text: &mut String, arg: &Arg) {
    let names: Vec<String> = [
        arg.get_short().map(|c| format!("-{c}")),
        arg.get_long().map(|l| format!("--{l}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    let takes_value = arg.get_action().takes_values();
    let values: Vec<String> = arg
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(|v| format!("<{v}>"))
        .collect();
    let value = if takes_value && !values.is_empty() {
        format!(" {}", values.join(" "))
    } else {
        String::new()
    };
    let many = if arg.is_positional() && arg.get_num_args().is_some_and(|n| 1 < n.max_values()) {
        "..."
    } else {
        ""
    };
    let shown = match names.split_last() {
        Some((last, shorter)) => {
            let shorter = shorter
                .iter()
                .fold(String::new(), |s, n| s + "`" + n + "`, ");
            format!("{shorter}`{last}{value}`")
        }
        None => format!("`{}{many}`", value.trim()),
    };
    let help = arg.get_long_help().or(arg.get_help());
    let help = prose(&help.map(ToString::to_string).unwrap_or_default());
    let help = help.replace("\n\n", "\n\n  ");
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|v| format!("`{}`", v.to_string_lossy()))
        .collect();
    let default = if takes_value && !defaults.is_empty() {
        format!(" (default: {})", defaults.join(", "))
    } else {
        String::new()
    };
    let _ = writeln!(text, "- {shown}: {help}{default}");
    let possible = arg.get_possible_values();
    for value in possible.iter().filter(|v| takes_value && !v.is_hide_set()) {
        let meaning = value.get_help().map(ToString::to_string);
        let meaning = meaning.map_or_else(String::new, |m| format!(": {}", prose(&m)));
        let _ = writeln!(text, "  - `{}`{meaning}", value.get_name());
    }
}

/// Writes the text below a help: indented lines are commands, the others sentences.
fn examples(text: &mut String, after: &str) {
    let mut in_code = false;
    for line in after.lines() {
        let is_code = line.starts_with("  ");
        if is_code && !in_code {
            text.push_str("\n```console\n");
        } else if !is_code && in_code {
            text.push_str("```\n");
        }
        in_code = is_code;
        let line = line.trim_end();
        match line {
            "" => {}
            "Example:" | "Examples:" => {
                let _ = writeln!(text, "\n**{}**", line.trim_end_matches(':'));
            }
            line if is_code => {
                let _ = writeln!(text, "{}", &line[2..]);
            }
            line => {
                let _ = writeln!(text, "\n{}", prose(line));
            }
        }
    }
    if in_code {
        text.push_str("```\n");
    }
}

/// Returns a help text as Markdown: outside of backticks, what Markdown would read as a tag, a link
/// or emphasis is escaped.
fn prose(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_code = false;
    for c in text.trim().chars() {
        match c {
            '`' => in_code = !in_code,
            '<' | '*' | '_' | '[' | ']' if !in_code => out.push('\\'),
            _ => {}
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_usage_arguments_options_and_examples() {
        let mut root = Command::new("cvops").about("Does it all").subcommand(
            Command::new("cook")
                .about("Cook <one> dish")
                .after_help("Example:\n  cvops cook soup\n\nServe hot.")
                .arg(
                    Arg::new("dish")
                        .value_name("DISH")
                        .required(true)
                        .help("What"),
                )
                .arg(
                    Arg::new("salt")
                        .short('s')
                        .long("salt")
                        .value_name("G")
                        .default_value("2")
                        .help("How much"),
                )
                .subcommand(Command::new("secret").hide(true)),
        );
        root.build();
        let pages = pages(&root);
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["README.md", "cook.md"]);
        let page = &pages[1].1;
        for part in [
            "# cvops cook\n",
            "Cook \\<one> dish\n",
            "```console\ncvops cook [OPTIONS] <DISH>\n",
            "**Arguments**\n\n- `<DISH>`: What\n",
            "- `-s`, `--salt <G>`: How much (default: `2`)\n",
            "**Example**\n\n```console\ncvops cook soup\n```\n\nServe hot.\n",
        ] {
            assert!(page.contains(part), "{part}\n---\n{page}");
        }
        assert!(!page.contains("secret"), "{page}");
        assert!(
            pages[0]
                .1
                .contains("| [`cvops cook`](cook.md) | Cook \\<one> dish |")
        );
    }
}
