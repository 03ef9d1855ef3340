//! A process for each service, over real connections. Each keeps its data for itself, so that
//! no server is needed: what goes through queue and objects stays away.

use std::time::Duration;

use goligoli_tests::{Account, Server, Setup, Watch, free_port, in_time, until};
use serde_json::{Value, json};

const SERVICES: [&str; 5] = ["user", "live", "message", "lottery", "push"];

/// What a request from outside may take in all, and a little.
const BY_THE_DEADLINE: Duration = Duration::from_millis(2_500);

/// All processes of a site.
struct Site {
    gateways: Vec<Server>,
    user: Server,
    live: Server,
    message: Server,
    lottery: Server,
    push: Server,
}

fn process(service: &str, addresses: &[(&str, u16)]) -> Setup {
    let address = |service: &str| addresses.iter().find(|(name, _)| *name == service).map(|(_, port)| *port);
    let fixed: Vec<String> =
        addresses.iter().map(|(service, port)| format!(r#"{service}=["127.0.0.1:{port}"]"#)).collect();
    let key = |digits: &str| digits.repeat(32);
    let setup = Setup::new().split_on_embedded().run(["serve", "--service", service]);
    let setup = setup
        .set("DISCOVERY__SERVICES", &format!("{{{}}}", fixed.join(",")))
        .set("RPC__SECRET", &key("5e"))
        .set("RPC__DRAIN_MS", "300")
        .set("ACCESS__PUBLIC_KEYS", &format!(r#"["{PUBLIC_KEY}"]"#));
    let setup = match address(service) {
        Some(port) => setup.set("RPC__LISTEN", &format!("127.0.0.1:{port}")),
        None => setup,
    };
    match service {
        "user" => setup.set("ACCESS__SIGNING_KEY", SIGNING_KEY).set("USER__REFRESH_KEY", &key("0c")),
        "message" => setup.set("MESSAGE__SENDER_KEY", &key("0d")),
        "lottery" => setup.set("LOTTERY__SEED_KEY", &key("0e")).set("LOTTERY__RECEIPT_KEY", &key("0f")),
        _ => setup,
    }
}

// RFC 8032, 7.1, test 1.
const SIGNING_KEY: &str = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
const PUBLIC_KEY: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

/// Readiness is asked where the process listens at all.
fn prepared(setup: Setup, has_http: bool) -> Server {
    let mut server = setup.prepare();
    if !has_http {
        let listen = server.address().to_string();
        server.reconfigure(|setup| setup.set("OPS__ENABLED", "true").set("OPS__LISTEN", &listen));
    }
    server
}

impl Site {
    async fn start() -> Self {
        let addresses = SERVICES.map(|service| (service, free_port()));
        let started = async |service| {
            let mut server = prepared(process(service, &addresses), ["push", "gateway"].contains(&service));
            server.start_again().await;
            server
        };
        Self {
            push: started("push").await,
            user: started("user").await,
            live: started("live").await,
            message: started("message").await,
            lottery: started("lottery").await,
            gateways: vec![started("gateway").await, started("gateway").await],
        }
    }

    fn gateway(&self) -> &Server {
        &self.gateways[0]
    }

    async fn open_room(&self) -> (Account, String) {
        let owner = Account::register(self.gateway(), "streamer").await;
        let room = owner.post("/api/v1/rooms", &json!({"title": "The room"})).await.expect(201);
        let room = room["id"].as_str().unwrap().to_owned();
        _ = owner.post(&format!("/api/v1/rooms/{room}/sessions"), &Value::Null).await.expect(201);
        (owner, room)
    }
}

#[tokio::test]
async fn services_find_each_other_fail_alone_and_heal() {
    let mut site = Site::start().await;
    let (owner, room) = site.open_room().await;
    let mut viewer = Watch::guest().open(&site.push, &room).await;
    _ = viewer.next("hello").await;
    _ = owner.say(&room, "over five processes").await.expect(201);
    _ = viewer.through_text("over five processes").await;
    let lottery = json!({"title": "A mug", "prizes": [{"name": "Mug", "count": 1}], "duration_s": 600});
    _ = owner.post(&format!("/api/v1/rooms/{room}/lotteries"), &lottery).await.expect(201);
    _ = viewer.next("lottery").await;

    // One is killed: only what needs it is refused, and soon; then it heals by itself.
    site.live.kill9().await;
    let path = format!("/api/v1/rooms/{room}");
    let refused = in_time(BY_THE_DEADLINE, "an answer without live", site.gateway().get(&path)).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(refused.headers.contains_key("retry-after"));
    _ = owner.get("/api/v1/me").await.expect(200);
    site.live.start_again().await;
    until("live is reached again", async || (site.gateway().get(&path).await.status == 200).then_some(())).await;

    // One is suspended: nobody waits for it beyond the deadline.
    site.message.hold();
    let refused = in_time(BY_THE_DEADLINE, "an answer without message", owner.say(&room, "hello?")).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let soon = in_time(Duration::from_millis(1_700), "by now it is known", owner.say(&room, "hello?")).await;
    assert_eq!(soon.status, 503, "{}", soon.text());
    site.message.go_on();
    until("message is reached again", async || (owner.say(&room, "there you are").await.status == 201).then_some(()))
        .await;
    _ = viewer.through_text("there you are").await;

    // A log-out counts on every gateway, and a restarted one knows of it.
    owner.post("/api/v1/auth/logout", &Value::Null).await;
    let token = owner.token.clone();
    for n in 0..2 {
        let gone = async || {
            let request = site.gateways[n].client().get(site.gateways[n].url("/api/v1/me")).bearer_auth(&token);
            (request.send().await.unwrap().status() == 401).then_some(())
        };
        in_time(Duration::from_secs(6), "the log-out counts", until("it is refused", gone)).await;
    }
    assert!(site.gateways[1].terminate().await.success());
    site.gateways[1].start_again().await;
    let request = site.gateways[1].client().get(site.gateways[1].url("/api/v1/me")).bearer_auth(&token);
    assert_eq!(request.send().await.unwrap().status(), 401);

    for server in [&mut site.user, &mut site.live, &mut site.message, &mut site.lottery, &mut site.push] {
        let status = server.terminate().await;
        assert!(status.success(), "a stop that was asked for ends well: {status}");
    }
}

#[tokio::test]
async fn a_split_site_is_refused_without_what_it_needs() {
    let refused = async |setup: Setup, says: &str| {
        let server = setup.prepare();
        let arguments = ["serve", "--service", "user"];
        let ran = server.operate(&arguments).await;
        assert!(!ran.ok && ran.err.lines().count() == 1 && ran.err.contains(says), "{says}: {} {}", ran.out, ran.err);
    };
    let user = || process("user", &[("user", free_port()), ("push", free_port())]);
    refused(Setup::new().alone().set("RPC__SECRET", "x"), "db.url").await;
    refused(user().unset("ACCESS__SIGNING_KEY"), "access.signing_key").await;
    refused(user().unset("USER__REFRESH_KEY"), "user.refresh_key").await;
    refused(user().unset("RPC__LISTEN"), "rpc.listen").await;
    refused(user().unset("RPC__SECRET"), "rpc.secret").await;
    refused(user().set("RPC__SECRET", "short"), "rpc.secret").await;
    refused(user().set("RPC__LISTEN", "0.0.0.0:0"), "rpc.advertise").await;
    refused(user().set("RPC__TLS__CA", "nowhere.pem"), "rpc.tls").await;
    refused(process("user", &[("user", free_port())]), "discovery.url").await;
    refused(user().set("DISCOVERY__SERVICES", "{push=[]}"), "discovery.services.push").await;
    let other_key = format!(r#"["{}"]"#, "0a".repeat(32));
    refused(user().set("ACCESS__PUBLIC_KEYS", &other_key), "access.signing_key and access.public_keys").await;
}

#[tokio::test]
async fn texts_that_look_like_numbers_are_texts_and_are_not_printed() {
    let server = Setup::new().alone().prepare();
    let (password, digits) = ("20240101", "12".repeat(32));
    let variables = [
        ("GOLIGOLI_DISCOVERY__PASSWORD", password),
        ("GOLIGOLI_RPC__SECRET", "true"),
        ("GOLIGOLI_RPC__INSTANCE", "1"),
        ("GOLIGOLI_OBJECTS__SECRET_KEY", "[1.50]"),
        ("GOLIGOLI_USER__REFRESH_KEY", &digits),
        ("GOLIGOLI_RPC__MAX_IN_FLIGHT", "7"),
    ];
    let config = server.operate_with(&["config"], &variables).await;
    assert!(config.ok, "{} {}", config.out, config.err);
    assert!(config.out.contains("instance = \"1\"") && config.out.contains("max_in_flight = 7"), "{}", config.out);
    assert_eq!(config.out.matches("***").count(), 4, "{}", config.out);
}

#[tokio::test]
async fn the_doctor_looks_at_what_is_between_processes() {
    let server = Setup::new().alone().prepare();
    let well = server.operate(&["doctor"]).await;
    assert!(
        ["rpc", "access", "traces.url"].iter().all(|key| well.out.contains(&format!("ok       {key}"))),
        "{}",
        well.out
    );
    let (other_key, away) = (format!(r#"["{}"]"#, "0a".repeat(32)), format!("http://127.0.0.1:{}", free_port()));
    for (variables, says) in [
        (vec![("GOLIGOLI_RPC__SECRET", "too-short")], "rpc.secret"),
        (vec![("GOLIGOLI_RPC__LISTEN", "127.0.0.1:0")], "rpc: "),
        (vec![("GOLIGOLI_RPC__TLS__CA", "nowhere.pem")], "rpc.tls.ca"),
        (vec![("GOLIGOLI_TRACES__URL", "nowhere")], "traces.url"),
        (vec![("GOLIGOLI_TRACES__URL", away.as_str())], "traces.url"),
        (
            vec![("GOLIGOLI_ACCESS__SIGNING_KEY", SIGNING_KEY), ("GOLIGOLI_ACCESS__PUBLIC_KEYS", other_key.as_str())],
            "access.signing_key and access.public_keys",
        ),
    ] {
        let ill = server.operate_with(&["doctor"], &variables).await;
        assert!(!ill.ok && ill.out.contains(&format!("problem  {says}")), "{says}: {}", ill.out);
    }
}

#[tokio::test]
async fn a_process_with_all_services_is_seen_by_who_needs_it_stopped() {
    let Some(etcd) = common::native::server("NATIVE_ETCD_URL") else { return };
    let servers = etcd.rsplit("//").next().unwrap().trim_end_matches('/');
    let url = format!("etcd://{servers}?prefix=test-{:x}", rand::random::<u64>());
    let site = || Setup::new().alone().set("DISCOVERY__URL", &url).set("RPC__DRAIN_MS", "100");
    let (mut running, other) = (site().start().await, site().prepare());
    let refused = other.operate(&["admin", "restored"]).await;
    assert!(!refused.ok && refused.err.contains("stop all processes of the site first: site "), "{}", refused.err);
    assert!(running.terminate().await.success());
    let refused = other.operate(&["admin", "restored"]).await;
    assert!(!refused.err.contains("stop all processes"), "{}", refused.err);
}

#[tokio::test]
async fn fresh_keys_are_taken_and_never_printed() {
    let server = Setup::new().alone().prepare();
    let keys = server.operate(&["keys"]).await;
    assert!(keys.ok, "{}", keys.err);
    let lines: Vec<(&str, &str)> = keys.out.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(lines.len(), 7, "{}", keys.out);
    let config = server.operate_with(&["config"], &lines).await;
    assert!(config.ok, "{}", config.err);
    for (name, key) in lines.iter().filter(|(name, _)| !name.ends_with("PUBLIC_KEYS")) {
        assert!(key.len() == 64 && !config.out.contains(key), "{name}");
    }
    assert!(config.out.matches("***").count() == 6, "{}", config.out);
}
