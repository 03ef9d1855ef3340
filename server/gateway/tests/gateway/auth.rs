//! Who is asking, how that came, and from whose page.

use http::Method;
use idl::{Code, Refusal};

use crate::support::Site;

/// What needs a log-in: method, path, a body that would do.
const SIGNED: &[(&str, &str, &str)] = &[
    ("GET", "/api/v1/me", ""),
    ("PATCH", "/api/v1/me", r#"{"bio":"hi"}"#),
    ("PUT", "/api/v1/me/password", r#"{"current":"12345678","new":"87654321"}"#),
    ("GET", "/api/v1/me/devices", ""),
    ("DELETE", "/api/v1/me/devices/5", ""),
    ("POST", "/api/v1/auth/logout", ""),
    ("POST", "/api/v1/rooms", r#"{"title":"a"}"#),
    ("PATCH", "/api/v1/rooms/7", r#"{"title":"a"}"#),
    ("PUT", "/api/v1/rooms/7/rules", r#"{"slow_mode_s":3}"#),
    ("POST", "/api/v1/rooms/7/sessions", ""),
    ("POST", "/api/v1/rooms/7/sessions/301/close", ""),
    ("POST", "/api/v1/rooms/7/stream-key", ""),
    ("PUT", "/api/v1/rooms/7/admins/22", ""),
    ("DELETE", "/api/v1/rooms/7/admins/22", ""),
    ("GET", "/api/v1/rooms/7/mutes", ""),
    ("PUT", "/api/v1/rooms/7/mutes/22", r#"{"span":{"hours":2}}"#),
    ("DELETE", "/api/v1/rooms/7/mutes/22", ""),
    ("POST", "/api/v1/rooms/7/danmaku", r#"{"text":"hi"}"#),
    ("DELETE", "/api/v1/rooms/7/danmaku/9001", ""),
];

#[tokio::test]
async fn nobody_gets_past_a_401_and_somebody_does() {
    let site = Site::start();
    for (method, path, body) in SIGNED {
        let ask = || site.ask(method.parse().unwrap(), path).json(body);
        let nobody = ask().send().await.problem(401, "not-signed-in");
        assert_eq!(nobody.header("www-authenticate"), "Bearer");
        for value in ["Bearer", "Bearer ", "Bearer x.y.z", "Basic bWVpOm1laQ==", "Bearer \u{fe0f}"] {
            ask().header("authorization", value).send().await.problem(401, "not-signed-in");
        }
        ask().header("cookie", "goligoli_access=x.y.z").send().await.problem(401, "not-signed-in");
        assert!(site.behind.asked().is_empty(), "{method} {path} reached a service");
    }
    for (method, path, body) in SIGNED {
        let answer = site.ask(method.parse().unwrap(), path).bearer(21).json(body).send().await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
    }
    assert_eq!(site.behind.asked().len(), SIGNED.len());
}

#[tokio::test]
async fn a_token_ends_with_its_time_and_its_log_in() {
    let site = Site::start();
    let me = || site.get("/api/v1/me").header("authorization", &format!("Bearer {}", site.token(21)));
    let old = format!("Bearer {}", site.token(21));
    me().send().await.status(200);
    site.platform.clock.advance_ms(600_000);
    site.get("/api/v1/me").header("authorization", &old).send().await.problem(401, "not-signed-in");
    me().send().await.status(200);
    site.platform.verifier.revocations().revoke(idl::DeviceId(1_021), i64::MAX);
    me().send().await.problem(401, "not-signed-in");
}

#[tokio::test]
async fn cookies_change_things_only_from_our_own_pages() {
    let site = Site::start_with(
        "public_url = 'https://live.example'\n[cors]\norigins = ['https://reader.example']\norigins_with_cookies = ['https://friend.example']",
    );
    let ours: &[(&'static str, &str)] = &[
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-site", "none"),
        ("origin", "http://inside:8080"),
        ("origin", "https://live.example"),
        ("origin", "https://friend.example"),
    ];
    let others: &[(&'static str, &str)] = &[
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "https://reader.example"),
        ("origin", "null"),
        ("accept", "*/*"),
    ];
    for (method, path, body) in SIGNED {
        let ask = || site.ask(method.parse().unwrap(), path).json(body).header("host", "inside:8080");
        for (name, value) in ours {
            let answer = ask().cookie(21).header(name, value).send().await;
            assert!(answer.status.is_success(), "{method} {path} {name}: {value}");
        }
        let before = site.behind.asked().len();
        for (name, value) in others {
            let answer = ask().cookie(21).header(name, value).send().await;
            if *method == "GET" {
                answer.status(200);
                continue;
            }
            answer.problem(403, "cross-site");
            assert_eq!(site.behind.asked().len(), before, "{method} {path} {name}: {value} reached a service");
            // A token in the header proves by itself who sent it.
            let bearer = ask().bearer(21).header(name, value).send().await;
            assert!(bearer.status.is_success());
            site.behind.forget(1);
        }
    }
}

#[tokio::test]
async fn tokens_are_in_the_answer_or_in_cookies_never_in_both() {
    let site = Site::start();
    let login = |body: &str| site.post("/api/v1/auth/login").header("sec-fetch-site", "same-origin").json(body);
    let program = login(r#"{"name":"mei","password":"12345678"}"#).send().await.status(200);
    assert_eq!(program.json()["access_token"], "the-access-token");
    assert_eq!(program.json()["refresh_token"], "the-refresh-token");
    assert_eq!(program.json()["device_id"], "1021");
    assert_eq!(program.header("cache-control"), "no-store");
    assert!(program.cookies().is_empty());

    let page = login(r#"{"name":"mei","password":"12345678","cookie":true}"#).send().await.status(200);
    assert!(!String::from_utf8_lossy(&page.body).contains("the-"), "no token in {page:?}");
    let cookies = page.cookies();
    assert_eq!(cookies["goligoli_access"], "the-access-token; HttpOnly; SameSite=Strict; Path=/; Max-Age=900");
    assert_eq!(
        cookies["goligoli_refresh"],
        "the-refresh-token; HttpOnly; SameSite=Strict; Path=/api/v1/auth; Max-Age=86400"
    );

    let register = site.post("/api/v1/users").header("sec-fetch-site", "same-origin");
    let made = register.json(r#"{"name":"mei","password":"12345678","cookie":true}"#).send().await.status(201);
    assert_eq!(made.header("location"), "/api/v1/users/21");
    assert_eq!(made.cookies().len(), 2);
    assert!(!String::from_utf8_lossy(&made.body).contains("the-"));
}

#[tokio::test]
async fn cookies_are_set_only_for_our_own_pages() {
    let site = Site::start();
    for (path, body) in [
        ("/api/v1/users", r#"{"name":"mei","password":"12345678","cookie":true}"#),
        ("/api/v1/auth/login", r#"{"name":"mei","password":"12345678","cookie":true}"#),
        ("/api/v1/auth/refresh", r#"{"refresh_token":"x","cookie":true}"#),
        ("/api/v1/auth/refresh", r#"{}"#),
    ] {
        let ask = || site.post(path).json(body).header("cookie", "goligoli_refresh=r");
        ask().header("sec-fetch-site", "cross-site").send().await.problem(403, "cross-site");
        ask().send().await.problem(403, "cross-site");
        assert!(site.behind.asked().is_empty());
    }
}

#[tokio::test]
async fn cookies_are_secure_where_the_site_is() {
    let secure = async |site: &Site, peer: &str, proto: &str| {
        let ask = site.post("/api/v1/auth/login").from(peer).header("x-forwarded-proto", proto);
        let ask = ask.header("sec-fetch-site", "same-origin");
        let answer = ask.json(r#"{"name":"mei","password":"12345678","cookie":true}"#).send().await.status(200);
        let cookies = answer.cookies();
        let secure = cookies.values().filter(|line| line.contains("; Secure")).count();
        assert!(secure == 0 || secure == cookies.len());
        secure > 0
    };
    let plain = Site::start();
    assert!(!secure(&plain, "192.0.2.1", "https").await, "whom nobody trusts says nothing");
    assert!(secure(&plain, "10.0.0.1", "https").await);
    assert!(!secure(&plain, "10.0.0.1", "http").await);
    let public = Site::start_with("public_url = 'https://live.example'");
    assert!(secure(&public, "192.0.2.1", "http").await);
}

#[tokio::test]
async fn a_refresh_takes_the_body_s_token_or_the_cookie_s() {
    let site = Site::start();
    let refresh = || site.post("/api/v1/auth/refresh").header("sec-fetch-site", "same-origin");
    let program = refresh().json(r#"{"refresh_token":"from-body"}"#).send().await.status(200);
    assert_eq!(program.json()["refresh_token"], "the-refresh-token");
    assert!(program.cookies().is_empty());

    let page = refresh().header("cookie", "a=b; goligoli_refresh=from-cookie").json("{}").send().await.status(200);
    assert_eq!(page.cookies().len(), 2);
    assert!(!String::from_utf8_lossy(&page.body).contains("the-"), "scripts never see the cookies' tokens");
    assert_eq!(site.behind.asked(), ["Refresh { from-body }", "Refresh { from-cookie }"]);

    refresh().json("{}").send().await.problem(401, "bad-refresh-token");
    site.behind.refuse(idl::Refusal::new(idl::Code::BadRefreshToken, "used"));
    let dead = refresh().header("cookie", "goligoli_refresh=used").json("{}").send().await;
    let dead = dead.problem(401, "bad-refresh-token");
    assert!(dead.cookies().values().all(|line| line.contains("Max-Age=0")) && dead.cookies().len() == 2);
    let program = refresh().json(r#"{"refresh_token":"used"}"#).send().await.problem(401, "bad-refresh-token");
    assert!(program.cookies().is_empty());
}

#[tokio::test]
async fn logging_out_ends_the_log_in_even_after_the_access_token() {
    let site = Site::start();
    let logout = || site.post("/api/v1/auth/logout").header("sec-fetch-site", "same-origin");
    let answer = logout().cookie(21).send().await.status(204);
    let cookies = answer.cookies();
    assert!(cookies["goligoli_access"].starts_with("; ") && cookies["goligoli_access"].contains("Max-Age=0"));
    assert!(cookies["goligoli_refresh"].contains("Path=/api/v1/auth"));
    site.behind.forget(1);

    logout().header("cookie", "goligoli_refresh=still-good").send().await.status(204);
    assert_eq!(site.behind.asked(), ["Refresh { still-good }", "LogOut { the-access-token }"]);
    let elsewhere = site.post("/api/v1/auth/logout").header("cookie", "goligoli_refresh=still-good");
    elsewhere.header("sec-fetch-site", "cross-site").send().await.problem(403, "cross-site");

    let dead = logout().header("cookie", "goligoli_access=dead").send().await.problem(401, "not-signed-in");
    assert_eq!(dead.cookies().len(), 2, "what is of no use is taken away");
    assert_eq!(site.behind.asked().len(), 2);
}

#[tokio::test]
async fn other_sites_pages_may_read_only_if_they_are_named() {
    let preflight = async |site: &Site, origin: &str| {
        let ask = site.ask(Method::OPTIONS, "/api/v1/rooms").header("origin", origin);
        ask.header("access-control-request-method", "POST").send().await
    };
    let closed = Site::start();
    assert_eq!(preflight(&closed, "https://reader.example").await.header("access-control-allow-origin"), "");

    let site = Site::start_with(
        "[cors]\norigins = ['https://reader.example']\norigins_with_cookies = ['https://friend.example']",
    );
    let reader = preflight(&site, "https://reader.example").await.status(200);
    assert_eq!(reader.header("access-control-allow-origin"), "https://reader.example");
    assert_eq!(reader.header("access-control-allow-credentials"), "");
    let friend = preflight(&site, "https://friend.example").await.status(200);
    assert_eq!(friend.header("access-control-allow-credentials"), "true");
    assert_eq!(preflight(&site, "https://evil.example").await.header("access-control-allow-origin"), "");
    let refused = site.get("/api/v1/me").header("origin", "https://reader.example").send().await;
    let refused = refused.problem(401, "not-signed-in");
    assert_eq!(refused.header("access-control-allow-origin"), "https://reader.example");
}

#[tokio::test]
async fn what_was_said_is_read_by_guests_and_members() {
    let site = Site::start();
    for path in ["/api/v1/rooms/7/danmaku", "/api/v1/rooms/7/danmaku/9001"] {
        let asked = || site.behind.asked().pop().unwrap();
        site.get(path).send().await.status(200);
        assert!(asked().contains("caller: None"), "{}", asked());
        site.get(path).bearer(21).send().await.status(200);
        assert!(asked().contains("caller: Some"), "{}", asked());
        site.get(path).cookie(21).send().await.status(200);
        assert!(asked().contains("caller: Some"), "{}", asked());
        // The page can't leave out a cookie that has run out, but a program knows its token.
        site.get(path).header("cookie", "goligoli_access=nonsense").send().await.status(200);
        assert!(asked().contains("caller: None"), "{}", asked());
        let before = site.behind.asked().len();
        site.get(path).header("authorization", "Bearer nonsense").send().await.problem(401, "not-signed-in");
        assert_eq!(site.behind.asked().len(), before);
    }
    site.behind.refuse(Refusal::new(Code::NotSignedIn, "no guests"));
    site.get("/api/v1/rooms/7/danmaku").send().await.problem(401, "not-signed-in");
}

#[tokio::test]
async fn a_lost_answer_does_not_cost_the_name() {
    let site = Site::start();
    let taken = || Refusal::new(Code::NameTaken, "taken");
    let register = || site.post("/api/v1/users").json(r#"{"name":"mei","password":"12345678"}"#);
    let again = || register().header("idempotency-key", "k").send();
    let asked = |from: usize| -> Vec<String> {
        site.behind.asked()[from..].iter().map(|request| request[..8.min(request.len())].to_owned()).collect()
    };
    again().await.status(201);
    assert_eq!(asked(0), ["Register"], "nothing is taken");
    site.behind.refuse_only("Register", taken());
    register().send().await.problem(409, "name-taken");
    assert_eq!(asked(1), ["Register"], "no key, no second try");

    site.platform.clock.advance_ms(24 * 3_600_000 - 1);
    let account = again().await.status(201);
    assert_eq!(
        (account.header("location"), account.json()["account"]["id"].as_str()),
        ("/api/v1/users/21", Some("21"))
    );
    assert_eq!(asked(2), ["Register", "LogIn { "]);
    site.platform.clock.advance_ms(1);
    again().await.problem(409, "name-taken");
    assert_eq!(asked(4), ["Register", "LogIn { ", "LogOut {"], "an old account is not entered");

    site.behind.refuse_only("LogIn", Refusal::new(Code::WrongCredentials, "wrong"));
    again().await.problem(409, "name-taken");
    site.behind.refuse_only("LogIn", Refusal::new(Code::Unavailable, "busy"));
    again().await.problem(503, "unavailable");
    site.behind.refuse_only("Register", Refusal::new(Code::InvalidField, "bad"));
    again().await.problem(422, "invalid-field");
    assert_eq!(asked(11), ["Register"]);
}
