//! Frames as other builds write them: an earlier one, which has a field fewer, and a later one,
//! which has a field and a word more. Both are read, so that processes are replaced one after
//! the other.
//!
//! The files are frames as they were on the wire, in hexadecimal digits. A new one is written
//! when its file is missing, and then committed; none is ever changed.

#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking; values are written in place"
)]

use std::path::PathBuf;

use idl::danmaku::{Mode, Size};
use idl::event::{EventType, RoomRole, RoomRules};
use idl::live::{LiveRequest, LiveResponse};
use idl::lottery::LotteryRequest;
use idl::message::{MessageRequest, MessageResponse};
use idl::push::{Lane, Outcome, PushRequest, PushResponse};
use idl::{Code, RoomId, UserId};
use serde_json::{Value, json};
use tarpc::{ClientMessage, Response};

/// A frame of that name; it is recorded from this value if it is new.
fn frame(name: &str, value: Value) -> Vec<u8> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/frames").join(name).with_extension("hex");
    if !file.exists() {
        let bytes = rmp_serde::to_vec_named(&value).unwrap();
        let lines: Vec<String> = bytes.chunks(48).map(hex::encode).collect();
        std::fs::write(&file, lines.join("\n") + "\n").unwrap();
    }
    let text: String = std::fs::read_to_string(&file).unwrap().split_whitespace().collect();
    hex::decode(text).unwrap()
}

fn context() -> Value {
    json!({"deadline": {"secs": 2, "nanos": 0}, "trace_context": {
        "trace_id": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], "span_id": 7, "sampling_decision": "Sampled",
    }})
}

fn asked<Req: serde::de::DeserializeOwned>(name: &str, request: Value) -> Req {
    let message = json!({"Request": {"context": context(), "id": 5, "message": request}});
    match rmp_serde::from_slice(&frame(name, message)).unwrap() {
        ClientMessage::Request(request) => {
            assert_eq!(request.id, 5);
            request.message
        }
        _ => panic!("{name} is a request"),
    }
}

fn answered<Resp: serde::de::DeserializeOwned>(name: &str, reply: Value) -> Resp {
    let message = json!({"request_id": 5, "message": {"Ok": reply}});
    let response: Response<Resp> = rmp_serde::from_slice(&frame(name, message)).unwrap();
    response.message.unwrap()
}

#[test]
fn a_post_of_an_earlier_and_of_a_later_build() {
    let earlier = json!({"Post": {"request": {
        "caller": {"token": "t"}, "room": 3, "body": {"text": "hi"}, "key": null,
    }}});
    let MessageRequest::Post { request } = asked("earlier-message-post", earlier) else { panic!("a post") };
    assert_eq!((request.room, request.body.mode), (RoomId(3), Mode::Scroll));
    let later = json!({"Post": {"request": {
        "caller": {"token": "t", "device": "phone"}, "room": 3, "key": null, "reply_to": 9,
        "body": {"text": "hi", "mode": "spiral", "size": "gigantic", "color": "#ffffff", "font": "serif"},
    }}});
    let MessageRequest::Post { request } = asked("later-message-post", later) else { panic!("a post") };
    assert_eq!((request.body.mode, request.body.size), (Mode::Scroll, Size::Standard));
}

#[test]
fn a_publication_of_an_earlier_and_of_a_later_build() {
    let publication = |more: Value| {
        let mut one =
            json!({"source": "danmaku:1", "event": "danmaku", "data": "{}", "at_ms": 5, "lane": "guaranteed"});
        one.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"Publish": {"request": {"room": 3, "publications": [one]}}})
    };
    let PushRequest::Publish { request } = asked("earlier-push-publish", publication(json!({}))) else { panic!() };
    assert_eq!((request.publications[0].lane, request.publications[0].sender), (Lane::Guaranteed, None));
    let rules = json!({"slow_mode_s": 3, "mute_all": false, "guests": true, "danmaku_per_s": null, "hush": true});
    let state = json!({
        "id": 3, "version": 2, "title": "t", "owner": {"id": 7, "name": "mei", "badge": 1}, "cover_url": null,
        "session": null, "rules": rules, "mood": "calm",
    });
    let later = publication(json!({"event": "firework", "lane": "express", "sender": 8, "state": state, "ttl_ms": 5}));
    let PushRequest::Publish { request } = asked("later-push-publish", later) else { panic!() };
    let one = &request.publications[0];
    assert_eq!((one.lane, one.event, one.sender), (Lane::Ordinary, EventType::Unknown, Some(UserId(8))));
    assert_eq!(one.state.as_ref().unwrap().rules, RoomRules { slow_mode_s: 3, ..RoomRules::default() });

    let earlier = json!({"Publish": {"Ok": {"outcomes": ["appended"]}}});
    let PushResponse::Publish(Ok(published)) = answered("earlier-push-published", earlier) else { panic!() };
    assert_eq!((published.outcomes, published.writes_again_in_ms), (vec![Outcome::Appended], 0));
    let later = json!({"Publish": {"Ok": {"outcomes": ["postponed"], "writes_again_in_ms": 4, "node": "a"}}});
    let PushResponse::Publish(Ok(published)) = answered("later-push-published", later) else { panic!() };
    assert_eq!(published.outcomes, [Outcome::Unknown]);
}

