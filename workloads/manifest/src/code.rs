//! The numbers of what the linter finds. Each has a page `docs/errors/RBxxxx.md`; this list and the pages are compared by a
//! test. Numbers are never used again for something else.

use std::fmt;

use serde::{Serialize, Serializer};

/// Declares the codes once: variant, number, title.
macro_rules! codes {
    ($($name:ident = $number:literal, $title:literal;)*) => {
        /// The number of a mistake.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $name,)*
        }

        impl Code {
            /// Every code, in order.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Its number, without `RB`.
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// What it is about, as the heading of its page.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

codes! {
    // the files
    MissingDocument = 1001, "a document is missing";
    NotText = 1002, "a document is not UTF-8 text";
    MalformedYaml = 1003, "malformed YAML";
    DuplicateKey = 1004, "a key is written twice";
    UnsupportedYaml = 1005, "YAML that packages do without";
    UnexpectedDocument = 1006, "an unexpected document";
    TabIndent = 1007, "a tab where spaces belong";
    WrongKind = 1008, "wrong kind or apiVersion";
    LargeDocument = 1009, "a document is too large";
    MissingFile = 1010, "a file is missing";
    // their shape
    UnknownKey = 1101, "unknown key";
    MissingKey = 1102, "missing key";
    WrongType = 1103, "wrong type";
    NotAllowed = 1104, "not one of the allowed values";
    Malformed = 1105, "malformed value";
    OutOfRange = 1106, "out of range";
    OneOf = 1107, "not exactly one of";
    NotAVersion = 1108, "not a version";
    WrongName = 1109, "the directory and the role have different names";
    // what they refer to
    UnknownRole = 1201, "unknown role";
    UnknownOutput = 1202, "unknown output";
    UnknownParameter = 1203, "unknown parameter";
    UnknownGroup = 1204, "unknown group";
    UnknownFact = 1205, "unknown node fact";
    UnprovidedCapability = 1206, "a capability that nobody provides";
    NoSource = 1207, "an input without a source";
    UnknownWorkload = 1208, "a used workload is not there";
    TakenTwice = 1209, "a name from two workloads";
    OwnDefinition = 1210, "a parameter is defined again";
    ForeignGroup = 1211, "a used role reads a group that is not there";
    OtherEngine = 1212, "a workload for other versions of Rebar";
    // values
    TypeMismatch = 1301, "types do not match";
    SecretLeak = 1302, "a secret flows into an input that is not secret";
    SecretDefault = 1303, "a secret with a literal default";
    BadDefault = 1304, "a value breaks its own schema";
    BadSchema = 1305, "invalid JSON Schema";
    BadExpression = 1306, "an expression does not compile";
    UnknownVariable = 1307, "an expression uses an unknown variable";
    ParameterSource = 1308, "a parameter cannot come from there";
    // where roles run
    TakeLeader = 1401, "a role with one instance is read with the wrong `take`";
    TakeCollect = 1402, "a role without a node reads a role on nodes";
    TakeOneOfMany = 1403, "`take: one` where there may be many";
    NodeFactWithoutNode = 1404, "a node fact without a node";
    RunnerPlace = 1405, "the runner cannot run there";
    NotOnSameNode = 1406, "the other role is not on the same node";
    MissingRunner = 1407, "a runner that this version does not have";
    // order
    Cycle = 1501, "roles wait for each other";
    SoftOrderUnknown = 1502, "soft order with an unknown role";
    NeverBound = 1503, "a role that no group has";
    UnusedParameter = 1504, "a parameter that nothing uses";
    // phases
    NoTimeout = 1601, "a phase without a timeout";
    MissingScript = 1602, "the file of a phase is missing";
    NotAScript = 1603, "the file of a phase may not run";
    NoUndo = 1604, "a node role without `undo`";
    PhaseOrder = 1605, "phases are not written in the order in which they run";
    NoEffect = 1606, "a key without effect";
    BadEnvironment = 1607, "an environment variable that cannot work";
    NoApply = 1608, "a script role that does nothing";
    TemplateTarget = 1609, "a template cannot be written there";
    TemplateTwice = 1610, "two templates with the same target";
    IdleTemplate = 1611, "templates that nothing renders";
    // builtin actions
    BuiltinMissingPort = 1701, "a builtin action misses an input";
    BuiltinUnknownPort = 1702, "a builtin action has no such port";
    BuiltinPortType = 1703, "a port of a builtin action has the wrong type";
    NoopOutput = 1704, "an output that nothing gives";
    // groups
    GroupCount = 1801, "a group that can have no nodes";
    TopologyCount = 1802, "a topology breaks the limits of a group";
    FieldTwice = 1803, "a form has a parameter twice";
    // rollouts
    IdleRollout = 1901, "a rollout that this version does not follow";
    GateKey = 1902, "a gate does not say what it asks";
    FailureDomain = 1903, "a failure domain is not a label of nodes";
}

impl Code {
    /// The code with a text such as `RB1101`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.to_string() == text)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RB{}", self.number())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
