//! What the object store holds: files of the data folder, or objects in a bucket.

use std::collections::BTreeSet;
use std::path::Path;

use s3::creds::Credentials;
use s3::{Bucket, Region};

use crate::Server;
use crate::backend::{Backend, native};

/// The keys of all that the object store holds; what is not finished yet, too.
pub async fn objects(server: &Server) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    match server.site_name() {
        Some(name) => list(name, &mut keys).await,
        None => {
            let root = server.data().join("data/objects");
            walk(&root, &root, &mut keys);
        }
    }
    keys
}

fn walk(folder: &Path, root: &Path, keys: &mut BTreeSet<String>) {
    // What is removed meanwhile is not there.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, root, keys);
        } else {
            keys.insert(path.strip_prefix(root).expect("it is in there").to_string_lossy().into_owned());
        }
    }
}

async fn list(site: &str, keys: &mut BTreeSet<String>) {
    let (key, secret) = (native("NATIVE_S3_KEY"), native("NATIVE_S3_SECRET"));
    let credentials = Credentials::new(Some(&key), Some(&secret), None, None, None).expect("credentials");
    let region = Region::Custom { region: "us-east-1".to_owned(), endpoint: native(Backend::Objects.variable()) };
    let bucket = Bucket::new(&native("NATIVE_S3_BUCKET"), region, credentials).expect("a bucket").with_path_style();
    let prefix = format!("{site}/");
    let key = |key: &str| key.trim_start_matches(&prefix).to_owned();
    for page in bucket.list(prefix.clone(), None).await.expect("listing the bucket") {
        keys.extend(page.contents.iter().map(|object| key(&object.key)));
    }
    let begun = bucket.list_multiparts_uploads(Some(&prefix), None).await.expect("listing what is being stored");
    keys.extend(begun.iter().flat_map(|page| &page.uploads).map(|upload| key(&upload.key)));
}
