//! Log-ins: refreshing, listing and ending them.

use std::sync::Arc;

use common::Outcome;
use common::db::Tx;
use common::outbox::Slot;
use idl::access::Identity;
use idl::push::Revocation;
use idl::user::{Device, Devices, Done, LoggedIn, Refresh};
use idl::{Code, DeviceId, Refusal, Timestamp, UserId};
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory as _};

use crate::accounts::{Accounts, no_such_user};
use crate::store::{self, DeviceRow};
use crate::tokens::Claimed;

/// Log-ins of one account. One more ends the least recently used one.
pub(crate) const MAX_DEVICES: usize = 50;
/// How long a traded refresh token gives the same new pair again: so long may an answer be lost
/// and the refresh be tried again, as in an outage, without its being taken for a theft.
const GRACE_MS: u64 = 60_000;
/// How often a refresh looks again because another one came first.
const TRIES: usize = 3;
const MAX_NAME_CHARS: usize = 200;

/// Revocations are one stream: their order does not matter, and push takes them together.
const TOPIC: u64 = 0;

impl Accounts {
    pub(crate) async fn refresh(&self, request: Refresh) -> Outcome<LoggedIn> {
        self.space.check()?;
        let token = Claimed::parse(&request.refresh_token).ok_or_else(bad_refresh_token)?;
        for _ in 0..TRIES {
            let now = self.clock.now();
            let device = self.store.device(token.device, now).await?.ok_or_else(bad_refresh_token)?;
            // Only then is the claim anything: nobody ends a log-in by making up a token.
            if !self.tokens.is_genuine(&token, &device) {
                return Err(bad_refresh_token().into());
            }
            if token.generation == device.generation {
                if self.store.rotate(&device, now).await? {
                    let next = DeviceRow { generation: device.generation + 1, used_at: now, ..device };
                    return self.pair(&next).await;
                }
            } else if token.generation > device.generation {
                // The database is older than the token: it was restored from a backup.
                return Err(bad_refresh_token().into());
            } else if token.generation + 1 == device.generation && now.since_ms(device.used_at) <= GRACE_MS {
                return self.pair(&device).await;
            } else {
                self.end_stolen(&device).await?;
                return Err(bad_refresh_token().into());
            }
        }
        Err(Refusal::new(Code::Unavailable, "the log-in is being refreshed elsewhere").retry_after_ms(100).into())
    }

    pub(crate) async fn log_out(&self, identity: Arc<Identity>) -> Outcome<Done> {
        // One that is gone already is as ended as can be.
        self.end_device(identity.user, identity.device).await?;
        Ok(Done {})
    }

    pub(crate) async fn revoke_device(&self, identity: Arc<Identity>, device: DeviceId) -> Outcome<Done> {
        if self.end_device(identity.user, device).await? {
            return Ok(Done {});
        }
        Err(Refusal::new(Code::NoSuchDevice, "the account has no such device").into())
    }

    pub(crate) async fn list_devices(&self, identity: Arc<Identity>) -> Outcome<Devices> {
        let devices = self.store.devices(identity.user, self.clock.now()).await?;
        let items = devices.into_iter().map(|device| Device {
            current: device.id == identity.device,
            id: device.id,
            name: device.name,
            created_at: device.created_at,
            used_at: device.used_at,
        });
        Ok(Devices { items: items.collect() })
    }

    async fn pair(&self, device: &DeviceRow) -> Outcome<LoggedIn> {
        let (account, _) = self.store.find(device.user).await?.ok_or_else(no_such_user)?;
        self.tokens.pair(&account, device)
    }

    async fn end_stolen(&self, device: &DeviceRow) -> Outcome<()> {
        if self.end_device(device.user, device.id).await? {
            let (user, device) = (device.user, device.id);
            tracing::warn!(%user, %device, "a used refresh token came again: log-in {device} of user {user} is ended");
        }
        Ok(())
    }

    /// Ends a log-in of that account; false if there is none. Works on a full disk too:
    /// it is the last thing that may fail, and gives back more than it takes.
    async fn end_device(&self, user: UserId, device: DeviceId) -> Outcome<bool> {
        let slots = self.outbox.slots(1).await?;
        let mut tx = self.store.db().begin().await?;
        let mut ended = EndedDevices::new(user, slots, self.tokens.all_expired_at(self.clock.now()));
        let was_there = ended.end(self, &mut tx, device).await?;
        tx.commit().await?;
        ended.announce(self);
        Ok(was_there)
    }
}

/// Log-ins that end in one transaction, each with its fact in the outbox.
pub(crate) struct EndedDevices {
    user: UserId,
    slots: Vec<Slot>,
    until: Timestamp,
    ended: Vec<DeviceId>,
}

impl EndedDevices {
    /// `slots` are for the facts: as many as log-ins may end. `until` is when the last of
    /// their access tokens has expired.
    pub(crate) const fn new(user: UserId, slots: Vec<Slot>, until: Timestamp) -> Self {
        Self { user, slots, until, ended: Vec::new() }
    }

    /// Ends one in the transaction; false if the account has no such log-in.
    pub(crate) async fn end(&mut self, accounts: &Accounts, tx: &mut Tx, device: DeviceId) -> Outcome<bool> {
        if !store::delete_device(tx, self.user, device).await? {
            return Ok(false);
        }
        let slot = self.slots.pop().ok_or_else(|| anyhow::anyhow!("user {} has too many log-ins", self.user))?;
        let fact = Revocation { source: format!("device:{device}"), user: self.user, device, until_ms: self.until.0 };
        accounts.outbox.add(tx, slot, TOPIC, &fact).await?;
        self.ended.push(device);
        Ok(true)
    }

    /// After the commit: this process refuses their tokens from now on, the others as soon
    /// as the facts arrive.
    pub(crate) fn announce(self, accounts: &Accounts) {
        for device in &self.ended {
            accounts.verifier.revocations().revoke(*device, self.until.0);
        }
        if !self.ended.is_empty() {
            accounts.outbox.committed();
        }
    }
}

/// What a device calls itself, as far as it can be shown: one line of 200 characters.
pub(crate) fn device_name(text: &str) -> String {
    let visible = text.chars().filter(|c| {
        let separator =
            matches!(c.general_category(), GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator);
        c.general_category_group() != GeneralCategoryGroup::Other && !separator
    });
    let name: String = visible.take(MAX_NAME_CHARS).collect();
    name.trim().to_owned()
}

fn bad_refresh_token() -> Refusal {
    Refusal::new(Code::BadRefreshToken, "the log-in has ended; log in again")
}

#[cfg(test)]
mod tests {
    use super::device_name;

    #[test]
    fn a_device_name_is_one_line_of_what_can_be_seen() {
        assert_eq!(device_name(" Firefox \u{202E}on\r\n\0 Debian\u{200B} "), "Firefox on Debian");
        assert_eq!(device_name(&"手".repeat(300)).chars().count(), 200);
        assert_eq!(device_name("\n"), "");
    }
}
