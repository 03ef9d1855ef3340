//! What is asked of an S3 server by one request, and how traces show it.

use std::future::Future;

use super::fault::Fault;
use super::{Inner, S3};
use crate::telemetry::traces::Trip;

/// An operation by S3's name for it, and the key (or what keys begin with) that it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    operation: &'static str,
    key: &'a str,
}

impl<'a> Asked<'a> {
    pub(super) const fn to(operation: &'static str, key: &'a str) -> Self {
        Self { operation, key }
    }
}

impl S3 {
    /// One request, with a span of its own. What is not there is no failure: that is an answer.
    pub(super) async fn asked<T, E>(
        &self,
        asked: Asked<'_>,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Fault>
    where
        Fault: From<E>,
    {
        let trip = begin(&self.0, asked);
        let outcome = request.await.map_err(Fault::from);
        match &outcome {
            Ok(_) | Err(Fault::Missing) => trip.end(),
            Err(fault) => trip.fail(|| fault.kind().to_owned(), || format!("{fault:?}")),
        }
        outcome
    }
}

fn begin(s3: &Inner, asked: Asked<'_>) -> Trip {
    let mut trip = Trip::begin(|| format!("S3/{}", asked.operation).into());
    trip.tell(|span| {
        span.set("rpc.system", "aws-api");
        span.set("rpc.service", "S3");
        span.set("rpc.method", asked.operation);
        span.set("aws.s3.bucket", s3.name.clone());
        span.set("aws.s3.key", asked.key.to_owned());
        let url = s3.endpoint.parse::<http::Uri>().unwrap_or_default();
        span.set("server.address", url.host().unwrap_or_default().to_owned());
        let usual = if url.scheme_str() == Some("https") { 443 } else { 80 };
        span.set("server.port", i64::from(url.port_u16().unwrap_or(usual)));
    });
    trip
}
