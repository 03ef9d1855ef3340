use common::Platform;

use super::*;

/// More than a command takes on the slowest machine, and less than a write's deadline here.
const PATIENCE: Duration = Duration::from_secs(30);

/// What takes commands in a data folder, without the rest of the server.
struct Stand {
    config: Config,
    platform: Platform,
    _data_dir: DataDir,
    _folder: tempfile::TempDir,
}

impl Stand {
    async fn listen() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config: Config = toml::from_str(crate::config::DEFAULTS).unwrap();
        config.data_dir = folder.path().to_owned();
        let data_dir = DataDir::lock(folder.path()).unwrap();
        let (platform, signer) = platform::open(&config, &data_dir, Clock::system(), Lifecycle::new()).await.unwrap();
        let accounts = Operator::open(&config.user, &platform, signer).await.unwrap();
        let replays = live::Operator::of_stopped(&platform);
        let feeds = Feeds::in_folder(data_dir.path());
        let site = Site { accounts: Some(accounts), replays: Some(replays), feeds: Some(feeds) };
        listen(data_dir.path(), site, &platform.lifecycle).unwrap();
        Self { config, platform, _data_dir: data_dir, _folder: folder }
    }

    async fn connect(&self) -> UnixStream {
        UnixStream::connect(self.config.data_dir.join(SOCKET)).await.unwrap()
    }

    /// Asks for more accounts than a socket holds, and reads none of them.
    async fn suspended_seed(&self, prefix: &str) -> UnixStream {
        let mut socket = self.connect().await;
        let password = Secret("correct horse".to_owned());
        let command = Command::Seed { accounts: 100_000, prefix: prefix.to_owned(), password };
        let mut line = serde_json::to_vec(&command).unwrap();
        line.push(b'\n');
        socket.write_all(&line).await.unwrap();
        timeout(PATIENCE, socket.readable()).await.expect("accounts come").unwrap();
        socket
    }

    async fn command(&self, command: Command) -> Result<anyhow::Result<()>, tokio::time::error::Elapsed> {
        timeout(PATIENCE, run(&self.config, command)).await
    }

    async fn stop(&self) -> Result<(), tokio::time::error::Elapsed> {
        timeout(PATIENCE, self.platform.lifecycle.stop(2 * PATIENCE)).await
    }
}

fn grant(name: &str) -> Command {
    Command::Grant { name: name.to_owned() }
}

#[tokio::test]
async fn a_suspended_command_delays_neither_another_one_nor_the_stop() {
    let stand = Stand::listen().await;
    let suspended = stand.suspended_seed("viewer-").await;
    stand.command(grant("viewer-000001")).await.expect("in time").unwrap();
    let refused = stand.command(grant("nobody")).await.expect("in time").unwrap_err();
    assert!(refused.to_string().contains("no such account"), "{refused}");
    stand.stop().await.expect("the stop does not wait for it");
    assert!(!stand.config.data_dir.join(SOCKET).exists());
    drop(suspended);
}

#[tokio::test]
async fn so_many_commands_are_carried_out_at_once_and_the_next_has_its_turn() {
    let stand = Stand::listen().await;
    let mut suspended = Vec::new();
    for n in 0..COMMANDS_AT_ONCE {
        suspended.push(stand.suspended_seed(&format!("viewer{n}-")).await);
    }
    let mut next = Box::pin(stand.command(grant("viewer0-000001")));
    // No place is free until one of them is gone.
    assert!(timeout(Duration::from_millis(300), &mut next).await.is_err());
    suspended.pop();
    next.await.expect("in time").unwrap();
    stand.stop().await.expect("the stop does not wait for them");
}

#[tokio::test]
async fn what_is_no_command_is_refused() {
    let stand = Stand::listen().await;
    for line in ["\n", "{}\n", "{\"grant\":{}}\n", "\u{1}\n", &format!("{}\n", "x".repeat(100_000))] {
        let mut socket = stand.connect().await;
        // It may hang up before it has read all.
        _ = socket.write_all(line.as_bytes()).await;
        let mut answer = String::new();
        _ = timeout(PATIENCE, socket.read_to_string(&mut answer)).await.expect("an answer comes");
        assert!(answer.is_empty() || answer.contains("this is no command"), "{answer}");
    }
    stand.stop().await.expect("nothing is left");
}

#[tokio::test]
async fn a_socket_that_was_left_behind_is_passed_over() {
    let stand = Stand::listen().await;
    stand.stop().await.unwrap();
    let socket = stand.config.data_dir.join(SOCKET);
    drop(UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    // The folder is still locked by us: it says so, instead of waiting for a server.
    let refused = stand.command(grant("nobody")).await.expect("in time").unwrap_err();
    assert!(refused.to_string().contains("in use by another"), "{refused:#}");
}

#[tokio::test]
async fn a_folder_that_can_not_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut config: Config = toml::from_str(crate::config::DEFAULTS).unwrap();
    config.data_dir = file.join("data");
    let refused = format!("{:#}", run(&config, grant("nobody")).await.unwrap_err());
    assert!(refused.contains(&file.display().to_string()) && refused.lines().count() == 1, "{refused}");
}
