//! The configuration file of a running server changes.

use goligoli_tests::{Account, Scene, Server, Setup, Viewer, Watch, until};
use tokio::task::JoinSet;

const FILE: &str = "site.toml";

/// A crowd that says one line each, and a viewer that counts.
struct Crowd {
    server: Server,
    scene: Scene,
    accounts: Vec<Account>,
    viewer: Viewer,
    accepted: u64,
    shown: u64,
}

impl Crowd {
    async fn gather(file: &str) -> Self {
        let setup = Setup::new().alone().unset("PUSH__RATE_PER_S").unset("PUSH__BURST").set("LOG__FORMAT", "json");
        let mut server = setup.run(["--config", FILE, "serve"]).prepare();
        configure(&server, file);
        server.start_again().await;
        let scene = Scene::open(&server).await;
        let accounts = Account::seed(&server, 30).await;
        let mut viewer = Watch::guest().open(&server, &scene.room).await;
        _ = viewer.next("hello").await;
        Self { server, scene, accounts, viewer, accepted: 0, shown: 0 }
    }

    /// Everybody says something; returns whether all of it was shown.
    async fn is_shown_whole(&mut self) -> bool {
        let mut posting = JoinSet::new();
        for account in self.accounts.clone() {
            let (room, text) = (self.scene.room.clone(), format!("{} {}", account.name, self.accepted));
            posting.spawn(async move { _ = account.say(&room, &text).await.expect(201) });
        }
        posting.join_all().await;
        self.accepted += self.accounts.len() as u64;
        loop {
            let totals = self.viewer.next("suppressed").await.json();
            if totals["accepted"] == self.accepted {
                let shown = totals["shown"].as_u64().unwrap();
                let new = shown - self.shown;
                self.shown = shown;
                return new == self.accounts.len() as u64;
            }
        }
    }

    fn lines(&self, word: &str) -> usize {
        self.server.logged().lines().filter(|line| line.contains(word)).count()
    }
}

fn configure(server: &Server, text: &str) {
    std::fs::write(server.data().join(FILE), text).unwrap();
}

#[tokio::test]
async fn a_rate_applies_without_a_restart_and_a_bad_one_does_not() {
    let mut crowd = Crowd::gather("[push]\nrate_per_s = 1\nburst = 1\n").await;
    assert!(!crowd.is_shown_whole().await);

    configure(&crowd.server, "[push]\nrate_per_s = 1000\nburst = 1000\n");
    until("the rate applies", async || (crowd.lines("push.rate_per_s is 1000") == 1).then_some(())).await;
    // The bucket grows at once, and fills within a second.
    until("all of it is shown", async || crowd.is_shown_whole().await.then_some(())).await;

    // What can't be used is said once, and changes nothing, not even what would be right in it.
    for bad in ["rate_per_s = 0\nburst = 1", "rate_per_s = \"x\"\nburst = 1", "burst = 1\nbrust = 1", "burst = 1\n["] {
        let before = crowd.lines("can't be used");
        configure(&crowd.server, &format!("[push]\n{bad}\n"));
        until("it is said", async || (crowd.lines("can't be used") > before).then_some(())).await;
        assert!(crowd.is_shown_whole().await, "{bad}");
        assert_eq!(crowd.lines("can't be used"), before + 1, "{bad}");
    }
    std::fs::remove_file(crowd.server.data().join(FILE)).unwrap();
    until("a lost file is said", async || (crowd.lines("can't be used") == 5).then_some(())).await;
    assert!(crowd.is_shown_whole().await, "a lost file");

    // What needs a restart is named; the rest of the file applies.
    configure(&crowd.server, "[push]\nrate_per_s = 1\nburst = 1\ntick_ms = 26\n");
    until("it is named", async || (crowd.lines("push.tick_ms") == 1).then_some(())).await;
    assert!(crowd.lines("at the next start") == 1 && crowd.lines("push.rate_per_s is 1 ") == 1);
    until("less is shown", async || (!crowd.is_shown_whole().await).then_some(())).await;
}

#[tokio::test]
async fn what_is_logged_applies_without_a_restart() {
    let crowd = Crowd::gather("[log]\nfilter = \"info\"\n").await;
    assert_eq!(crowd.lines("\"answered\""), 0);
    configure(&crowd.server, "[log]\nfilter = \"info,common=debug\"\n");
    until("requests are logged", async || {
        _ = crowd.server.get("/readyz").await;
        (crowd.lines("\"answered\"") > 0).then_some(())
    })
    .await;
    configure(&crowd.server, "[log]\nfilter = \"common=loud\"\n");
    until("it is refused", async || (crowd.lines("can't be used") == 1).then_some(())).await;
    let before = crowd.lines("\"answered\"");
    _ = crowd.server.get("/readyz").await;
    until("they are still logged", async || (crowd.lines("\"answered\"") > before).then_some(())).await;
}
