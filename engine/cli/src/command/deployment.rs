//! `rebar deployment`: workloads bound to nodes and parameters. The daily verbs at the top level are the same commands.

use std::collections::BTreeMap;

use rebar_api::types::{ChangeDeployment, CreateDeployment, DeploymentView, OutputsQuery, PauseRequest, SetParameter};
use rebar_model::{
    DeploymentName, GroupName, Ident, NodeName, ParameterScope, ParameterSpec, ProfileName, RevisionNo, RoleName,
};
use serde_json::Value;

use super::{
    apply, explain, groups, plan, protected::Allowed, prove, redeploy, retry, set, status, towards::Towards, wait,
    watch,
};
use crate::{
    app::App,
    args::Arrange,
    client::Client,
    clock,
    exit::Exit,
    failure::{Failure, Trouble},
    screen,
};

/// What to do with deployments.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Bind a workload to nodes and parameters; nothing runs before `apply`
    #[command(
        after_help = "Examples:\n  rebar deployment create demo --workload docker-swarm@1.0.0 --group manager=n1 --group worker=n2,n3 --set vip_pool=10.0.9.0/24\n  rebar deployment create edge --workload docker-swarm --group manager=@role=manager --group worker=@role=worker"
    )]
    Create(CreateArgs),
    /// List deployments
    Ls(Arrange),
    /// Show what is wished for
    Show {
        /// The deployment
        #[arg(value_name = "DEPLOYMENT")]
        name: DeploymentName,
    },
    /// What would change, and why (the same as `rebar plan`)
    Plan(plan::Args),
    /// Plan, show, ask, apply, follow (the same as `rebar apply`)
    Apply(apply::Args),
    /// How it stands (the same as `rebar status`)
    Status(status::Args),
    /// Follow it (the same as `rebar watch`)
    Watch(watch::Args),
    /// Wait for it (the same as `rebar wait`)
    Wait(wait::Args),
    /// Why it is not done (the same as `rebar explain`)
    Explain(explain::Args),
    /// Try again what failed (the same as `rebar retry`)
    Retry(retry::Args),
    /// Wipe it and build it again (the same as `rebar redeploy`)
    Redeploy(redeploy::Args),
    /// Wipe and rebuild it several times (the same as `rebar prove`)
    Prove(prove::Args),
    /// Undo everything, then forget the deployment
    Destroy(DestroyArgs),
    /// Start nothing new; what runs goes on
    Pause(ReasonArgs),
    /// Go on
    Resume {
        /// The deployment
        #[arg(value_name = "DEPLOYMENT")]
        name: DeploymentName,
    },
    /// End what runs, and start nothing new
    Cancel(ReasonArgs),
    /// Put nodes into a group; the next `apply` makes it true
    AddNode(MembersArgs),
    /// Take nodes out of a group, or out of all; the next `apply` makes it true
    RemoveNode(MembersArgs),
    /// Change the workload version, or parameters; the next `apply` makes it true
    Upgrade(UpgradeArgs),
    /// What it offers: endpoints, credentials
    Outputs(OutputsArgs),
    /// The plans that were accepted, the newest first: its revisions
    History {
        /// The deployment
        #[arg(value_name = "DEPLOYMENT")]
        name: DeploymentName,
        /// How the list looks
        #[command(flatten)]
        arrange: Arrange,
    },
    /// What differs between two revisions
    #[command(
        after_help = "Examples:\n  rebar deployment diff demo        what the last one changed\n  rebar deployment diff demo 4      what revision 4 changed\n  rebar deployment diff demo 2 4    what lies between them"
    )]
    Diff(DiffArgs),
    /// Go back to what was wished for at an earlier revision: a plan, shown, asked for, applied and followed as any other
    #[command(
        after_help = "Examples:\n  rebar deployment rollback demo           to the revision before\n  rebar deployment rollback demo --to 3"
    )]
    Rollback(RollbackArgs),
}

