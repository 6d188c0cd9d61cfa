//! `rebar agent release`: make a release key, sign programs with it where that key is, and give them to the engine. The signature
//! stands in a file beside the program.

use std::{
    ffi::OsString,
    fs,
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rebar_api::types::ImportRelease;
use rebar_model::{
    Hex, MAX_RELEASE_BYTES, ReleaseKey, ReleasePlatform, ReleaseSignature, ReleaseStatement, Sha256, SignedRelease,
};
use ring::{
    digest,
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use semver::Version;

use crate::{
    app::App,
    args::Arrange,
    exit::Exit,
    failure::{Failure, Trouble},
    screen,
};

/// What the file beside a program ends with.
const SUFFIX: &str = ".release";
/// The longest such file, in bytes.
const LONGEST: u64 = 16 * 1024;
/// The characters of a line in PEM (RFC 7468).
const PEM_LINE: usize = 64;

/// What to do with releases.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Make a release key, and print the public key for `rebar serve --release-key`; needs no engine
    Key {
        /// Where to write the private key; keep it where no engine is
        file: PathBuf,
    },
    /// Sign a program; needs no engine
    Sign {
        /// The program; the signature is written beside it, to FILE.release
        file: PathBuf,
        /// The file of the private key
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// The version of the release
        #[arg(long = "version", value_name = "VERSION")]
        release: Version,
        /// What the program runs on [default: what its own header says]
        #[arg(long, value_name = "OS/ARCH")]
        platform: Option<ReleasePlatform>,
    },
    /// Give signed programs to the engine
    Import {
        /// The programs, each with its FILE.release beside it
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// List the releases that the engine has
    Ls(Arrange),
}

/// Does something with releases.
pub async fn run(app: &App, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Key { file } => make_key(app, &file)?,
        Verb::Sign { file, key, release, platform } => sign(app, &file, &key, release, platform)?,
        Verb::Import { files } => {
            let client = app.client().await?;
            for file in &files {
                let SignedRelease { statement, key, signature } = read_signed(file)?;
                let program = read_program(file)?;
                let release = client.import_release(&ImportRelease { statement, key, signature }, program).await?;
                app.output.say(&format!("{} is imported into release {}", file.display(), release.version));
            }
        }
        Verb::Ls(arrange) => {
            let releases = app.client().await?.agent_releases().await?;
            let name = |it: &rebar_api::types::AgentReleaseView| it.version.to_string();
            app.output.table(&releases, name, &arrange, |look| screen::agent::releases(&releases, look))?;
        }
    }
    Ok(Exit::Done)
}

fn make_key(app: &App, path: &Path) -> Result<(), Failure> {
    let document =
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| anyhow::anyhow!("no randomness"))?;
    let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| unusable(path, &error.to_string()))?;
    file.write_all(pem(document.as_ref()).as_bytes())?;
    file.sync_all()?;
    let key = public(&pair);
    // Data alone on stdout, so that it can go into a command line.
    app.output.data(&key, || vec![key.to_string()], |_| format!("{key}\n"))?;
    app.output.say(&format!("the private key is in {}; whoever has it can replace every agent", path.display()));
    Ok(())
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines = text.as_bytes().chunks(PEM_LINE).map(|it| String::from_utf8_lossy(it).into_owned() + "\n");
    format!("-----BEGIN PRIVATE KEY-----\n{}-----END PRIVATE KEY-----\n", lines.collect::<String>())
}

