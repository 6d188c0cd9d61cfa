//! Getting a release ready to be tried: fetched, verified, on the shelf, and seen to run on this machine. What comes out is a
//! program that a trusted key signed, or the reason why there is none.

use std::{path::Path, process::Stdio, sync::Arc, time::Duration};

use rebar_proto::v1::Upgrade;
use tokio::{process::Command, sync::mpsc, time::timeout};

use crate::{
    disk::{content, layout::State},
    door::fetch::Fetcher,
    error::Error,
    release::{
        shelf::{self, Shelved},
        statement::{Signed, Statement},
        trust,
    },
};

/// How long a program may take to say its version.
const SELF_CHECK: Duration = Duration::from_secs(30);

/// What became of an order.
#[derive(Debug)]
pub struct Staged {
    /// The engine's number for the upgrade.
    pub upgrade: u64,
    /// The release, or why it is not taken.
    pub outcome: Result<Shelved, String>,
}

/// Gets releases ready.
#[derive(Debug, Clone)]
pub struct Stager {
    /// Where they lie.
    pub state: State,
    /// How they are fetched.
    pub fetcher: Arc<Fetcher>,
    /// Where it is said what became of them.
    pub staged: mpsc::Sender<Staged>,
}

impl Stager {
    /// Carries an order out up to where the release can be tried.
    pub async fn stage(self, order: Upgrade) {
        let upgrade = order.upgrade;
        let outcome = self.ready(order).await.map_err(|error| error.to_string());
        // Nobody listens any more when the agent is about to end.
        let _ = self.staged.send(Staged { upgrade, outcome }).await;
    }

    async fn ready(&self, order: Upgrade) -> Result<Shelved, Error> {
        let Upgrade { content, statement, key, signature, .. } = order;
        let signed = Signed { statement, key, signature };
        // Nothing is fetched that would not be taken.
        let statement = signed.verify(&trust::keys(&self.state)?).map_err(Error::Setup)?;
        if let Some(own) = shelf::running().filter(|it| it.statement.sha256 == statement.sha256) {
            return Ok(own);
        }
        self.fetcher.ensure(&content).await?;
        let archive = content::archive(&self.state, &content)?;
        let state = self.state.clone();
        let put = tokio::task::spawn_blocking(move || shelve(&state, &signed, &statement, &archive)).await;
        let shelved = put.unwrap_or_else(|error| Err(Error::Setup(error.to_string())))?;
        runs(&shelved.program).await?;
        Ok(shelved)
    }
}

fn shelve(state: &State, signed: &Signed, statement: &Statement, archive: &Path) -> Result<Shelved, Error> {
    let put = shelf::put(state, signed, statement, archive);
    // On the shelf it is needed once; and what is not what was signed is not needed at all.
    let _ = std::fs::remove_file(archive);
    put
}

/// Whether a program can say its version.
async fn runs(program: &Path) -> Result<(), Error> {
    let does_not = |why: String| Error::Setup(format!("the program does not run here: {why}"));
    let mut command = Command::new(program);
    command.arg("--version").current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match timeout(SELF_CHECK, command.status()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(does_not(format!("--version ends with {status}"))),
        Ok(Err(error)) => Err(does_not(error.to_string())),
        Err(_) => Err(does_not(format!("--version takes longer than {} s", SELF_CHECK.as_secs()))),
    }
}
