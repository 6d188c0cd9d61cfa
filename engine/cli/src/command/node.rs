//! `rebar node`: machines under care.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use rebar_api::types::{
    AddNodeRequest, AddedNodeView, ChangeNode, MaintenanceRequest, NodeStanding, NodeView, RemoveNodeQuery,
};
use rebar_model::{NodeName, ProfileName, ProviderKind};

use super::protected::Allowed;
use crate::{
    app::App,
    args::Arrange,
    client::Client,
    clock,
    exit::Exit,
    failure::{Failure, Trouble},
    screen,
};

/// How many machines are made, or taken away, at once.
const AT_ONCE: usize = 4;
/// How often to look whether agents came.
const LOOK: Duration = Duration::from_secs(1);
/// The most machines of one command.
const MOST: u32 = 1_000;

/// What to do with nodes.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Take machines under care
    #[command(
        after_help = "Examples:\n  rebar node add n1 n2 n3 --wait             systemd containers on the engine's Docker\n  rebar node add --prefix w- --count 5 --label rack=b2\n  rebar node add --prefix l --count 50 --provider namespace\n  rebar node add metal-1 --provider join     prints the one command to run on that machine"
    )]
    Add(AddArgs),
    /// List nodes
    Ls {
        /// Only those with these labels: rack=b2,tier!=db,gpu
        #[arg(short, long = "label", value_name = "LABELS")]
        label: Option<String>,
        /// How the list looks
        #[command(flatten)]
        arrange: Arrange,
    },
    /// Show a node: state, labels, what its agent reported
    Show {
        /// The node
        #[arg(value_name = "NODE")]
        name: NodeName,
    },
    /// Forget nodes, and destroy their machines where the engine made them
    Rm(RmArgs),
    /// Set labels, or unset them with a minus behind
    #[command(after_help = "Examples:\n  rebar node label n1 rack=b2 gpu=yes\n  rebar node label n1 gpu-")]
    Label {
        /// The node
        #[arg(value_name = "NODE")]
        name: NodeName,
        /// KEY=VALUE, or KEY- to unset it
        #[arg(value_name = "LABEL", required = true)]
        labels: Vec<String>,
    },
    /// Start or end maintenance: nothing new starts on the node, what runs goes on
    #[command(subcommand)]
    Maintenance(Maintenance),
    /// Set the profiles whose parameters a node takes
    Profile {
        /// The node
        #[arg(value_name = "NODE")]
        name: NodeName,
        /// All its profiles; none takes every profile away
        #[arg(value_name = "PROFILE")]
        profiles: Vec<ProfileName>,
    },
    /// Make a new one-time token for the agent of a node
    Token {
        /// The node
        #[arg(value_name = "NODE")]
        name: NodeName,
    },
}

/// Which machines.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Their names
    #[arg(value_name = "NAME", required_unless_present = "count")]
    pub names: Vec<NodeName>,
    /// Who makes them
    #[arg(long, value_enum, default_value_t, value_name = "PROVIDER")]
    pub provider: Provider,
    /// How many to name PREFIX1, PREFIX2, …
    #[arg(long, value_name = "N", requires = "prefix", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    pub count: Option<u32>,
    /// What their names begin with
    #[arg(long, value_name = "PREFIX", requires = "count")]
    pub prefix: Option<String>,
    /// A label, KEY=VALUE
    #[arg(short, long = "label", value_name = "LABEL", value_parser = pair)]
    pub labels: Vec<(String, String)>,
    /// A profile whose parameters they take
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<ProfileName>,
    /// An option of the provider, KEY=VALUE
    #[arg(long = "option", value_name = "OPTION", value_parser = pair)]
    pub options: Vec<(String, String)>,
    /// Wait until their agents are here
    #[arg(long)]
    pub wait: bool,
}

/// Who makes machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Provider {
    /// The engine, as systemd containers on its own Docker
    #[default]
    Docker,
    /// The engine, as light nodes: namespaces on its own machine
    Namespace,
    /// Nobody: an existing machine enrols itself
    Join,
}

/// Which nodes to forget.
#[derive(Debug, clap::Args)]
pub struct RmArgs {
    /// The nodes
    #[arg(value_name = "NODE", required = true)]
    pub names: Vec<NodeName>,
    /// They are gone for good: their node-roles are forgotten without being undone
    #[arg(long)]
    pub gone: bool,
    /// Confirm --gone by the name of the node
    #[arg(long, value_name = "NAME")]
    pub yes: Option<String>,
    /// The protected roles that may be forgotten with them
    #[command(flatten)]
    pub allowed: Allowed,
}

