//! The room stream in the document. Push serves it; everything that a client needs to
//! know is described here, with an example of every event, made from the contract.

use idl::danmaku::{Color, DanmakuText, Mode, Size};
use idl::draw::{Closed, Hash, Opened, Prize, Signature};
use idl::event::{
    ByeEvent, ByeReason, DanmakuEvent, GapEvent, HelloEvent, LiveSession, LotteryChange, LotteryEvent, LotteryPhase,
    LotteryState, LotteryWinner, ModerationEvent, Mute, Owner, RoomChange, RoomEvent, RoomRole, RoomRules, RoomState,
    Sender, SuppressedEvent, ViewersEvent, WelcomeEvent,
};
use idl::{DanmakuId, LotteryId, RoomId, SessionId, UserId};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::OpenApi;

/// Where push serves it.
pub(super) const PATH: &str = "/api/v1/rooms/{id}/events";

const DESCRIPTION: &str = "\
Server-sent events, in one order for all viewers. A connection begins with `welcome`. One that resumes \
(`Last-Event-ID`) goes on with the first event that was missed; any other gets `hello`, then what happens from there \
on. If the position is no longer kept, `gap` says exactly how many events are missing, and a fresh `hello` follows.

An event's id is opaque. `welcome`, `viewers` and `bye` have none; every 15 seconds a block with nothing but an id \
moves a quiet viewer's position on. Ignore events of types that you do not know. Ordinary danmaku beyond what people \
can read are left out of the stream (never out of the history) and counted in `suppressed`. With `rate`, a viewer takes \
fewer of them; what it does not get by its own choice counts nowhere.

Who is not signed in may watch unless the room's rules say otherwise. No token in the URL, ever.";

#[derive(OpenApi)]
#[openapi(components(schemas(
    ByeEvent,
    DanmakuEvent,
    GapEvent,
    HelloEvent,
    LotteryEvent,
    ModerationEvent,
    RoomEvent,
    SuppressedEvent,
    ViewersEvent,
    WelcomeEvent
)))]
struct Events;

/// The payloads' schemas.
pub(super) fn schemas() -> utoipa::openapi::OpenApi {
    Events::openapi()
}

pub(super) fn path_item() -> Value {
    let query = |name: &str, description: &str, schema: Value| json!({ "name": name, "in": "query", "description": description, "required": false, "schema": schema });
    json!({ "get": {
        "tags": ["danmaku"],
        "summary": "Follow a room.",
        "description": DESCRIPTION,
        "operationId": "follow_room",
        "security": [{}, { "bearer": [] }, { "cookie": [] }],
        "parameters": [
            { "name": "id", "in": "path", "description": "The room", "required": true, "schema": { "$ref": "#/components/schemas/RoomId" } },
            query("last_event_id", "Like the header `Last-Event-ID`, for clients that cannot set it; the header wins", json!({ "type": "string" })),
            query("max_events", "End after so many events; for tests", json!({ "type": "integer", "minimum": 1, "maximum": 100_000 })),
            query("rate", "At most so many ordinary danmaku a second: less than the room shows, never more; 0 for none", json!({ "type": "integer", "minimum": 0, "maximum": 1_000 })),
            { "name": "Last-Event-ID", "in": "header", "description": "The id of the last event that was seen", "required": false, "schema": { "type": "string" } },
        ],
        "responses": {
            "200": {
                "description": "The stream; each event is one `StreamEvent`",
                "content": { "text/event-stream": {
                    "schema": { "$ref": "#/components/schemas/StreamEvent" },
                    "examples": { "a quiet room": { "value": transcript() } },
                } },
            },
            "401": { "description": "The token is not valid, or the room takes no guests" },
            "403": { "description": "Not allowed" },
        },
    } })
}

/// One event as a client's parser gives it out; `data` is JSON of the named schema.
pub(super) fn event_schema() -> Value {
    let variants: Vec<Value> = examples().into_iter().map(|example| example.schema()).collect();
    json!({
        "description": "An event of a room's stream. `data` is one line of JSON, of the schema that belongs to `event`.",
        "oneOf": variants,
    })
}

struct Example {
    event: &'static str,
    schema: &'static str,
    id: Option<&'static str>,
    data: String,
}

impl Example {
    fn schema(&self) -> Value {
        let mut example = json!({ "event": self.event, "data": self.data });
        if let Some(id) = self.id {
            example["id"] = json!(id);
        }
        json!({
            "title": self.event,
            "type": "object",
            "required": ["event", "data"],
            "properties": {
                "event": { "type": "string", "const": self.event },
                "id": { "type": "string" },
                "retry": { "type": "integer", "minimum": 0 },
                "data": {
                    "type": "string",
                    "contentMediaType": "application/json",
                    "contentSchema": { "$ref": format!("#/components/schemas/{}", self.schema) },
                },
            },
            "examples": [example],
        })
    }

    fn wire(&self) -> String {
        let id = self.id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        format!("{id}event: {}\ndata: {}\n\n", self.event, self.data)
    }
}

fn transcript() -> String {
    examples().iter().take(3).map(Example::wire).collect()
}

