//! `goligoli verify-draw`: recomputes a draw from its documents, and says in plain words
//! what was checked and what remains trust. Nothing but files is needed.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use idl::draw::{Weight, Winner};
use lottery::protocol::verify::{Checked, Documents, Fault, MAX_DOCUMENT_BYTES, verify};

/// The exit code for what can't be read.
const UNREADABLE: u8 = 2;
/// Winners that are listed; who wants more reads the proof, which is verified by then.
const LISTED: usize = 100;
/// Characters of a name that are shown.
const NAME_CHARS: usize = 80;

/// Which documents.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The proof: `GET /api/v1/lotteries/{id}/proof`.
    proof: PathBuf,
    /// The entries: `GET /api/v1/lotteries/{id}/entries`.
    entries: PathBuf,
    /// The signed announcement of the opening, as it was saved when the lottery opened.
    #[arg(long, value_name = "FILE")]
    opened: Option<PathBuf>,
    /// The signed announcement of the freeze, as it was saved when the lottery closed.
    #[arg(long, value_name = "FILE")]
    closed: Option<PathBuf>,
    /// An entrant's receipt (may be repeated).
    #[arg(long = "receipt", value_name = "FILE")]
    receipts: Vec<PathBuf>,
}

/// Checks, and tells the result on standard output, or what is wrong on standard error.
pub(crate) fn run(options: &Options) -> ExitCode {
    // Nobody may be reading; the exit code still says it.
    let (code, _told) = match check(options) {
        Ok(checked) => (checked.exit_code(), tell(&checked, &mut io::stdout().lock())),
        Err(Wrong::File(path, error)) => {
            (UNREADABLE, writeln!(io::stderr(), "goligoli: unreadable: {}: {error}", path.display()))
        }
        Err(Wrong::Draw(fault)) => {
            let kind = match fault {
                Fault::Unreadable(_) => "unreadable",
                Fault::Disagrees(_) => "the draw does not agree",
            };
            (fault.exit_code(), writeln!(io::stderr(), "goligoli: {kind}: {fault}"))
        }
    };
    ExitCode::from(code)
}

enum Wrong<'a> {
    File(&'a Path, io::Error),
    Draw(Fault),
}

fn check(options: &Options) -> Result<Checked, Wrong<'_>> {
    let proof = read(&options.proof)?;
    let opened = options.opened.as_ref().map(|path| read(path)).transpose()?;
    let closed = options.closed.as_ref().map(|path| read(path)).transpose()?;
    let receipts = options.receipts.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let entries = File::open(&options.entries).map_err(|error| Wrong::File(&options.entries, error))?;
    let documents =
        Documents { proof: &proof, opened: opened.as_deref(), closed: closed.as_deref(), receipts: &receipts };
    verify(&documents, BufReader::with_capacity(1 << 16, entries)).map_err(Wrong::Draw)
}

/// Reads one byte more than a document may have, so that a longer one is noticed.
fn read(path: &Path) -> Result<Vec<u8>, Wrong<'_>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_DOCUMENT_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| Wrong::File(path, error))?;
    Ok(bytes)
}

fn tell(checked: &Checked, out: &mut impl Write) -> io::Result<()> {
    let (spec, proof) = (checked.spec.spec(), &checked.proof);
    writeln!(out, "Lottery {} of room {}: {}", spec.lottery_id, spec.room_id, shown(&spec.title))?;
    writeln!(out, "\nChecked:")?;
    writeln!(out, "  the opening and the freeze are signed by the receipt key {},", spec.receipt_key)?;
    writeln!(out, "  the seed is the one that the signed commitment binds,")?;
    let weights = if matches!(spec.weight, Weight::One(_)) { "one chance each" } else { "weights as the spec allows" };
    writeln!(
        out,
        "  entries ({}): in order, in time, one for each user, {weights}, all under the signed root,",
        proof.count
    )?;
    if !proof.replaced.is_empty() {
        writeln!(out, "  replacements ({}): allowed, signed, none left out between them,", proof.replaced.len())?;
    }
    writeln!(out, "  winners ({}): exactly what follows from seed and entries.", proof.winners.len())?;
    if checked.receipts > 0 {
        writeln!(out, "  receipts ({}): signed, and among the entries.", checked.receipts)?;
    }
    tell_result(checked, out)?;
    writeln!(out, "\nWinners:")?;
    proof.winners.iter().take(LISTED).try_for_each(|winner| tell_winner(checked, winner, out))?;
    match proof.winners.len().saturating_sub(LISTED) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more, as the proof names them"),
    }
}

fn tell_result(checked: &Checked, out: &mut impl Write) -> io::Result<()> {
    if checked.is_anchored() {
        writeln!(out, "\nThe draw agrees with what was signed at the time.")?;
    } else {
        let missing = match (checked.with_opened, checked.with_closed) {
            (true, _) => "--closed",
            (false, true) => "--opened",
            (false, false) => "--opened and --closed",
        };
        writeln!(
            out,
            "\nThe draw is consistent in itself, and that is all that was shown: an operator could have made"
        )?;
        writeln!(out, "all of it afterwards. Give the announcements that were saved at the time ({missing}).")?;
    }
    writeln!(out, "\nWhat remains trust: without a beacon the operator is trusted. Who knows the seed can steer the")?;
    writeln!(out, "winner before the close by choosing a last entry; the proof shows only that nothing changed after")?;
    writeln!(out, "the announcements.")
}

fn tell_winner(checked: &Checked, winner: &Winner, out: &mut impl Write) -> io::Result<()> {
    let prizes = &checked.spec.spec().prizes;
    let prize = usize::try_from(winner.prize).ok().and_then(|prize| prizes.get(prize));
    let name = prize.map(|prize| shown(&prize.name)).unwrap_or_default();
    writeln!(out, "  entry {}, user {}: {name}", winner.n, winner.user_id)
}

/// A name that somebody chose, without what a terminal would obey.
fn shown(name: &str) -> String {
    let whole = name.chars().count() <= NAME_CHARS;
    let start: String = name.chars().take(NAME_CHARS).collect();
    format!("\"{}{}\"", start.escape_debug(), if whole { "" } else { "…" })
}

#[cfg(test)]
mod tests;
