//! Every command explains itself and shows an example that exists.

use std::collections::BTreeSet;

use crate::support::{Exit, Project, project};

/// Returns the commands that a help text lists.
fn commands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        // Longer descriptions go on in lines that are indented further.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Collects the help of `command` and of all below it.
fn visit(p: &Project, command: &str, all: &mut Vec<(String, String)>) {
    let help = p.ok(&format!("{command} --help")).stdout;
    let inner = commands(&help);
    all.push((command.to_owned(), help));
    for name in inner {
        visit(p, format!("{command} {name}").trim(), all);
    }
}

fn every_help() -> Vec<(String, String)> {
    let mut all = Vec::new();
    visit(&project(), "", &mut all);
    all
}

#[test]
fn every_command_says_what_it_is_for_and_shows_an_example() {
    let all = every_help();
    for (command, help) in &all {
        let first = help.lines().next().unwrap_or_default();
        assert!(
            !first.trim().is_empty() && !first.starts_with("Usage:"),
            "`cvops {command} --help` does not say what it is for:\n{help}"
        );
        assert!(
            help.contains("\nExample:\n") || help.contains("\nExamples:\n"),
            "`cvops {command} --help` shows no example:\n{help}"
        );
        // Of an option or argument without a word about it, clap shows only the name.
        for line in help.lines().filter(|line| line.starts_with("  ")) {
            // An item of a list of values starts with a dash and a blank.
            let is_option =
                line.trim_start().starts_with('-') && !line.trim_start().starts_with("- ");
            let is_bare = is_option
                && !line.contains("  -h")
                && line.trim().split("  ").count() == 1
                && !help_goes_on(help, line);
            assert!(!is_bare, "`cvops {command}`: nothing is said about {line}");
        }
    }
    assert!(15 < all.len(), "only {} commands were found", all.len());
}

/// Is there an explanation in the line below?
fn help_goes_on(help: &str, line: &str) -> bool {
    let below = help.lines().skip_while(|l| *l != line).nth(1);
    below.is_some_and(|below| below.starts_with("          "))
}

#[test]
fn examples_name_commands_that_exist() {
    let all = every_help();
    let known: BTreeSet<&str> = all.iter().map(|(command, _)| command.as_str()).collect();
    let top: BTreeSet<&str> = known.iter().filter_map(|c| c.split(' ').next()).collect();
    for (command, help) in &all {
        let examples = help
            .lines()
            .skip_while(|line| !line.ends_with("Example:") && !line.ends_with("Examples:"));
        for line in examples.filter(|line| line.starts_with("  ")) {
            for call in line.split("cvops ").skip(1) {
                let word = call
                    .split(|c: char| !c.is_alphanumeric() && c != '-')
                    .next();
                let word = word.unwrap_or_default();
                assert!(
                    word.starts_with('-') || top.contains(word),
                    "`cvops {command} --help` shows `cvops {word}`, which does not exist"
                );
            }
        }
    }
}

#[test]
fn no_command_is_a_mistake_and_shows_the_way() {
    let p = project();
    for command in ["", "cache"] {
        let output = p.cvops(command);
        assert_eq!(output.exit, Exit::Code(2));
        assert!(
            output.stderr.contains("Commands:"),
            "{}",
            output.transcript()
        );
    }
    assert!(p.cvops("").stderr.contains("Every day:\n  cvops repro"));
    assert_eq!(p.cvops("help repro").stdout, p.cvops("repro --help").stdout);
}

#[test]
fn a_slip_in_a_command_gets_the_nearest_one() {
    let output = project().cvops("rpro");
    assert_eq!(output.exit, Exit::Code(2));
    assert!(output.stderr.contains("'repro'"), "{}", output.transcript());
}
