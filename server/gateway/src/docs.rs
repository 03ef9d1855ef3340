//! The OpenAPI document, made from the routes, and its browsable page.
//!
//! A route declares what it answers when it works, and the refusals that are its own.
//! What any request of its shape may be refused with is filled in here, once.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use common::http::{Problem, credentials};
use http::{HeaderMap, header};
use idl::Code;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::Config;

use crate::extract::Path;
use crate::{Gateway, routes};

mod stream;

const DOCUMENT: &str = "/api/v1/openapi.json";
const BROWSER: &str = "/api/v1/docs/";
const PROBLEM: &str = "application/problem+json";
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

/// Types of the contracts, which are lenient, in bodies, which are not: see `extract::Strict`.
const STRICT: [&str; 5] = ["DanmakuBody", "LotteryBody", "ReplayText", "RoomRules", "RoomText"];

/// The routes and the document that describes them.
pub(crate) fn with_document(api: OpenApiRouter<Gateway>) -> (Router<Gateway>, Value) {
    let (router, mut document) = api.split_for_parts();
    document.merge(routes::health::routes().into_openapi());
    document.merge(stream::schemas());
    let mut document = serde_json::to_value(document).unwrap_or_default();
    document["info"] = json!({
        "title": "goligoli",
        "version": env!("CARGO_PKG_VERSION"),
        "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        "description": "Live rooms with danmaku. Ids are decimal strings, times RFC 3339 in UTC. Lists are read with \
            cursors: pass `next_cursor` on as it came. Errors are problems (RFC 9457); programs go by `code`.",
    });
    document["paths"][stream::PATH] = stream::path_item();
    for body in STRICT {
        document["components"]["schemas"][body]["additionalProperties"] = json!(false);
    }
    document["components"]["schemas"]["Problem"] = problem_schema();
    document["components"]["schemas"]["MuteSpan"] = mute_span_schema();
    document["components"]["schemas"]["KeywordEntry"] = keyword_entry_schema();
    document["components"]["schemas"]["StreamEvent"] = stream::event_schema();
    document["components"]["securitySchemes"] = json!({
        "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
        "cookie": {
            "type": "apiKey", "in": "cookie", "name": credentials::ACCESS_COOKIE,
            "description": "The page's. Methods that change something also need `Sec-Fetch-Site: same-origin` or this site's `Origin`.",
        },
    });
    if let Some(paths) = document["paths"].as_object_mut() {
        for (path, item) in paths {
            for method in METHODS {
                if let Some(operation) = item.get_mut(method) {
                    declare_refusals(path, method, operation);
                }
            }
        }
    }
    (router, document)
}

/// What an operation may be refused with follows from its shape.
fn declare_refusals(path: &str, method: &str, operation: &mut Value) {
    let has = |key: &str| operation.get(key).is_some();
    let parameter_in = |place: &str| {
        operation["parameters"].as_array().is_some_and(|all| all.iter().any(|parameter| parameter["in"] == place))
    };
    let changes = method != "get";
    let signed = has("security");
    let in_api = path.starts_with("/api/");
    let streams = path == stream::PATH;
    let shape = [
        ("400", "The path, a parameter or the body's form is malformed", has("requestBody") || has("parameters")),
        ("401", "Not signed in, or not any more", signed),
        ("403", "Not allowed, or sent with cookies by another site's page", signed && changes),
        ("404", "There is no such thing", parameter_in("path")),
        ("413", "The body is too large", has("requestBody")),
        ("415", "The body's media type is not taken", has("requestBody")),
        ("422", "A value is not allowed", has("requestBody") || parameter_in("query") || (signed && changes)),
        ("429", "Too often", in_api && !streams),
        ("503", "Something that this needs is away or full", in_api && !streams),
    ];
    if has("requestBody") {
        operation["requestBody"]["required"] = json!(true);
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, description, applies) in shape {
        if applies {
            responses.entry(status).or_insert_with(|| json!({ "description": description }));
        }
    }
    for (status, response) in responses {
        if status.starts_with(['4', '5']) {
            response["content"] = json!({ PROBLEM: { "schema": { "$ref": "#/components/schemas/Problem" } } });
        }
        if status == "429" {
            response["headers"] = rate_limit_headers();
        }
    }
}

