//! What a measurement gave.

use std::fmt;

/// Every number of one measurement; latencies are from when an event was due to be
/// published until a viewer has read it.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) name: String,
    pub(crate) viewers: usize,
    pub(crate) asked_per_s: f64,
    /// Events that each viewer got a second, until the last had come.
    pub(crate) reached_per_s: f64,
    /// Deliveries.
    pub(crate) events: u64,
    /// The server's CPU per delivery; unknown if its process is.
    pub(crate) server_us: Option<f64>,
    /// That of viewers and publisher.
    pub(crate) client_us: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) idle: Option<Idle>,
    /// On the wire, with everything that is not an event.
    pub(crate) bytes_per_event: f64,
    pub(crate) events_per_read: f64,
    /// Publications that were not taken.
    pub(crate) refused: u64,
    /// Deliveries that never came of those that were.
    pub(crate) missing: u64,
    /// Deliveries that came twice or out of order, or holes in the order.
    pub(crate) violations: u64,
    pub(crate) disconnected: usize,
}

/// What a viewer weighs to whom nothing is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Idle {
    /// The server's memory. What the kernel holds for its sockets is not in it.
    pub(crate) resident_bytes: f64,
    /// What the kernel's own memory grew by, for both ends of the connection.
    pub(crate) kernel_bytes: f64,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, viewers, asked_per_s, reached_per_s, events, client_us, .. } = self;
        writeln!(f, "{name}: {viewers} viewers, {asked_per_s} events/s asked, {reached_per_s:.1} reached")?;
        writeln!(
            f,
            "deliveries      {events}, {:.0} bytes each on the wire, {:.1} in a read",
            self.bytes_per_event, self.events_per_read
        )?;
        match self.server_us {
            Some(us) => writeln!(f, "server CPU      {us:.2} µs per delivery (viewers and publisher: {client_us:.2})")?,
            None => writeln!(f, "server CPU      unknown: --pid was not given")?,
        }
        let Self { p50_ms, p99_ms, p999_ms, .. } = self;
        writeln!(f, "latency ms      p50 {p50_ms:.1}   p99 {p99_ms:.1}   p99.9 {p999_ms:.1}")?;
        if let Some(Idle { resident_bytes, kernel_bytes }) = self.idle {
            writeln!(
                f,
                "idle viewer     {:.1} KB resident in the server; the kernel's sockets are not in it: its memory grew \
                 by {:.1} KB for both ends",
                resident_bytes / 1e3,
                kernel_bytes / 1e3
            )?;
        }
        let Self { refused, missing, violations, disconnected, .. } = self;
        write!(
            f,
            "not as it should be: {refused} publications refused, {missing} deliveries missing, {violations} \
             violations of the order, {disconnected} viewers disconnected"
        )
    }
}
