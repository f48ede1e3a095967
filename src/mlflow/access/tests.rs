//! The guard as a whole, over a record in a temporary folder.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::clock::Timestamp;
use crate::http::header::{AUTHORIZATION, HOST, HeaderName};
use crate::project::Layout;
use crate::project::personality::CVOPS;
use crate::track::db::{Shared, Token, UserName};

use super::*;

struct World {
    dir: tempfile::TempDir,
    shared: Shared,
    guard: Guard,
    runtime: tokio::runtime::Runtime,
}

fn world(exposure: Exposure) -> World {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(dir.path(), &CVOPS);
    World {
        guard: Guard::new(Tracking::open(&layout).unwrap(), exposure).unwrap(),
        shared: Shared::open(&layout).unwrap(),
        dir,
        runtime: tokio::runtime::Builder::new_multi_thread()
            .enable_time()
            .build()
            .unwrap(),
    }
}

fn named(name: &str) -> UserName {
    name.parse().unwrap()
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

impl World {
    fn add(&self, name: &str, role: Role, password: Option<&str>) {
        let hash = password.map(|password| password::hash(password).unwrap());
        let user = db::User {
            name: named(name),
            role,
        };
        self.shared
            .change(move |w| w.add_user(&user, hash.as_ref(), 0))
            .unwrap();
    }

    fn add_token(&self, name: &str, expires: Option<Timestamp>) -> (String, Mark) {
        let (text, mark) = token::draw().unwrap();
        let token = Token {
            mark,
            user: named(name),
            label: String::new(),
            created: Timestamp::UNIX_EPOCH,
            expires,
        };
        self.shared.change(move |w| w.add_token(&token)).unwrap();
        (format!("Bearer {text}"), mark)
    }

    fn ask(&self, authorization: Option<&str>, access: Access) -> String {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(AUTHORIZATION, value.parse().unwrap());
        }
        match self.runtime.block_on(self.guard.check(&headers, access)) {
            Ok(None) => "anybody".to_owned(),
            Ok(Some(user)) => format!("{} {}", user.name, role(user.access)),
            Err(denied) => {
                let code = Refused::from(denied).code;
                format!("{} {}", code.status().as_u16(), code.as_str())
            }
        }
    }
}

#[test]
fn without_users_the_loopback_is_open_and_the_network_closed() {
    let local = world(Exposure::Loopback);
    assert_eq!(local.ask(None, Access::Admin), "anybody");
    assert_eq!(local.ask(Some(&basic("a", "b")), Access::Read), "anybody");
    let open = world(Exposure::Network);
    assert_eq!(open.ask(None, Access::Read), "401 UNAUTHENTICATED");
    assert_eq!(
        open.ask(Some(&basic("a", "b")), Access::Read),
        "401 UNAUTHENTICATED"
    );
}

#[test]
fn roles_are_checked() {
    let world = world(Exposure::Loopback);
    world.add("ada", Role::Write, Some("open sesame"));
    let ada = basic("ada", "open sesame");
    assert_eq!(world.ask(None, Access::Read), "401 UNAUTHENTICATED");
    assert_eq!(
        world.ask(Some("Basic ??"), Access::Read),
        "401 UNAUTHENTICATED"
    );
    assert_eq!(world.ask(Some(&ada), Access::Read), "ada write");
    assert_eq!(world.ask(Some(&ada), Access::Write), "ada write");
    assert_eq!(
        world.ask(Some(&ada), Access::Admin),
        "403 PERMISSION_DENIED"
    );
}

