//! What a service answers when it does not do what it was asked: one code of a closed
//! list (each has one kind, each kind has one HTTP status, in the gateway), a sentence
//! for a person, and the data that a caller acts on.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A request that was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// Why, for programs.
    pub code: Code,
    /// Why, for people. Never holds internals or secrets.
    pub detail: String,
    /// When it may work, if waiting helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// When the reason ends (a mute), if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The field that is wrong, as a JSON pointer, if it is one field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl Refusal {
    /// A refusal that waiting does not cure.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after_ms: None, until: None, pointer: None }
    }

    /// A field is wrong; `pointer` names it (RFC 6901).
    pub fn field(pointer: &str, detail: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.to_owned()), ..Self::new(Code::InvalidField, detail) }
    }

    /// Asking again after so many milliseconds may work.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// Asking again after this moment may work.
    #[must_use]
    pub fn until(mut self, end: Timestamp) -> Self {
        self.until = Some(end);
        self
    }

    /// Something of ours failed; the details are in our log only.
    #[must_use]
    pub fn internal() -> Self {
        Self::new(Code::Internal, "the service failed; the failure was logged")
    }

    /// The general kind of [`Refusal::code`].
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.code.kind()
    }
}

/// The general kinds of refusal. Closed on purpose: the gateway gives each one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The request's form is wrong.
    Malformed,
    /// The form is right, a value isn't.
    Invalid,
    /// Nobody, or nobody any more, is signed in.
    Unauthenticated,
    /// Signed in, but not allowed.
    Forbidden,
    /// The path does not take this method.
    BadMethod,
    /// There is no such thing (for this caller).
    NotFound,
    /// The state of the thing forbids it now.
    Conflict,
    /// Larger than allowed.
    TooLarge,
    /// Of a media type that is not taken.
    Unsupported,
    /// Too often; wait.
    TooMany,
    /// Something is down or full; try again.
    Unavailable,
    /// Our fault.
    Internal,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $slug:literal, $kind:ident, $title:literal;)*) => {
        /// Why a request was refused. The slug ends the problem's `type` and is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $slug)] $name,)*
            /// A code that this build does not know yet.
            #[serde(other)]
            Unknown,
        }

        impl Code {
            /// The end of the problem's `type`.
            #[must_use]
            pub const fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)* Self::Unknown => "unknown" }
            }

            /// The problem's `title`: the same for every refusal with this code.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* Self::Unknown => "Refused" }
            }

            /// The general kind.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* Self::Unknown => Kind::Internal }
            }

            /// Every code, for the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    /// The request is not what the method reads at all.
    MalformedRequest = "malformed-request", Malformed, "Malformed request";
    /// A cursor that this server did not give out.
    BadCursor = "bad-cursor", Malformed, "Not a cursor of this list";
    /// A field's value is not allowed; `pointer` names it.
    InvalidField = "invalid-field", Invalid, "A field is not valid";
    /// The idempotency key was used with another request.
    KeyReused = "idempotency-key-reused", Invalid, "Idempotency key used with another request";
    /// The file that was brought is no danmaku file; the detail names the line.
    BadFile = "bad-file", Invalid, "Not a danmaku file";
    /// No token, or one that is expired, malformed or revoked.
    NotSignedIn = "not-signed-in", Unauthenticated, "Not signed in";
    /// Name and password do not belong together.
    WrongCredentials = "wrong-credentials", Unauthenticated, "Wrong name or password";
    /// The refresh token is unknown, used, expired or revoked.
    BadRefreshToken = "bad-refresh-token", Unauthenticated, "The log-in has ended";
    /// Not this caller's to do.
    NotAllowed = "not-allowed", Forbidden, "Not allowed";
    /// A cookie-authenticated request came from another site.
    CrossSite = "cross-site", Forbidden, "Request from another site";
    /// The account is muted in the room.
    Muted = "muted", Forbidden, "Muted";
    /// The lottery is not for this account; the detail says why.
    NotEligible = "not-eligible", Forbidden, "Not eligible";
    /// Who wants to enter posts the lottery's keyword.
    KeywordNeeded = "keyword-needed", Forbidden, "Enter by posting the keyword";
    /// The time for claiming has passed.
    ClaimExpired = "claim-expired", Forbidden, "Too late to claim";
    /// The time for taking one's own danmaku back has passed.
    RecallExpired = "recall-expired", Forbidden, "Too late to delete";
    /// No such account.
    NoSuchUser = "no-such-user", NotFound, "No such user";
    /// No such log-in of this account.
    NoSuchDevice = "no-such-device", NotFound, "No such device";
    /// No such room.
    NoSuchRoom = "no-such-room", NotFound, "No such room";
    /// No such broadcast of the room.
    NoSuchSession = "no-such-session", NotFound, "No such session";
    /// No such danmaku in the room.
    NoSuchDanmaku = "no-such-danmaku", NotFound, "No such danmaku";
    /// No such lottery.
    NoSuchLottery = "no-such-lottery", NotFound, "No such lottery";
    /// No such entry of the lottery; or the account has none.
    NoSuchEntry = "no-such-entry", NotFound, "No such entry";
    /// No such replay, or none that this caller may see.
    NoSuchReplay = "no-such-replay", NotFound, "No such replay";
    /// The replay has no such part.
    NoSuchSegment = "no-such-segment", NotFound, "No such segment of the replay";
    /// The room has no cover image.
    NoCover = "no-cover", NotFound, "No cover";
    /// No such path.
    NoSuchPath = "no-such-path", NotFound, "No such path";
    /// The path is there, the method isn't.
    MethodNotAllowed = "method-not-allowed", BadMethod, "Method not allowed";
    /// The name belongs to somebody, or looks like a name that does.
    NameTaken = "name-taken", Conflict, "Name taken";
    /// The room is not live.
    RoomClosed = "room-closed", Conflict, "The room is not live";
    /// The room is live already.
    RoomOpen = "room-open", Conflict, "The room is live already";
    /// The lottery takes no more entries.
    LotteryClosed = "lottery-closed", Conflict, "The lottery takes no more entries";
    /// The lottery was called off.
    LotteryCancelled = "lottery-cancelled", Conflict, "The lottery was called off";
    /// Nothing is frozen or drawn yet.
    LotteryOpen = "lottery-open", Conflict, "The lottery is not decided yet";
    /// Another open lottery of the room has this keyword.
    KeywordTaken = "keyword-taken", Conflict, "Another open lottery has this keyword";
    /// The account holds no prize of this lottery, or no longer.
    NoPrize = "no-prize", Conflict, "No prize";
    /// The prize was claimed, so nobody else gets it.
    PrizeClaimed = "prize-claimed", Conflict, "The prize was claimed";
    /// The winner still has time to claim, or need not.
    ClaimOpen = "claim-open", Conflict, "There is still time to claim";
    /// The replay is being imported, or indexed for the first time.
    ReplayNotReady = "replay-not-ready", Conflict, "The replay is not ready yet";
    /// As many as are allowed are there already.
    LimitReached = "limit-reached", Conflict, "Limit reached";
    /// The body is larger than allowed.
    TooLarge = "too-large", TooLarge, "Too large";
    /// The body's media type is not taken here.
    UnsupportedMedia = "unsupported-media-type", Unsupported, "Unsupported media type";
    /// Slow mode: this account posted a moment ago.
    SlowMode = "slow-mode", TooMany, "Slow mode";
    /// Too many requests.
    RateLimited = "rate-limited", TooMany, "Too many requests";
    /// Something that the request needs is down, full or too slow.
    Unavailable = "unavailable", Unavailable, "Try again later";
    /// Our fault.
    Internal = "internal", Internal, "Internal error";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_unique_and_a_newer_code_is_read_as_unknown() {
        let mut slugs: Vec<_> = Code::ALL.iter().map(|c| c.slug()).collect();
        slugs.sort_unstable();
        slugs.dedup();
        assert_eq!(slugs.len(), Code::ALL.len());
        assert_eq!(serde_json::from_str::<Code>("\"from-the-future\"").unwrap(), Code::Unknown);
    }
}
