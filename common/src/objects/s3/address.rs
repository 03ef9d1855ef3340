//! Where a bucket is: `s3://bucket/folder?endpoint=http://host:port&region=us-east-1`.

use anyhow::{Context as _, bail, ensure};

use crate::objects::well_formed;

/// With a key it has to fit into what S3 allows, 1,024 bytes.
const MAX_FOLDER_BYTES: usize = 256;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) bucket: String,
    /// What all keys begin with, where a bucket is not ours alone: empty, or `folder/`.
    pub(super) folder: String,
    pub(super) endpoint: String,
    pub(super) region: String,
}

impl Address {
    /// # Errors
    /// Something is missing or makes no sense; names the key, and shows no secret.
    pub(super) fn parse(url: &str) -> anyhow::Result<Self> {
        let rest = url.strip_prefix("s3://").context("objects.url does not begin with \"s3://\"")?;
        let (bucket, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, folder) = bucket.split_once('/').unwrap_or((bucket, ""));
        let is_name = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-'));
        // What is no name may be a key that was put where none belongs.
        ensure!(is_name, "objects.url has no bucket's name after \"s3://\"; keys go into objects.access_key");
        let folder = folder.trim_end_matches('/');
        let is_folder = folder.is_empty() || (folder.len() <= MAX_FOLDER_BYTES && well_formed(folder).is_ok());
        ensure!(is_folder, "the folder in objects.url, after the bucket, is not the beginning of a key");
        let folder = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let (mut endpoint, mut region) = (None, None);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("endpoint", value)) => endpoint = Some(value.trim_end_matches('/').to_owned()),
                Some(("region", value)) if !value.is_empty() => region = Some(value.to_owned()),
                option => bail!("objects.url has an unknown option {:?}", option.map_or("", |(name, _)| name)),
            }
        }
        let endpoint = endpoint.context("objects.url has no endpoint, as in s3://bucket?endpoint=http://host:port")?;
        let host = endpoint.strip_prefix("http://").or_else(|| endpoint.strip_prefix("https://"));
        let host = host.context("the endpoint of objects.url begins with neither http:// nor https://")?;
        ensure!(
            !host.is_empty() && !host.contains(['@', '/', '#', ' ']),
            "the endpoint of objects.url is not just a host and a port"
        );
        Ok(Self {
            bucket: bucket.to_owned(),
            folder,
            endpoint,
            region: region.unwrap_or_else(|| "us-east-1".to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_whole_or_refused_without_showing_a_secret() {
        let read = Address::parse("s3://goligoli?endpoint=http://127.0.0.1:7070/&region=eu-1").unwrap();
        let [bucket, folder, endpoint, region] = ["goligoli", "", "http://127.0.0.1:7070", "eu-1"].map(str::to_owned);
        assert_eq!(read, Address { bucket, folder, endpoint, region });
        assert_eq!(Address::parse("s3://abc/a/b/?endpoint=http://h").unwrap().folder, "a/b/");
        assert_eq!(Address::parse("s3://abc?endpoint=https://s3.example.org").unwrap().region, "us-east-1");
        for bad in [
            "s3:",
            "s3://",
            "s3://goligoli",
            "s3://goligoli?region=x",
            "s3://goligoli/../x?endpoint=http://h",
            "s3://goligoli?endpoint=127.0.0.1:7070",
            "s3://goligoli?endpoint=http://",
            "s3://goligoli?endpoint=http://user:sesame@host",
            "s3://user:sesame@goligoli?endpoint=http://host",
            "s3://goligoli?endpoint=http://host&secret=sesame",
        ] {
            let error = Address::parse(bad).unwrap_err().to_string();
            assert!(error.contains("objects.url") && !error.contains("sesame"), "{bad}: {error}");
        }
    }
}
