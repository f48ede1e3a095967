//! Frames, as a terminal of two sizes shows them.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use snapbox::{assert_data_eq, str};

use super::*;
use crate::cli::monitor::reading::Reading;

/// What a server says that answered `n` requests: two models, of which one has a canary and a shadow.
fn exposition(n: i64) -> String {
    let bucket = |le: &str, share: i64| {
        format!(
            "http_request_duration_seconds_bucket{{method=\"POST\",handler=\"/predict\",le=\"{le}\"}} {}\n",
            n * share / 100
        )
    };
    let mut text = format!(
        "cvops_build_info{{version=\"0.1.0\"}} 1\nprocess_start_time_seconds 1000\n\
         process_cpu_seconds_total {}\nprocess_resident_memory_bytes 47185920\n\
         process_open_fds 31\nprocess_max_fds 1024\ncvops_http_connections 12\n\
         cvops_http_requests_in_progress{{handler=\"/predict\"}} 3\n\
         cvops_http_requests_in_progress{{handler=\"/predict/batch\"}} 1\n\
         http_requests_total{{method=\"POST\",handler=\"/predict\",status=\"2xx\"}} {n}\n\
         http_requests_total{{method=\"POST\",handler=\"/predict\",status=\"4xx\"}} {}\n\
         http_requests_total{{method=\"POST\",handler=\"/predict/batch\",status=\"5xx\"}} {}\n\
         http_requests_total{{method=\"GET\",handler=\"/metrics\",status=\"2xx\"}} {}\n\
         cvops_requests_rejected_total{{reason=\"queue_full\"}} {}\n\
         cvops_requests_rejected_total{{reason=\"deadline\"}} 0\n\
         cvops_image_decode_failures_total{{format=\"png\",reason=\"damaged\"}} 2\n\
         cvops_prediction_log_records_total {n}\ncvops_prediction_log_dropped_total 5\n",
        n as f64 / 200.0,
        n / 50,
        n / 100,
        n / 10,
        n / 25,
    );
    text += &bucket("0.001", 40);
    text += &bucket("0.005", 90);
    text += &bucket("0.01", 99);
    text += &bucket("+Inf", 100);
    for (stage, end, sum) in [
        ("decode", "0.001", 0.0002),
        ("queue", "0.0025", 0.001),
        ("infer", "0.005", 0.002),
    ] {
        let of = format!(
            "cvops_inference_stage_duration_seconds_bucket{{model=\"clothes\",stage=\"{stage}\""
        );
        text += &format!("{of},le=\"{end}\"}} {n}\n{of},le=\"+Inf\"}} {n}\n");
        text += &format!(
            "cvops_inference_stage_duration_seconds_sum{{model=\"clothes\",stage=\"{stage}\"}} {}\n",
            sum * n as f64
        );
    }
    text += &format!(
        "cvops_inference_queue_length{{model=\"clothes\"}} {}\ncvops_inference_queue_limit{{model=\"clothes\"}} 256\n\
         cvops_inference_batch_size_bucket{{model=\"clothes\",le=\"+Inf\"}} {}\n\
         cvops_inference_batch_size_sum{{model=\"clothes\"}} {n}\n\
         cvops_model_load_failures_total{{model=\"clothes\"}} 1\n\
         cvops_model_ready{{model=\"digits\",version=\"\"}} 0\n\
         cvops_inference_queue_limit{{model=\"digits\"}} 64\n",
        n / 10 % 7,
        n / 8,
    );
    for (version, alias, role, part) in [
        ("7", "champion", "main", 90),
        ("8", "", "canary", 10),
        ("9", "", "shadow", 100),
    ] {
        let of = format!("model=\"clothes\",version=\"{version}\"");
        let images = n * part / 100;
        let share = if role == "shadow" {
            0.0
        } else {
            part as f64 / 100.0
        };
        text += &format!(
            "cvops_model_ready{{{of}}} 1\n\
             cvops_model_info{{{of},alias=\"{alias}\",weights=\"ab12\",backend=\"cpu\"}} 1\n\
             cvops_model_loaded_timestamp_seconds{{{of}}} 1000\n\
             cvops_inference_images_total{{{of}}} {images}\n\
             cvops_model_share_ratio{{{of},role=\"{role}\"}} {share}\n"
        );
        for (class, share) in [("coat", 60), ("ankle boot", 30), ("bag", 10)] {
            let count = images * share / 100;
            text += &format!("cvops_predictions_total{{{of},class=\"{class}\"}} {count}\n");
        }
        text += &format!(
            "cvops_prediction_confidence_bucket{{{of},le=\"0.5\"}} {}\n\
             cvops_prediction_confidence_bucket{{{of},le=\"+Inf\"}} {images}\n\
             cvops_prediction_confidence_sum{{{of}}} {}\n",
            images / 20,
            images as f64 * 0.9
        );
    }
    text + "cvops_feedback_total{model=\"clothes\",version=\"7\",correct=\"true\"} 88\n\
         cvops_feedback_total{model=\"clothes\",version=\"7\",correct=\"false\"} 12\n\
         cvops_shadow_comparisons_total{model=\"clothes\",version=\"9\"} 1000\n\
         cvops_shadow_agreements_total{model=\"clothes\",version=\"9\"} 970\n\
         cvops_model_accuracy_ratio{model=\"clothes\",version=\"7\"} 0.873\n\
         cvops_model_behind{model=\"clothes\"} 0\n\
         cvops_drift_detected{model=\"clothes\",detector=\"mmd\"} 1\n\
         cvops_drift_p_value{model=\"clothes\",detector=\"mmd\"} 0.001\n"
}

