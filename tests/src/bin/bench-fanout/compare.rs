//! Several servers in one run: same machine, same events, same viewers, in rounds that go
//! through all of them in turn, so that what the machine does meanwhile happens to all.

use std::fmt::Write as _;
use std::process::Command;

use goligoli_tests::timing::median;

use crate::outcome::Outcome;
use crate::peer::{self, Kind, Programs, Url, said};
use crate::scenario::Scenario;

/// What is compared.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Compare {
    /// Rounds; the table has the medians.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only these servers.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Kind>,
    /// Seconds that each measurement takes; what comes before and after is not counted.
    #[arg(long, default_value_t = 6.0)]
    seconds: f64,
    /// Viewers in the large room.
    #[arg(long, default_value_t = 10_000)]
    many: usize,
    /// Bytes of an event's data.
    #[arg(long, default_value_t = 240)]
    payload_bytes: usize,
    #[command(flatten)]
    programs: Programs,
}

/// Which server, and how it is set up.
#[derive(Debug, Clone, Copy)]
struct Contestant {
    kind: Kind,
    nginx_workers: u8,
    gather_ms: Option<u64>,
}

const fn contestant(kind: Kind) -> Contestant {
    Contestant { kind, nginx_workers: 1, gather_ms: None }
}

/// Peers get what suits them best: nchan is measured with one worker and with two.
const CONTESTANTS: [Contestant; 6] = [
    contestant(Kind::Goligoli),
    contestant(Kind::Nchan),
    Contestant { nginx_workers: 2, ..contestant(Kind::Nchan) },
    contestant(Kind::Centrifugo),
    contestant(Kind::Mercure),
    contestant(Kind::Bare),
];
/// As long as goligoli gathers by default.
const GATHERING_LIMIT: Contestant = Contestant { gather_ms: Some(25), ..contestant(Kind::Bare) };

impl Compare {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        println!("{}\n", self.where_and_when());
        let scenarios = self.scenarios();
        let mut versions = std::collections::BTreeSet::new();
        let mut results: Vec<Vec<Vec<Outcome>>> =
            scenarios.iter().map(|(_, contestants)| vec![Vec::new(); contestants.len()]).collect();
        for round in 0..self.rounds {
            for ((scenario, contestants), results) in scenarios.iter().zip(&mut results) {
                for turn in 0..contestants.len() {
                    // Nobody always comes after the same one.
                    let index = (turn + round) % contestants.len();
                    let Contestant { kind, nginx_workers, gather_ms } = contestants[index];
                    let programs = Programs { nginx_workers, ..self.programs.clone() };
                    let scenario = Scenario { gather_ms, ..scenario.clone() };
                    let measured = match peer::start(kind, &scenario, &programs, &Url::default()).await {
                        Ok(peer) => {
                            versions.insert(peer.version.clone());
                            scenario.measure(&peer)
                        }
                        Err(error) => Err(error),
                    };
                    match measured {
                        Ok(outcome) => {
                            eprintln!("round {}: {}\n", round + 1, outcome);
                            results[index].push(outcome);
                        }
                        Err(error) => eprintln!("round {}: {kind:?} was not measured: {error:#}\n", round + 1),
                    }
                }
            }
        }
        for ((scenario, _), results) in scenarios.iter().zip(&results) {
            println!("{}", self.table(scenario, results));
        }
        for ((scenario, contestants), results) in scenarios.iter().zip(&results) {
            println!("{}", verdict(scenario, contestants, results));
        }
        println!("Versions: {}.", versions.into_iter().collect::<Vec<_>>().join("; "));
        Ok(())
    }

    fn scenarios(&self) -> Vec<(Scenario, Vec<Contestant>)> {
        let scenario = |viewers, events_per_s| Scenario {
            viewers,
            events_per_s,
            seconds: self.seconds,
            warm_up_s: 1.0,
            payload_bytes: self.payload_bytes,
            gather_ms: None,
        };
        let chosen = |all: &[Contestant]| -> Vec<Contestant> {
            all.iter().copied().filter(|c| self.only.is_empty() || self.only.contains(&c.kind)).collect()
        };
        let with_limit: Vec<Contestant> = CONTESTANTS.into_iter().chain([GATHERING_LIMIT]).collect();
        vec![
            (scenario(1_000, 10.0), chosen(&CONTESTANTS)),
            (scenario(self.many, 2.0), chosen(&CONTESTANTS)),
            (scenario(self.many, 10.0), chosen(&CONTESTANTS)),
            (scenario(1_000, 500.0), chosen(&with_limit)),
            // What publishing costs: goligoli's danmaku are on the disk before they are answered.
            (scenario(1, 500.0), chosen(&CONTESTANTS)),
        ]
    }

    fn where_and_when(&self) -> String {
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        format!(
            "{}, {cores} cores of {}, Linux {}; server, viewers and publisher share them. Median of {} rounds of {} s, \
             the smallest and largest in parentheses. An event's data has {} bytes.",
            said(Command::new("date").arg("-I")),
            model.map_or("an unknown processor", |(_, model)| model),
            said(Command::new("uname").arg("-r")),
            self.rounds,
            self.seconds,
            self.payload_bytes,
        )
    }

    fn table(&self, scenario: &Scenario, results: &[Vec<Outcome>]) -> String {
        let mut table = format!(
            "**{} events/s into {} viewers**\n\n\
             | server | CPU µs per delivery | p50 ms | p99 ms | p99.9 ms | events/s reached | KB per idle viewer | \
             bytes per event on the wire | missing or out of order |\n|---|---|---|---|---|---|---|---|---|\n",
            scenario.events_per_s, scenario.viewers
        );
        for outcomes in results.iter().filter(|outcomes| !outcomes.is_empty()) {
            let of = |value: fn(&Outcome) -> f64| outcomes.iter().map(value).collect::<Vec<f64>>();
            let wrong: u64 = outcomes.iter().map(|outcome| outcome.missing + outcome.violations).sum();
            let idle = |outcome: &Outcome| outcome.idle.map_or(f64::NAN, |idle| idle.resident_bytes / 1e3);
            _ = writeln!(
                table,
                "| {} | {} | {:.1} | {} | {:.1} | {:.0} | {:.1} | {:.0} | {wrong} |",
                outcomes[0].name,
                spread(of(|outcome| outcome.server_us.unwrap_or(f64::NAN)), 2),
                median(of(|outcome| outcome.p50_ms)),
                spread(of(|outcome| outcome.p99_ms), 1),
                median(of(|outcome| outcome.p999_ms)),
                median(of(|outcome| outcome.reached_per_s)),
                median(of(idle)),
                median(of(|outcome| outcome.bytes_per_event)),
            );
        }
        table
    }
}

