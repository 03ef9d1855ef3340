//! The document says what the gateway does.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::Value;

use crate::support::Site;

const STREAM: &str = "/api/v1/rooms/{id}/events";
const METHODS: [&str; 5] = ["get", "put", "post", "patch", "delete"];

fn operations(document: &Value) -> BTreeMap<(String, String), Value> {
    let mut all = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.insert((path.clone(), method.clone()), operation.clone());
        }
    }
    all
}

fn concrete(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "7" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn it_is_served_and_can_be_browsed() {
    let site = Site::start();
    let answer = site.get("/api/v1/openapi.json").send().await.status(200);
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document, gateway::openapi());
    let to = site.get("/api/v1/docs").send().await.status(308);
    assert_eq!(to.header("location"), "/api/v1/docs/");
    let index = site.get("/api/v1/docs/").send().await.status(200);
    let html = String::from_utf8_lossy(&index.body).into_owned();
    assert!(index.header("content-type").starts_with("text/html"));
    for file in html.split(['"']).filter_map(|part| part.strip_prefix("./")) {
        let found = site.get(&format!("/api/v1/docs/{file}")).send().await.status(200);
        assert!(!found.body.is_empty(), "{file}");
    }
    let start = site.get("/api/v1/docs/swagger-initializer.js").send().await.status(200);
    assert!(String::from_utf8_lossy(&start.body).contains("\"/api/v1/openapi.json\""));
    assert!(!html.contains("http://") && !html.contains("https://"), "nothing comes from elsewhere");
}

#[tokio::test]
async fn every_operation_is_routed_and_every_route_is_an_operation() {
    let site = Site::start();
    let operations = operations(&gateway::openapi());
    let paths: BTreeSet<&String> = operations.keys().map(|(path, _)| path).collect();
    assert!(paths.len() >= 24, "{paths:?}");
    for path in paths {
        if path == STREAM {
            continue; // push's
        }
        for method in METHODS {
            let documented = operations.contains_key(&(path.clone(), method.to_owned()));
            let verb: Method = method.to_uppercase().parse().unwrap();
            let answer = site.ask(verb, &concrete(path)).send().await;
            let routed = !matches!(answer.status.as_u16(), 405) && answer.json_or_null()["code"] != "no-such-path";
            assert_eq!(documented, routed, "{method} {path}");
        }
    }
}

#[test]
fn operations_have_ids_summaries_and_tags() {
    let operations = operations(&gateway::openapi());
    let mut ids = BTreeSet::new();
    for ((path, method), operation) in &operations {
        let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{method} {path} has no id"));
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        assert!(operation["summary"].is_string(), "{id} has no summary");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{id}");
    }
}

#[test]
fn refusals_are_declared_with_their_schema() {
    for ((path, method), operation) in operations(&gateway::openapi()) {
        let responses = operation["responses"].as_object().unwrap();
        let name = format!("{method} {path}");
        let works = responses.keys().filter(|status| status.starts_with('2')).count();
        // Entering says whether it was done before.
        let ways = if path.ends_with("/entries/me") && method == "put" { 2 } else { 1 };
        assert_eq!(works, ways, "{name}");
        for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{name} {status}");
        }
        let needs = |status: &str| assert!(responses.contains_key(status), "{name} lacks {status}");
        if path.starts_with("/api/") && path != STREAM {
            ["429", "503"].iter().for_each(|status| needs(status));
        }
        if path.contains('{') {
            ["400", "404"].iter().for_each(|status| needs(status));
        }
        if operation.get("requestBody").is_some() {
            ["400", "413", "415", "422"].iter().for_each(|status| needs(status));
        }
        if operation.get("security").is_some() {
            needs("401");
        }
        if operation.get("security").is_some() && method != "get" {
            needs("403");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            // A file has no place for what its replay is called.
            let is_title = operation["operationId"] == "import_replay" && parameter["name"] == "title";
            let needed = parameter["in"] == "path" || is_title;
            assert_eq!(parameter["required"].as_bool().unwrap_or(false), needed, "{name}: {parameter}");
        }
    }
    let stream = &operations(&gateway::openapi())[&(STREAM.to_owned(), "get".to_owned())];
    assert!(stream["responses"].get("429").is_none() && stream["responses"].get("503").is_none());
}

#[test]
fn every_reference_leads_somewhere() {
    let document = gateway::openapi();
    let text = document.to_string();
    let mut found = 0;
    for part in text.split("\"$ref\":\"#").skip(1) {
        let pointer = part.split('"').next().unwrap();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
        found += 1;
    }
    assert!(found > 50);
}

#[test]
fn every_stream_event_has_a_schema_and_an_example_of_it() {
    let document = gateway::openapi();
    let content = &document["paths"][STREAM]["get"]["responses"]["200"]["content"]["text/event-stream"];
    assert_eq!(content["schema"]["$ref"], "#/components/schemas/StreamEvent");
    let variants = document["components"]["schemas"]["StreamEvent"]["oneOf"].as_array().unwrap();
    let names: BTreeSet<&str> = variants.iter().map(|v| v["properties"]["event"]["const"].as_str().unwrap()).collect();
    let all = ["welcome", "hello", "danmaku", "room", "moderation", "lottery", "suppressed", "viewers", "gap", "bye"];
    assert_eq!(names, BTreeSet::from(all));
    for variant in variants {
        let example = &variant["examples"][0];
        assert_eq!(example["event"], variant["title"]);
        let payload: Value = serde_json::from_str(example["data"].as_str().unwrap()).unwrap();
        let reference = variant["properties"]["data"]["contentSchema"]["$ref"].as_str().unwrap();
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        let fields: BTreeSet<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let shown: BTreeSet<&String> = payload.as_object().unwrap().keys().collect();
        assert_eq!(fields, shown, "{}", variant["title"]);
    }
}

#[test]
fn the_streams_parameters_are_those_that_push_takes() {
    let document = gateway::openapi();
    let parameters = document["paths"][STREAM]["get"]["parameters"].as_array().unwrap();
    let names: Vec<&Value> = parameters.iter().map(|parameter| &parameter["name"]).collect();
    assert_eq!(names, ["id", "last_event_id", "max_events", "rate", "Last-Event-ID"]);
    let bounds = |name: &str| {
        let schema = &parameters.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"];
        (schema["minimum"].as_u64().unwrap(), schema["maximum"].as_u64().unwrap())
    };
    assert_eq!([bounds("max_events"), bounds("rate")], [(1, 100_000), (0, 1_000)]);
}

#[test]
fn a_rooms_rate_has_its_bounds() {
    let rate = &gateway::openapi()["components"]["schemas"]["RoomRules"]["properties"]["danmaku_per_s"];
    assert_eq!(rate["type"], serde_json::json!(["integer", "null"]));
    assert_eq!((&rate["minimum"], &rate["maximum"]), (&serde_json::json!(1), &serde_json::json!(1_000)));
}

#[tokio::test]
async fn a_real_problem_is_what_the_schema_says() {
    let site = Site::start();
    let problem = site.post("/api/v1/rooms").bearer(21).json("{}").send().await.status(422).json();
    let schema = &gateway::openapi()["components"]["schemas"]["Problem"];
    let properties = schema["properties"].as_object().unwrap();
    for field in problem.as_object().unwrap().keys() {
        assert!(properties.contains_key(field), "{field} is not in the schema");
    }
    for field in schema["required"].as_array().unwrap() {
        assert!(problem.get(field.as_str().unwrap()).is_some(), "{field} is missing");
    }
}
