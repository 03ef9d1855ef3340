//! What two processes say to each other before the first call: what they speak, which service
//! is called, and that both belong to the site.
//!
//! Each message is a length (u32, big-endian) and a MessagePack map:
//! caller: [`Hello`] → called: [`Challenge`] → caller: [`Proof`] → called: [`Welcome`].
//! A secret is never sent: both ends prove it over both nonces.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::trust::Trust;

/// How long all of it may take, connecting included.
pub(crate) const DEADLINE: Duration = Duration::from_secs(2);
const MAGIC: &str = "goligoli-rpc";
const VERSION: u32 = 1;
const MAX_MESSAGE_BYTES: usize = 4 << 10;
const WRONG_SECRET: &str = "the other process has another rpc.secret";

/// Why two processes do not talk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The other side said so.
    #[error("refused: {0}")]
    ByPeer(String),
    /// The other side does not belong to the site, or speaks something else.
    #[error("{0}")]
    ByUs(String),
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    magic: String,
    version: u32,
    service: String,
    contract: u32,
    nonce: [u8; 32],
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Challenge {
    #[serde(default)]
    refused: Option<String>,
    contract: u32,
    nonce: [u8; 32],
    proofs: Vec<Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Proof {
    #[serde(default)]
    refused: Option<String>,
    proofs: Vec<Vec<u8>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Welcome {
    #[serde(default)]
    refused: Option<String>,
}

/// The caller's part. Returns the contract's version of the called.
pub(crate) async fn call<Io>(io: &mut Io, trust: &Trust, service: &str, contract: u32) -> Result<u32, Refused>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let nonce = rand::random::<[u8; 32]>();
    let hello = Hello { magic: MAGIC.to_owned(), version: VERSION, service: service.to_owned(), contract, nonce };
    send(io, &hello).await?;
    let challenge: Challenge = receive(io).await?;
    accepted(challenge.refused.as_deref())?;
    let seen = Seen { service, caller: nonce, called: challenge.nonce, contracts: (contract, challenge.contract) };
    if trust.asks_for_secret() && trust.proven(&seen.by("called"), &challenge.proofs).is_none() {
        let proof = Proof { refused: Some(WRONG_SECRET.to_owned()), proofs: Vec::new() };
        send(io, &proof).await?;
        return Err(Refused::ByUs(WRONG_SECRET.to_owned()));
    }
    send(io, &Proof { refused: None, proofs: trust.prove(&seen.by("caller")) }).await?;
    let welcome: Welcome = receive(io).await?;
    accepted(welcome.refused.as_deref())?;
    Ok(challenge.contract)
}

/// The called one's part: `contract_of` tells the version of a service, if it is served here.
/// Returns the service.
pub(crate) async fn answer<Io>(
    io: &mut Io,
    trust: &Trust,
    contract_of: impl Fn(&str) -> Option<u32>,
) -> Result<String, Refused>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let hello: Hello = receive(io).await?;
    let contract = match contract_of(&hello.service) {
        _ if hello.magic != MAGIC || hello.version != VERSION => {
            Err(format!("protocol {} {} is not spoken here", hello.magic, hello.version))
        }
        None => Err(format!("{} does not run here", hello.service)),
        Some(contract) => Ok(contract),
    };
    let contract = match contract {
        Ok(contract) => contract,
        Err(why) => {
            send(io, &Challenge { refused: Some(why.clone()), ..Challenge::default() }).await?;
            return Err(Refused::ByUs(why));
        }
    };
    let nonce = rand::random::<[u8; 32]>();
    let seen =
        Seen { service: &hello.service, caller: hello.nonce, called: nonce, contracts: (hello.contract, contract) };
    let proofs = trust.prove(&seen.by("called"));
    send(io, &Challenge { refused: None, contract, nonce, proofs }).await?;
    let proof: Proof = receive(io).await?;
    accepted(proof.refused.as_deref())?;
    if trust.asks_for_secret() && trust.proven(&seen.by("caller"), &proof.proofs).is_none() {
        send(io, &Welcome { refused: Some(WRONG_SECRET.to_owned()) }).await?;
        return Err(Refused::ByUs(WRONG_SECRET.to_owned()));
    }
    send(io, &Welcome { refused: None }).await?;
    Ok(hello.service)
}

/// What both ends have seen of a handshake.
struct Seen<'a> {
    service: &'a str,
    caller: [u8; 32],
    called: [u8; 32],
    contracts: (u32, u32),
}

impl Seen<'_> {
    /// What is proven: who proves it is in it, so that nobody is sent its own proof.
    fn by(&self, who: &str) -> Vec<u8> {
        let mut bytes = format!("{MAGIC}/{VERSION} {who} {} ", self.service).into_bytes();
        bytes.extend_from_slice(&self.caller);
        bytes.extend_from_slice(&self.called);
        bytes.extend_from_slice(&self.contracts.0.to_be_bytes());
        bytes.extend_from_slice(&self.contracts.1.to_be_bytes());
        bytes
    }
}

fn accepted(refused: Option<&str>) -> Result<(), Refused> {
    match refused {
        // It goes to our log: what a stranger sends must not fill it.
        Some(why) => Err(Refused::ByPeer(why.chars().filter(|c| !c.is_control()).take(200).collect())),
        None => Ok(()),
    }
}

async fn send<Io: AsyncWrite + Unpin>(io: &mut Io, message: &impl Serialize) -> Result<(), Refused> {
    let body = rmp_serde::to_vec_named(message).map_err(std::io::Error::other)?;
    let mut frame = u32::try_from(body.len()).map_err(std::io::Error::other)?.to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    io.write_all(&frame).await?;
    Ok(io.flush().await?)
}

async fn receive<M: DeserializeOwned>(io: &mut (impl AsyncRead + Unpin)) -> Result<M, Refused> {
    let foreign = || Refused::ByUs("the other side does not speak this protocol".to_owned());
    let length = usize::try_from(io.read_u32().await?).map_err(|_| foreign())?;
    if length > MAX_MESSAGE_BYTES {
        return Err(foreign());
    }
    let mut body = vec![0; length];
    io.read_exact(&mut body).await?;
    rmp_serde::from_slice(&body).map_err(|_| foreign())
}