fn examples() -> Vec<Example> {
    let event = |event, schema, id, data: String| Example { event, schema, id, data };
    let rules = RoomRules { slow_mode_s: 3, ..RoomRules::default() };
    let session = LiveSession { id: SessionId(301), opened_at_ms: 1_790_000_000_000 };
    let room = RoomState {
        id: RoomId(7),
        version: 4,
        title: "Night train 夜行列车".to_owned(),
        owner: Owner { id: UserId(21), name: "mei".to_owned() },
        cover_url: Some("/api/v1/rooms/7/cover?v=2".to_owned()),
        session: Some(session),
        rules,
    };
    let totals = SuppressedEvent { accepted: 120, shown: 100, folded: 5, suppressed: 15 };
    let danmaku = DanmakuText::parse("哈哈哈 what a goal").ok().map(|text| DanmakuEvent {
        id: DanmakuId(9_001),
        session_id: session.id,
        sender: Sender { id: UserId(22), name: "tom".to_owned(), role: RoomRole::Viewer },
        text,
        mode: Mode::Scroll,
        color: Color::from_rgb(0xFF_D3_02),
        size: Size::Standard,
        sent_at_ms: 1_790_000_060_250,
        count: 3,
    });
    let welcome = WelcomeEvent {
        server_time_ms: 1_790_000_060_000,
        resumed: false,
        lease_ms: 420_000,
        user_id: Some(UserId(22)),
    };
    let lotteries = vec![lottery()];
    let hello = HelloEvent {
        room: room.clone(),
        viewers: 42,
        totals,
        lotteries,
        danmaku: danmaku.clone().into_iter().collect(),
    };
    let drawn = LotteryEvent {
        change: LotteryChange::Drawn,
        lottery_id: LotteryId(17),
        entrants: 12,
        lottery: Some(drawn_lottery()),
        winners: vec![LotteryWinner {
            n: 4,
            user_id: UserId(22),
            name: "lin".to_owned(),
            prize: 0,
            claimed: false,
            claim_by_ms: None,
        }],
        winners_total: 1,
    };
    let changed = RoomEvent { change: RoomChange::Rules, room };
    let mute = Mute { user_id: UserId(23), muted: true, until_ms: Some(1_790_003_600_000) };
    let moderation = ModerationEvent { deleted: vec![DanmakuId(9_001)], muted: Some(mute) };
    let gap = GapEvent {
        n: Some(250),
        from: Some("1790000000000.0".to_owned()),
        to: Some("1790000060250.9001".to_owned()),
        retry_after_ms: 800,
    };
    let bye = ByeEvent { reason: ByeReason::Draining, reconnect_in_ms: Some(1_500) };
    vec![
        event("welcome", "WelcomeEvent", None, line(&welcome)),
        event("hello", "HelloEvent", Some("a1-41"), line(&hello)),
        event("danmaku", "DanmakuEvent", Some("a1-42"), line(&danmaku)),
        event("room", "RoomEvent", Some("a1-43"), line(&changed)),
        event("moderation", "ModerationEvent", Some("a1-44"), line(&moderation)),
        event("lottery", "LotteryEvent", Some("a1-46"), line(&drawn)),
        event("suppressed", "SuppressedEvent", Some("a1-45"), line(&totals)),
        event("viewers", "ViewersEvent", None, line(&ViewersEvent { connections: 43 })),
        event("gap", "GapEvent", Some("a1-295"), line(&gap)),
        event("bye", "ByeEvent", None, line(&bye)),
    ]
}

fn lottery() -> LotteryState {
    let spec = r#"{"beacon":null,"claim_ms":0,"conditions":[],"draw_at_ms":1790000120000,"lottery_id":"17","opens_at_ms":1790000060000,"prizes":[{"count":1,"name":"a keyboard"}],"receipt_key":"1f1e1d1c1b1a191817161514131211100f0e0d0c0b0a09080706050403020100","room_id":"7","title":"Midnight draw","v":1,"weight":"one"}"#;
    LotteryState {
        id: LotteryId(17),
        version: 1,
        phase: LotteryPhase::Open,
        test: false,
        title: "Midnight draw".to_owned(),
        prizes: vec![Prize { name: "a keyboard".to_owned(), count: 1 }],
        keyword: None,
        posted_in: None,
        claim_ms: 0,
        opens_at_ms: 1_790_000_060_000,
        draw_at_ms: 1_790_000_120_000,
        entrants: 12,
        opened: Opened { spec: spec.to_owned(), commitment: Hash([0xC0; 32]), signature: Signature([0x51; 64]) },
        closed: None,
        cancelled: None,
        decided_at_ms: None,
    }
}

fn drawn_lottery() -> LotteryState {
    let closed = Closed {
        lottery_id: LotteryId(17),
        root: Hash([0xA0; 32]),
        count: 12,
        closed_at_ms: 1_790_000_120_050,
        signature: Signature([0x52; 64]),
    };
    LotteryState {
        version: 3,
        phase: LotteryPhase::Drawn,
        closed: Some(closed),
        decided_at_ms: Some(1_790_000_120_090),
        ..lottery()
    }
}

fn line(payload: &impl Serialize) -> String {
    serde_json::to_string(payload).unwrap_or_default()
}