/// Which revisions.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// The earlier revision; alone, the one that is compared with the one before it
    #[arg(value_name = "REVISION")]
    pub from: Option<u64>,
    /// The later revision
    #[arg(value_name = "REVISION")]
    pub to: Option<u64>,
}

/// Where to go back to.
#[derive(Debug, clap::Args)]
pub struct RollbackArgs {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// The revision; by default the one before the last
    #[arg(long, value_name = "REVISION")]
    pub to: Option<u64>,
    /// Accept the plan without asking
    #[arg(short, long)]
    pub yes: bool,
    /// Let a role that wipes data run
    #[arg(long = "grant", value_name = "ROLE")]
    pub grants: Vec<RoleName>,
    /// The protected roles that may be taken away
    #[command(flatten)]
    pub allowed: Allowed,
    /// Do not follow; `rebar watch` does that later
    #[arg(long)]
    pub no_follow: bool,
}

/// Values of parameters.
#[derive(Debug, Clone, clap::Args)]
pub struct Values {
    /// A parameter, NAME=VALUE
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub plain: Vec<set::Pair>,
    /// A secret parameter: NAME=- reads standard input, NAME=@FILE a file
    #[arg(long = "set-secret", value_name = "NAME=SOURCE")]
    pub secret: Vec<set::Pair>,
}

/// What to make.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// Its name
    pub name: DeploymentName,
    /// NAME@VERSION, a digest, or a name of which there is one version
    #[arg(short, long, value_name = "WORKLOAD")]
    pub workload: String,
    /// A group and its nodes: GROUP=NODE,NODE or GROUP=@LABEL=VALUE; their place is their ordinal
    #[arg(short, long = "group", value_name = "GROUP=NODES")]
    pub groups: Vec<groups::Choice>,
    /// Values of parameters
    #[command(flatten)]
    pub values: Values,
    /// A profile whose parameters it takes
    #[arg(long = "profile", value_name = "PROFILE")]
    pub profiles: Vec<ProfileName>,
    /// A named shape of the workload: takes its parameter values, and refuses groups of another size
    #[arg(short, long, value_name = "TOPOLOGY")]
    pub topology: Option<String>,
}

/// What to destroy.
#[derive(Debug, clap::Args)]
pub struct DestroyArgs {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// Confirm by the name of the deployment
    #[arg(long, value_name = "NAME")]
    pub yes: Option<String>,
    /// The protected roles that may be taken away
    #[command(flatten)]
    pub allowed: Allowed,
    /// Do not follow
    #[arg(long)]
    pub no_follow: bool,
}

/// What to hold, and why.
#[derive(Debug, clap::Args)]
pub struct ReasonArgs {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// Why; shown wherever somebody asks why nothing happens
    #[arg(long, default_value = "")]
    pub reason: String,
}

/// Which nodes of which group.
#[derive(Debug, clap::Args)]
pub struct MembersArgs {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// The nodes
    #[arg(value_name = "NODE", required = true)]
    pub nodes: Vec<NodeName>,
    /// The group
    #[arg(short, long, value_name = "GROUP")]
    pub group: Option<GroupName>,
}

/// What to change.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar deployment upgrade demo --to docker-swarm@1.1.0\n  rebar deployment upgrade demo --set demo_replicas=3"
)]
pub struct UpgradeArgs {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// The workload version
    #[arg(long, alias = "workload", value_name = "WORKLOAD")]
    pub to: Option<String>,
    /// Values of parameters
    #[command(flatten)]
    pub values: Values,
}

/// Which outputs.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  rebar deployment outputs demo\n  rebar deployment outputs demo ca_pem > ca.pem\n  rebar deployment outputs demo kubeconfig --reveal > ~/.kube/config"
)]
pub struct OutputsArgs {
    /// The deployment
    #[arg(value_name = "DEPLOYMENT")]
    pub name: DeploymentName,
    /// One output, printed as it is
    #[arg(value_name = "OUTPUT")]
    pub wanted: Option<Ident>,
    /// Show secrets; the engine writes down who asked
    #[arg(long)]
    pub reveal: bool,
}