/// The derived one does not know what a problem is.
fn keyword_entry_schema() -> Value {
    let one = |name: &str, schema: &str, description: &str| {
        json!({
            "type": "object",
            "description": description,
            "properties": { name: { "$ref": format!("#/components/schemas/{schema}") } },
            "required": [name],
            "additionalProperties": false,
        })
    };
    json!({
        "description": "What became of an entry by keyword.",
        "oneOf": [
            one("receipt", "Receipt", "The account is in. Keep it."),
            one("refused", "Problem", "It is not; the problem says why."),
        ],
    })
}

/// The derived one knows neither the bounds nor that nothing may stand beside `hours`.
fn mute_span_schema() -> Value {
    json!({
        "description": "How long a mute lasts: until the broadcast ends, so many hours, or until it is lifted.",
        "oneOf": [
            { "type": "string", "enum": ["session", "forever"] },
            {
                "type": "object",
                "required": ["hours"],
                "properties": { "hours": { "type": "integer", "minimum": 1, "maximum": 720 } },
                "additionalProperties": false,
            },
        ],
    })
}

fn rate_limit_headers() -> Value {
    let header = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    json!({
        "Retry-After": header("Seconds until it may work"),
        "RateLimit": header("What is left of the limit that was hit: r requests, for t seconds"),
        "RateLimit-Policy": header("That limit: q requests in w seconds"),
    })
}

fn problem_schema() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.slug()).collect();
    json!({
        "type": "object",
        "description": "Why a request was refused (RFC 9457). Nothing was changed.",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": { "type": "string", "format": "uri-reference", "description": "`/problems/` and the code" },
            "title": { "type": "string", "description": "The same for every problem with this code" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string", "description": "For a person" },
            "code": { "type": "string", "enum": codes, "description": "For a program; more may come" },
            "errors": {
                "type": "array",
                "description": "The fields that are wrong",
                "items": {
                    "type": "object",
                    "required": ["detail", "pointer"],
                    "properties": {
                        "detail": { "type": "string" },
                        "pointer": { "type": "string", "description": "RFC 6901; empty is the whole body" },
                    },
                },
            },
            "retry_after_ms": { "type": "integer", "minimum": 0, "description": "When it may work" },
            "until": { "type": "string", "format": "date-time", "description": "When the reason ends (a mute)" },
            "request_id": { "type": "string", "description": "What to tell the operator" },
        },
        "example": {
            "type": "/problems/room-closed", "title": "The room is not live", "status": 409,
            "detail": "the room is not live", "code": "room-closed",
        },
    })
}

#[derive(Clone)]
struct Docs {
    document: Bytes,
    browser: Arc<Config<'static>>,
}

/// Serves the document and its page.
pub(crate) fn router(document: &Value) -> Router<Gateway> {
    let docs = Docs {
        document: document.to_string().into(),
        // Else the page would send the document to a validator on the internet.
        browser: Arc::new(Config::from(DOCUMENT).validator_url("none")),
    };
    Router::new()
        .route(DOCUMENT, get(document_file))
        .route(BROWSER.trim_end_matches('/'), get(|| async { Redirect::permanent(BROWSER) }))
        .route(BROWSER, get(browser_index))
        .route(&format!("{BROWSER}{{*file}}"), get(browser_file))
        .with_state(docs)
}

async fn document_file(State(docs): State<Docs>) -> Response {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], docs.document).into_response()
}

async fn browser_index(State(docs): State<Docs>) -> Response {
    browser("index.html", docs)
}

async fn browser_file(State(docs): State<Docs>, Path(file): Path<String>) -> Response {
    browser(&file, docs)
}

fn browser(file: &str, docs: Docs) -> Response {
    match utoipa_swagger_ui::serve(file, docs.browser) {
        Ok(Some(found)) => {
            let mut headers = HeaderMap::new();
            headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-cache"));
            if let Ok(media_type) = found.content_type.parse() {
                headers.insert(header::CONTENT_TYPE, media_type);
            }
            (headers, found.bytes.into_owned()).into_response()
        }
        Ok(None) => Problem::new(Code::NoSuchPath, "the documentation has no such file").into_response(),
        Err(error) => {
            tracing::error!(%error, "the documentation's page could not be made");
            Problem::from(idl::Refusal::internal()).into_response()
        }
    }
}
