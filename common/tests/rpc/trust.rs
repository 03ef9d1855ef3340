//! Who may call, and who may be called.

use std::path::Path;
use std::time::Duration;

use common::Lifecycle;
use common::rpc::{Server, Settings, TlsSettings, Trust, within};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::lab::{Node, at, client, settings, soon};

async fn is_answered(server: &Settings, caller: &Settings) -> bool {
    let node = Node::start("a", server).await;
    let client = client(&at(&node.running.address), caller);
    let answered = client.who(within(Duration::from_secs(2)), 0).await.is_ok();
    node.kill().await;
    answered
}

fn with_secrets(secret: &str, previous: &str) -> Settings {
    Settings { secret: secret.to_owned().into(), previous_secret: previous.to_owned().into(), ..settings() }
}

const OLD: &str = "the secret of last year, 32 long";
const NEW: &str = "the secret of this year, 32 long";

#[tokio::test]
async fn only_who_knows_the_secret_calls_and_is_called() {
    let (old, new) = (with_secrets(OLD, ""), with_secrets(NEW, ""));
    assert!(is_answered(&new, &new).await);
    assert!(!is_answered(&old, &new).await);
    assert!(!is_answered(&new, &old).await);
}

#[tokio::test]
async fn a_secret_is_changed_one_process_after_the_other() {
    let (old, between, new) = (with_secrets(OLD, ""), with_secrets(NEW, OLD), with_secrets(NEW, ""));
    for (server, caller) in
        [(&old, &between), (&between, &old), (&between, &new), (&new, &between), (&between, &between)]
    {
        assert!(is_answered(server, caller).await);
    }
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Files of a certificate for this name, in a folder of their own.
    fn issue(&self, folder: &Path, name: &str) -> TlsSettings {
        std::fs::create_dir_all(folder).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.0).unwrap();
        let file = |name: &str, text: String| {
            let file = folder.join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        TlsSettings {
            ca: file("ca.pem", self.0.pem()),
            certificate: file("certificate.pem", certificate.pem()),
            key: file("key.pem", key.serialize_pem()),
            name: "{service}".to_owned(),
        }
    }
}

#[tokio::test]
async fn certificates_of_one_authority_are_asked_of_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (Authority::new(), Authority::new());
    let with = |tls| Settings { tls, ..with_secrets("", "") };
    let lab = with(ours.issue(&folder.path().join("lab"), "lab"));
    let caller = with(ours.issue(&folder.path().join("caller"), "somebody"));
    assert!(is_answered(&lab, &caller).await);
    assert!(!is_answered(&caller, &caller).await, "the called one's certificate is for another name");

    let stranger = with(theirs.issue(&folder.path().join("stranger"), "lab"));
    assert!(!is_answered(&stranger, &caller).await, "another authority's server");
    assert!(!is_answered(&lab, &stranger).await, "another authority's caller");
    let mut fooled = stranger.clone();
    fooled.tls.ca = lab.tls.ca.clone();
    assert!(!is_answered(&lab, &fooled).await, "trusts the server, but shows another authority's certificate");

    let secret_only = with_secrets(NEW, "");
    assert!(!is_answered(&lab, &secret_only).await, "no certificate");
    assert!(!is_answered(&secret_only, &caller).await, "no certificate there");
    let both = |tls: &TlsSettings| Settings { tls: tls.clone(), ..with_secrets(NEW, "") };
    assert!(is_answered(&both(&lab.tls), &both(&caller.tls)).await);
    assert!(!is_answered(&both(&lab.tls), &caller).await, "the certificate, but not the secret");
}

#[tokio::test]
async fn what_is_configured_wrong_is_refused_with_the_keys_name() {
    let refused = |settings: &Settings| format!("{:#}", Trust::open(settings).unwrap_err());
    assert!(refused(&with_secrets("", "")).contains("rpc.secret"));
    let short = refused(&with_secrets("short", ""));
    assert!(short.contains("rpc.secret") && short.contains("5 characters") && !short.contains("short"), "{short}");
    assert!(refused(&with_secrets("", OLD)).contains("rpc.previous_secret"));
    let half = Settings { tls: TlsSettings { ca: "/nowhere/ca.pem".into(), ..settings().tls }, ..settings() };
    assert!(refused(&half).contains("rpc.tls.certificate"));
    let file = |name: &str| Path::new("/nowhere").join(name);
    let tls = TlsSettings { ca: file("ca"), certificate: file("c"), key: file("k"), ..settings().tls };
    let missing = refused(&Settings { tls, ..settings() });
    assert!(missing.contains("rpc.tls.ca") && missing.contains("/nowhere/ca"), "{missing}");

    let lifecycle = Lifecycle::new();
    for (listen, advertise, key) in [
        ("0.0.0.0:0", "", "rpc.advertise"),
        ("127.0.0.1:0", "0.0.0.0:1", "rpc.advertise"),
        ("127.0.0.1:0", "[::]:1", "rpc.advertise"),
        ("127.0.0.1:0", "nowhere", "rpc.advertise"),
        ("somewhere", "", "rpc.listen"),
    ] {
        let bad = Settings { listen: listen.to_owned(), advertise: advertise.to_owned(), ..settings() };
        let bound = Server::bind(&bad, Trust::open(&bad).unwrap(), &lifecycle, common::Clock::system()).await;
        let error = format!("{:#}", bound.unwrap_err());
        assert!(error.contains(key), "{error}");
    }
}

#[tokio::test]
async fn a_stranger_that_says_nothing_is_hung_up_on() {
    use tokio::io::AsyncReadExt as _;
    let node = Node::start("a", &settings()).await;
    let mut silent = tokio::net::TcpStream::connect(&node.running.address).await.unwrap();
    let mut nothing = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(4), silent.read_to_end(&mut nothing)).await;
    assert!(ended.is_ok() && nothing.is_empty());
    let client = client(&at(&node.running.address), &settings());
    client.who(soon(), 0).await.unwrap();
}
