use super::*;
use governor::clock::FakeRelativeClock;
use proptest::prelude::*;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

fn limiter(rate: u32, burst: u32, clock: &FakeRelativeClock) -> Limiter<FakeRelativeClock> {
    let flow = Flow { rate: rate.try_into().unwrap(), burst: burst.try_into().unwrap() };
    Limiter::new(flow, burst, SuppressedEvent::default(), clock.clone())
}

/// Nobody says what anybody else says.
fn distinct(at: usize) -> Option<Cow<'static, str>> {
    Some(at.to_string().into())
}

fn people(ids: std::ops::Range<u64>) -> Vec<Option<UserId>> {
    ids.map(|id| Some(UserId(id))).collect()
}

fn is_shown(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Shown { .. })
}

fn shown(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| is_shown(verdict)).count()
}

const TICK: Duration = Duration::from_millis(25);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// In every window at most burst + rate·t passes; the sum of the totals holds, and the
    /// counts of what is shown are what was shown and folded.
    #[test]
    fn a_window_never_exceeds_burst_and_rate(
        seed: u64, rate in 5u32..200, burst in 1u32..200,
        ticks in prop::collection::vec((0u64..60, 1u64..40, 1u64..80), 1..120)
    ) {
        let clock = FakeRelativeClock::default();
        let mut limiter = limiter(rate, burst, &clock);
        let mut rng = StdRng::seed_from_u64(seed);
        let mut passed: Vec<(u64, usize)> = Vec::new();
        let (mut now_ms, mut stood_for) = (0, 0);
        for (waiting, texts, pause_ms) in ticks {
            clock.advance(Duration::from_millis(pause_ms));
            now_ms += pause_ms;
            let text = |at: usize| Some((at as u64 % texts).to_string().into());
            let verdicts = limiter.admit(&people(1..waiting + 1), text, &mut rng);
            stood_for += verdicts.iter().map(|v| if let Verdict::Shown { count } = v { *count } else { 0 }).sum::<u64>();
            passed.push((now_ms, shown(&verdicts)));
        }
        for (from, (start, _)) in passed.iter().enumerate() {
            let mut sum = 0;
            for (end, count) in &passed[from..] {
                sum += count;
                let allowed = f64::from(burst) + f64::from(rate) * (end - start) as f64 / 1000.0;
                prop_assert!(sum as f64 <= allowed + 1.0, "{sum} passed in {} ms, {allowed} allowed", end - start);
            }
        }
        let totals = limiter.totals();
        prop_assert_eq!(totals.accepted, totals.shown + totals.folded + totals.suppressed);
        prop_assert_eq!(stood_for, totals.shown + totals.folded);
    }

    #[test]
    fn under_pressure_nobody_passes_twice_in_a_tick(seed: u64, flood in 10usize..300) {
        let mut limiter = limiter(5, 20, &FakeRelativeClock::default());
        let mut waiting = vec![Some(UserId(1)); flood + 20];
        waiting.extend(people(2..12));
        let verdicts = limiter.admit(&waiting, distinct, &mut StdRng::seed_from_u64(seed));
        prop_assert_eq!(shown(&verdicts[..flood + 20]), 1);
        prop_assert_eq!(shown(&verdicts), 11);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// With far more people than tokens, 99.9 % of what may pass does.
    #[test]
    fn no_token_is_wasted(seed: u64, rate in 20u32..200, crowd in 2u64..20) {
        const SECONDS: u64 = 120;
        let burst = rate * 2;
        let clock = FakeRelativeClock::default();
        let mut limiter = limiter(rate, burst, &clock);
        let mut rng = StdRng::seed_from_u64(seed);
        let everybody = u64::from(rate) * crowd;
        let ticks = SECONDS * 40;
        for tick in 0..ticks {
            // Ten times the rate and more, in irregular portions, said by random people.
            let waiting = rng.random_range(0..u64::from(rate) / 2 + 2);
            let waiting: Vec<_> = (0..waiting).map(|_| Some(UserId(rng.random_range(0..everybody)))).collect();
            limiter.admit(&waiting, |at| Some(format!("{tick} {at}").into()), &mut rng);
            clock.advance(TICK);
        }
        let may_pass = u64::from(burst) + u64::from(rate) * SECONDS;
        let shown = limiter.totals().shown;
        prop_assert!(shown as f64 >= 0.999 * may_pass as f64, "{shown} of {may_pass}");
    }
}

#[test]
fn senders_pass_equally_often_however_much_they_send() {
    let mut rng = StdRng::seed_from_u64(3);
    let mut bot = 0;
    for _ in 0..2_000 {
        let mut limiter = limiter(1, 5, &FakeRelativeClock::default());
        let mut waiting = vec![Some(UserId(1)); 50];
        waiting.extend(people(2..11));
        bot += shown(&limiter.admit(&waiting, distinct, &mut rng)[..50]);
    }
    // Ten senders, five tokens: one in two. Five standard deviations are 112.
    assert!((888..=1112).contains(&bot), "the bot passed {bot} of 2,000 times");
}

