//! What carries a role out, as its author writes it under `runner:`, and the actions that Rebar has built in. The signatures of
//! those are `builtin.rs`; the code that runs anything is the agent's and the engine's.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What carries a role out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase", deny_unknown_fields)]
pub enum Runner {
    /// Files of the role's directory, run by a shell or by their own `#!` line.
    Script {
        /// The program that reads the files; by default the `#!` line decides, else `/bin/sh`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shell: Option<String>,
        /// The user to run as; by default root.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Tera templates of the role's directory, and the absolute paths on the machine that they are rendered to before
        /// `apply`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        templates: BTreeMap<String, String>,
    },
    /// A playbook, run on the machine itself.
    Ansible {
        /// The playbook, a file of the role's directory.
        playbook: String,
        /// The collections that it needs, with their versions: `kubernetes.core:>=5`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        collections: Vec<String>,
        /// Further variables.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        vars: BTreeMap<String, String>,
        /// Whether the playbook can be asked what it would change.
        #[serde(default, rename = "checkMode", skip_serializing_if = "std::ops::Not::not")]
        check_mode: bool,
    },
    /// Recipes, run on the machine itself.
    Chef {
        /// The run list: `recipe[etcd::member]`.
        #[serde(rename = "runList")]
        run_list: Vec<String>,
        /// The directory of the cookbooks, in the role's directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cookbooks: Option<String>,
    },
    /// A manifest, applied on the machine itself.
    Puppet {
        /// The manifest, a file of the role's directory.
        manifest: String,
        /// The directory of the modules, in the role's directory.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        modulepath: Option<String>,
    },
    /// A state, applied on the machine itself.
    Salt {
        /// The state, a file of the role's directory.
        state: String,
    },
    /// A WebAssembly component, run in the engine.
    Wasm {
        /// The component, a file of the role's directory.
        module: String,
        /// What it may do beyond computing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        allow: Vec<WasmRight>,
    },
    /// A resource that the engine makes.
    Builtin {
        /// Which one.
        action: BuiltinAction,
    },
    /// Nothing: a point that others wait for.
    Noop {},
}

impl Runner {
    /// Its name under `type`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Script { .. } => "script",
            Self::Ansible { .. } => "ansible",
            Self::Chef { .. } => "chef",
            Self::Puppet { .. } => "puppet",
            Self::Salt { .. } => "salt",
            Self::Wasm { .. } => "wasm",
            Self::Builtin { .. } => "builtin",
            Self::Noop {} => "noop",
        }
    }

    /// What this version cannot carry out yet, in words; such a role is read and checked, and refused when it is planned.
    pub fn missing(&self) -> Option<String> {
        match self {
            Self::Script { .. } | Self::Noop {} => None,
            Self::Builtin { action } => action.ports().is_none().then(|| format!("the action `{}`", action.name())),
            Self::Ansible { .. } | Self::Chef { .. } | Self::Puppet { .. } | Self::Salt { .. } | Self::Wasm { .. } => {
                Some(format!("the runner `{}`", self.name()))
            }
        }
    }

    /// Whether the agent of a node carries it out; else the engine does.
    pub const fn on_agent(&self) -> bool {
        match self {
            Self::Script { .. }
            | Self::Ansible { .. }
            | Self::Chef { .. }
            | Self::Puppet { .. }
            | Self::Salt { .. }
            | Self::Builtin { action: BuiltinAction::NodeReboot } => true,
            Self::Wasm { .. } | Self::Builtin { .. } | Self::Noop {} => false,
        }
    }
}

/// What a WebAssembly component may do beyond computing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WasmRight {
    /// Open connections.
    Net,
    /// Read files of the package.
    FsRead,
    /// Run programs.
    Exec,
}

/// What Rebar does itself: resources that the engine makes, conditions that it waits for, and the power of machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum BuiltinAction {
    /// A DNS record set.
    #[serde(rename = "dns.record")]
    DnsRecord,
    /// An address out of a pool.
    #[serde(rename = "ipam.address")]
    IpamAddress,
    /// An address and port that the load balancer answers on.
    #[serde(rename = "lb.vip")]
    LbVip,
    /// A place behind a VIP.
    #[serde(rename = "lb.backend")]
    LbBackend,
    /// A certificate authority of the deployment.
    #[serde(rename = "pki.ca")]
    PkiCa,
    /// A certificate for a key that stays where it is.
    #[serde(rename = "pki.cert")]
    PkiCert,
    /// An operating system on a machine's disk.
    #[serde(rename = "os.install")]
    OsInstall,
    /// A machine switched on or off by its management controller.
    #[serde(rename = "bmc.power")]
    BmcPower,
    /// A machine rebooted by its agent.
    #[serde(rename = "node.reboot")]
    NodeReboot,
    /// An address that answers HTTP requests.
    #[serde(rename = "wait.http")]
    WaitHttp,
    /// A port that takes TCP connections.
    #[serde(rename = "wait.tcp")]
    WaitTcp,
}

impl BuiltinAction {
    /// Its name under `action`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DnsRecord => "dns.record",
            Self::IpamAddress => "ipam.address",
            Self::LbVip => "lb.vip",
            Self::LbBackend => "lb.backend",
            Self::PkiCa => "pki.ca",
            Self::PkiCert => "pki.cert",
            Self::OsInstall => "os.install",
            Self::BmcPower => "bmc.power",
            Self::NodeReboot => "node.reboot",
            Self::WaitHttp => "wait.http",
            Self::WaitTcp => "wait.tcp",
        }
    }
}