#[test]
fn changes_count_at_once() {
    let world = world(Exposure::Network);
    world.add("ada", Role::Read, Some("open sesame"));
    let ada = basic("ada", "open sesame");
    let (bearer, mark) = world.add_token("ada", None);
    assert_eq!(world.ask(Some(&ada), Access::Read), "ada read");
    assert_eq!(world.ask(Some(&bearer), Access::Read), "ada read");
    world.shared.change(move |w| w.remove_token(&mark)).unwrap();
    assert_eq!(
        world.ask(Some(&bearer), Access::Read),
        "401 UNAUTHENTICATED"
    );
    world
        .shared
        .change(|w| w.set_role(&named("ada"), Role::Admin))
        .unwrap();
    assert_eq!(world.ask(Some(&ada), Access::Admin), "ada admin");
    let other = password::hash("other words").unwrap();
    world
        .shared
        .change(move |w| w.set_password(&named("ada"), Some(&other)))
        .unwrap();
    assert_eq!(world.ask(Some(&ada), Access::Read), "401 UNAUTHENTICATED");
    let ada = basic("ada", "other words");
    assert_eq!(world.ask(Some(&ada), Access::Read), "ada admin");
    world
        .shared
        .change(|w| w.remove_user(&named("ada")))
        .unwrap();
    assert_eq!(world.ask(Some(&ada), Access::Read), "401 UNAUTHENTICATED");
}

#[test]
fn tokens_expire_and_belong_to_users_without_password() {
    let world = world(Exposure::Loopback);
    world.add("ci", Role::Write, None);
    let (past, future) = (1_000_000, 200_000_000_000);
    let [past, future] = [past, future].map(|s| Timestamp::from_second(s).unwrap());
    let (old, _) = world.add_token("ci", Some(past));
    let (good, _) = world.add_token("ci", Some(future));
    assert_eq!(world.ask(Some(&old), Access::Read), "401 UNAUTHENTICATED");
    assert_eq!(world.ask(Some(&good), Access::Write), "ci write");
    for password in ["", "none"] {
        let basic = basic("ci", password);
        assert_eq!(world.ask(Some(&basic), Access::Read), "401 UNAUTHENTICATED");
    }
}

#[test]
fn wrong_passwords_must_wait_for_names_known_or_not_but_a_known_password_need_not() {
    let world = world(Exposure::Loopback);
    world.add("ada", Role::Read, Some("open sesame"));
    let right = basic("ada", "open sesame");
    assert_eq!(world.ask(Some(&right), Access::Read), "ada read");
    for name in ["ada", "nobody"] {
        let wrong = basic(name, "guess");
        let answers: Vec<String> = (0..5)
            .map(|_| world.ask(Some(&wrong), Access::Read))
            .collect();
        let said = "401 UNAUTHENTICATED".to_owned();
        assert_eq!(answers[..4], vec![said; 4], "{name}");
        assert_eq!(answers[4], "429 REQUEST_LIMIT_EXCEEDED", "{name}");
    }
    assert_eq!(world.ask(Some(&right), Access::Read), "ada read");
}

#[test]
fn a_child_of_this_process_has_a_pass() {
    let mut world = world(Exposure::Loopback);
    world.add("ada", Role::Read, None);
    let (text, mark) = token::draw().unwrap();
    let record = Tracking::open(&Layout::new(world.dir.path(), &CVOPS)).unwrap();
    let guard = Guard::new(record, Exposure::Loopback).unwrap();
    world.guard = guard.with_pass(mark);
    let pass = format!("Bearer {text}");
    assert_eq!(world.ask(Some(&pass), Access::Write), "anybody");
    assert_eq!(world.ask(Some(&pass), Access::Admin), "401 UNAUTHENTICATED");
    assert_eq!(world.ask(None, Access::Read), "401 UNAUTHENTICATED");
}

#[test]
fn links_of_other_sites_lead_here_but_their_pages_do_not_ask() {
    let world = world(Exposure::Loopback);
    let ask = |header: &str, value: &str, access| {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "127.0.0.1".parse().unwrap());
        let name: HeaderName = header.parse().unwrap();
        headers.insert(name, value.parse().unwrap());
        let checked = world.runtime.block_on(world.guard.check(&headers, access));
        matches!(checked, Err(Denied::ForeignPage { .. }))
    };
    assert!(!ask("sec-fetch-site", "cross-site", Access::Read));
    assert!(ask("sec-fetch-site", "cross-site", Access::Write));
    assert!(ask("origin", "http://evil.example", Access::Read));
    assert!(ask("origin", "http://evil.example", Access::Write));
    assert!(!ask("origin", "http://127.0.0.1", Access::Write));
}
