//! What is asked of Redis in one round trip, and how traces show it.

use common::telemetry::traces::Trip;
use redis::aio::MultiplexedConnection;
use redis::{Arg, Cmd, FromRedisValue, Pipeline, RedisError, ScriptInvocation};

use super::address::Address;

/// What is asked.
pub(super) enum Ask<'a> {
    Command(&'a Cmd),
    Pipeline(&'a Pipeline),
    Script(&'a ScriptInvocation<'a>),
}

impl Ask<'_> {
    /// Begins its span. No key and no value is in it.
    pub(super) fn trip(&self, address: &Address) -> Trip {
        let mut trip = Trip::begin(|| self.name().into());
        trip.tell(|span| {
            span.set("db.system.name", "redis");
            span.set("db.operation.name", self.name());
            span.set("db.namespace", address.server.redis_settings().db().to_string());
            span.set("server.address", address.host.clone());
            span.set("server.port", i64::from(address.port));
            if let Self::Pipeline(pipeline) = self {
                let commands = pipeline.cmd_iter().count();
                span.set("db.operation.batch.size", i64::try_from(commands).unwrap_or(i64::MAX));
            }
        });
        trip
    }

    /// `EVALSHA`, or `PIPELINE HGET` if all of several are the same.
    fn name(&self) -> String {
        match self {
            Self::Command(command) => name_of(command),
            Self::Script(_) => "EVALSHA".to_owned(),
            Self::Pipeline(pipeline) => {
                let mut names = pipeline.cmd_iter().map(name_of);
                let first = names.next().unwrap_or_default();
                if names.all(|name| name == first) { format!("PIPELINE {first}") } else { "PIPELINE".to_owned() }
            }
        }
    }

    pub(super) async fn of<T: FromRedisValue>(&self, mut connection: MultiplexedConnection) -> Result<T, RedisError> {
        match self {
            Self::Command(command) => command.query_async(&mut connection).await,
            Self::Pipeline(pipeline) => pipeline.query_async(&mut connection).await,
            Self::Script(script) => script.invoke_async(&mut connection).await,
        }
    }
}

fn name_of(command: &Cmd) -> String {
    match command.args_iter().next() {
        Some(Arg::Simple(name)) => String::from_utf8_lossy(name).to_ascii_uppercase(),
        _ => String::new(),
    }
}

/// Ends the span of what was asked.
pub(super) fn end<T>(trip: Trip, outcome: &Result<T, RedisError>) {
    match outcome {
        Ok(_) => trip.end(),
        Err(error) => trip.fail(|| error.code().unwrap_or(error.category()).to_owned(), || error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_is_named_by_what_it_does() {
        let mut same = redis::pipe();
        same.cmd("HGET").arg("a").arg("b").cmd("HGET").arg("c").arg("d");
        let mut mixed = redis::pipe();
        mixed.cmd("DEL").arg("a").cmd("ZREM").arg("b").arg("c");
        assert_eq!(Ask::Command(redis::cmd("ping").arg("hidden")).name(), "PING");
        assert_eq!(Ask::Pipeline(&same).name(), "PIPELINE HGET");
        assert_eq!(Ask::Pipeline(&mixed).name(), "PIPELINE");
    }
}
