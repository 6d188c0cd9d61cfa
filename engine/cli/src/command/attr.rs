//! `rebar attr`: parameters at their levels, and where the value of an input comes from.

use rebar_api::types::{SetParameter, WhyQuery};
use rebar_model::{DeploymentName, Ident, NodeName, ParameterScope, ProfileName};
use serde_json::Value;

use super::{address::node_role, set};
use crate::{
    app::App,
    args::Arrange,
    client::Client,
    clock,
    exit::Exit,
    failure::{Failure, Trouble},
    screen,
};

/// What to do with parameters.
#[derive(Debug, clap::Subcommand)]
pub enum Verb {
    /// Where the value of an input comes from, through every hop
    #[command(
        after_help = "Examples:\n  rebar attr why swarm-worker@n2 join_token\n  rebar attr why demo/swarm-verify url -v    follows every hop"
    )]
    Why {
        /// The address of a node-role
        #[arg(value_name = "ADDRESS")]
        address: String,
        /// Its input
        #[arg(value_name = "INPUT")]
        input: Ident,
    },
    /// Set a parameter at one level; node wins over deployment over profile over global
    #[command(
        after_help = "Examples:\n  rebar attr set domain lab.example --global\n  rebar attr set demo_replicas 3 --deployment demo\n  rebar attr set password - --secret --deployment demo < file"
    )]
    Set(SetArgs),
    /// Print a parameter of one level
    Get {
        /// The parameter
        name: Ident,
        /// At which level
        #[command(flatten)]
        level: Level,
    },
    /// List the parameters that people set
    Ls {
        /// At which level
        #[command(flatten)]
        level: Level,
        /// How the list looks
        #[command(flatten)]
        arrange: Arrange,
    },
    /// Unset a parameter at one level
    Unset {
        /// The parameter
        name: Ident,
        /// At which level
        #[command(flatten)]
        level: Level,
    },
}

/// What to set.
#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// The parameter
    pub name: Ident,
    /// The value: JSON, or a text; with --secret - or @FILE
    #[arg(allow_hyphen_values = true)]
    pub value: String,
    /// At which level
    #[command(flatten)]
    pub level: Level,
    /// Keep it as a secret, and read it from - or @FILE
    #[arg(long)]
    pub secret: bool,
    /// Take the value as a text, whatever it looks like
    #[arg(long)]
    pub string: bool,
}

/// At which level.
#[derive(Debug, Clone, clap::Args)]
#[group(multiple = false)]
pub struct Level {
    /// Of one deployment
    #[arg(short, long, value_name = "NAME")]
    pub deployment: Option<DeploymentName>,
    /// Of one node
    #[arg(short, long, value_name = "NAME")]
    pub node: Option<NodeName>,
    /// Of a profile
    #[arg(short, long, value_name = "NAME")]
    pub profile: Option<ProfileName>,
    /// Of everything
    #[arg(short, long)]
    pub global: bool,
}

impl Level {
    fn scope(&self) -> Option<ParameterScope> {
        let deployment = self.deployment.clone().map(ParameterScope::Deployment);
        let node = self.node.clone().map(ParameterScope::Node);
        let profile = self.profile.clone().map(ParameterScope::Profile);
        deployment.or(node).or(profile).or(self.global.then_some(ParameterScope::Global))
    }

    fn needed(&self) -> Result<ParameterScope, Failure> {
        self.scope().ok_or_else(|| {
            Failure::new(Trouble::Argument, "at which level is not said")
                .fix("say --deployment, --node, --profile or --global")
        })
    }
}

/// Does something with parameters.
pub async fn run(app: &App, verb: Verb) -> Result<Exit, Failure> {
    let client = app.client().await?;
    match verb {
        Verb::Why { address, input } => {
            let of = node_role(client, &address).await?;
            let origin = client.why(&of.deployment, &WhyQuery { address: of.local, input }).await?;
            app.output.data(&origin, || vec![origin.origin.clone()], |look| screen::origin::render(&origin, look))?;
        }
        Verb::Set(args) => return set(app, client, args).await,
        Verb::Get { name, level } => {
            let scope = level.needed()?;
            let all = client.parameters(Some(&scope)).await?;
            let found = all.into_iter().find(|it| it.name == name).ok_or_else(|| {
                Failure::new(Trouble::Nothing, format!("{scope} does not set `{name}`")).fix("rebar attr ls")
            })?;
            app.output.data(
                &found,
                || vec![name.to_string()],
                |look| match &found.value {
                    Value::String(text) => format!("{text}\n"),
                    other => screen::words::mask(other).unwrap_or_else(|| screen::words::value(other, look)) + "\n",
                },
            )?;
        }
        Verb::Ls { level, arrange } => {
            let all = client.parameters(level.scope().as_ref()).await?;
            let name = |it: &rebar_api::types::ParameterView| format!("{}/{}", it.scope, it.name);
            app.output.table(&all, name, &arrange, |look| screen::parameter::list(&all, clock::now(), look))?;
        }
        Verb::Unset { name, level } => {
            let scope = level.needed()?;
            client.unset_parameter(&scope, &name).await?;
            app.output.say(&format!("{scope} does not set {name} any more"));
        }
    }
    Ok(Exit::Done)
}

async fn set(app: &App, client: &Client, args: SetArgs) -> Result<Exit, Failure> {
    let scope = args.level.needed()?;
    let text = if args.secret { set::read(&args.value)? } else { args.value.clone() };
    let value = match declared(client, &scope, &args.name).await? {
        _ if args.string => Value::String(text),
        Some(spec) if spec.is_secret() && !args.secret => {
            return Err(Failure::new(Trouble::Argument, format!("parameter `{}` is a secret", args.name))
                .fix(format!("rebar attr set {} - --secret …, with the value on standard input", args.name)));
        }
        Some(spec) => set::convert(&spec, &text),
        None => set::guess(&text),
    };
    let set = client.set_parameter(&scope, &args.name, &SetParameter { value, secret: args.secret }).await?;
    app.output.data(
        &set,
        || vec![set.name.to_string()],
        |look| screen::parameter::list(std::slice::from_ref(&set), clock::now(), look).render(),
    )?;
    Ok(Exit::Done)
}

/// What the workload of a deployment says about a parameter; at other levels several workloads may mean it.
async fn declared(
    client: &Client,
    scope: &ParameterScope,
    name: &Ident,
) -> Result<Option<rebar_model::ParameterSpec>, Failure> {
    let ParameterScope::Deployment(deployment) = scope else { return Ok(None) };
    let view = client.deployment(deployment).await?;
    let workload = client.workload(&view.spec.workload.to_string()).await?;
    Ok(workload.workload.spec.inputs.get(name).cloned())
}