#[test]
fn rooms_and_rules_of_an_earlier_and_of_a_later_build() {
    let rules = json!({"SetRules": {"request": {"caller": {"token": "t"}, "room": 3, "rules": {"mute_all": true}}}});
    let LiveRequest::SetRules { request } = asked("earlier-live-set-rules", rules) else { panic!() };
    assert_eq!(request.rules, RoomRules { mute_all: true, ..RoomRules::default() });
    let text = json!({"title": "t", "description": "", "category": "", "language": "fr"});
    let create = json!({"CreateRoom": {"request": {"caller": {"token": "t"}, "text": text, "key": null}}});
    let LiveRequest::CreateRoom { request } = asked("later-live-create-room", create) else { panic!() };
    assert_eq!(request.text.title, "t");
    let body = json!({"title": "t", "visibility": "friends", "chapters": []});
    let edit = json!({"EditReplay": {"request": {"caller": {"token": "t"}, "replay": 4, "body": body}}});
    let LiveRequest::EditReplay { request } = asked("later-live-edit-replay", edit) else { panic!() };
    assert_eq!(request.body.title.as_deref(), Some("t"));

    let room = json!({
        "id": 3, "owner": {"id": 7, "name": "mei"}, "title": "t", "description": "", "category": "", "cover_url": null,
        "session": {"id": 9, "opened_at_ms": 5, "quality": "hd"}, "viewers": 2, "created_at": 1,
        "rules": {"slow_mode_s": 3, "mute_all": false, "guests": true, "danmaku_per_s": 7, "hush": true}, "tags": ["x"],
    });
    let LiveResponse::Room(Ok(room)) = answered("later-live-room", json!({"Room": {"Ok": room}})) else { panic!() };
    assert_eq!(room.rules.danmaku_per_s.map(u32::from), Some(7));
}

#[test]
fn refusals_and_roles_of_a_later_build() {
    let refusal =
        json!({"code": "out-of-coffee", "detail": "d", "pointer": null, "retry_after_ms": 5, "helpline": "h"});
    let MessageResponse::Delete(Err(refusal)) = answered("later-refusal", json!({"Delete": {"Err": refusal}})) else {
        panic!()
    };
    assert_eq!((refusal.code, refusal.retry_after_ms), (Code::Unknown, Some(5)));
    assert_eq!(rmp_serde::from_slice::<RoomRole>(&frame("later-role", json!("emperor"))).unwrap(), RoomRole::Viewer);
}

#[test]
fn a_lottery_of_an_earlier_and_of_a_later_build() {
    let open =
        |body: Value| json!({"Open": {"request": {"caller": {"token": "t"}, "room": 3, "body": body, "key": null}}});
    let earlier = open(json!({"title": "t", "prizes": [{"name": "mug", "count": 1}]}));
    let LotteryRequest::Open { request } = asked("earlier-lottery-open", earlier) else { panic!() };
    assert!(!request.body.test && request.body.keyword.is_none());
    let later = open(json!({"title": "t", "prizes": [{"name": "mug", "count": 1}], "duration_s": 5, "sponsor": "s"}));
    let LotteryRequest::Open { request } = asked("later-lottery-open", later) else { panic!() };
    assert_eq!(request.body.duration_s, Some(5));
}
