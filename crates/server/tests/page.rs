//! The page: its files with their types, the headers that guard it, and nothing else.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use support::{Served, Setup};

#[test]
fn the_page_and_all_it_names_are_served() {
    let served = Served::start(Setup { keys: vec!["key".to_owned()], ..Setup::default() });
    let page = served.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let mut names: Vec<String> = quoted(&page.body).filter(|name| name.starts_with("/page/")).collect();
    assert!(
        names.iter().any(|name| name.ends_with(".css")) && names.iter().any(|name| name.ends_with(".svg"))
    );
    let mut at = 0;
    while at < names.len() {
        let file = served.get(&names[at]);
        assert_eq!(file.status, 200, "{}", names[at]);
        let kind = match names[at].rsplit_once('.').unwrap().1 {
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            _ => "image/svg+xml",
        };
        assert_eq!(file.header("content-type"), Some(kind), "{}", names[at]);
        assert!(guarded(file.header("content-security-policy")), "{}", names[at]);
        let imports =
            quoted(&file.body).filter_map(|name| Some(format!("/page/{}", name.strip_prefix("./")?)));
        let imports: Vec<String> =
            imports.filter(|name| name.ends_with(".js") && !names.contains(name)).collect();
        names.extend(imports);
        at += 1;
    }
    assert!(
        names.iter().filter(|name| name.contains("/vendor/")).count() == 4 && names.len() > 20,
        "{names:?}"
    );
    assert!(served.get("/page/vendor/LICENCES.md").body.contains("BSD-3-Clause"));
}

#[test]
fn nothing_beside_the_list_is_served() {
    let served = Served::start(Setup::default());
    for path in [
        "/page",
        "/page/",
        "/page/nothing.js",
        "/page/vendor",
        "/page/../Cargo.toml",
        "/page/%2e%2e/Cargo.toml",
        "/page/..%2fCargo.toml",
        "/page//etc/passwd",
        "/page/%2fetc%2fpasswd",
        "/page/APP.JS",
        "/favicon.ico",
    ] {
        let reply = served.get(path);
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.json()["error"]["message"].is_string(), "{path}");
    }
}

#[test]
fn a_browser_asks_again_and_is_told_that_it_has_the_file() {
    let served = Served::start(Setup::default());
    let first = served.get("/page/app.js");
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    let tag = first.header("etag").unwrap();
    let ask = |tag: &str| {
        served.send(&format!(
            "GET /page/app.js HTTP/1.1\r\nhost: localhost\r\nif-none-match: {tag}\r\nconnection: close\r\n\r\n"
        ))
    };
    let again = ask(tag);
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), Some(tag));
    assert!(guarded(again.header("content-security-policy")));
    assert_eq!(ask("\"another\"").status, 200);
}

fn guarded(policy: Option<&str>) -> bool {
    policy.is_some_and(|policy| {
        policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe")
    })
}

/// What stands between double quotes.
fn quoted(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('"').skip(1).step_by(2).map(str::to_owned)
}
