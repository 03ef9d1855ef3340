//! `goligoli keys`: a fresh set of what several processes must agree on.

use common::token::Signer;

/// Prints lines of an environment file. What is private goes to the processes that need it,
/// and nowhere else.
///
/// # Errors
/// The system gave no randomness.
pub(crate) fn print() -> anyhow::Result<()> {
    let key = || hex_of(rand::random());
    let signing = rand::random();
    println!("# All processes:");
    println!("GOLIGOLI_RPC__SECRET={}", key());
    println!("GOLIGOLI_ACCESS__PUBLIC_KEYS=[\"{}\"]", Signer::public_of(&signing)?);
    println!("# user alone:");
    println!("GOLIGOLI_ACCESS__SIGNING_KEY={}", hex_of(signing));
    println!("GOLIGOLI_USER__REFRESH_KEY={}", key());
    println!("# message alone:");
    println!("GOLIGOLI_MESSAGE__SENDER_KEY={}", key());
    println!("# lottery alone:");
    println!("GOLIGOLI_LOTTERY__SEED_KEY={}", key());
    println!("GOLIGOLI_LOTTERY__RECEIPT_KEY={}", key());
    Ok(())
}

fn hex_of(key: [u8; 32]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}