/// Half a minute of it, with a gap.
fn history() -> History {
    let mut history = History::default();
    for second in 0..30_i64 {
        if second == 12 {
            history.missed();
            continue;
        }
        let n = 1000 + second * 100 + (second % 5) * second * 4;
        let reading = Reading::of(&exposition(n), (1700 + second) * 1000).unwrap();
        history.saw(reading);
    }
    history
}

const UP: Server = Server::Up {
    why_not_ready: None,
};

fn view<'v>(server: &'v Server, history: &'v History) -> View<'v> {
    View {
        url: "http://127.0.0.1:5001",
        server,
        history,
        model: None,
        pace: Pace::Live,
        overlay: Overlay::Nothing,
        theme: Theme::coloured(),
        now_ms: 1_729_000,
        time: "14:05:09".to_owned(),
    }
}

fn terminal(width: u16, height: u16, view: &View<'_>) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view)).unwrap();
    terminal
}

/// Returns what a terminal of this size shows.
fn shown(width: u16, height: u16, view: &View<'_>) -> String {
    let terminal = terminal(width, height, view);
    let cells = terminal.backend().buffer().content();
    let lines = cells.chunks(usize::from(width)).map(|line| {
        let line: String = line.iter().map(ratatui::buffer::Cell::symbol).collect();
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

#[test]
fn eighty_columns_and_twenty_four_lines_show_all_that_matters() {
    assert_data_eq!(
        shown(80, 24, &view(&UP, &history())),
        str![[r#"
 http://127.0.0.1:5001  NOT READY  cvops 0.1.0, up 12 m 09 s, 14:05:09
 model  clothes   digits  not ready
 Requests, 4 in flight ──   Predictions, p99 ────────   Queue ──────────────────
131/s  4xx 2.3  5xx 1.1    p50 1.8 ms  p99 10.0 ms     2 of 256  batch 8.0
▄▅▆▇▇▄▅ ▇▇▄▅▆▇█▄▅▅▇▇▄▅▆▇▇  ███████▇ ▇██▇████▇▇▇▇███▇▇            ▃   ▃█     ██
███████ █████████████████  ████████ █████████████████  ▄    ▇▇  ▄█ ▄ ██▄    ██
███████ █████████████████  ████████ █████████████████  █▃  ▃██  ██ █ ███▃   ██ ▇
 Requests ─────────────────────────────────────────   Where the time goes ──────
route              /s    4xx    5xx     p50     p99  stage         mean      p99
/predict          118    2.3      0  1.8 ms 10.0 ms  decode      0.2 ms   1.0 ms
/predict/batch    1.1      0    1.1       –       –  queue       1.0 ms   2.5 ms
/metrics         11.6      0      0       –       –  infer       2.0 ms   5.0 ms

 Versions, 1 failed loads ─────────────────────────   Classes, last 29 s ───────
version              images/s  judged right  loaded  coat         ███████  60 %
7 @champion 90 %          104   88 % of 100    12 m  ankle boot   ███▌     30 %
8 canary 10 %            11.6             –    12 m  bag          █▏       10 %
9 shadow                  116             –    12 m

 State ─────────────────────────────────────────────────────────────────────────
refused  queue_full 4.6/s (174)  unreadable pictures 0/s (2)
model    DRIFT (mmd p 0.001)  confidence 90 %  unsure 5.0 %  right 88 % of 100
server   cpu 0.58  45.0 MiB  files 31/1024  connections 12  log 4364, 5 LOST
 q quit  p pause  ←→ model  ? help                       rates of the last 10 s

"#]]
    );
}

#[test]
fn a_large_terminal_shows_more() {
    assert_data_eq!(
        shown(160, 50, &view(&UP, &history())),
        str![[r#"
 http://127.0.0.1:5001  NOT READY  cvops 0.1.0, up 12 m 09 s, 14:05:09
 model  clothes   digits  not ready
 Requests, 4 in flight ────────────────   Predictions, p99 ────────────────────   Queue ────────────────────────────────   CPU ─────────────────────────────────
131/s  4xx 2.3  5xx 1.1                  p50 1.8 ms  p90 5.0 ms  p99 10.0 ms     2 of 256  batch 8.0                      0.58 cores  45.0 MiB
          ▁▃▅▇ ▂▄▅▇ ▂ ▆▇ ▂▄▆█ ▂▁▅▇ ▂▄▅▇           ██████████▇ ▇██▇████▇▇▇▇███▇▇               █               █     ██             ▂▄▆▇ ▂▄▆▇ ▂ ▆▇ ▂▄▆▇ ▂▁▆█ ▂▄▆▇
          ███████████ █████████████████           ███████████ █████████████████            ▆  █          ▆   ▆█     ██             ███████████ █████████████████
          ███████████ █████████████████           ███████████ █████████████████            █  █     ▅▅   █   ██     ██             ███████████ █████████████████
          ███████████ █████████████████           ███████████ █████████████████            █  █▄    ██  ▄█ ▄ ██▄    ██             ███████████ █████████████████
          ███████████ █████████████████           ███████████ █████████████████            █▂ ██    ██  ██ █ ███    ██ ▂           ███████████ █████████████████
          ███████████ █████████████████           ███████████ █████████████████            ██ ██▁  ▁██  ██ █ ███▁   ██ █           ███████████ █████████████████
          ███████████ █████████████████           ███████████ █████████████████            ██ ███  ███  ██ █ ████   ██ █           ███████████ █████████████████
 Requests ─────────────────────────────────────────────────────────────────────────────────────────────   Where the time goes ──────────────────────────────────
route                                                   /s    2xx    4xx    5xx     p50     p90     p99  stage                                     mean      p99
/predict                                               118    116    2.3      0  1.8 ms  5.0 ms 10.0 ms  decode                                  0.2 ms   1.0 ms
/predict/batch                                         1.1      0      0    1.1       –       –       –  queue                                   1.0 ms   2.5 ms
/metrics                                              11.6   11.6      0      0       –       –       –  infer                                   2.0 ms   5.0 ms












 Versions, 1 failed loads ─────────────────────────────────────────────────────────────────────────────   Classes, last 29 s ───────────────────────────────────
version                                    images/s  judged right        agrees   test  backend  loaded  coat         ███████████████████████████████████  60 %
7 @champion 90 %                                104   88 % of 100             –   87 %      cpu    12 m  ankle boot   █████████████████▌                   30 %
8 canary 10 %                                  11.6             –             –      –      cpu    12 m  bag          █████▉                               10 %
9 shadow                                        116             –  97 % of 1000      –      cpu    12 m












 State ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
refused  queue_full 4.6/s (174)  unreadable pictures 0/s (2)
model    DRIFT (mmd p 0.001)  confidence 90 %  unsure 5.0 %  right 88 % of 100
server   cpu 0.58  45.0 MiB  files 31/1024  connections 12  log 4364, 5 LOST
 q quit  p pause  ←→ model  ? help                                                                                                       rates of the last 10 s

"#]]
    );
}

#[test]
fn a_server_that_is_gone_is_told_of_beside_what_was_seen_last() {
    let lost = |trouble| Server::Lost {
        trouble,
        since_ms: 1_724_000,
    };
    let silent = lost(Trouble::Silent(
        "nothing listens at `http://127.0.0.1:5001/metrics`".to_owned(),
    ));
    let text = shown(80, 24, &view(&silent, &history()));
    let head: Vec<&str> = text.lines().take(4).collect();
    assert_data_eq!(
        head.join("\n"),
        str![[r#"
 http://127.0.0.1:5001  NO ANSWER  cvops 0.1.0, up 12 m 09 s, 14:05:09
 model  clothes   digits  not ready
 nothing listens at `http://127.0.0.1:5001/metrics`, for 5 s; asking on
 Requests, 4 in flight ──   Predictions, p99 ────────   Queue ──────────────────
"#]]
    );
    assert_data_eq!(
        shown(80, 12, &view(&silent, &History::default())),
        str![[r#"
 http://127.0.0.1:5001  NO ANSWER

 nothing listens at `http://127.0.0.1:5001/metrics`, for 5 s; asking on



 Start it with `cvops serve`; what it does is shown here as soon as it answers.




 q quit  p pause  ←→ model  ? help

"#]]
    );
    let denied = lost(Trouble::Denied(
        "`http://x/metrics` wants a key (401)".to_owned(),
    ));
    let text = shown(80, 10, &view(&denied, &History::default()));
    assert!(
        text.contains("NO KEY") && text.contains("CVOPS_API_KEY"),
        "{text}"
    );
}

#[test]
fn another_model_a_still_picture_and_help() {
    let history = history();
    let why = Server::Up {
        why_not_ready: Some("the model `digits` is being loaded".to_owned()),
    };
    let other = View {
        model: Some("digits"),
        pace: Pace::Paused,
        ..view(&why, &history)
    };
    assert_data_eq!(
        shown(80, 24, &other),
        str![[r#"
 http://127.0.0.1:5001  NOT READY  PAUSED  cvops 0.1.0, up 12 m 09 s, 14:05:09
 model  clothes   digits  not ready
 the model `digits` is being loaded
 Requests, 4 in flight ──   Predictions, p99 ────────   Queue ──────────────────
131/s  4xx 2.3  5xx 1.1    p50 1.8 ms  p99 10.0 ms     0 of 64  batch –
▄▅▆▇▇▄▅ ▇▇▄▅▆▇█▄▅▅▇▇▄▅▆▇▇  ███████▇ ▇██▇████▇▇▇▇███▇▇
███████ █████████████████  ████████ █████████████████
███████ █████████████████  ████████ █████████████████
 Requests ─────────────────────────────────────────   Where the time goes ──────
route              /s    4xx    5xx     p50     p99  stage         mean      p99
/predict          118    2.3      0  1.8 ms 10.0 ms
/predict/batch    1.1      0    1.1       –       –
/metrics         11.6      0      0       –       –

 Versions ─────────────────────────────────────────   Classes, last 29 s ───────
version              images/s  judged right  loaded  nothing was predicted



 State ─────────────────────────────────────────────────────────────────────────
refused  queue_full 4.6/s (174)  unreadable pictures 0/s (2)
model    confidence –  unsure –  right –
server   cpu 0.58  45.0 MiB  files 31/1024  connections 12  log 4364, 5 LOST
 q quit  p go on  ←→ model  ? help                       rates of the last 10 s

"#]]
    );
    let help = View {
        overlay: Overlay::Help,
        ..view(&UP, &history)
    };
    assert_data_eq!(
        shown(80, 24, &help),
        str![[r#"
 http://127.0.0.1:5001  NOT READY  cvops 0.1.0, up 12 m 09 s, 14:05:09
 model  clothes   digits  not ready
 Requests, 4 in flight ──   Predictions, p99 ────────   Queue ──────────────────
131/s  4xx 2.3  5xx 1.1    p50 1.8 ms  p99 10.0 ms     2 of 256  batch 8.0
▄▅▆▇▇▄▅ ▇▇▄▅▆▇█▄▅▅▇▇▄▅▆▇▇  ███████▇ ▇██▇████▇▇▇▇███▇▇            ▃   ▃█     ██
███████ ███████┌ Help ───────────────────────────────────────────┐ ▄ ██▄    ██
███████ ███████│ q, Ctrl-C   end                                 │ █ ███▃   ██ ▇
 Requests ─────│ p, Space    stand still, go on                  │me goes ──────
route          │ ← →, Tab    another model                       │ mean      p99
/predict       │ ?, h        this help; Esc closes it            │.2 ms   1.0 ms
/predict/batch │                                                 │.0 ms   2.5 ms
/metrics       │ Rates, times, batches: the last 10 s, estimated │.0 ms   5.0 ms
               │ from buckets as Prometheus does.                │
 Versions, 1 fa│ Classes and confidence: the last 5 minutes.     │t 29 s ───────
version        │ Judged and compared: since the server began.    │███████  60 %
7 @champion 90 │ Curves: one point a second, the newest right.   │███▌     30 %
8 canary 10 %  │ In brackets: since the server began.            │█▏       10 %
9 shadow       │ –           nothing happened                    │
               │ gone        a version that gave way             │
 State ────────└─────────────────────────────────────────────────┘──────────────
refused  queue_full 4.6/s (174)  unreadable pictures 0/s (2)
model    DRIFT (mmd p 0.001)  confidence 90 %  unsure 5.0 %  right 88 % of 100
server   cpu 0.58  45.0 MiB  files 31/1024  connections 12  log 4364, 5 LOST
 q quit  p pause  ←→ model  ? help                       rates of the last 10 s

"#]]
    );
}

#[test]
fn without_colours_there_is_none_and_no_size_is_too_small() {
    let history = history();
    let plain = View {
        theme: Theme::plain(),
        overlay: Overlay::Help,
        ..view(&UP, &history)
    };
    let drawn = terminal(80, 24, &plain);
    let cells = drawn.backend().buffer().content();
    let is_plain =
        |cell: &ratatui::buffer::Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
    assert!(cells.iter().all(is_plain));
    let cells = terminal(80, 24, &view(&UP, &history));
    assert!(!cells.backend().buffer().content().iter().all(is_plain));
    for (width, height) in [(1, 1), (3, 40), (20, 5), (300, 2), (500, 200)] {
        for server in [&UP, &Server::Asked] {
            shown(
                width,
                height,
                &View {
                    server,
                    ..plain.clone()
                },
            );
        }
    }
}
