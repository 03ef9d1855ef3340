//! The machine's clock is set forth and back: nothing ends early or late.

use idl::live::MuteSpan;

use super::world::{HOUR_MS, World};

const HOUR: i64 = HOUR_MS.cast_signed();

/// Lets time pass until ten seconds before `end_ms`, sets the clock, and asks whether something
/// holds: then, in its last millisecond, at its end, and when the clock is right again.
async fn holds(world: &World, end_ms: i64, step_ms: i64, holds: impl AsyncFn() -> bool) -> [bool; 4] {
    world.clock.advance_ms(end_ms - 10_000);
    world.clock.step_ms(step_ms);
    let mut held = [false; 4];
    for (pause_ms, held) in [0, 9_999, 1].into_iter().zip(&mut held) {
        world.clock.advance_ms(pause_ms);
        world.live.core.sweep().await.unwrap();
        *held = holds().await;
    }
    world.clock.step_ms(-step_ms);
    held[3] = holds().await;
    held
}

#[tokio::test]
async fn a_keyword_ends_when_it_should() {
    for step_ms in [HOUR, -HOUR] {
        let world = World::start().await;
        let room = world.create(1, "title").await.unwrap().id;
        world.set_keyword(world.member(1), room, 5, "goli").await.unwrap();
        let there = async || !world.standing(room, 9).await.unwrap().keywords.is_empty();
        assert_eq!(holds(&world, HOUR, step_ms, there).await, [true, true, false, false], "set by {step_ms} ms");
        world.set_keyword(world.member(1), room, 6, "goli").await.unwrap();
    }
}

#[tokio::test]
async fn a_mute_ends_when_it_should() {
    for step_ms in [HOUR, -HOUR] {
        let world = World::start().await;
        let room = world.create(1, "title").await.unwrap().id;
        world.mute(world.member(1), room, 5, MuteSpan::Hours(2)).await.unwrap();
        let muted = async || world.standing(room, 5).await.unwrap().muted;
        assert_eq!(holds(&world, 2 * HOUR, step_ms, muted).await, [true, true, false, false], "set by {step_ms} ms");
    }
}

#[tokio::test]
async fn a_broadcast_is_as_long_as_it_was() {
    for step_ms in [HOUR, -HOUR] {
        let world = World::start().await;
        let room = world.create(1, "title").await.unwrap().id;
        for (before_ms, after_ms) in [(step_ms, 0), (0, step_ms), (step_ms, -step_ms)] {
            world.clock.step_ms(before_ms);
            let session = world.open(world.member(1), room, None).await.unwrap();
            world.clock.advance_ms(1_500);
            world.clock.step_ms(after_ms);
            let closed = world.close(world.member(1), &session).await.unwrap();
            assert_eq!(closed.closed_at.unwrap().since_ms(session.opened_at), 1_500);
            world.clock.step_ms(-before_ms - after_ms);
        }
    }
}