/// The bot has posted 200 lines a second for a minute when fifty people speak up.
#[test]
fn a_bot_does_not_crowd_people_out() {
    const PEOPLE: u64 = 50;
    for (seed, people_per_tick) in [(1, 1..3), (2, 1..5), (3, 20..26)] {
        let clock = FakeRelativeClock::default();
        let mut limiter = limiter(50, 100, &clock);
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut spoke, mut heard, mut bot) = (0, 0, 0);
        for tick in 0..2_480 {
            let mut waiting = vec![Some(UserId(1)); 5];
            if tick >= 2_440 && spoke < PEOPLE {
                let now = rng.random_range(people_per_tick.clone()).min(PEOPLE - spoke);
                waiting.extend(people(100 + spoke..100 + spoke + now));
                spoke += now;
            }
            let verdicts = limiter.admit(&waiting, |at| Some(format!("{tick} {at}").into()), &mut rng);
            bot += shown(&verdicts[..5]);
            heard += shown(&verdicts[5..]);
            clock.advance(TICK);
        }
        assert_eq!(spoke, PEOPLE);
        let least = if people_per_tick.end > 20 { 26 } else { 48 };
        assert!(heard >= least, "{heard} of {PEOPLE} were shown when {people_per_tick:?} came in each tick");
        // 62 s of 50 tokens a second and the burst, less what is kept for people.
        assert!(bot >= 3_000, "the bot was shown {bot} times: what nobody needs is not kept from it");
    }
}

#[test]
fn what_is_the_same_is_folded_while_tokens_are_short_and_only_then() {
    let clock = FakeRelativeClock::default();
    let mut limiter = limiter(10, 8, &clock);
    let mut rng = StdRng::seed_from_u64(1);
    let same = |_| Some("666".into());
    let verdicts = limiter.admit(&people(1..5), same, &mut rng);
    assert_eq!(verdicts, [Verdict::Shown { count: 1 }; 4], "there is room for all");

    let mut waiting = people(11..41);
    waiting.extend([Some(UserId(11)); 9]);
    let verdicts = limiter.admit(&waiting, same, &mut rng);
    let counts: Vec<u64> =
        verdicts.iter().filter_map(|v| if let Verdict::Shown { count } = v { Some(*count) } else { None }).collect();
    assert_eq!(counts, [30], "thirty people said it, one of them ten times");
    assert_eq!(verdicts.iter().filter(|v| **v == Verdict::Folded).count(), 29);
    let totals = limiter.totals();
    let expected = SuppressedEvent { accepted: 43, shown: 5, folded: 29, suppressed: 9 };
    assert_eq!(totals, expected);

    let mut waiting = people(51..61);
    waiting.extend([None; 10]);
    let verdicts = limiter.admit(&waiting, |_| None, &mut rng);
    assert_eq!(shown(&verdicts), 3, "what has no text is not folded; a guest's line is nobody's");
}

#[test]
fn a_new_rate_takes_effect_without_a_burst() {
    let clock = FakeRelativeClock::default();
    let mut limiter = limiter(50, 100, &clock);
    let mut rng = StdRng::seed_from_u64(1);
    let flow = |rate: u32, burst: u32| Flow { rate: rate.try_into().unwrap(), burst: burst.try_into().unwrap() };
    assert_eq!(shown(&limiter.admit(&people(0..500), distinct, &mut rng)), 100);
    limiter.change(flow(1_000, 2_000));
    assert_eq!(shown(&limiter.admit(&people(1_000..1_500), distinct, &mut rng)), 0, "no burst");
    clock.advance(Duration::from_millis(100));
    assert_eq!(shown(&limiter.admit(&people(2_000..2_500), distinct, &mut rng)), 100);
    limiter.change(flow(10, 20));
    clock.advance(Duration::from_secs(1));
    assert_eq!(shown(&limiter.admit(&people(3_000..3_500), distinct, &mut rng)), 10);
}

/// However long it takes to make a write: what it shows is of the time on its events.
#[tokio::test(start_paused = true)]
async fn a_write_has_the_tokens_of_the_time_that_its_events_are_stamped_with() {
    let clock = crate::write_clock::WriteClock::new();
    let flow = Flow { rate: 50.try_into().unwrap(), burst: 100.try_into().unwrap() };
    let mut limiter = Limiter::new(flow, 100, SuppressedEvent::default(), clock.clone());
    let mut rng = StdRng::seed_from_u64(1);
    assert_eq!(shown(&limiter.admit(&people(0..500), distinct, &mut rng)), 100);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(shown(&limiter.admit(&people(1_000..1_500), distinct, &mut rng)), 0, "no time has passed on the stamps");
    clock.look(&common::Clock::system());
    assert_eq!(shown(&limiter.admit(&people(2_000..2_500), distinct, &mut rng)), 50);
}
