//! Everybody enters while the entries are frozen: each is wholly in, or wholly out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use goligoli_tests::http::{self, Connection};
use goligoli_tests::lottery::{Lottery, book};
use goligoli_tests::{Account, Scene, Setup};
use serde_json::Value;
use tokio::task::JoinSet;

const CLIENTS: usize = 50;
const ACCOUNTS_OF_A_CLIENT: usize = 120;
/// A client goes on after the freeze until it was refused so often.
const REFUSALS: usize = 3;

/// What one client was told.
#[derive(Default)]
struct Told {
    receipts: Vec<Value>,
    refused: Vec<String>,
}

/// Enters one account after the other on a connection of its own. When none is left, and
/// between them, it enters again those who are in.
async fn enter_on(address: SocketAddr, lottery: Lottery, accounts: Vec<Account>) -> Told {
    let mut connection = Connection::to(address).await.unwrap();
    let (path, mut told) = (lottery.path("/entries/me"), Told::default());
    // The last ones are for after the freeze.
    let (hasty, waiting) = accounts.split_at(accounts.len() - REFUSALS);
    let mut hasty = hasty.iter();
    let mut ask = async |account: &Account| {
        let bearer = format!("Bearer {}", account.token);
        let (status, body) = connection.ask(&http::put(&path, &[("Authorization", &bearer)])).await.unwrap();
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    while told.refused.is_empty() {
        let Some(account) = hasty.next() else { break };
        note(&mut told, account, ask(account).await);
        if let Some(receipt) = told.receipts.last() {
            let (status, again) = ask(account_of(&accounts, receipt)).await;
            assert_eq!((status, &again["receipt"]), (200, receipt), "who is in stays in, before and after");
        }
    }
    // Whoever was quicker than the clock waits for the freeze.
    while told.refused.is_empty() {
        if lottery_is_over(&lottery) {
            break;
        }
        let receipt = told.receipts.last().expect("the lottery was open");
        let (status, again) = ask(account_of(&accounts, receipt)).await;
        assert_eq!((status, &again["receipt"]), (200, receipt));
    }
    for account in waiting {
        note(&mut told, account, ask(account).await);
    }
    told
}

fn account_of<'a>(accounts: &'a [Account], receipt: &Value) -> &'a Account {
    accounts.iter().find(|account| receipt["user_id"] == account.id.as_str()).unwrap()
}

fn note(told: &mut Told, account: &Account, (status, body): (u16, Value)) {
    match status {
        201 => {
            assert_eq!(body["receipt"]["user_id"], account.id.as_str());
            told.receipts.push(body["receipt"].clone());
        }
        409 => {
            assert_eq!(body["code"], "lottery-closed");
            told.refused.push(account.id.clone());
        }
        _ => panic!("{status}: {body}"),
    }
}

fn lottery_is_over(lottery: &Lottery) -> bool {
    common::Clock::system().now().0.cast_unsigned() >= lottery.draw_at_ms()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_enter_through_the_freeze() {
    let server = Setup::new().start().await;
    let scene = Scene::open(&server).await;
    let accounts = Account::seed(&server, CLIENTS * ACCOUNTS_OF_A_CLIENT).await;
    let lottery = Lottery::open(&scene, &book(3)).await;
    let mut clients = JoinSet::new();
    for accounts in accounts.chunks(ACCOUNTS_OF_A_CLIENT) {
        clients.spawn(enter_on(server.address(), lottery.clone(), accounts.to_vec()));
    }
    let told = clients.join_all().await;
    let drawn = lottery.drawn(&server).await;
    let receipts: BTreeMap<u64, &Value> =
        told.iter().flat_map(|client| &client.receipts).map(|r| (r["n"].as_u64().unwrap(), r)).collect();
    let refused: BTreeSet<&str> = told.iter().flat_map(|client| &client.refused).map(String::as_str).collect();
    println!("{} are in, {} were too late", receipts.len(), refused.len());
    let confirmed: usize = told.iter().map(|client| client.receipts.len()).sum();
    assert!(receipts.len() == confirmed && confirmed > CLIENTS, "no number was given twice");
    assert!(refused.len() >= CLIENTS, "each client was there for the freeze");

    // Exactly those who were told so are in, under the numbers and times that they were told.
    let entries = lottery.entries(&server).await;
    assert_eq!(entries.len(), receipts.len());
    for (n, entry) in (0_u64..).zip(&entries) {
        assert_eq!(entry["n"], n, "numbers have no holes");
        let receipt = receipts[&n];
        assert_eq!((&entry["user_id"], &entry["entered_at_ms"]), (&receipt["user_id"], &receipt["entered_at_ms"]));
        assert!(!refused.contains(entry["user_id"].as_str().unwrap()), "refused, and yet in: {entry}");
    }
    assert!(entries.last().unwrap()["entered_at_ms"].as_u64().unwrap() < lottery.draw_at_ms());
    let some: Vec<Value> = receipts.values().step_by(receipts.len() / 40).map(|receipt| (*receipt).clone()).collect();
    lottery.audit(&server, &drawn["opened"], &drawn["closed"], &some).await;
}
