//! The web page, and what it must not swallow.

use http::Method;

use crate::support::Site;

#[tokio::test]
async fn every_path_of_its_own_is_the_page() {
    let site = Site::start();
    for path in ["/", "/rooms/7", "/rooms/7/overlay", "/me"] {
        let page = site.get(path).header("accept", "text/html,*/*;q=0.8").send().await.status(200);
        assert!(page.header("content-type").starts_with("text/html"), "{path}");
        assert!(["no-cache", "no-store"].contains(&page.header("cache-control")), "{path}");
        assert!(!page.header("content-security-policy").is_empty());
    }
    site.ask(Method::HEAD, "/rooms/7").send().await.status(200);
}

#[tokio::test]
async fn what_is_not_there_is_not_the_page() {
    let site = Site::start();
    for path in
        ["/assets/gone-1a2b.js", "/nothing.png", "/../Cargo.toml", "/assets/../../../Cargo.toml", "/rooms/x.map"]
    {
        site.get(path).header("accept", "text/html").send().await.problem(404, "no-such-path");
    }
    site.get("/rooms/7").header("accept", "application/json").send().await.problem(404, "no-such-path");
    let post = site.post("/rooms/7").send().await.problem(405, "method-not-allowed");
    assert_eq!(post.header("allow"), "GET,HEAD");
    let options = site.ask(Method::OPTIONS, "/rooms/7").send().await.status(204);
    assert_eq!(options.header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn the_page_s_files_are_kept_by_their_hash() {
    let site = Site::start();
    let page = site.get("/").send().await.status(200);
    let html = String::from_utf8_lossy(&page.body).into_owned();
    if html.contains("was not built") {
        return; // without Node there are no files
    }
    let again = site.get("/").header("if-none-match", page.header("etag")).send().await.status(304);
    assert!(again.body.is_empty());
    let assets: Vec<&str> = html.split('"').filter(|part| part.starts_with("/assets/")).collect();
    assert!(!assets.is_empty(), "{html}");
    for asset in assets {
        let file = site.get(asset).send().await.status(200);
        assert_eq!(file.header("cache-control"), "public, max-age=31536000, immutable");
        let packed = site.get(asset).header("accept-encoding", "gzip").send().await.status(200);
        assert_eq!(packed.header("content-encoding"), "gzip");
        assert!(packed.body.len() < file.body.len());
    }
}
