//! What is rehearsed: a workload on simulated nodes, with its parameters, what is known of lengths of time, and the faults. Everything
//! that happens follows from it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use rebar_model::{
    Addresses, Cpu, DeploymentName, Disk, Facts, GroupName, Ident, Nic, NodeName, NodeRoleId, Os, ParameterScope,
    ProfileName, RoleName, Span, Workload,
};
use serde_json::Value;

use crate::{
    Basis, Durations, End, Estimate, Fault, FaultKind, RehearsalError, Unmade,
    chance::Chance,
    sample::{Purpose, sample},
};

/// What is rehearsed.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// The name of the deployment.
    pub deployment: DeploymentName,
    /// The workload version.
    pub workload: Arc<Workload>,
    /// The nodes.
    pub nodes: Vec<SimulatedNode>,
    /// The nodes of each group; their place is their ordinal.
    pub groups: BTreeMap<GroupName, Vec<NodeName>>,
    /// The profiles whose parameters the deployment takes.
    pub profiles: Vec<ProfileName>,
    /// The parameters that are set.
    pub parameters: Vec<Setting>,
    /// The values of outputs that are not to be made up.
    pub outputs: BTreeMap<(RoleName, Ident), Value>,
    /// How long attempts take.
    pub durations: Durations,
    /// What goes wrong.
    pub faults: Vec<Fault>,
    /// What every draw follows from.
    pub seed: u64,
    /// How long an agent is silent before the engine takes it for gone.
    pub silence: Span,
    /// How long a node that is away is waited for before a person has to act.
    pub patience: Span,
}

/// A simulated machine.
#[derive(Debug, Clone)]
pub struct SimulatedNode {
    /// Its name.
    pub name: NodeName,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The profiles whose parameters it takes.
    pub profiles: Vec<ProfileName>,
    /// What its agent reports.
    pub facts: Facts,
}

/// A parameter that is set. Deliberately without a value in `Debug`: it may be a secret.
#[derive(Clone)]
pub struct Setting {
    /// At which level.
    pub scope: ParameterScope,
    /// Its name.
    pub name: Ident,
    /// The value; none for a secret that nobody needs to know, for which one is made up.
    pub value: Option<Value>,
    /// Whether it is kept as a secret.
    pub secret: bool,
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}=…", self.scope, self.name)
    }
}

impl Scenario {
    pub(crate) fn chance(&self) -> Chance {
        Chance::new(self.seed)
    }

    /// Refuses what cannot be rehearsed, before anything is started.
    pub fn check(&self) -> Result<(), RehearsalError> {
        if self.nodes.is_empty() {
            return Err(RehearsalError::Size("a rehearsal needs at least one node".to_owned()));
        }
        self.faults.iter().try_for_each(|it| it.check(&self.workload))?;
        let roles = &self.workload.roles;
        if let Some(role) = self.durations.roles().find(|it| !roles.contains_key(*it)) {
            let known = roles.keys().map(RoleName::as_str).collect::<Vec<_>>().join(", ");
            return Err(RehearsalError::NoRole { role: role.clone(), hint: format!("; it has {known}") });
        }
        for (role, output) in self.outputs.keys() {
            let declared = roles.get(role).is_some_and(|it| it.manifest.spec.outputs.contains_key(output));
            if !declared {
                return Err(RehearsalError::NoRole { role: role.clone(), hint: format!(" with an output `{output}`") });
            }
        }
        let unmade = self.unmade();
        if unmade.is_empty() { Ok(()) } else { Err(RehearsalError::Unmade(unmade)) }
    }