/// Does something with deployments.
pub async fn run(app: &App, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Plan(args) => plan::run(app, args).await,
        Verb::Apply(args) => apply::run(app, args).await,
        Verb::Status(args) => status::run(app, args).await,
        Verb::Watch(args) => watch::run(app, args).await,
        Verb::Wait(args) => wait::run(app, args).await,
        Verb::Explain(args) => explain::run(app, args).await,
        Verb::Retry(args) => retry::run(app, args).await,
        Verb::Redeploy(args) => redeploy::run(app, args).await,
        Verb::Prove(args) => prove::run(app, args).await,
        Verb::Create(args) => create(app, args).await,
        Verb::Ls(arrange) => list(app, &arrange).await,
        Verb::Show { name } => show(app, &app.client().await?.deployment(&name).await?),
        Verb::Destroy(args) => destroy(app, args).await,
        Verb::Pause(args) => {
            let request = PauseRequest { reason: args.reason };
            app.client().await?.pause(&args.name, &request).await?;
            Ok(said(app, &format!("{0} is held; what runs goes on    rebar deployment resume {0}", args.name)))
        }
        Verb::Resume { name } => {
            app.client().await?.resume(&name).await?;
            Ok(said(app, &format!("{name} goes on    rebar watch {name}")))
        }
        Verb::Cancel(args) => {
            let request = PauseRequest { reason: args.reason };
            app.client().await?.cancel(&args.name, &request).await?;
            Ok(said(
                app,
                &format!(
                    "what runs in {0} is being ended, and nothing new starts    rebar deployment resume {0}",
                    args.name
                ),
            ))
        }
        Verb::AddNode(args) => members(app, &args, &add).await,
        Verb::RemoveNode(args) => members(app, &args, &take_out).await,
        Verb::Upgrade(args) => upgrade(app, args).await,
        Verb::Outputs(args) => outputs(app, args).await,
        Verb::History { name, arrange } => {
            let revisions = app.client().await?.revisions(&name).await?;
            let now = clock::now();
            app.output.table(
                &revisions,
                |it| it.no.to_string(),
                &arrange,
                |look| screen::deployment::history(&revisions, now, look),
            )?;
            Ok(Exit::Done)
        }
        Verb::Diff(args) => diff(app, args).await,
        Verb::Rollback(args) => roll_back(app, args).await,
    }
}

async fn diff(app: &App, args: DiffArgs) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let (from, to) = match (args.from, args.to) {
        (from, Some(to)) => (from.map(RevisionNo), RevisionNo(to)),
        (Some(no), None) => (None, RevisionNo(no)),
        (None, None) => (None, last_revision(client, &args.name).await?),
    };
    let diff = client.diff(&args.name, to, from).await?;
    app.output.data(&diff, || vec![diff.to.to_string()], |look| screen::deployment::diff(&diff, look))?;
    Ok(Exit::Done)
}

/// The last revision of a deployment; a failure where nothing was applied yet.
async fn last_revision(client: &Client, name: &DeploymentName) -> Result<RevisionNo, Failure> {
    let no = client.status(name).await?.revision;
    if no == RevisionNo(0) {
        let message = format!("`{name}` has no revision: nothing was applied yet");
        return Err(Failure::new(Trouble::Nothing, message).fix(format!("rebar plan {name}")));
    }
    Ok(no)
}

