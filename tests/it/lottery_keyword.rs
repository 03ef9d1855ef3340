//! A keyword danmaku and its entry are one action, also if the process dies between the two.

use goligoli_tests::lottery::{Lottery, book, with};
use goligoli_tests::{Account, Scene, Server, Setup, until};
use serde_json::{Value, json};

const KEYWORD: &str = "Go 冲冲冲";
/// The danmaku is stored for good, and nobody knows of the entry yet.
const BETWEEN: &str = "gateway.keyword-posted";
/// The key of the danmaku whose sender gets no answer.
const KEY: &str = "said-once";

/// A lottery that one account has entered, and whose server died when another had posted the
/// keyword.
struct Torn {
    server: Server,
    scene: Scene,
    lottery: Lottery,
    /// Was told that it is in.
    mei: Account,
    receipt_of_mei: Value,
    /// Was told nothing.
    rin: Account,
}

impl Torn {
    async fn open_for(seconds: u64) -> Self {
        let mut server = Setup::new().dies_at(Some(&format!("{BETWEEN}:2"))).start().await;
        let scene = Scene::open(&server).await;
        let [mei, rin] = <[Account; 2]>::try_from(Account::seed(&server, 2).await).unwrap();
        let lottery = Lottery::open(&scene, &with(book(seconds), json!({"keyword": KEYWORD}))).await;
        let receipt_of_mei = mei.say(&scene.room, KEYWORD).await.expect(201)["entry"]["receipt"].clone();
        assert_eq!(receipt_of_mei["n"], 0);
        assert!(rin.try_say(&scene.room, KEYWORD, KEY).await.is_err(), "nobody answers");
        server.died().await;
        server.reconfigure(|setup| setup.dies_at(None));
        Self { server, scene, lottery, mei, receipt_of_mei, rin }
    }

    /// The keyword danmaku that are stored, by sender.
    async fn senders(&self) -> Vec<String> {
        let said = self.scene.history(&self.server).await;
        let keywords = said.iter().filter(|danmaku| danmaku["text"] == KEYWORD);
        keywords.map(|danmaku| danmaku["sender"]["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Says it again as a client does that was not answered, and once more; gives the receipt.
    async fn repeat(&self) -> Value {
        let told = self.rin.insist(&self.scene.room, KEYWORD, KEY).await;
        let again = self.rin.insist(&self.scene.room, KEYWORD, KEY).await;
        assert_eq!((&again["id"], &again["entry"]), (&told["id"], &told["entry"]), "one danmaku, one receipt");
        let receipt = told["entry"]["receipt"].clone();
        assert_eq!((&receipt["n"], &receipt["user_id"]), (&json!(1), &json!(self.rin.id)), "{told}");
        assert_eq!(receipt["entered_at_ms"], sent_at_ms(&told), "it counts from when it was posted");
        receipt
    }

    /// Holds that both are in, once each, and that the draw can be checked.
    async fn ends_well(&self, receipt_of_rin: &Value) {
        let drawn = self.lottery.drawn(&self.server).await;
        assert_eq!(self.senders().await, [self.mei.id.clone(), self.rin.id.clone()], "said once each");
        let entries = self.lottery.entries(&self.server).await;
        let users: Vec<&str> = entries.iter().map(|entry| entry["user_id"].as_str().unwrap()).collect();
        assert_eq!(users, [self.mei.id.as_str(), &self.rin.id]);
        let receipts = [self.receipt_of_mei.clone(), receipt_of_rin.clone()];
        self.lottery.audit(&self.server, &self.lottery.answer["opened"], &drawn["closed"], &receipts).await;
    }
}

fn sent_at_ms(danmaku: &Value) -> i64 {
    serde_json::from_value::<idl::Timestamp>(danmaku["sent_at"].clone()).unwrap().0
}

#[tokio::test]
async fn a_keyword_whose_entry_was_killed_is_entered_before_the_draw_without_its_client() {
    let mut torn = Torn::open_for(12).await;
    torn.server.start_again().await;
    assert_eq!(torn.senders().await, [torn.mei.id.clone(), torn.rin.id.clone()], "it was stored");
    // Nobody says it again: the server finds it.
    until("both are in", async || {
        let now = torn.lottery.now(&torn.server).await;
        assert_eq!(now["phase"], "open", "before the draw");
        (now["entrants"] == 2).then_some(())
    })
    .await;
    let mine = torn.rin.get(&torn.lottery.path("/entries/me")).await.expect(200);
    let receipt = torn.repeat().await;
    assert_eq!(mine["receipt"], receipt);
    torn.ends_well(&receipt).await;
    assert_eq!(torn.repeat().await, receipt, "also after the draw");
}

#[tokio::test]
async fn a_keyword_whose_entry_was_killed_is_entered_when_the_server_wakes_after_the_time() {
    let mut torn = Torn::open_for(2).await;
    let now_ms = || common::Clock::system().now().0.cast_unsigned();
    until("its moment has passed", async || (now_ms() > torn.lottery.draw_at_ms() + 200).then_some(())).await;
    torn.server.start_again().await;
    _ = torn.lottery.drawn(&torn.server).await;
    let receipt = torn.repeat().await;
    torn.ends_well(&receipt).await;
}