fn sign(
    app: &App,
    file: &Path,
    key: &Path,
    version: Version,
    platform: Option<ReleasePlatform>,
) -> Result<(), Failure> {
    let pair = read_key(key)?;
    let program = read_program(file)?;
    let Some(platform) = platform.or_else(|| platform_of(&program)) else {
        let why = format!("{} does not say what it runs on", file.display());
        return Err(Failure::new(Trouble::Argument, why).fix("say --platform OS/ARCH, as in linux/amd64"));
    };
    let mut sha256: Sha256 = Hex([0; 32]);
    sha256.0.copy_from_slice(digest::digest(&digest::SHA256, &program).as_ref());
    let kind = ReleaseStatement::KIND.to_owned();
    let statement = ReleaseStatement { kind, version, platform, sha256 };
    let text = serde_json::to_string(&statement).map_err(|error| anyhow::anyhow!(error))?;
    let mut signature: ReleaseSignature = Hex([0; 64]);
    signature.0.copy_from_slice(pair.sign(text.as_bytes()).as_ref());
    let signed = SignedRelease { statement: text, key: public(&pair), signature };
    let path = beside(file);
    let text = serde_json::to_string_pretty(&signed).map_err(|error| anyhow::anyhow!(error))?;
    fs::write(&path, text + "\n").map_err(|error| unusable(&path, &error.to_string()))?;
    let ReleaseStatement { version, platform, .. } = statement;
    app.output.say(&format!("{}: {version} for {platform}, sha256 {sha256}", path.display()));
    Ok(())
}

fn public(pair: &Ed25519KeyPair) -> ReleaseKey {
    let mut key = Hex([0; 32]);
    key.0.copy_from_slice(pair.public_key().as_ref());
    key
}

fn read_key(path: &Path) -> Result<Ed25519KeyPair, Failure> {
    let text = fs::read(path).map_err(|error| unusable(path, &error.to_string()))?;
    let strange = || {
        Failure::new(Trouble::Argument, format!("{} holds no Ed25519 key in PKCS#8 and PEM", path.display()))
            .fix("make one with `rebar agent release key FILE`, or with `openssl genpkey -algorithm ed25519`")
    };
    let der = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|_| strange())?;
    // OpenSSL leaves the public key out.
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| strange())
}

fn read_program(path: &Path) -> Result<Vec<u8>, Failure> {
    let length = fs::metadata(path).map_err(|error| unusable(path, &error.to_string()))?.len();
    if length > MAX_RELEASE_BYTES as u64 {
        let why = format!("{} has {length} bytes, and {MAX_RELEASE_BYTES} are the most", path.display());
        return Err(Failure::new(Trouble::Argument, why).fix("strip it of what only debuggers need"));
    }
    fs::read(path).map_err(|error| unusable(path, &error.to_string()))
}

fn read_signed(file: &Path) -> Result<SignedRelease, Failure> {
    let path = beside(file);
    let unsigned = |why: &str| unusable(&path, why).fix("sign the program: rebar agent release sign FILE");
    let length = fs::metadata(&path).map_err(|error| unsigned(&error.to_string()))?.len();
    if length > LONGEST {
        return Err(unsigned("it is too large"));
    }
    let text = fs::read_to_string(&path).map_err(|error| unsigned(&error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| unsigned(&error.to_string()))
}

fn beside(file: &Path) -> PathBuf {
    let mut name: OsString = file.as_os_str().to_owned();
    name.push(SUFFIX);
    name.into()
}

/// What a Linux program runs on, by the header of its file (ELF: class, byte order, machine).
fn platform_of(program: &[u8]) -> Option<ReleasePlatform> {
    let machine = program.starts_with(b"\x7fELF\x02\x01").then(|| program.get(18..20))??;
    let arch = match u16::from_le_bytes([machine[0], machine[1]]) {
        62 => "amd64",
        183 => "arm64",
        243 => "riscv64",
        _ => return None,
    };
    format!("linux/{arch}").parse().ok()
}

fn unusable(path: &Path, why: &str) -> Failure {
    Failure::new(Trouble::File, format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_say_what_they_run_on() {
        let own = fs::read("/proc/self/exe").unwrap();
        assert_eq!(platform_of(&own).unwrap().to_string(), format!("linux/{}", debian(std::env::consts::ARCH)));
        assert_eq!(platform_of(b"#!/bin/sh\n"), None);
        assert_eq!(platform_of(b"\x7fELF\x02\x01"), None);
    }

    fn debian(arch: &str) -> &str {
        match arch {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
    }
}