    /// The outputs of roles that agents carry out, and the secrets, for which no value can be made.
    fn unmade(&self) -> Vec<Unmade> {
        let mut unmade = Vec::new();
        for (name, role) in &self.workload.roles {
            let role = &role.manifest.spec;
            if !role.runner.on_agent() {
                continue;
            }
            for output in role.outputs.keys() {
                if let Err(detail) = self.output(name, output, name) {
                    unmade.push(Unmade::Output { role: name.clone(), output: output.clone(), detail });
                }
            }
        }
        for setting in &self.parameters {
            if let Err(detail) = self.value(setting) {
                unmade.push(Unmade::Parameter { name: setting.name.clone(), detail });
            }
        }
        unmade
    }

    /// How long the attempts of a role take.
    pub(crate) fn estimate(&self, role: &RoleName) -> Estimate {
        match self.workload.roles.get(role) {
            Some(it) => self.durations.of(role, &it.manifest.spec),
            None => Estimate { median: Span::default(), p95: Span::default(), basis: Basis::Assumed },
        }
    }

    /// The fault that an attempt of a node-role ends by, and how; none if it ends well.
    pub(crate) fn doom(&self, id: &NodeRoleId, number: u32) -> Option<(usize, End)> {
        self.faults.iter().enumerate().find_map(|(place, fault)| match &fault.kind {
            FaultKind::Attempts { end, role, chance } => {
                let meant = role.as_ref().is_none_or(|it| *it == id.role);
                let hit = meant && self.chance().unit("doom", &[&place, id, &number]) < *chance;
                hit.then_some((place, *end))
            }
            _ => None,
        })
    }

    /// The value of an output, the same for the same node-role.
    pub(crate) fn output(&self, role: &RoleName, output: &Ident, of: &dyn std::fmt::Display) -> Result<Value, String> {
        if let Some(value) = self.outputs.get(&(role.clone(), output.clone())) {
            return Ok(value.clone());
        }
        let spec = self.workload.roles.get(role).and_then(|it| it.manifest.spec.outputs.get(output));
        let spec = spec.ok_or("the role does not declare it")?;
        sample(&spec.schema, Purpose { chance: self.chance(), name: output.as_str(), of })
    }

    /// The value of a parameter; of a secret that nobody gave one that is made up.
    pub(crate) fn value(&self, setting: &Setting) -> Result<Value, String> {
        if let Some(value) = &setting.value {
            return Ok(value.clone());
        }
        let any = Value::Object(serde_json::Map::new());
        let schema = self.workload.spec.inputs.get(&setting.name).map_or(&any, |it| &it.schema);
        sample(schema, Purpose { chance: self.chance(), name: setting.name.as_str(), of: &setting.scope })
    }
}

/// The facts of a simulated machine: what its place says, on hardware as it is common.
pub fn facts(name: &NodeName, place: usize, os: &str, arch: &str) -> Facts {
    // 198.18.0.0/15 is kept for tests of networks; it has room for every node of a rehearsal.
    let address = Ipv4Addr::from_bits(0xC612_0000 + 256 + u32::try_from(place).unwrap_or(u32::MAX) % 0x1_FE00);
    let [_, second, third, fourth] = address.octets();
    Facts {
        hostname: name.to_string(),
        os: Os {
            id: os.to_owned(),
            version: String::new(),
            name: format!("{os}, simulated"),
            kernel: "6.1.0".to_owned(),
        },
        arch: arch.to_owned(),
        init: "systemd".to_owned(),
        cpu: Cpu { count: 8, model: "simulated".to_owned() },
        memory_mb: 32_768,
        disks: vec![Disk {
            name: "sda".to_owned(),
            size_bytes: 512 << 30,
            rotational: false,
            model: "simulated".to_owned(),
        }],
        nics: vec![Nic {
            name: "eth0".to_owned(),
            mac: format!("02:00:00:{second:02x}:{third:02x}:{fourth:02x}"),
            addresses: vec![format!("{address}/15")],
            up: true,
        }],
        addresses: Addresses { primary: Some(IpAddr::V4(address)), all: vec![IpAddr::V4(address)] },
        boot_id: "simulated".to_owned(),
        agent_version: "simulated".to_owned(),
        virtualization: "none".to_owned(),
    }
}
