//! What there is below a prefix, and its removal. Pages are asked for until there are no more.

use std::collections::BTreeSet;

use ::s3::serde_types::ObjectIdentifier;
use anyhow::Context as _;

use super::{Asked, S3, WITHIN};

/// More pages than any prefix has: a server that never ends is not listened to for ever.
const MAX_PAGES: usize = 100_000;

impl S3 {
    pub(crate) async fn folders(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let below = self.key(&format!("{prefix}/"));
        let list = async {
            let mut folders = BTreeSet::new();
            let mut after = None;
            for _ in 0..MAX_PAGES {
                let page = || {
                    let (below, slash, most) = (below.clone(), Some("/".to_owned()), Some(self.0.page_keys));
                    self.0.bucket.list_page(below, slash, after.clone(), None, most)
                };
                let asked = Asked::to("ListObjectsV2", &below);
                let (page, _) = self.send(asked, WITHIN, page).await.map_err(|fault| self.failed(fault))?;
                folders.extend(page.common_prefixes.iter().flatten().filter_map(|found| folder(&below, &found.prefix)));
                match page.next_continuation_token.filter(|_| page.is_truncated) {
                    Some(token) => after = Some(token),
                    None => break,
                }
            }
            for (key, _) in self.begun(&below).await? {
                folders.extend(folder(&below, &key));
            }
            anyhow::Ok(folders.into_iter().collect())
        };
        list.await.with_context(|| format!("listing {below}"))
    }

    pub(crate) async fn delete_all(&self, prefix: &str) -> anyhow::Result<()> {
        let below = self.key(&format!("{prefix}/"));
        let delete = async {
            for (key, upload) in self.begun(&below).await? {
                self.abort(&key, &upload).await?;
            }
            for _ in 0..MAX_PAGES {
                // From the beginning each time: what was listed before is gone by now.
                let page = || self.0.bucket.list_page(below.clone(), None, None, None, Some(self.0.page_keys));
                let asked = Asked::to("ListObjectsV2", &below);
                let (page, _) = self.send(asked, WITHIN, page).await.map_err(|fault| self.failed(fault))?;
                let keys: Vec<_> = page.contents.into_iter().map(|object| ObjectIdentifier::new(object.key)).collect();
                if keys.is_empty() {
                    break;
                }
                let asked = Asked::to("DeleteObjects", &below);
                let removed = self.send(asked, WITHIN * 2, || self.0.bucket.delete_objects(keys.clone())).await;
                let removed = removed.map_err(|fault| self.failed(fault))?;
                if let Some(left) = removed.errors.first() {
                    anyhow::bail!("{} stays: {} {}", left.key, left.code, left.message);
                }
            }
            Ok(())
        };
        delete.await.with_context(|| format!("removing {below}"))
    }

    /// Uploads that were begun below a prefix and not finished: key and id.
    async fn begun(&self, below: &str) -> anyhow::Result<Vec<(String, String)>> {
        let mut begun = Vec::new();
        let (mut key, mut upload) = (None, None);
        for _ in 0..MAX_PAGES {
            let page = || {
                let (key, upload) = (key.clone(), upload.clone());
                self.0.bucket.list_multiparts_uploads_page(Some(below), None, key, upload, Some(self.0.page_keys))
            };
            let asked = Asked::to("ListMultipartUploads", below);
            let (page, _) = self.send(asked, WITHIN, page).await.map_err(|fault| self.failed(fault))?;
            begun.extend(page.uploads.into_iter().filter(|u| u.key.starts_with(below)).map(|u| (u.key, u.id)));
            if !page.is_truncated || page.next_marker.is_none() {
                break;
            }
            (key, upload) = (page.next_marker, page.next_upload_id_marker);
        }
        Ok(begun)
    }
}

/// The segment of `key` that follows `below`, if more follows it.
fn folder(below: &str, key: &str) -> Option<String> {
    Some(key.strip_prefix(below)?.split_once('/')?.0.to_owned())
}
