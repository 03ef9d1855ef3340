//! Exit code 1: draws that are signed, and against the rules.

use idl::draw::ReplaceReason;

use crate::draw::{CLAIM_MS, CLOSED_AT_MS, DRAW_AT_MS, Draw, OPENS_AT_MS, Vector, text};
use crate::tampered::{Files, PROOF};

/// Exit code 1: all of it signed, and against the rules.
pub(crate) fn rules_broken() -> Vec<Vector> {
    let with = |name: &str, about: &str, says: &str, change: &dyn Fn(&mut Draw)| {
        let mut draw = Draw::new(name, 4, &[("first", 1)]);
        change(&mut draw);
        Files::of(&draw).vector(name, about, 1, says)
    };
    let weighted = |name: &str, about: &str, says: &str, weight: u64| {
        let mut draw = Draw::new(name, 4, &[("first", 1)]).weighted();
        draw.entries[2].weight = weight;
        Files::of(&draw).vector(name, about, 1, says)
    };
    vec![
        with("user-twice", "one user has two entries", "entry 3 is of user 1000", &|draw| {
            draw.entries[3].user_id = draw.entries[0].user_id;
        }),
        with("entered-early", "before it opened", "entry 0 was made at", &|draw| {
            draw.entries[0].entered_at_ms = OPENS_AT_MS - 1;
        }),
        with("entered-late", "at the moment of the draw", "entry 3 was made at", &|draw| {
            draw.entries[3].entered_at_ms = DRAW_AT_MS;
        }),
        with("entered-back-in-time", "earlier than the one before", "entry 2 was made before", &|draw| {
            draw.entries[1].entered_at_ms += 1;
        }),
        with("numbers-from-1", "the first entry is 0", "where entry 0 belongs", &|draw| {
            draw.entries.iter_mut().for_each(|entry| entry.n += 1);
        }),
        with("closed-early", "frozen before the draw was due", "the entries were frozen at", &|draw| {
            draw.closed_at_ms = DRAW_AT_MS - 1;
        }),
        with("weight-without-rule", "two chances where each has one", "entry 1 has weight 2", &|draw| {
            draw.entries[1].weight = 2;
        }),
        with("weight-0-without-rule", "no chance where each has one", "entry 1 has weight 0", &|draw| {
            draw.entries[1].weight = 0;
        }),
        weighted("weight-0", "no chance", "entry 2 has weight 0", 0),
        weighted("weight-too-large", "more chances than the spec allows", "entry 2 has weight 4", 4),
    ]
}

/// Exit code 1: replacements that are signed, and not allowed.
pub(crate) fn bad_redraws() -> Vec<Vector> {
    let (declined, unclaimed) = (ReplaceReason::Declined, ReplaceReason::Unclaimed);
    let draw = |name: &str| Draw::new(name, 6, &[("first", 1), ("second", 1)]);
    let with = |name: &str, about: &str, says: &str, change: &dyn Fn(Draw) -> Draw| {
        Files::of(&change(draw(name))).vector(name, about, 1, says)
    };
    let swapped = {
        let draw = draw("redraw-swapped").take_out(0, declined, CLOSED_AT_MS).take_out(0, declined, CLOSED_AT_MS);
        let mut proof = draw.make().proof;
        proof.replaced.swap(0, 1);
        Files::of(&draw).put(PROOF, text(&proof)).vector(
            "redraw-swapped",
            "in the other order",
            1,
            "replacement 0 is not signed",
        )
    };
    let cut = {
        let draw = draw("redraw-first-removed").take_out(0, declined, CLOSED_AT_MS).take_out(0, declined, CLOSED_AT_MS);
        let mut proof = draw.make().proof;
        proof.replaced.remove(0);
        Files::of(&draw).put(PROOF, text(&proof)).vector(
            "redraw-first-removed",
            "the chain's begin is missing",
            1,
            "replacement 0 is not signed",
        )
    };
    vec![
        swapped,
        cut,
        with("redraw-too-early", "there was a millisecond left to claim", "replacement 0 was not allowed", &|draw| {
            draw.take_out(0, unclaimed, CLOSED_AT_MS + CLAIM_MS - 1)
        }),
        with(
            "redraw-too-early-again",
            "the time begins anew for who comes next",
            "replacement 1 was not allowed",
            &|draw| {
                let at_ms = CLOSED_AT_MS + CLAIM_MS;
                // The prize that was taken over is the last of the winners now.
                draw.take_out(0, unclaimed, at_ms).take_out(1, unclaimed, at_ms + CLAIM_MS - 1)
            },
        ),
        with("redraw-declined-early", "declined before it was won", "after that", &|draw| {
            draw.take_out(0, declined, CLOSED_AT_MS - 1)
        }),
        with("redraw-declined-early-again", "declined before it was taken over", "after that", &|draw| {
            // The prize that was taken over is the last of the winners now.
            draw.take_out(0, declined, CLOSED_AT_MS + 5).take_out(1, declined, CLOSED_AT_MS + 4)
        }),
        with("redraw-nothing-to-claim", "prizes need not be claimed", "nothing needs to be claimed", &|mut draw| {
            draw.spec.claim_ms = 0;
            draw.take_out(0, unclaimed, CLOSED_AT_MS + CLAIM_MS)
        }),
        with("redraw-twice", "the same winner is taken out twice", "holds no prize", &|draw| {
            let mut draw = draw.take_out(0, declined, CLOSED_AT_MS);
            draw.replaced.push(draw.replaced[0]);
            draw
        }),
        with("redraw-loser", "who holds no prize is taken out", "holds no prize", &|mut draw| {
            let winners = draw.make().proof.winners;
            let loser = (0..6).find(|n| winners.iter().all(|winner| winner.n != *n)).unwrap();
            draw.replaced.push((loser, declined, CLOSED_AT_MS));
            draw
        }),
        with("redraw-nobody", "an entry that is not there is taken out", "holds no prize", &|mut draw| {
            draw.replaced.push((6, declined, CLOSED_AT_MS));
            draw
        }),
    ]
}
