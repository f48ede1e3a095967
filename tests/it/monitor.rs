//! `cvops monitor`: a table, JSON, and a dashboard on a real pseudo-terminal.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};

use snapbox::str;

use crate::support::server::{answer, free_port};
use crate::support::{Exit, Output, check, project};

/// Runs `cvops monitor` with `args`, in which `PORT` is the port; and takes the port out again.
fn monitor(port: u16, args: &str) -> Output {
    let port = port.to_string();
    let args = args.replace("PORT", &port);
    let mut output = project().cvops(&format!("monitor --interval 100ms {args}"));
    for text in [&mut output.stdout, &mut output.stderr] {
        *text = text.replace(&port, "[PORT]");
    }
    output
}

#[test]
fn nobody_and_somebody_else_are_told_apart() {
    check(
        &monitor(free_port(), "http://127.0.0.1:PORT --once"),
        str![[r#"
--- stderr ---
error: nothing listens at `http://127.0.0.1:[PORT]/metrics`
 |
 = help: start one with `cvops serve`, or name its address: `cvops monitor http://HOST:PORT`
[exit 1]
"#]],
    );
    // Not on a terminal, it does not wait for the server either.
    check(
        &monitor(free_port(), "--json http://127.0.0.1:PORT/"),
        str![[r#"
{"error":{"code":"no-server","help":"start one with `cvops serve`, or name its address: `cvops monitor http://HOST:PORT`","message":"nothing listens at `http://127.0.0.1:[PORT]/metrics`","notes":[],"places":[],"severity":"error"},"event":"error"}
[exit 1]
"#]],
    );
    check(
        &monitor(answer(0, 404), "http://127.0.0.1:PORT"),
        str![[r#"
--- stderr ---
error: `http://127.0.0.1:[PORT]/metrics` answered 404
 |
 = help: name the address of a server that `cvops serve` started
[exit 1]
"#]],
    );
    check(
        &monitor(answer(0, 200), "http://127.0.0.1:PORT"),
        str![[r#"
--- stderr ---
error: `http://127.0.0.1:[PORT]` is no prediction server of cvops
 |
 = help: name the address of a server that `cvops serve` started
[exit 1]
"#]],
    );
    check(
        &monitor(answer(0, 401), "http://127.0.0.1:PORT"),
        str![[r#"
--- stderr ---
error: `http://127.0.0.1:[PORT]/metrics` wants a key (401)
 |
 = help: hand a key of the server over in `CVOPS_API_KEY`, or with `--key`
[exit 2]
"#]],
    );
    check(
        &monitor(answer(0, 403), "http://127.0.0.1:PORT --key wrong"),
        str![[r#"
--- stderr ---
error: `http://127.0.0.1:[PORT]/metrics` does not take this key (403)
 |
 = help: hand a key of the server over in `CVOPS_API_KEY`, or with `--key`
[exit 2]
"#]],
    );
}

#[test]
fn what_cannot_be_asked_is_a_mistake() {
    let p = project();
    check(
        &p.cvops("monitor https://example.org"),
        str![[r#"
--- stderr ---
error: `https://example.org/metrics` cannot be asked: TLS is not spoken here; ask the server behind the proxy: `http://example.org/metrics`
 |
 = help: for example `cvops monitor http://127.0.0.1:5001`
[exit 2]
"#]],
    );
    check(
        &p.cvops("monitor --interval 5ms"),
        str![[r#"
--- stderr ---
error: invalid value '5ms' for '--interval <TIME>': expected 100ms or more: a number of seconds, or for example `500ms`, `30s`, `2h`, `1h 30m`

For more information, try '--help'.
[exit 2]
"#]],
    );
    check(
        &p.cvops("monitor --key 'a b'"),
        str![[r#"
--- stderr ---
error: `--key`: a key has visible ASCII characters only, and no blank
[exit 2]
"#]],
    );
}

/// A server that tells of one prediction more at each question, to whoever shows the key.
fn guarded() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for n in 1.. {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 2048];
            let length = stream.read(&mut head).unwrap();
            let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
            let (status, body) = if head.contains("\r\nauthorization: bearer secret\r\n") {
                let text = format!(
                    "cvops_build_info{{version=\"0.1.0\"}} 1\nprocess_start_time_seconds 0\n\
                     cvops_model_ready{{model=\"m\",version=\"1\"}} 1\n\
                     cvops_model_info{{model=\"m\",version=\"1\",alias=\"champion\",backend=\"cpu\"}} 1\n\
                     cvops_inference_images_total{{model=\"m\",version=\"1\"}} {n}\n\
                     cvops_predictions_total{{model=\"m\",version=\"1\",class=\"coat\"}} {n}\n\
                     http_requests_total{{method=\"POST\",handler=\"/predict\",status=\"2xx\"}} {n}\n"
                );
                (200, text)
            } else {
                (401, String::new())
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    port
}

#[test]
fn a_key_is_shown_to_the_server_from_the_flag_or_the_environment() {
    let p = project();
    let url = format!("http://127.0.0.1:{}", guarded());
    let mut command = p.command(&format!("monitor {url} --once --interval 100ms"));
    command.env("CVOPS_API_KEY", "secret");
    let output = p.run(&mut command);
    assert_eq!(output.exit, Exit::Code(0), "{}", output.transcript());
    let cells = |line: &str| {
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let rows: Vec<_> = output.stdout.lines().map(cells).collect();
    for expected in [
        "state ready",
        "program cvops 0.1.0",
        "serves @champion",
        "class coat 100 %",
    ] {
        let is_there = rows.iter().any(|row| row.join(" ").ends_with(expected));
        assert!(is_there, "no `{expected}` in\n{}", output.stdout);
    }
    // The flag goes before the variable.
    command.args(["--key", "another"]);
    let output = p.run(&mut command);
    assert_eq!(output.exit, Exit::Code(2), "{}", output.transcript());
    assert!(!output.stderr.contains("another"), "{}", output.stderr);
    let table = p.ok(&format!("monitor {url} --key secret --md --interval 100ms"));
    assert!(table.stdout.starts_with("| of "), "{}", table.stdout);
}

// `setsid --ctty` is Linux'.
#[cfg(all(feature = "vision", target_os = "linux"))]
mod of_a_server {
    use std::fs::File;
    use std::num::NonZeroU16;
    use std::os::fd::OwnedFd;
    use std::process::{Child, Command};

    use rustix::io::ioctl_fionbio;
    use rustix::process::{Pid, Signal, kill_process};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
    use serde_json::Value;

    use super::*;
    use crate::support::Project;
    use crate::support::pictures::{stripes, trained_project};
    use crate::support::stages::wait_until;

    #[test]
    fn once_tells_what_went_on_between_two_looks() {
        let p = trained_project();
        let server = p.serve_ready("");
        for number in 0..5 {
            let answer = server.post("/predict", "image/png", stripes(0, number));
            assert_eq!(answer.status, 200);
        }
        assert_eq!(
            server.post("/predict", "image/png", "no picture").status,
            422
        );
        let args = format!("monitor {} --interval 100ms", server.url(""));
        let json: Value = serde_json::from_str(&p.ok(&format!("{args} --json")).stdout).unwrap();
        assert_eq!(
            (&json["ready"], &json["predictions"]["total"]),
            (&true.into(), &6.0.into())
        );
        let model = &json["models"][0];
        assert_eq!(model["name"], "classifier");
        assert_eq!(model["images"]["total"], 5.0);
        assert_eq!(model["queue"], 0.0);
        assert_eq!(model["versions"][0]["ready"], true);
        assert_eq!(json["unreadable_pictures"]["total"], 1.0);
        assert!(
            json["process"]["memory_bytes"].as_f64().unwrap() > 1e6,
            "{json}"
        );
        // The looks themselves are requests, too.
        assert!(
            json["routes"]["/metrics"]["total"].as_f64().unwrap() >= 1.0,
            "{json}"
        );
        assert!(
            json["routes"]["/predict"]["per_s_by_status"]["4xx"].is_number(),
            "{json}"
        );
        let table = p.ok(&args).stdout;
        assert!(table.contains("unreadable pictures"), "{table}");
    }

    #[test]
    fn a_server_without_a_model_says_why() {
        let p = project();
        let server = p.serve("");
        server.event("no_model");
        let args = format!("monitor {} --interval 100ms --json", server.url(""));
        let json: Value = serde_json::from_str(&p.ok(&args).stdout).unwrap();
        assert_eq!(json["ready"], false);
        let why = json["why_not_ready"].as_str().unwrap();
        assert!(why.contains("models/classifier"), "{why}");
    }

    /// An empty terminal.
    fn screen(columns: u16, rows: u16) -> vt100::Parser {
        let size = |cells: u16| NonZeroU16::new(cells).unwrap();
        vt100::Parser::new(size(rows), size(columns), 0)
    }

    /// A program on a terminal of its own.
    struct OnTerminal {
        child: Child,
        /// What a person would hold in hand: keys go in, pictures come out.
        hand: File,
        /// The program's end.
        terminal: OwnedFd,
        /// What has been looked at.
        screen: vt100::Parser,
    }

    impl OnTerminal {
        fn start(p: &Project, args: &str) -> Self {
            Self::start_by(&[], p, args)
        }

        /// As `start`, but another program begins, which becomes cvops: `before` is put before its name.
        fn start_by(before: &[&str], p: &Project, args: &str) -> Self {
            // Nobody but this process holds it: who hangs up is alone.
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            let hand = openpt(flags).unwrap();
            ioctl_fionbio(&hand, true).unwrap();
            grantpt(&hand).unwrap();
            unlockpt(&hand).unwrap();
            let name = ptsname(&hand, Vec::new()).unwrap();
            let name = name.to_str().unwrap();
            let open = || OwnedFd::from(File::options().read(true).write(true).open(name).unwrap());
            let terminal = open();
            resize(&terminal, 80, 24);
            // A session of its own, whose terminal this is: `/dev/tty` would else be the tester's.
            let inner = p.command(args);
            let mut command = Command::new("setsid");
            command.arg("--ctty").args(before).arg(inner.get_program());
            command.args(inner.get_args()).env_clear();
            command.envs(
                inner
                    .get_envs()
                    .filter_map(|(name, value)| Some((name, value?))),
            );
            command.env("TERM", "xterm-256color").current_dir(p.root());
            command.stdin(open()).stdout(open()).stderr(open());
            Self {
                child: command.spawn().unwrap(),
                hand: File::from(hand),
                terminal,
                screen: screen(80, 24),
            }
        }

        /// Takes in what has been drawn.
        fn look(&mut self) {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = self.hand.read(&mut bytes) {
                self.screen.process(&bytes[..length]);
            }
        }

        /// Waits until a person would read this text.
        fn shows(&mut self, text: &str) {
            wait_until(&format!("the terminal shows `{text}`"), || {
                self.look();
                self.screen.screen().contents().contains(text)
            });
        }

        /// Gives the terminal another size, empty, as some do.
        fn resize(&mut self, columns: u16, rows: u16) {
            self.look();
            self.screen = screen(columns, rows);
            resize(&self.terminal, columns, rows);
        }

        /// Closes the window.
        fn hang_up(&mut self) {
            self.hand = File::open("/dev/null").unwrap();
        }

        fn press(&mut self, keys: &str) {
            self.hand.write_all(keys.as_bytes()).unwrap();
        }

        /// Does the terminal show what is typed, and are lines edited? A dashboard turns that off.
        fn is_as_before(&self) -> bool {
            let modes = tcgetattr(&self.terminal).unwrap().local_modes;
            modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
        }

        /// Waits for the end, and returns the exit code.
        fn ends(&mut self) -> Option<i32> {
            let mut status = None;
            wait_until("it ends", || {
                self.look();
                status = self.child.try_wait().unwrap();
                status.is_some()
            });
            status.and_then(|status| status.code())
        }

        /// As `ends`, and the terminal must be given back.
        fn ends_well(&mut self) -> Option<i32> {
            let code = self.ends();
            // The other screen, and the cursor.
            wait_until("the screen is given back", || {
                self.look();
                let screen = self.screen.screen();
                !screen.alternate_screen() && !screen.hide_cursor()
            });
            assert!(self.is_as_before());
            code
        }
    }

    impl Drop for OnTerminal {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    fn resize(terminal: &OwnedFd, columns: u16, rows: u16) {
        let size = Winsize {
            ws_col: columns,
            ws_row: rows,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(terminal, size).unwrap();
    }

    #[test]
    fn the_dashboard_lives_on_a_terminal_and_gives_it_back() {
        let p = trained_project();
        let server = p.serve_ready("");
        assert_eq!(
            server.post("/predict", "image/png", stripes(0, 0)).status,
            200
        );
        let args = format!("monitor {} --interval 100ms", server.url(""));
        let mut dashboard = OnTerminal::start(&p, &args);
        dashboard.shows("READY");
        assert!(!dashboard.is_as_before());
        dashboard.press("?");
        dashboard.shows("this help");
        dashboard.press("?p");
        dashboard.shows("PAUSED");
        dashboard.press("p");
        // Another size is drawn anew, as a whole; the right edge moves.
        dashboard.resize(132, 40);
        dashboard.shows("CPU");
        drop(server);
        dashboard.shows("NO ANSWER");
        assert!(
            dashboard.child.try_wait().unwrap().is_none(),
            "it goes on asking"
        );
        dashboard.press("q");
        assert_eq!(dashboard.ends_well(), Some(0));
    }

    #[test]
    fn control_c_and_sigterm_give_the_terminal_back() {
        let p = project();
        let args = format!("monitor http://127.0.0.1:{}", free_port());
        let mut dashboard = OnTerminal::start(&p, &args);
        dashboard.shows("NO ANSWER");
        dashboard.press("\u{3}");
        assert_eq!(dashboard.ends_well(), Some(130));
        let mut dashboard = OnTerminal::start(&p, &args);
        dashboard.shows("NO ANSWER");
        kill_process(Pid::from_child(&dashboard.child), Signal::TERM).unwrap();
        assert_eq!(dashboard.ends_well(), Some(130));
    }

    #[test]
    fn the_dashboard_ends_with_its_terminal() {
        let p = project();
        let args = format!("monitor http://127.0.0.1:{}", free_port());
        let mut dashboard = OnTerminal::start(&p, &args);
        dashboard.shows("NO ANSWER");
        dashboard.hang_up();
        // What is seen first: SIGHUP, or that nothing can be drawn and read any more.
        let code = dashboard.ends();
        assert!(matches!(code, Some(1 | 130)), "{code:?}");
        // Not everybody hears the signal.
        let deaf = ["sh", "-c", "trap '' HUP; exec \"$0\" \"$@\""];
        let mut dashboard = OnTerminal::start_by(&deaf, &p, &args);
        dashboard.shows("NO ANSWER");
        dashboard.hang_up();
        assert_eq!(dashboard.ends(), Some(1));
    }
}
