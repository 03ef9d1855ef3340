use super::*;
use crate::native;

/// What every object store must do. `root` is a prefix that nobody else uses.
async fn contract(store: &Objects, root: &str) {
    let key = |key: &str| format!("{root}/{key}");
    let b = key("a/b.jpg");
    assert_eq!(store.get(&b).await.unwrap(), None);
    assert!(store.open_object(&b).await.unwrap().is_none());
    store.delete(&b).await.unwrap();
    store.put(&b, Bytes::from_static(b"one")).await.unwrap();
    store.put(&b, Bytes::from_static(b"two")).await.unwrap();
    assert_eq!(store.get(&b).await.unwrap().as_deref(), Some(&b"two"[..]));
    store.put(&key("a/empty.json"), Bytes::new()).await.unwrap();
    assert_eq!(store.get(&key("a/empty.json")).await.unwrap().as_deref(), Some(&b""[..]));
    store.delete(&b).await.unwrap();
    assert_eq!(store.get(&b).await.unwrap(), None);
    in_pieces(store, root, 100_000, 5).await;
    in_pieces(store, root, 4_000_000, 5).await;
    what_is_not_finished_leaves_nothing(store, root).await;
    by_prefix(store, root).await;
    for bad in ["", "/a", "a//b", "../a", "a/..", "a/.b", "a b", "ä", "a/", &"a".repeat(513)] {
        assert!(store.put(bad, Bytes::new()).await.is_err(), "{bad:?} is no key");
        assert!(store.delete_all(bad).await.is_err(), "{bad:?} is no prefix");
    }
    store.check().await.unwrap();
}

/// An object of this many pieces replaces another one, and is there when it is whole.
async fn in_pieces(store: &Objects, root: &str, piece_bytes: usize, pieces: u8) {
    let key = format!("{root}/big/x.bin");
    store.put(&key, Bytes::from_static(b"before")).await.unwrap();
    let pieces: Vec<Vec<u8>> = (0..pieces).map(|n| vec![n; piece_bytes]).collect();
    let mut writer = store.create(&key).await.unwrap();
    for piece in &pieces {
        writer.write(piece).await.unwrap();
    }
    let before = store.get(&key).await.unwrap();
    assert_eq!(before.as_deref(), Some(&b"before"[..]), "it is not there before it is whole");
    writer.finish().await.unwrap();
    let mut reader = store.open_object(&key).await.unwrap().unwrap();
    let mut all = Vec::new();
    while let Some(piece) = reader.next().await.unwrap() {
        assert!(!piece.is_empty() && piece.len() <= PIECE_BYTES);
        all.extend_from_slice(&piece);
    }
    assert_eq!(reader.bytes(), all.len() as u64);
    assert!(all == pieces.concat(), "what is read is what was written");
}

async fn what_is_not_finished_leaves_nothing(store: &Objects, root: &str) {
    let key = format!("{root}/begun/v1/y.bin");
    let mut given_up = store.create(&key).await.unwrap();
    given_up.write(&vec![1; 6 << 20]).await.unwrap();
    drop(given_up);
    assert_eq!(store.get(&key).await.unwrap(), None);
    // What a process had begun when it was killed.
    let mut left = store.create(&format!("{root}/begun/v2/y.bin")).await.unwrap();
    left.write(&vec![1; 6 << 20]).await.unwrap();
    assert!(store.folders(&format!("{root}/begun")).await.unwrap().contains(&"v2".to_owned()));
    store.delete_all(&format!("{root}/begun/v2")).await.unwrap();
    assert!(left.finish().await.is_err(), "it was removed");
    let begun = format!("{root}/begun");
    store.delete_all(&begun).await.unwrap();
    assert_eq!(store.folders(&begun).await.unwrap(), Vec::<String>::new());
}

async fn by_prefix(store: &Objects, root: &str) {
    let key = |key: &str| format!("{root}/{key}");
    store.put(&key("bigger/z.bin"), Bytes::from_static(b"stays")).await.unwrap();
    store.put(&key("bigger/v2/z.bin"), Bytes::new()).await.unwrap();
    for n in 0..30 {
        store.put(&key(&format!("bigger/v10/a/{n}.bin")), Bytes::new()).await.unwrap();
        store.put(&key(&format!("bigger/w{n}/a.bin")), Bytes::new()).await.unwrap();
    }
    let folders = store.folders(&key("bigger")).await.unwrap();
    assert_eq!((folders.len(), folders[0].as_str(), folders[1].as_str()), (32, "v10", "v2"));
    assert_eq!(store.folders(&key("nothing")).await.unwrap(), Vec::<String>::new());
    for _ in 0..2 {
        store.delete_all(&key("bigger/v10")).await.unwrap();
        store.delete_all(&key("big")).await.unwrap();
        assert_eq!(store.get(&key("big/x.bin")).await.unwrap(), None);
    }
    assert!(store.get(&key("bigger/z.bin")).await.unwrap().is_some());
    assert_eq!(store.folders(&key("bigger")).await.unwrap().len(), 31);
}

