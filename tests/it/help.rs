//! Every command explains itself and shows an example.

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

fn visit(p: &Project, command: &str, seen: &mut usize) {
    let help = p.ok(&format!("{command} --help")).stdout;
    let inner = commands(&help);
    assert!(
        !inner.is_empty() || help.contains("Example"),
        "`cvops {command} --help` shows no example:\n{help}"
    );
    *seen += 1;
    for name in inner {
        visit(p, format!("{command} {name}").trim(), seen);
    }
}

#[test]
fn every_command_shows_an_example() {
    let mut seen = 0;
    visit(&project(), "", &mut seen);
    assert!(10 < seen, "only {seen} commands were found");
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
    assert_eq!(p.cvops("help repro").stdout, p.cvops("repro --help").stdout);
}
