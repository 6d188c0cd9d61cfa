//! The node image: made by the script that is compiled in, unless an image that this very script made is there.

use std::{collections::VecDeque, io::Write, process::Stdio, time::Duration};

use bollard::Docker;
use rebar_ports::ProviderError;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

use super::{
    client::{is_missing, unavailable},
    config::DockerConfig,
};

const SCRIPT: &str = include_str!("../../image/build.sh");
/// What the script puts on the image: the start of its own SHA-256.
const IMAGE_LABEL: &str = "dev.rebar.image";
/// How much of the hash that is, in hexadecimal digits.
const HASH_DIGITS: usize = 16;
/// A build takes a minute; one that takes this long will not end.
const BUILD_TIMEOUT: Duration = Duration::from_mins(20);
/// How many lines of the script an error quotes.
const QUOTED_LINES: usize = 8;

/// Sees to it that the image is there.
pub(super) async fn ensure(docker: &Docker, config: &DockerConfig) -> Result<(), ProviderError> {
    if label(docker, &config.image).await?.as_deref() == Some(wanted().as_str()) {
        return Ok(());
    }
    tracing::info!(image = config.image, cache = %config.cache.display(), "node image is being made");
    build(config).await?;
    match label(docker, &config.image).await?.as_deref() {
        Some(label) if label == wanted() => Ok(()),
        _ => Err(unavailable(format!("the image `{}` was made, but is not there", config.image))),
    }
}

/// The label of the image that this very script makes.
fn wanted() -> String {
    let mut hash = hex::encode(ring::digest::digest(&ring::digest::SHA256, SCRIPT.as_bytes()));
    hash.truncate(HASH_DIGITS);
    hash
}

async fn label(docker: &Docker, image: &str) -> Result<Option<String>, ProviderError> {
    match docker.inspect_image(image).await {
        Ok(image) => Ok(image.config.and_then(|it| it.labels?.remove(IMAGE_LABEL))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(unavailable(error)),
    }
}

async fn build(config: &DockerConfig) -> Result<(), ProviderError> {
    let not_started = |error: std::io::Error| unavailable(format!("the node image could not be made: {error}"));
    // The script takes its own hash, so the file must be the script and nothing else.
    let mut file = tempfile::NamedTempFile::new().map_err(not_started)?;
    file.write_all(SCRIPT.as_bytes()).map_err(not_started)?;
    let child = Command::new("sh")
        .arg(file.path())
        .arg(&config.image)
        .arg(&config.cache)
        .env("DOCKER_HOST", format!("unix://{}", config.socket.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(not_started)?;
    timeout(BUILD_TIMEOUT, follow(child))
        .await
        .map_err(|_| unavailable("the node image was not made in 20 minutes"))?
        .map_err(|lines| unavailable(format!("the node image could not be made: {lines}")))
}

/// Passes on what the script says; when it fails, its last lines.
async fn follow(mut child: Child) -> Result<(), String> {
    let mut last = VecDeque::new();
    if let Some(stderr) = child.stderr.take() {
        let mut lines = BufReader::new(stderr).lines();
        while let Some(line) = lines.next_line().await.map_err(|error| error.to_string())? {
            let line = line.strip_prefix("node image: ").unwrap_or(&line).to_owned();
            tracing::info!(line, "node image");
            last.push_back(line);
            if last.len() > QUOTED_LINES {
                last.pop_front();
            }
        }
    }
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if status.success() { Ok(()) } else { Err(format!("{} ({status})", Vec::from(last).join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_label_is_what_the_script_computes() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(SCRIPT.as_bytes()).unwrap();
        let sum = std::process::Command::new("sha256sum").arg(file.path()).output().unwrap();
        assert_eq!(String::from_utf8(sum.stdout).unwrap()[..HASH_DIGITS], wanted());
    }

    #[tokio::test]
    async fn the_last_words_of_the_script_are_quoted() {
        let run = |script: &str| {
            Command::new("sh").args(["-c", script]).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap()
        };
        assert_eq!(follow(run("echo fine >&2")).await, Ok(()));
        let said = follow(run("for it in 1 2 3 4 5 6 7 8 9; do echo \"node image: line $it\" >&2; done; exit 3")).await;
        let said = said.unwrap_err();
        assert!(said.starts_with("line 2; ") && said.contains("line 9 (exit status: 3)"), "{said}");
    }
}
