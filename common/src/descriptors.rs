//! Open files: each connection takes one, and the usual limit is made for another age.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept for databases, feeds and what else is not a connection.
const RESERVED: u64 = 1_000;

/// Raises this process's limit as far as it may, and returns how many connections fit: at
/// most `wanted`, fewer (with a warning) where the system gives fewer descriptors.
#[must_use]
pub fn make_room(wanted: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = if setrlimit(Resource::Nofile, raised).is_ok() { maximum } else { current };
    let fit = limit.map_or(u64::MAX, |limit| limit.saturating_sub(RESERVED).max(limit / 2));
    let fit = usize::try_from(fit).unwrap_or(usize::MAX);
    if fit < wanted {
        tracing::warn!(wanted, fit, "the limit of open files (ulimit -n) allows fewer connections than are configured");
    }
    wanted.min(fit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_never_more_than_wanted_and_never_nothing() {
        assert_eq!(make_room(1), 1);
        assert!(
            (1..1_000_000_000).contains(&make_room(1_000_000_000)) || getrlimit(Resource::Nofile).maximum.is_none()
        );
    }
}
