//! How many requests there are, how they end, how long they take: the same words everywhere.

use std::time::Duration;

/// A request was answered. `route` is a pattern, never a path: ids would make a series each.
pub(crate) fn http(route: &str, method: &'static str, status: u16, took: Duration) {
    let (route, status) = (route.to_owned(), status.to_string());
    metrics::counter!("goligoli_http_requests_total", "route" => route.clone(), "method" => method, "status" => status)
        .increment(1);
    metrics::histogram!("goligoli_http_request_seconds", "route" => route, "method" => method).record(took);
}

/// A call over the network has ended, as its caller saw it. `name` is tarpc's (`Message.post`);
/// `outcome` is `ok` (also with a refusal as its answer), `refused` (not taken), `late` or `away`.
pub fn rpc(name: &str, outcome: &'static str, took: Duration) {
    let (service, method) = name.split_once('.').unwrap_or(("", name));
    let (service, method) = (service.to_ascii_lowercase(), method.to_owned());
    metrics::counter!(
        "goligoli_rpc_requests_total", "service" => service.clone(), "method" => method.clone(), "outcome" => outcome
    )
    .increment(1);
    metrics::histogram!("goligoli_rpc_request_seconds", "service" => service, "method" => method).record(took);
}