/// Holds this server against the best of nchan's set-ups, by the medians of this run.
fn verdict(scenario: &Scenario, contestants: &[Contestant], results: &[Vec<Outcome>]) -> String {
    // NaN if nothing was measured.
    let best = |kind: Kind, value: fn(&Outcome) -> f64| {
        let of_kind =
            contestants.iter().zip(results).filter(|(one, outcomes)| one.kind == kind && !outcomes.is_empty());
        let medians = of_kind.map(|(_, outcomes)| median(outcomes.iter().map(value).collect()));
        medians.fold(f64::NAN, f64::min)
    };
    let ratio = |name: &str, value: fn(&Outcome) -> f64| {
        let ratio = best(Kind::Goligoli, value) / best(Kind::Nchan, value);
        let word = match ratio {
            ratio if ratio <= 1.0 => "at most as much",
            ratio if ratio > 1.0 => "more",
            _ => "not measured",
        };
        format!("{name} {ratio:.2} × ({word})")
    };
    format!(
        "{} events/s into {} viewers, goligoli against nginx + nchan at its best: {}, {}",
        scenario.events_per_s,
        scenario.viewers,
        ratio("CPU per delivery", |outcome| outcome.server_us.unwrap_or(f64::NAN)),
        ratio("p99", |outcome| outcome.p99_ms),
    )
}

/// `median (smallest–largest)`.
fn spread(values: Vec<f64>, digits: usize) -> String {
    let (least, most) = values.iter().fold((f64::MAX, f64::MIN), |(least, most), v| (least.min(*v), most.max(*v)));
    format!("{:.digits$} ({least:.digits$}–{most:.digits$})", median(values))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_the_median_and_both_ends() {
        assert_eq!(spread(vec![3.0, 1.25, 2.0], 1), "2.0 (1.2–3.0)");
    }

    #[test]
    fn the_verdict_is_by_medians_against_the_best_set_up() {
        let measured = |server_us, p99_ms| Outcome {
            name: String::new(),
            viewers: 7,
            asked_per_s: 2.0,
            reached_per_s: 2.0,
            events: 14,
            server_us: Some(server_us),
            client_us: 1.0,
            p50_ms: 1.0,
            p99_ms,
            p999_ms: 1.0,
            idle: None,
            bytes_per_event: 1.0,
            events_per_read: 1.0,
            refused: 0,
            missing: 0,
            violations: 0,
            disconnected: 0,
        };
        let scenario = Scenario {
            viewers: 7,
            events_per_s: 2.0,
            seconds: 1.0,
            warm_up_s: 0.0,
            payload_bytes: 100,
            gather_ms: None,
        };
        let goligoli = vec![measured(3.0, 90.0), measured(90.0, 3.0), measured(3.0, 3.0)];
        let nchan = [vec![measured(4.0, 9.0)], vec![measured(9.0, 2.0)]];
        let [one, two] = nchan;
        let said = verdict(&scenario, &CONTESTANTS[..3], &[goligoli.clone(), one, two]);
        assert_eq!(
            said,
            "2 events/s into 7 viewers, goligoli against nginx + nchan at its best: \
             CPU per delivery 0.75 × (at most as much), p99 1.50 × (more)"
        );
        let alone = verdict(&scenario, &CONTESTANTS[..2], &[goligoli, Vec::new()]);
        assert!(alone.ends_with("CPU per delivery NaN × (not measured), p99 NaN × (not measured)"), "{alone}");
    }
}