/// Starts or ends maintenance.
#[derive(Debug, clap::Subcommand)]
pub enum Maintenance {
    /// Start nothing new on a node
    On {
        /// The node
        #[arg(value_name = "NODE")]
        name: NodeName,
        /// Why; shown wherever somebody asks why nothing happens
        #[arg(long)]
        reason: String,
    },
    /// Let work start again
    Off {
        /// The node
        #[arg(value_name = "NODE")]
        name: NodeName,
    },
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// Does something with nodes.
pub async fn run(app: &App, verb: Verb) -> Result<Exit, Failure> {
    let client = app.client().await?;
    match verb {
        Verb::Add(args) => add(app, client, args).await,
        Verb::Ls { label, arrange } => {
            let mut nodes = client.nodes(label.as_deref()).await?;
            if let (true, Some(label)) = (nodes.is_empty(), label) {
                return Err(Failure::new(Trouble::Nothing, format!("no node has the labels {label}")));
            }
            nodes.sort_by(|left, right| screen::words::natural(left.node.name.as_str(), right.node.name.as_str()));
            app.output.table(
                &nodes,
                |it| it.node.name.to_string(),
                &arrange,
                |look| screen::node::list(&nodes, clock::now(), look),
            )?;
            Ok(Exit::Done)
        }
        Verb::Show { name } => show(app, &client.node(&name).await?),
        Verb::Rm(args) => remove(app, client, args).await,
        Verb::Label { name, labels } => {
            let labels = labels.iter().map(|it| label(it)).collect::<Result<_, _>>()?;
            show(app, &client.change_node(&name, &ChangeNode { labels, ..ChangeNode::default() }).await?)
        }
        Verb::Maintenance(Maintenance::On { name, reason }) => {
            let maintenance = Some(Some(MaintenanceRequest { reason }));
            show(app, &client.change_node(&name, &ChangeNode { maintenance, ..ChangeNode::default() }).await?)
        }
        Verb::Maintenance(Maintenance::Off { name }) => show(
            app,
            &client.change_node(&name, &ChangeNode { maintenance: Some(None), ..ChangeNode::default() }).await?,
        ),
        Verb::Profile { name, profiles } => show(
            app,
            &client.change_node(&name, &ChangeNode { profiles: Some(profiles), ..ChangeNode::default() }).await?,
        ),
        Verb::Token { name } => {
            let enrolment = client.node_token(&name).await?;
            app.output.data(
                &enrolment,
                || vec![enrolment.token.clone()],
                |look| screen::node::enrolment(&enrolment, look),
            )?;
            Ok(Exit::Done)
        }
    }
}

fn show(app: &App, view: &NodeView) -> Result<Exit, Failure> {
    app.output.data(view, || vec![view.node.name.to_string()], |look| screen::node::show(view, clock::now(), look))?;
    Ok(Exit::Done)
}

/// A label to set, or with a minus behind to unset.
fn label(text: &str) -> Result<(String, Option<String>), Failure> {
    match (text.split_once('='), text.strip_suffix('-')) {
        (Some((key, value)), _) if !key.is_empty() => Ok((key.to_owned(), Some(value.to_owned()))),
        (None, Some(key)) if !key.is_empty() => Ok((key.to_owned(), None)),
        _ => Err(Failure::new(Trouble::Argument, format!("`{text}` is not a label"))
            .fix("write KEY=VALUE, or KEY- to unset it")),
    }
}

/// The names that were meant.
fn names(args: &AddArgs) -> Result<Vec<NodeName>, Failure> {
    let mut names = args.names.clone();
    if let (Some(count), Some(prefix)) = (args.count, &args.prefix) {
        for number in 1..=count {
            let name = format!("{prefix}{number}");
            names.push(
                name.parse()
                    .map_err(|error: rebar_model::InvalidName| Failure::new(Trouble::Argument, error.to_string()))?,
            );
        }
    }
    if names.len() > MOST as usize {
        let message = format!("{} nodes are more than the {MOST} of one command", names.len());
        return Err(Failure::new(Trouble::Argument, message).fix("make them with several commands"));
    }
    Ok(names)
}

async fn add(app: &App, client: &Client, args: AddArgs) -> Result<Exit, Failure> {
    let names = names(&args)?;
    let provider = match args.provider {
        Provider::Docker => ProviderKind::Docker,
        Provider::Namespace => ProviderKind::Namespace,
        Provider::Join => ProviderKind::Join,
    };
    let request = |name: NodeName| AddNodeRequest {
        name,
        provider,
        labels: args.labels.iter().cloned().collect(),
        profiles: args.profiles.clone(),
        options: args.options.iter().cloned().collect(),
    };
    let requests: Vec<AddNodeRequest> = names.into_iter().map(request).collect();
    if provider == ProviderKind::Docker {
        app.output.say(&format!(
            "making {} (the first one makes the image too)",
            screen::words::count(requests.len(), "node")
        ));
    }
    let mut added: Vec<AddedNodeView> = Vec::new();
    let mut first_failure = None;
    let mut making = stream::iter(requests)
        .map(|request| async move {
            let result = client.add_node(&request).await;
            (request.name, result)
        })
        .buffered(AT_ONCE);
    while let Some((name, result)) = making.next().await {
        match result {
            Ok(view) => {
                app.output.say(&format!("{name} is under care"));
                added.push(view);
            }
            // The others are made all the same; each failure is shown, the first one decides the exit code.
            Err(failure) => {
                app.output.insist(&format!("{name}: {failure}"));
                first_failure.get_or_insert(failure);
            }
        }
    }
    let exit =
        if args.wait && provider != ProviderKind::Join { arrive(app, client, &mut added).await? } else { Exit::Done };
    app.output.list(&added, |it| it.node.node.name.to_string(), |look| drawn(&added, look))?;
    first_failure.map_or(Ok(exit), Err)
}

/// What was added; what a person has to do for it to come.
fn drawn(added: &[AddedNodeView], look: &screen::Look) -> String {
    let nodes: Vec<NodeView> = added.iter().map(|it| it.node.clone()).collect();
    let mut text =
        if nodes.is_empty() { String::new() } else { screen::node::list(&nodes, clock::now(), look).render() };
    for it in added {
        if let Some(instruction) = &it.instruction {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\non {}, as root, once:\n  {instruction}", it.node.node.name);
        }
    }
    text
}

/// Waits until the agents of nodes are here: looks at all that are missing, then pauses.
async fn arrive(app: &App, client: &Client, added: &mut [AddedNodeView]) -> Result<Exit, Failure> {
    let deadline = app.timeout().map(|it| Instant::now() + it);
    loop {
        for it in added.iter_mut().filter(|it| it.node.standing != NodeStanding::Ready) {
            it.node = client.node(&it.node.node.name).await?;
            if it.node.standing == NodeStanding::Ready {
                app.output.say(&format!("{} is here", it.node.node.name));
            }
        }
        let Some(missing) = added.iter().find(|it| it.node.standing != NodeStanding::Ready) else {
            return Ok(Exit::Done);
        };
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            app.output.insist(&format!("the agent of {} has not come yet", missing.node.node.name));
            return Ok(Exit::TimedOut);
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn remove(app: &App, client: &Client, args: RmArgs) -> Result<Exit, Failure> {
    for name in &args.names {
        if args.gone {
            let what = format!("{name} is taken for lost: its node-roles are forgotten without being undone");
            app.confirm_name(name.as_str(), args.yes.as_deref(), &what)?;
        }
    }
    let (gone, allowed) = (args.gone, args.allowed.listed());
    let mut removing = stream::iter(args.names)
        .map(|name| {
            let query = RemoveNodeQuery { gone, allow_protected: allowed.clone() };
            async move { client.remove_node(&name, query).await.map(|()| name) }
        })
        .buffered(AT_ONCE);
    while let Some(removed) = removing.next().await {
        app.output.say(&format!("{} is forgotten", removed?));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: AddArgs,
    }

    #[test]
    fn so_many_machines_are_made_by_one_command() {
        let meant = |named: u32, count: u32| {
            let (mut words, count) = (vec!["rebar".to_owned()], count.to_string());
            words.extend((0..named).map(|it| format!("n{it}")));
            words.extend(["--prefix", "w-", "--count", &count].map(str::to_owned));
            Line::try_parse_from(words).map(|it| names(&it.args).map(|it| it.len()).map_err(|it| it.exit))
        };
        assert_eq!(meant(0, MOST).unwrap(), Ok(MOST as usize));
        assert!(meant(0, MOST + 1).unwrap_err().to_string().contains("1..=1000"));
        assert_eq!(meant(1, MOST - 1).unwrap(), Ok(MOST as usize));
        assert_eq!(meant(1, MOST).unwrap(), Err(Exit::Usage));
    }

    #[test]
    fn labels_are_set_and_unset() {
        assert_eq!(label("rack=b2").unwrap(), ("rack".to_owned(), Some("b2".to_owned())));
        assert_eq!(label("rack=").unwrap(), ("rack".to_owned(), Some(String::new())));
        assert_eq!(label("rack-").unwrap(), ("rack".to_owned(), None));
        assert!(label("rack").is_err() && label("-").is_err() && label("=b2").is_err());
    }
}