async fn roll_back(app: &App, args: RollbackArgs) -> Result<Exit, Failure> {
    let RollbackArgs { name, to, yes, grants, allowed, no_follow } = args;
    let last = last_revision(app.client().await?, &name).await?;
    let to = match to {
        Some(to) => to,
        None if last.0 > 1 => last.0 - 1,
        None => {
            let message = format!("revision {last} of `{name}` is the first: there is nothing to go back to");
            return Err(Failure::new(Trouble::Nothing, message).fix(format!("rebar deployment history {name}")));
        }
    };
    let towards = Towards { revision: Some(to), ..Towards::default() };
    apply::run(app, apply::Args { name, plan: None, yes, grants, allowed, no_follow, towards }).await
}

fn said(app: &App, text: &str) -> Exit {
    app.output.say(text);
    Exit::Done
}

async fn list(app: &App, arrange: &Arrange) -> Result<Exit, Failure> {
    let deployments = app.client().await?.deployments().await?;
    let now = clock::now();
    app.output.table(
        &deployments,
        |it| it.name.to_string(),
        arrange,
        |look| screen::deployment::list(&deployments, now, look),
    )?;
    Ok(Exit::Done)
}

fn show(app: &App, view: &DeploymentView) -> Result<Exit, Failure> {
    app.output.data(view, || vec![view.status.name.to_string()], |look| screen::deployment::show(view, look))?;
    Ok(Exit::Done)
}

async fn create(app: &App, args: CreateArgs) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let workload = client.workload(&args.workload).await?;
    let groups = groups::resolve(client, &args.groups).await?;
    let mut parameters = match &args.topology {
        Some(name) => groups::shaped(&workload.workload, name, &groups)?,
        None => BTreeMap::new(),
    };
    parameters.extend(set::typed(&workload.workload, &args.values.plain, &args.values.secret)?);
    let request = CreateDeployment {
        name: args.name.clone(),
        workload: workload.summary.digest.to_string(),
        groups,
        profiles: args.profiles,
        parameters,
    };
    show(app, &client.create_deployment(&request).await?)
}

async fn destroy(app: &App, args: DestroyArgs) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let status = client.status(&args.name).await?;
    args.allowed.refuse(&status.protected, &format!("rebar deployment destroy {}", args.name))?;
    app.confirm_name(args.name.as_str(), args.yes.as_deref(), &redeploy::describe(&status))?;
    let accepted = client.destroy(&args.name, &args.allowed.into()).await?;
    if args.no_follow {
        app.output.data(
            &accepted,
            || vec![args.name.to_string()],
            |_| format!("{} is being destroyed\n", args.name),
        )?;
        return Ok(Exit::Done);
    }
    match apply::follow(app, client, args.name.clone()).await {
        // Where there was nothing to undo it is gone before it can be looked at.
        Err(failure) if failure.exit == Exit::NotFound => Ok(said(app, &format!("{} is gone", args.name))),
        other => other,
    }
}

type Groups = BTreeMap<GroupName, Vec<NodeName>>;

/// Changes the members of groups, if they are still what was read.
async fn members(
    app: &App,
    args: &MembersArgs,
    change: &(dyn Fn(&mut Groups, &MembersArgs) -> Result<(), Failure> + Sync),
) -> Result<Exit, Failure> {
    let client = app.client().await?;
    let view = client.deployment(&args.name).await?;
    let mut groups = view.spec.groups.clone();
    change(&mut groups, args)?;
    let request = ChangeDeployment { groups: Some(groups), ..ChangeDeployment::default() };
    let view = client.change_deployment(&args.name, &view.etag, &request).await?;
    show(app, &view)
}

fn add(groups: &mut Groups, args: &MembersArgs) -> Result<(), Failure> {
    let group = match (&args.group, groups.len()) {
        (Some(group), _) => group.clone(),
        (None, 1) => groups.keys().next().cloned().ok_or_else(|| no_group(groups))?,
        (None, _) => return Err(no_group(groups)),
    };
    let members = groups.entry(group).or_default();
    for node in &args.nodes {
        if !members.contains(node) {
            members.push(node.clone());
        }
    }
    Ok(())
}