#[tokio::test]
async fn the_folder_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    let store = Objects::open("folder:", dir.path()).unwrap();
    contract(&store, "root").await;
    let left = std::fs::read_dir(dir.path().join("objects/root/a")).unwrap().count();
    assert_eq!(left, 1, "no drafts stay behind");
    assert_eq!(store.link("a", Duration::from_secs(9)).await.unwrap(), None);
    assert!(Objects::open("ftp:", dir.path()).unwrap_err().to_string().contains("objects.url"));
}

/// The real server's, if there is one.
fn of_server() -> Option<Settings> {
    let (endpoint, bucket) = (native::server("NATIVE_S3_URL")?, native::server("NATIVE_S3_BUCKET")?);
    Some(Settings {
        url: format!("s3://{bucket}?endpoint={endpoint}&region=us-east-1"),
        access_key: native::server("NATIVE_S3_KEY")?,
        secret_key: native::server("NATIVE_S3_SECRET")?.into(),
    })
}

fn fresh_root() -> String {
    format!("test/{:016x}", rand::random::<u64>())
}

#[tokio::test]
async fn the_bucket_keeps_the_contract() {
    let Some(settings) = of_server() else { return };
    let (lifecycle, root) = (Lifecycle::new(), fresh_root());
    // A folder of a bucket, and small pages, so that there are many.
    let settings = Settings { url: settings.url.replace('?', "/some/folder/?"), ..settings };
    let store = Objects::S3(S3::with_pages(&settings, 7, &lifecycle).unwrap());
    contract(&store, &root).await;
    store.delete_all(&root).await.unwrap();
    lifecycle.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn others_see_what_an_object_is() {
    let Some(settings) = of_server() else { return };
    let (lifecycle, root) = (Lifecycle::new(), fresh_root());
    let store = Objects::connect(&settings, Path::new("."), &lifecycle).await.unwrap();
    let (small, large) = (format!("{root}/meta.json"), format!("{root}/all.xml"));
    store.put(&small, Bytes::from_static(b"{}")).await.unwrap();
    let mut writer = store.create(&large).await.unwrap();
    writer.write(&vec![b' '; 6 << 20]).await.unwrap();
    writer.finish().await.unwrap();
    for (key, content_type) in [(small, "application/json"), (large, "application/xml")] {
        let link = store.link(&key, Duration::from_mins(1)).await.unwrap().unwrap();
        let shown = reqwest::get(&link).await.unwrap().error_for_status().unwrap();
        let header = |name: &str| shown.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), content_type);
        assert_eq!(header("cache-control"), "public, max-age=31536000, immutable");
        let tampered = reqwest::get(link.replace(&key, "test/other.json")).await.unwrap();
        assert_eq!(tampered.status(), 403);
    }
    store.delete_all(&root).await.unwrap();
    lifecycle.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_is_set_wrongly_is_refused_by_its_name() {
    let Some(settings) = of_server() else { return };
    let lifecycle = Lifecycle::new();
    let refusal = async |settings: Settings| {
        let refused = Objects::connect(&settings, Path::new("."), &lifecycle).await.unwrap_err();
        format!("{refused:#}")
    };
    let wrong = Settings { secret_key: "sesame".to_owned().into(), ..settings.clone() };
    let told = refusal(wrong).await;
    assert!(told.starts_with("objects.secret_key") && !told.contains("sesame"), "{told}");
    let told = refusal(Settings { access_key: "nobody".to_owned(), ..settings.clone() }).await;
    assert!(told.starts_with("objects.access_key"), "{told}");
    let told = refusal(Settings { access_key: String::new(), ..settings.clone() }).await;
    assert!(told.starts_with("objects.access_key"), "{told}");
    let (_, endpoint) = settings.url.split_once('?').unwrap();
    let told = refusal(Settings { url: format!("s3://no-such-bucket-here?{endpoint}"), ..settings }).await;
    assert!(told.starts_with("objects.url: there is no bucket"), "{told}");
    lifecycle.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_store_that_is_away_fails_soon_and_lets_the_process_start() {
    let lifecycle = Lifecycle::new();
    // One that answers nothing, and one that is not there.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (silent_port, gone_port) = (silent.local_addr().unwrap().port(), gone.local_addr().unwrap().port());
    drop(gone);
    for (port, within) in [(gone_port, Duration::from_secs(2)), (silent_port, Duration::from_secs(7))] {
        let settings = Settings {
            url: format!("s3://goligoli?endpoint=http://127.0.0.1:{port}"),
            access_key: "somebody".to_owned(),
            secret_key: "sesame".to_owned().into(),
        };
        let store = Objects::connect(&settings, Path::new("."), &lifecycle).await.unwrap();
        let started = std::time::Instant::now();
        let get = store.get("a").await.unwrap_err();
        assert!(get.is::<crate::failure::Away>(), "{get:#}");
        assert!(!format!("{get:#}").contains("X-Amz"), "no link is shown: {get:#}");
        assert!(started.elapsed() < within, "{:?}", started.elapsed());
        let (put, list) = tokio::join!(store.put("a", Bytes::new()), store.folders("a"));
        assert!(put.unwrap_err().is::<crate::failure::Away>() && list.unwrap_err().is::<crate::failure::Away>());
        assert!(started.elapsed() < 2 * within, "{:?}", started.elapsed());
        assert!(!format!("{store:?}").contains("sesame"));
    }
    lifecycle.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn reading_goes_on_where_a_connection_broke() {
    use tokio::io::AsyncReadExt as _;
    let Some(settings) = of_server() else { return };
    let (lifecycle, root) = (Lifecycle::new(), fresh_root());
    let server = native::server("NATIVE_S3_URL").unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let through = format!("http://{}", listener.local_addr().unwrap());
    let to = server.trim_start_matches("http://").to_owned();
    let is_down = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let down = std::sync::Arc::clone(&is_down);
    lifecycle.spawn_one_of_many(async move {
        while let Ok((near, _)) = listener.accept().await {
            if down.load(std::sync::atomic::Ordering::SeqCst) {
                continue;
            }
            let far = tokio::net::TcpStream::connect(&to).await.unwrap();
            let ((mut asks, mut answers), (far_in, mut far_out)) = (near.into_split(), far.into_split());
            Lifecycle::new().spawn_one_of_many(async move { _ = tokio::io::copy(&mut asks, &mut far_out).await });
            // Each connection brings a million bytes and is gone.
            Lifecycle::new().spawn_one_of_many(async move {
                _ = tokio::io::copy(&mut far_in.take(1_000_000), &mut answers).await;
            });
        }
    });
    let direct = Objects::connect(&settings, Path::new("."), &lifecycle).await.unwrap();
    let broken = Settings { url: settings.url.replace(&server, &through), ..settings };
    let broken = Objects::connect(&broken, Path::new("."), &lifecycle).await.unwrap();
    let key = format!("{root}/x.bin");
    let body: Vec<u8> = (0..3_500_000_u32).map(|n| n.to_le_bytes()[(n % 3) as usize]).collect();
    direct.put(&key, body.clone().into()).await.unwrap();
    assert!(broken.get(&key).await.unwrap().unwrap() == body, "it is read whole");
    let mut reader = broken.open_object(&key).await.unwrap().unwrap();
    // As when the server is restarted meanwhile.
    is_down.store(true, std::sync::atomic::Ordering::SeqCst);
    let whole = async {
        let mut bytes = 0;
        while let Some(piece) = reader.next().await.unwrap() {
            bytes += piece.len();
        }
        assert_eq!(bytes, body.len());
    };
    tokio::join!(whole, async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        is_down.store(false, std::sync::atomic::Ordering::SeqCst);
    });
    let mut reader = broken.open_object(&key).await.unwrap().unwrap();
    reader.next().await.unwrap();
    direct.put(&key, Bytes::from_static(b"another")).await.unwrap();
    let rest = async {
        while reader.next().await?.is_some() {}
        anyhow::Ok(())
    };
    assert!(rest.await.is_err(), "parts of two objects are not put together");
    direct.delete_all(&root).await.unwrap();
    lifecycle.stop(Duration::from_millis(100)).await;
}
