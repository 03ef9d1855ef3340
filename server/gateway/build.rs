//! Rebuilds the crate when the page was built, and says so when it was not.

use std::path::Path;

const PAGE: &str = "../../static/dist";

fn main() {
    // A folder that is not there counts as changed each time: the page is picked up as soon as it is built.
    println!("cargo::rerun-if-changed={PAGE}");
    if !Path::new(PAGE).join("index.html").is_file() {
        println!("cargo::warning=static/dist has no page yet: a placeholder is served until `make page` has built it");
    }
}