fn no_group(groups: &Groups) -> Failure {
    let known: Vec<&str> = groups.keys().map(GroupName::as_str).collect();
    Failure::new(Trouble::Argument, "which group is not said").fix(format!("say --group, one of {}", known.join(", ")))
}

fn take_out(groups: &mut Groups, args: &MembersArgs) -> Result<(), Failure> {
    for node in &args.nodes {
        let mut found = false;
        for (group, members) in groups.iter_mut() {
            if args.group.as_ref().is_none_or(|it| it == group) {
                let before = members.len();
                members.retain(|it| it != node);
                found |= members.len() < before;
            }
        }
        if !found {
            return Err(Failure::new(Trouble::Nothing, format!("`{node}` is in no such group of `{}`", args.name))
                .fix(format!("rebar deployment show {}", args.name)));
        }
    }
    Ok(())
}

async fn upgrade(app: &App, args: UpgradeArgs) -> Result<Exit, Failure> {
    let client = app.client().await?;
    if args.to.is_none() && args.values.plain.is_empty() && args.values.secret.is_empty() {
        return Err(
            Failure::new(Trouble::Argument, "what to change is not said").fix("say --to WORKLOAD or --set NAME=VALUE")
        );
    }
    let mut view = client.deployment(&args.name).await?;
    let reference = args.to.clone().unwrap_or_else(|| view.spec.workload.to_string());
    let workload = client.workload(&reference).await?;
    // Read and checked before anything is changed.
    let values = set::typed(&workload.workload, &args.values.plain, &args.values.secret)?;
    if args.to.is_some() {
        let digest = workload.summary.digest.to_string();
        let request = ChangeDeployment { workload: Some(digest), ..ChangeDeployment::default() };
        view = client.change_deployment(&args.name, &view.etag, &request).await?;
    }
    set_all(client, &args.name, values, &workload.workload).await?;
    show(app, &view)?;
    Ok(said(app, &format!("next  rebar plan {0}    then  rebar apply {0}", args.name)))
}

async fn set_all(
    client: &Client,
    name: &DeploymentName,
    values: BTreeMap<Ident, Value>,
    workload: &rebar_model::Workload,
) -> Result<(), Failure> {
    let scope = ParameterScope::Deployment(name.clone());
    for (parameter, value) in values {
        let secret = workload.spec.inputs.get(&parameter).is_some_and(ParameterSpec::is_secret);
        client.set_parameter(&scope, &parameter, &SetParameter { value, secret }).await?;
    }
    Ok(())
}

async fn outputs(app: &App, args: OutputsArgs) -> Result<Exit, Failure> {
    let outputs = app.client().await?.outputs(&args.name, OutputsQuery { reveal: args.reveal }).await?;
    let Some(wanted) = args.wanted else {
        app.output.list(&outputs, |it| it.name.to_string(), |look| screen::deployment::outputs(&outputs, look))?;
        return Ok(Exit::Done);
    };
    let Some(found) = outputs.into_iter().find(|it| it.name == wanted) else {
        return Err(Failure::new(Trouble::Nothing, format!("`{}` has no output `{wanted}`", args.name))
            .fix(format!("rebar deployment outputs {}", args.name)));
    };
    if found.secret && !args.reveal && app.output.is_for_people() {
        return Err(
            Failure::new(Trouble::Unconfirmed, format!("output `{wanted}` is a secret")).fix("say --reveal to see it")
        );
    }
    let Some(value) = &found.value else {
        return Err(Failure::new(Trouble::Nothing, format!("output `{wanted}` is not known yet"))
            .fix(format!("rebar explain {}", args.name)));
    };
    app.output.data(
        &found,
        || vec![wanted.to_string()],
        |_| match value {
            Value::String(text) if text.ends_with('\n') => text.clone(),
            Value::String(text) => format!("{text}\n"),
            other => format!("{other}\n"),
        },
    )?;
    Ok(Exit::Done)
}
