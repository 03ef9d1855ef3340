//! Settings that apply without a restart. Whoever owns the source (a file that is looked at
//! again, later a watch on shared configuration) sets them; services hold a [`Dynamic`] and
//! know nothing of where it comes from.

use tokio::sync::watch;

/// A setting as it is now. Clones follow the same source, each from what it has seen.
#[derive(Debug, Clone)]
pub struct Dynamic<T>(watch::Receiver<T>);

/// What sets a [`Dynamic`].
#[derive(Debug)]
pub struct Source<T>(watch::Sender<T>);

impl<T: Clone + PartialEq> Source<T> {
    /// A setting with its first value.
    pub fn new(value: T) -> (Self, Dynamic<T>) {
        let (sender, receiver) = watch::channel(value);
        (Self(sender), Dynamic(receiver))
    }

    /// Sets it. `false`: it was the same before, and nobody is woken.
    pub fn set(&self, value: T) -> bool {
        self.0.send_if_modified(|now| {
            let changed = *now != value;
            if changed {
                *now = value;
            }
            changed
        })
    }
}

impl<T: Clone> Dynamic<T> {
    /// A setting that never changes.
    pub fn fixed(value: T) -> Self {
        Self(watch::channel(value).1)
    }

    /// As it is now.
    #[must_use]
    pub fn now(&self) -> T {
        self.0.borrow().clone()
    }

    /// As it is now, and seen.
    pub fn see(&mut self) -> T {
        self.0.borrow_and_update().clone()
    }

    /// Whether it changed since it was last seen.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        // Without a source it stays as it is.
        self.0.has_changed().unwrap_or(false)
    }

    /// Returns when it has changed since it was last seen, and counts that as seen; never if
    /// its source is gone.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn a_change_is_seen_once_by_each_and_no_change_wakes_nobody() {
        let (source, mut one) = Source::new(1);
        let mut other = one.clone();
        assert!(!one.has_changed() && !source.set(1) && !one.has_changed());
        assert!(source.set(2));
        assert_eq!((one.now(), one.has_changed()), (2, true));
        one.changed().await;
        assert_eq!((one.see(), one.has_changed(), other.has_changed()), (2, false, true));
        assert_eq!((other.see(), other.has_changed()), (2, false));
    }

    #[tokio::test(start_paused = true)]
    async fn without_its_source_it_stays_as_it_is() {
        for mut setting in [Dynamic::fixed(1), Source::new(1).1] {
            let woken = tokio::time::timeout(Duration::from_secs(3_600), setting.changed()).await;
            assert!(woken.is_err() && !setting.has_changed() && setting.see() == 1);
        }
    }
}
